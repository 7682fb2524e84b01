//! `bramble deploy`: functions of a stack file, or one image.

use std::time::Duration;

use api::{
    FunctionName,
    openfaas::{DeleteFunctionRequest, FunctionDeployment},
};
use clap::{ArgAction, Args};
use http::Method;

use super::{
    connect::{self, Api, Target},
    deployment::{self, SpecFlags},
    describe,
    failure::{Exit, Failure},
    out::Out,
    stack::{Selection, StackFunction, Texts, source},
    wait,
};

/// What `deploy` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble deploy                                    every function of ./stack.yaml
  bramble deploy -f stack.yaml --filter '*gif*'     some of them
  bramble deploy -f https://example.com/stack.yaml
  TAG=2.0 bramble deploy -f stack.yaml              ${TAG} in the file becomes 2.0
  bramble deploy --image bramble/figlet:latest --name figlet --wait
  bramble deploy --image ghcr.io/me/hello:1 --name hello -e greeting=hi --memory-limit 64Mi")]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    from: StackFlags,

    /// The image of a single function
    #[arg(long, requires = "name")]
    image: Option<String>,

    /// The name of a single function
    #[arg(long, requires = "image")]
    name: Option<String>,

    #[command(flatten)]
    spec: SpecFlags,

    #[command(flatten)]
    how: HowFlags,
}

/// Which functions of which stack file.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StackFlags {
    /// The stack file: a path or an address [else: stack.yaml or stack.yml in this folder]
    #[arg(
        help_heading = "Stack file",
        short = 'f',
        long = "yaml",
        visible_alias = "file",
        value_name = "FILE|URL",
        conflicts_with = "image"
    )]
    pub(crate) yaml: Option<String>,

    /// Only functions whose names look like this, with * for anything
    #[arg(help_heading = "Stack file", long, value_name = "PATTERN")]
    pub(crate) filter: Option<String>,

    /// Only functions whose names match this regular expression
    #[arg(help_heading = "Stack file", long, value_name = "EXPRESSION")]
    pub(crate) regex: Option<String>,

    /// Replace ${VARIABLES} in the stack file by what the environment says
    #[arg(help_heading = "Stack file", long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    pub(crate) envsubst: bool,
}

/// How functions are deployed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "How")]
pub(crate) struct HowFlags {
    /// Update a function that is there already
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    update: bool,

    /// Remove a function that is there already, and deploy it anew
    #[arg(long, value_name = "BOOL", default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    replace: bool,

    /// Wait until the functions are ready; where one does not get ready, say why
    #[arg(long)]
    wait: bool,

    /// Longest wait for each function, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u32,
}

/// Deploys what was named.
pub(crate) async fn deploy(args: DeployArgs, out: &Out) -> Result<(), Failure> {
    if args.image.is_none() {
        return deploy_stack(args, out).await;
    }
    let name = args.name.as_deref().unwrap_or_default();
    let function = StackFunction {
        image: args.image.clone(),
        ..StackFunction::default()
    };
    let deployment = deployment::build(name, function, Texts::new(), &args.spec)?;
    let api = args.target.connect(None).await?;
    send(&api, &deployment, &args.how, out).await
}

async fn deploy_stack(args: DeployArgs, out: &Out) -> Result<(), Failure> {
    let selection = Selection::new(args.from.filter.clone(), args.from.regex.as_deref())?;
    let stack = source::read(args.from.yaml.as_deref(), args.from.envsubst).await?;
    let stack = stack.ok_or_else(|| {
        Failure::usage(
            "what shall be deployed? There is no stack.yaml here: name a stack file with -f, or give --image and --name",
        )
    })?;
    let gateway = stack.gateway().map(str::to_owned);
    // Everything is read and checked before anything is sent.
    let mut deployments = Vec::new();
    for (name, mut function) in stack.select(&selection)? {
        let files = source::environment(&function.environment_file.take().unwrap_or_default())?;
        if function.fprocess.is_none() {
            function.fprocess = function.lang.as_deref().and_then(source::template_process);
        }
        deployments.push(deployment::build(&name, function, files, &args.spec)?);
    }
    let api = args.target.connect(gateway.as_deref()).await?;
    let mut failed = Vec::new();
    for deployment in &deployments {
        match send(&api, deployment, &args.how, out).await {
            Ok(()) => {}
            Err(failure) if deployments.len() == 1 || failure.exit != Exit::Failed => return Err(failure),
            // One bad function does not hold up the others.
            Err(failure) => {
                out.note(format!("{}: {}", deployment.service, failure.words));
                failed.push(deployment.service.as_str());
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::failed(format!("not deployed: {}", failed.join(", ")))),
    }
}

/// Deploys one function, as other clients do: an update first, and where there is nothing to update, anew.
pub(crate) async fn send(
    api: &Api,
    deployment: &FunctionDeployment,
    how: &HowFlags,
    out: &Out,
) -> Result<(), Failure> {
    let name = connect::function(&deployment.service, Some(&deployment.namespace))?;
    let before = match how.wait {
        true => there_now(api, &name)
            .await?
            .map_or(0, |function| wait::newest_version(&function)),
        false => 0,
    };
    out.line(format!("Deploying: {}.", connect::of(&name)))?;
    if how.replace {
        match remove(api, &name).await {
            Err(failure) if failure.exit != Exit::NotFound => return Err(failure),
            _ => {}
        }
    }
    let path = "/system/functions";
    let updated = match how.update && !how.replace {
        true => match api.send_json(Method::PUT, path, deployment).await {
            Err(failure) if failure.exit == Exit::NotFound => None,
            answer => Some(answer?),
        },
        false => None,
    };
    let answer = match updated {
        Some(answer) => answer,
        None => api.send_json(Method::POST, path, deployment).await?,
    };
    out.line(format!("\nDeployed. {}.", answer.status))?;
    out.line(format!("URL: {}/function/{}\n", api.base(), connect::of(&name)))?;
    if how.wait {
        let patience = Duration::from_secs(u64::from(how.timeout));
        wait::until_ready(api, &name, before, patience, out).await?;
    }
    Ok(())
}

async fn there_now(api: &Api, name: &FunctionName) -> Result<Option<api::v1::Function>, Failure> {
    match describe::read(api, name).await {
        Ok(function) => Ok(Some(function)),
        Err(failure) if failure.exit == Exit::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Removes one function.
pub(crate) async fn remove(api: &Api, name: &FunctionName) -> Result<(), Failure> {
    let request = DeleteFunctionRequest {
        function_name: name.name().to_owned(),
        namespace: name.namespace().to_owned(),
    };
    api.send_json(Method::DELETE, "/system/functions", &request)
        .await
        .map(|_| ())
}
