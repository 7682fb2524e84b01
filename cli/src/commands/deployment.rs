//! What a function of a stack file and the flags become together: the deployment that is sent. Pure.
//!
//! Flags add to the file and count more where both say something; constraints of the file stand alone.

use std::collections::BTreeMap;

use api::openfaas::{FunctionDeployment, FunctionResources};
use clap::Args;

use super::{
    failure::Failure,
    stack::{StackFunction, StackResources, Texts},
};

/// What can be said of every function that is deployed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What is deployed")]
pub(crate) struct SpecFlags {
    /// Set an environment variable; may be given more than once
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,

    /// Set a label; may be given more than once
    #[arg(short, long = "label", value_name = "NAME=VALUE")]
    pub(crate) label: Vec<String>,

    /// Set an annotation; may be given more than once
    #[arg(long = "annotation", value_name = "NAME=VALUE")]
    pub(crate) annotation: Vec<String>,

    /// Give the function a secret; may be given more than once
    #[arg(long = "secret", value_name = "NAME")]
    pub(crate) secret: Vec<String>,

    /// Say which nodes may run it, for example `arch=arm64`; may be given more than once
    #[arg(long = "constraint", value_name = "KEY=VALUE")]
    pub(crate) constraint: Vec<String>,

    /// What the watchdog in the image runs
    #[arg(long, value_name = "COMMAND")]
    pub(crate) fprocess: Option<String>,

    /// Let replicas write only to /tmp
    #[arg(long, alias = "readonly", alias = "read-only-root-filesystem")]
    pub(crate) read_only: bool,

    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// Most memory that a replica may use, for example 64Mi
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) memory_limit: Option<String>,

    /// Memory that a replica is placed by
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) memory_request: Option<String>,

    /// Most CPU that a replica may use, for example 500m or 1
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) cpu_limit: Option<String>,

    /// CPU that a replica is placed by
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) cpu_request: Option<String>,
}

/// The deployment of `name`: what the stack file says of it, then what files of environment say, then the flags.
///
/// # Errors
/// A sentence that names the function or the flag.
pub(crate) fn build(
    name: &str,
    function: StackFunction,
    from_files: Texts,
    flags: &SpecFlags,
) -> Result<FunctionDeployment, Failure> {
    let image = function.image.filter(|image| !image.trim().is_empty());
    let image = image.ok_or_else(|| {
        Failure::usage(format!(
            "{name} has no image: give it one in the stack file, or with --image"
        ))
    })?;
    let mut environment = texts(function.environment);
    environment.extend(texts(Some(from_files)));
    environment.extend(pairs("--env", &flags.env)?);
    let mut labels = texts(function.labels);
    labels.extend(pairs("--label", &flags.label)?);
    let mut annotations = texts(function.annotations);
    annotations.extend(pairs("--annotation", &flags.annotation)?);
    let mut secrets = flags.secret.clone();
    for secret in function.secrets.unwrap_or_default() {
        if !secrets.contains(&secret) {
            secrets.push(secret);
        }
    }
    let constraints = function.constraints.unwrap_or_else(|| flags.constraint.clone());
    let process = flags.fprocess.clone().or(function.fprocess);
    Ok(FunctionDeployment {
        service: name.to_owned(),
        image,
        namespace: flags.namespace.clone().or(function.namespace).unwrap_or_default(),
        env_process: process.filter(|process| !process.is_empty()),
        env_vars: (!environment.is_empty()).then_some(environment),
        constraints: (!constraints.is_empty()).then_some(constraints),
        secrets: (!secrets.is_empty()).then_some(secrets),
        // Sent even when empty, as other clients do.
        labels: Some(labels),
        annotations: Some(annotations),
        limits: resources(function.limits, &flags.memory_limit, &flags.cpu_limit),
        requests: resources(function.requests, &flags.memory_request, &flags.cpu_request),
        read_only_root_filesystem: flags.read_only || function.readonly_root_filesystem.unwrap_or(false),
    })
}

fn texts(texts: Option<Texts>) -> BTreeMap<String, String> {
    let pairs = texts.into_iter().flatten();
    pairs
        .map(|(key, value)| (key, value.unwrap_or_default()))
        .collect()
}

