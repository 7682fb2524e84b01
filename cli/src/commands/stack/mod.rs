//! `stack.yaml`: the functions of a project, as `faas-cli` reads it. Pure but for [`source`].
//!
//! Text → substitution ([`super::envsubst`]) → [`Stack`] (as written) → the functions that were asked for
//! ([`Selection`]). What only building needs is passed over, and so is what nobody knows.
//!
//! Not here: what becomes of a function together with flags ([`super::deployment`]).

pub(crate) mod source;

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{envsubst, failure::Failure, glob, yaml};

/// A stack file as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Stack {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    provider: Option<Provider>,
    #[serde(default)]
    functions: Option<BTreeMap<String, StackFunction>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Provider {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    gateway: Option<String>,
}

/// A map whose values are texts; nothing is the empty text.
pub(crate) type Texts = BTreeMap<String, Option<String>>;

/// One function of a stack file as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct StackFunction {
    /// Name of the template that it was built from.
    #[serde(default)]
    pub(crate) lang: Option<String>,
    /// Its image.
    #[serde(default)]
    pub(crate) image: Option<String>,
    /// What the watchdog runs.
    #[serde(default)]
    pub(crate) fprocess: Option<String>,
    /// Its namespace.
    #[serde(default)]
    pub(crate) namespace: Option<String>,
    /// Its environment.
    #[serde(default)]
    pub(crate) environment: Option<Texts>,
    /// Files with more of it, which count more.
    #[serde(default)]
    pub(crate) environment_file: Option<Vec<String>>,
    /// Names of secrets.
    #[serde(default)]
    pub(crate) secrets: Option<Vec<String>>,
    /// Which nodes may run it.
    #[serde(default)]
    pub(crate) constraints: Option<Vec<String>>,
    /// Labels.
    #[serde(default)]
    pub(crate) labels: Option<Texts>,
    /// Annotations.
    #[serde(default)]
    pub(crate) annotations: Option<Texts>,
    /// Most that a replica may use.
    #[serde(default)]
    pub(crate) limits: Option<StackResources>,
    /// What a replica is placed by.
    #[serde(default)]
    pub(crate) requests: Option<StackResources>,
    /// Whether a replica may write only to `/tmp`.
    #[serde(default)]
    pub(crate) readonly_root_filesystem: Option<bool>,
}

/// Amounts as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct StackResources {
    /// Memory.
    #[serde(default)]
    pub(crate) memory: Option<String>,
    /// CPU.
    #[serde(default)]
    pub(crate) cpu: Option<String>,
}

/// A file that `environment_file` names.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct EnvironmentFile {
    /// The environment.
    #[serde(default)]
    pub(crate) environment: Option<Texts>,
}

/// The settings of a template, beside its files.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Template {
    /// What the watchdog runs in images of this template.
    #[serde(default)]
    pub(crate) fprocess: Option<String>,
}

impl Stack {
    /// Reads the text of a stack file; `environment` says what `${…}` stand for, unless they shall stay.
    ///
    /// # Errors
    /// What is wrong, with its line, as a sentence.
    pub(crate) fn parse(text: &str, environment: Option<&dyn Fn(&str) -> String>) -> Result<Self, String> {
        let text = match environment {
            Some(value) => &envsubst::substitute(text, value).map_err(|bad| bad.to_string())?,
            None => text,
        };
        let stack: Self = yaml::read(text)?;
        match stack.version.as_deref() {
            None | Some("" | "1.0") => {}
            Some(other) => return Err(format!("version {other} is not known; there is 1.0")),
        }
        match stack
            .provider
            .as_ref()
            .and_then(|provider| provider.name.as_deref())
        {
            Some("openfaas") => {}
            Some(other) => return Err(format!("provider.name is `{other}`; it has to be `openfaas`")),
            None => return Err("provider.name is missing; it has to be `openfaas`".to_owned()),
        }
        Ok(stack)
    }

    /// The gateway that it names.
    pub(crate) fn gateway(&self) -> Option<&str> {
        self.provider.as_ref()?.gateway.as_deref()
    }

    /// The functions that were asked for, by name.
    ///
    /// # Errors
    /// A sentence where there is none.
    pub(crate) fn select(self, selection: &Selection) -> Result<BTreeMap<String, StackFunction>, Failure> {
        let all = self.functions.unwrap_or_default();
        if all.is_empty() {
            return Err(Failure::usage("the stack file has no functions"));
        }
        let names: Vec<String> = all.keys().cloned().collect();
        let mut chosen = all;
        chosen.retain(|name, _| selection.takes(name));
        if chosen.is_empty() {
            return Err(Failure::not_found(format!(
                "no function of the stack file fits {selection}; it has {}",
                names.join(", ")
            )));
        }
        Ok(chosen)
    }
}

/// Which functions of a stack file are meant.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// All.
    All,
    /// Those whose names fit a pattern with `*`.
    Filter(String),
    /// Those whose names have a match.
    Regex(regex_lite::Regex),
}

