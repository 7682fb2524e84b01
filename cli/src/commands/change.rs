//! `bramble scale` and `bramble remove`.

use std::time::Duration;

use api::openfaas::ScaleServiceRequest;
use clap::Args;
use http::Method;

use super::{
    connect::{self, Target},
    deploy::{self, StackFlags},
    failure::Failure,
    out::Out,
    stack::{Selection, source},
    wait,
};

/// What `scale` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble scale figlet 4
  bramble scale figlet 0           the next invocation starts a replica
  bramble scale figlet 4 --wait")]
pub(crate) struct ScaleArgs {
    /// The function: NAME or NAME.NAMESPACE
    name: String,

    /// How many replicas it shall have
    replicas: u32,

    #[command(flatten)]
    target: Target,

    /// Its namespace
    #[arg(short, long)]
    namespace: Option<String>,

    /// Wait until they are ready; where they do not get ready, say why
    #[arg(long)]
    wait: bool,

    /// Longest wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u32,
}

/// What `remove` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble remove figlet env
  bramble remove -f stack.yaml")]
pub(crate) struct RemoveArgs {
    /// The functions: NAME or NAME.NAMESPACE
    #[arg(value_name = "NAME", required_unless_present = "yaml")]
    names: Vec<String>,

    #[command(flatten)]
    target: Target,

    /// Remove the functions of this stack file
    #[arg(
        short = 'f',
        long = "yaml",
        visible_alias = "file",
        value_name = "FILE|URL",
        conflicts_with = "names"
    )]
    yaml: Option<String>,

    /// Only functions whose names look like this, with * for anything
    #[arg(long, value_name = "PATTERN", requires = "yaml")]
    filter: Option<String>,

    /// Only functions whose names match this regular expression
    #[arg(long, value_name = "EXPRESSION", requires = "yaml")]
    regex: Option<String>,

    /// Their namespace
    #[arg(short, long)]
    namespace: Option<String>,
}

/// Asks for so many replicas.
pub(crate) async fn scale(args: ScaleArgs, out: &Out) -> Result<(), Failure> {
    let name = connect::function(&args.name, args.namespace.as_deref())?;
    let api = args.target.connect(None).await?;
    let request = ScaleServiceRequest {
        service_name: name.name().to_owned(),
        replicas: u64::from(args.replicas),
        namespace: name.namespace().to_owned(),
    };
    let path = format!(
        "/system/scale-function/{}?namespace={}",
        name.name(),
        name.namespace()
    );
    if let Err(failure) = api.send_json(Method::POST, &path, &request).await {
        return Err(api.with_nearest(failure, &name).await);
    }
    out.line(match args.replicas {
        0 => format!(
            "{} is scaled to zero: the next invocation starts a replica.",
            connect::of(&name)
        ),
        1 => format!("{} shall have 1 replica.", connect::of(&name)),
        n => format!("{} shall have {n} replicas.", connect::of(&name)),
    })?;
    if args.wait {
        let patience = Duration::from_secs(u64::from(args.timeout));
        wait::until_ready(&api, &name, 0, patience, out).await?;
    }
    Ok(())
}

/// Removes functions; each one that is not there is said, and the others are removed all the same.
pub(crate) async fn remove(args: RemoveArgs, out: &Out) -> Result<(), Failure> {
    let mut names = Vec::new();
    let mut gateway = None;
    if args.yaml.is_some() {
        let selection = Selection::new(args.filter, args.regex.as_deref())?;
        let from = StackFlags {
            yaml: args.yaml,
            envsubst: true,
            ..StackFlags::default()
        };
        let stack = source::read(from.yaml.as_deref(), from.envsubst)
            .await?
            .unwrap_or_default();
        gateway = stack.gateway().map(str::to_owned);
        for (name, function) in stack.select(&selection)? {
            let namespace = args.namespace.clone().or(function.namespace);
            names.push(connect::function(&name, namespace.as_deref())?);
        }
    }
    for name in &args.names {
        names.push(connect::function(name, args.namespace.as_deref())?);
    }
    let api = args.target.connect(gateway.as_deref()).await?;
    let mut first_failure = None;
    for name in &names {
        match deploy::remove(&api, name).await {
            Ok(()) => out.line(format!("Removed: {}.", connect::of(name)))?,
            Err(failure) => {
                let failure = api.with_nearest(failure, name).await;
                if let Some(earlier) = first_failure.replace(failure) {
                    out.note(format!("bramble: {}", earlier.words));
                }
            }
        }
    }
    first_failure.map_or(Ok(()), Err)
}