/// `NAME=VALUE` of a flag, split at the first `=`.
pub(crate) fn pairs(flag: &str, given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.trim_start().split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("{flag} {text}: write it as NAME=VALUE"))),
    };
    given.iter().map(pair).collect()
}

fn resources(
    written: Option<StackResources>,
    memory: &Option<String>,
    cpu: &Option<String>,
) -> Option<FunctionResources> {
    let written = written.unwrap_or_default();
    let resources = FunctionResources {
        memory: memory.clone().or(written.memory).unwrap_or_default(),
        cpu: cpu.clone().or(written.cpu).unwrap_or_default(),
        ..FunctionResources::default()
    };
    (resources != FunctionResources::default()).then_some(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn written(pairs: &[(&str, &str)]) -> Texts {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), Some((*value).to_owned()));
        pairs.iter().map(own).collect()
    }

    #[test]
    fn files_count_more_than_the_stack_and_flags_more_than_files() {
        let function = StackFunction {
            image: Some("x".to_owned()),
            environment: Some(written(&[("a", "stack"), ("b", "stack"), ("c", "stack")])),
            labels: Some(written(&[("l", "stack"), ("m", "stack")])),
            ..StackFunction::default()
        };
        let flags = SpecFlags {
            env: owned(&["c=flag=1", "d="]),
            label: owned(&["m=flag"]),
            ..SpecFlags::default()
        };
        let files = written(&[("b", "file"), ("c", "file")]);
        let deployment = build("f", function, files, &flags).unwrap();
        let environment = deployment.env_vars.unwrap();
        let all: Vec<_> = environment.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        assert_eq!(all, ["a:stack", "b:file", "c:flag=1", "d:"]);
        assert_eq!(deployment.labels.unwrap()["m"], "flag");
    }

    #[test]
    fn secrets_add_up_and_constraints_of_the_file_stand_alone() {
        let flags = SpecFlags {
            secret: owned(&["one", "two"]),
            constraint: owned(&["arch=arm64"]),
            ..SpecFlags::default()
        };
        let mut function = StackFunction {
            image: Some("x".to_owned()),
            secrets: Some(owned(&["two", "three"])),
            ..StackFunction::default()
        };
        let deployment = build("f", function.clone(), Texts::new(), &flags).unwrap();
        assert_eq!(deployment.secrets.unwrap(), ["one", "two", "three"]);
        assert_eq!(deployment.constraints.unwrap(), ["arch=arm64"]);
        function.constraints = Some(owned(&["os=linux"]));
        let deployment = build("f", function, Texts::new(), &flags).unwrap();
        assert_eq!(deployment.constraints.unwrap(), ["os=linux"]);
    }

    #[test]
    fn a_flag_changes_one_amount_and_leaves_the_other() {
        let function = StackFunction {
            image: Some("x".to_owned()),
            limits: Some(StackResources {
                memory: Some("40Mi".to_owned()),
                cpu: Some("1".to_owned()),
            }),
            ..StackFunction::default()
        };
        let flags = SpecFlags {
            memory_limit: Some("64Mi".to_owned()),
            ..SpecFlags::default()
        };
        let deployment = build("f", function, Texts::new(), &flags).unwrap();
        let limits = deployment.limits.unwrap();
        assert_eq!((limits.memory.as_str(), limits.cpu.as_str()), ("64Mi", "1"));
        assert_eq!(deployment.requests, None);
    }

    #[test]
    fn what_is_sent_is_what_other_clients_send() {
        let function = StackFunction {
            image: Some("functions/alpine:latest".to_owned()),
            fprocess: Some("env".to_owned()),
            ..StackFunction::default()
        };
        let deployment = build("env", function, Texts::new(), &SpecFlags::default()).unwrap();
        assert_eq!(
            serde_json::to_string(&deployment).unwrap(),
            r#"{"service":"env","image":"functions/alpine:latest","envProcess":"env","labels":{},"annotations":{}}"#
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let failure = build("f", StackFunction::default(), Texts::new(), &SpecFlags::default()).unwrap_err();
        assert!(failure.words.contains("f has no image"), "{}", failure.words);
        for bad in ["x", "=x", ""] {
            let failure = pairs("--env", &owned(&[bad])).unwrap_err();
            assert!(failure.words.contains("NAME=VALUE"), "{}", failure.words);
        }
    }
}