impl Selection {
    /// From the flags.
    ///
    /// # Errors
    /// A sentence where both are given, or the expression is none.
    pub(crate) fn new(filter: Option<String>, regex: Option<&str>) -> Result<Self, Failure> {
        match (filter, regex) {
            (None, None) => Ok(Self::All),
            (Some(_), Some(_)) => Err(Failure::usage("give --filter or --regex, not both")),
            (Some(filter), None) => Ok(Self::Filter(filter)),
            (None, Some(regex)) => regex_lite::Regex::new(regex).map(Self::Regex).map_err(|error| {
                Failure::usage(format!("--regex {regex} is no regular expression: {error}"))
            }),
        }
    }

    fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Filter(pattern) => glob::matches(&glob::parse(pattern), name),
            Self::Regex(regex) => regex.is_match(name),
        }
    }
}

impl std::fmt::Display for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Filter(pattern) => write!(f, "--filter {pattern}"),
            Self::Regex(regex) => write!(f, "--regex {regex}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = r#"
version: 1.0
provider:
  name: openfaas
  gateway: http://127.0.0.1:8080
configuration:
  templates:
    - name: node22
functions:
  url-ping:
    lang: python3
    handler: ./url-ping
    image: ${REGISTRY:-docker.io/me}/url-ping:${TAG:-latest}
    skip_build: true
    build_args: {A: 1}
    environment:
      on: yes
      port: 8080
      ratio: 0.10
      empty:
      text: "a b"
    limits:
      memory: 40Mi
      cpu: 0.5
    readonly_root_filesystem: true
    something_new: [1, 2]
  gif-maker:
    image: gif
  fn1_x:
    image: x
"#;

    fn stack(text: &str) -> Result<Stack, String> {
        Stack::parse(
            text,
            Some(&|name: &str| {
                if name == "TAG" {
                    "2.0".to_owned()
                } else {
                    String::new()
                }
            }),
        )
    }

    #[test]
    fn a_whole_stack_file_is_read_as_the_other_tool_reads_it() {
        let stack = stack(STACK).unwrap();
        assert_eq!(stack.gateway(), Some("http://127.0.0.1:8080"));
        let functions = stack.select(&Selection::All).unwrap();
        assert_eq!(functions.len(), 3);
        let ping = &functions["url-ping"];
        assert_eq!(ping.image.as_deref(), Some("docker.io/me/url-ping:2.0"));
        assert_eq!(ping.readonly_root_filesystem, Some(true));
        let environment = ping.environment.as_ref().unwrap();
        let value = |key: &str| environment[key].as_deref();
        assert_eq!(
            (
                value("port"),
                value("ratio"),
                value("empty"),
                value("text"),
                value("on")
            ),
            (Some("8080"), Some("0.10"), None, Some("a b"), Some("yes"))
        );
        let limits = ping.limits.as_ref().unwrap();
        assert_eq!(
            (limits.memory.as_deref(), limits.cpu.as_deref()),
            (Some("40Mi"), Some("0.5"))
        );
    }

    #[test]
    fn substitution_can_be_switched_off() {
        let stack = Stack::parse(STACK, None).unwrap();
        let functions = stack.select(&Selection::All).unwrap();
        assert_eq!(
            functions["url-ping"].image.as_deref(),
            Some("${REGISTRY:-docker.io/me}/url-ping:${TAG:-latest}")
        );
    }

    #[test]
    fn functions_are_chosen_by_pattern_or_expression() {
        let chosen = |filter: Option<&str>, regex: Option<&str>| {
            let selection = Selection::new(filter.map(str::to_owned), regex)?;
            let functions = stack(STACK).unwrap().select(&selection)?;
            Ok::<_, Failure>(functions.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(chosen(Some("*gif*"), None).unwrap(), ["gif-maker"]);
        assert_eq!(chosen(None, Some("fn[0-9]_.*")).unwrap(), ["fn1_x"]);
        assert_eq!(chosen(None, Some("i")).unwrap(), ["gif-maker", "url-ping"]);
        assert!(
            chosen(Some("gif"), None)
                .unwrap_err()
                .words
                .contains("it has fn1_x, gif-maker, url-ping")
        );
        assert!(
            chosen(Some("a"), Some("b"))
                .unwrap_err()
                .words
                .contains("not both")
        );
        assert!(
            chosen(None, Some("("))
                .unwrap_err()
                .words
                .contains("no regular expression")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let rows = [
            (
                "provider:\n  name: openfaas\nfunctions:\n  a:\n    image: x\n   b: y\n",
                "line 6",
            ),
            (
                "provider:\n  name: openfaas\nfunctions:\n  a:\n    secrets: one\n",
                "line 5",
            ),
            (
                "provider:\n  name: openfaas\nfunctions:\n  a:\n    image: x\n  a:\n    image: y\n",
                "line 6",
            ),
            (
                "provider:\n  name: openfaas\nfunctions:\n  a:\n    image: ${x\n",
                "line 5",
            ),
            ("provider:\n  name: faas\n", "has to be `openfaas`"),
            ("functions:\n  a:\n    image: x\n", "provider.name is missing"),
            ("version: 2.0\nprovider:\n  name: openfaas\n", "version 2.0"),
        ];
        for (text, expected) in rows {
            let error = stack(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let empty = stack("provider:\n  name: openfaas\n").unwrap();
        assert!(
            empty
                .select(&Selection::All)
                .unwrap_err()
                .words
                .contains("no functions")
        );
    }
}
