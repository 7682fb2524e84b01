//! What a user deploys, checked: the meaning of the JSON in [`crate::openfaas`].
//!
//! The strings that clients want back exactly as they wrote them stay beside their meaning.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    devices::{self, Devices, UnknownDevice},
    ids::{FunctionName, IdError},
    openfaas::FunctionDeployment,
    secrets::{SecretError, check_name},
    units::{Cpu, Memory, QuantityError, Written},
};

/// What one replica counts with on its node when the function names no `requests` (and no `limits`).
///
/// A small compiled function with its watchdog and its share of the engine takes 15 to 25 MiB, an interpreted one
/// 40 to 60 MiB: 64 MiB lets eleven of them onto a Pi with 1 GB without anybody having to do sums.
pub const DEFAULT_MEMORY_REQUEST: Memory = Memory::from_mib(64);

/// What one replica counts with when the function names no CPU: a twentieth of a core, since functions mostly wait.
pub const DEFAULT_CPU_REQUEST: Cpu = Cpu::from_millis(50);

/// More replicas than any bramble can run: a slip of the finger, not a wish.
pub const MAX_REPLICAS: u32 = 10_000;

/// Amounts of memory and CPU; `None` where the user named none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory, as written (`128Mi`) and as meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Written<Memory>>,
    /// CPU, as written (`100m`) and as meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Written<Cpu>>,
}

/// Which nodes may run a function: all whose fact `key` has this `value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// As the client wrote it.
    pub text: String,
    /// The fact of a node that is compared.
    pub key: ConstraintKey,
    /// The value that the fact must have.
    pub value: String,
}

/// The facts of a node that a constraint can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConstraintKey {
    /// The processor architecture in Docker's words (`arm64`, `arm`, `amd64`).
    Arch,
    /// The operating system (`linux`).
    Os,
    /// The node's name.
    Node,
    /// The board, in the short form of node names (`pi-3b-plus`).
    Board,
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Constraint {
    /// Reads `key=value` or `key == value`.
    ///
    /// # Errors
    /// [`SpecError::Constraint`] where it has another form or names a fact that nodes do not have.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let refuse = || SpecError::Constraint(text.to_owned());
        let (key, value) = text
            .split_once("==")
            .or_else(|| text.split_once('='))
            .ok_or_else(refuse)?;
        let key = match key.trim() {
            "kubernetes.io/arch" | "beta.kubernetes.io/arch" | "node.platform.arch" | "arch" => {
                ConstraintKey::Arch
            }
            "kubernetes.io/os" | "beta.kubernetes.io/os" | "node.platform.os" | "os" => ConstraintKey::Os,
            "kubernetes.io/hostname" | "node.hostname" | "node" => ConstraintKey::Node,
            "board" => ConstraintKey::Board,
            _ => return Err(refuse()),
        };
        let value = value.trim();
        if value.is_empty() {
            return Err(refuse());
        }
        Ok(Self {
            text: text.to_owned(),
            key,
            value: value.to_owned(),
        })
    }
}

/// How the agent asks a replica whether it is ready or healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Path of the HTTP request; `None` means that `/_/health` is tried first, then the lock file and the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Wait after the start before the first question, in milliseconds.
    pub initial_delay_ms: u64,
    /// Time between questions, in milliseconds.
    pub period_ms: u64,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// How many failures in a row count as one.
    pub failures: u32,
}

impl Default for Probe {
    /// The defaults of the OpenFaaS chart: at once, every 2 s, 1 s each, three failures.
    fn default() -> Self {
        Self {
            path: None,
            initial_delay_ms: 0,
            period_ms: 2000,
            timeout_ms: 1000,
            failures: 3,
        }
    }
}

/// A function as a user wants it, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionSpec {
    /// Name and namespace.
    pub name: FunctionName,
    /// The container image, as the user wrote it.
    pub image: String,
    /// The command that the watchdog runs; replaces the image's own `fprocess`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Environment of the replicas.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Labels; some steer scaling.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations; some steer probes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Which nodes may run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// Most that a replica may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Resources>,
    /// What a replica is placed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Resources>,
    /// Names of the secrets that it reads.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub secrets: BTreeSet<String>,
    /// Whether the replica may write only to `/tmp`.
    #[serde(default)]
    pub read_only_root: bool,
}

/// A deployment that makes no sense, told so that its sender can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No name.
    #[error("validation failed: service: is required")]
    NoName,
    /// A secret's name that none can have.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No image.
    #[error("validation failed: image: is required")]
    NoImage,
    /// A name that clients could not use.
    #[error("validation failed: service: must be a valid DNS entry")]
    Name(#[source] IdError),
    /// An image reference that no engine would take.
    #[error("validation failed: image: `{0}` is not an image reference such as registry/name:tag")]
    Image(String),
    /// An amount that cannot be read.
    #[error("validation failed: {field}: {source}")]
    Quantity {
        /// `limits.memory` and the like.
        field: &'static str,
        /// What is wrong with it.
        source: QuantityError,
    },
    /// A request above the limit.
    #[error(
        "validation failed: requests.{0} is larger than limits.{0}: a replica could never use what it asks for"
    )]
    RequestAboveLimit(&'static str),
    /// A constraint of an unknown form.
    #[error(
        "validation failed: constraint `{0}`: write key=value, with one of the keys kubernetes.io/arch, kubernetes.io/os, kubernetes.io/hostname, board, node"
    )]
    Constraint(String),
    /// An environment variable that no process could have.
    #[error("validation failed: envVars: `{0}` cannot be the name of an environment variable")]
    EnvName(String),
    /// A number in a label that cannot be followed.
    #[error("validation failed: label com.openfaas.scale.{0} must be a number from 0 to {MAX_REPLICAS}")]
    Scale(&'static str),
    /// A device that no node could have.
    #[error("validation failed: annotation {name}: {0}", name = devices::ANNOTATION)]
    Device(#[source] UnknownDevice),
    /// A GPU was asked for.
    #[error("validation failed: {0}: no Raspberry Pi has this kind of GPU")]
    Gpu(&'static str),
    /// Something is larger than any sensible function needs.
    #[error("validation failed: {0} is too long")]
    TooLong(&'static str),
}

impl FunctionSpec {
    /// Checks what a client sent. The namespace is taken from `namespace`, since clients send it in two places.
    ///
    /// # Errors
    /// [`SpecError`] names the first field that makes no sense.
    pub fn check(written: &FunctionDeployment, namespace: &str) -> Result<Self, SpecError> {
        if written.service.is_empty() {
            return Err(SpecError::NoName);
        }
        if written.image.is_empty() {
            return Err(SpecError::NoImage);
        }
        let name = FunctionName::new(&written.service, namespace).map_err(SpecError::Name)?;
        if !is_image_reference(&written.image) {
            return Err(SpecError::Image(written.image.clone()));
        }
        let env = written.env_vars.clone().unwrap_or_default();
        if let Some(bad) = env
            .iter()
            .find(|(k, v)| k.is_empty() || k.contains(['=', '\0']) || v.contains('\0'))
        {
            return Err(SpecError::EnvName(bad.0.clone()));
        }
        let constraints = written
            .constraints
            .iter()
            .flatten()
            .map(|text| Constraint::parse(text))
            .collect::<Result<_, _>>()?;
        let limits = written
            .limits
            .as_ref()
            .map(|r| r.check("limits"))
            .transpose()?
            .flatten();
        let requests = written
            .requests
            .as_ref()
            .map(|r| r.check("requests"))
            .transpose()?
            .flatten();
        let spec = Self {
            name,
            image: written.image.clone(),
            process: written.env_process.clone().filter(|p| !p.trim().is_empty()),
            env,
            labels: written.labels.clone().unwrap_or_default(),
            annotations: written.annotations.clone().unwrap_or_default(),
            constraints,
            limits,
            requests,
            secrets: secrets(written)?,
            read_only_root: written.read_only_root_filesystem,
        };
        spec.check_amounts()?;
        spec.asked_devices()
            .map_or(Ok(Devices::default()), str::parse)
            .map_err(SpecError::Device)?;
        spec.scale_label("min").map_err(|()| SpecError::Scale("min"))?;
        spec.scale_label("max").map_err(|()| SpecError::Scale("max"))?;
        Ok(spec)
    }

    fn check_amounts(&self) -> Result<(), SpecError> {
        if let (Some(limits), Some(requests)) = (&self.limits, &self.requests) {
            let above = |request: Option<u64>, limit: Option<u64>| matches!((request, limit), (Some(r), Some(l)) if r > l);
            let memory = |r: &Resources| r.memory.as_ref().map(|m| m.value.bytes());
            let cpu = |r: &Resources| r.cpu.as_ref().map(|c| u64::from(c.value.millis()));
            if above(memory(requests), memory(limits)) {
                return Err(SpecError::RequestAboveLimit("memory"));
            }
            if above(cpu(requests), cpu(limits)) {
                return Err(SpecError::RequestAboveLimit("cpu"));
            }
        }
        Ok(())
    }

    /// Memory that one replica counts with: its request, else its limit, else [`DEFAULT_MEMORY_REQUEST`].
    pub fn memory_request(&self) -> Memory {
        let of = |r: &Option<Resources>| r.as_ref().and_then(|r| r.memory.as_ref()).map(|m| m.value);
        of(&self.requests)
            .or_else(|| of(&self.limits))
            .unwrap_or(DEFAULT_MEMORY_REQUEST)
    }

    /// CPU that one replica counts with: its request, else its limit, else [`DEFAULT_CPU_REQUEST`].
    pub fn cpu_request(&self) -> Cpu {
        let of = |r: &Option<Resources>| r.as_ref().and_then(|r| r.cpu.as_ref()).map(|c| c.value);
        of(&self.requests)
            .or_else(|| of(&self.limits))
            .unwrap_or(DEFAULT_CPU_REQUEST)
    }

    /// Most memory that one replica may use, where the user set one.
    pub fn memory_limit(&self) -> Option<Memory> {
        self.limits.as_ref()?.memory.as_ref().map(|m| m.value)
    }

    /// Most CPU that one replica may use, where the user set one.
    pub fn cpu_limit(&self) -> Option<Cpu> {
        self.limits.as_ref()?.cpu.as_ref().map(|c| c.value)
    }

    fn asked_devices(&self) -> Option<&str> {
        self.annotations.get(devices::ANNOTATION).map(String::as_str)
    }

    /// Devices of its node that it asks for.
    pub fn devices(&self) -> Devices {
        self.asked_devices().map(Devices::known_in).unwrap_or_default()
    }

    fn scale_label(&self, which: &str) -> Result<Option<u32>, ()> {
        match self.labels.get(&format!("com.openfaas.scale.{which}")) {
            None => Ok(None),
            Some(text) => match text.trim().parse::<u32>() {
                Ok(number) if number <= MAX_REPLICAS => Ok(Some(number)),
                _ => Err(()),
            },
        }
    }

    /// Replicas that the function begins with and does not go below by itself, if its labels say so.
    pub fn scale_min(&self) -> Option<u32> {
        self.scale_label("min").ok().flatten()
    }

    /// Replicas that the function never exceeds, if its labels say so.
    pub fn scale_max(&self) -> Option<u32> {
        self.scale_label("max").ok().flatten()
    }

    /// How to find out whether a replica is ready: the defaults, and the annotations that the contract's 4.8 lists.
    pub fn readiness(&self) -> Probe {
        self.probe("ready")
    }

    /// How to find out whether a running replica is still healthy.
    pub fn liveness(&self) -> Probe {
        self.probe("health")
    }

    fn probe(&self, kind: &str) -> Probe {
        let get = |key: &str| self.annotations.get(&format!("com.openfaas.{kind}.http.{key}"));
        let seconds = |key: &str| get(key).and_then(|text| text.trim().parse::<u32>().ok());
        let path = get("path").filter(|path| path.starts_with('/')).cloned();
        let mut probe = Probe {
            path,
            ..Probe::default()
        };
        if let Some(s) = seconds("initialDelaySeconds") {
            probe.initial_delay_ms = u64::from(s) * 1000;
        } else if let Some(delay) = get("initialDelay").and_then(|text| parse_duration(text)) {
            probe.initial_delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        }
        if let Some(s) = seconds("periodSeconds").filter(|s| *s > 0) {
            probe.period_ms = u64::from(s) * 1000;
        }
        if let Some(s) = seconds("timeoutSeconds").filter(|s| *s > 0) {
            probe.timeout_ms = u64::from(s) * 1000;
        }
        if let Some(n) = seconds("failureThreshold").filter(|n| *n > 0) {
            probe.failures = n;
        }
        probe
    }

    /// How long a stopping replica may take to finish what it has: what its watchdog was told to take
    /// (`healthcheck_interval` + `write_timeout`, 30 s each by default upstream), at most ten minutes.
    pub fn stop_grace(&self) -> Duration {
        let of = |key: &str| self.env.get(key).and_then(|text| parse_duration(text));
        let write = of("write_timeout").unwrap_or(Duration::from_secs(30));
        let quiet = of("healthcheck_interval").unwrap_or(write);
        (write + quiet).min(Duration::from_secs(600))
    }
}

/// The secrets that a deployment names, each once.
fn secrets(written: &FunctionDeployment) -> Result<BTreeSet<String>, SpecError> {
    let names = written.secrets.iter().flatten();
    names
        .map(|name| {
            check_name(name)?;
            Ok(name.clone())
        })
        .collect()
}

/// Whether an engine could take `text` as the name of an image.
fn is_image_reference(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b);
    text.len() <= 512
        && text.bytes().all(allowed)
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && !text.ends_with(['/', ':', '@'])
        && !text.contains("//")
}

/// Reads a duration as OpenFaaS writes it: whole seconds (`30`) or Go's form (`1m30s`, `1.5h`, `250ms`).
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let factor = match &rest[..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number * factor;
        rest = &rest[unit_end..];
    }
    (total > 0.0)
        .then(|| Duration::try_from_secs_f64(total).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(extra: &str) -> FunctionDeployment {
        let text = format!(r#"{{"service":"env","image":"bramble/env:latest"{extra}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn check(extra: &str) -> Result<FunctionSpec, SpecError> {
        FunctionSpec::check(&deployment(extra), "")
    }

    #[test]
    fn the_smallest_deployment_is_name_and_image() {
        let spec = check("").unwrap();
        assert_eq!(spec.name.to_string(), "env.openfaas-fn");
        assert_eq!(spec.memory_request(), DEFAULT_MEMORY_REQUEST);
        assert_eq!(spec.cpu_request(), DEFAULT_CPU_REQUEST);
    }

    #[test]
    fn a_limit_counts_as_request_where_there_is_no_request() {
        let spec = check(r#","limits":{"memory":"128Mi","cpu":"100m"}"#).unwrap();
        assert_eq!(spec.memory_request(), Memory::from_mib(128));
        assert_eq!(spec.cpu_request(), Cpu::from_millis(100));
        let spec = check(r#","limits":{"memory":"128Mi"},"requests":{"memory":"40Mi"}"#).unwrap();
        assert_eq!(spec.memory_request(), Memory::from_mib(40));
    }

    #[test]
    fn each_field_that_makes_no_sense_is_named() {
        let cases = [
            (r#","limits":{"memory":"lots"}"#, "limits.memory"),
            (r#","requests":{"cpu":"-1"}"#, "requests.cpu"),
            (
                r#","limits":{"memory":"1Mi"},"requests":{"memory":"2Mi"}"#,
                "requests.memory is larger",
            ),
            (r#","constraints":["pigs=fly"]"#, "pigs=fly"),
            (r#","envVars":{"A=B":"1"}"#, "A=B"),
            (
                r#","labels":{"com.openfaas.scale.min":"many"}"#,
                "com.openfaas.scale.min",
            ),
            (r#","limits":{"nvidia.com/gpu":"1"}"#, "GPU"),
            (
                r#","annotations":{"bramble.devices":"gpio,lamp"}"#,
                "bramble.devices: there is no device `lamp`; there are gpio, i2c, spi, camera, serial",
            ),
        ];
        for (extra, word) in cases {
            let error = check(extra).unwrap_err().to_string();
            assert!(error.contains(word), "{extra}: {error}");
        }
    }

    #[test]
    fn devices_are_asked_for_by_an_annotation_and_none_without() {
        assert!(check("").unwrap().devices().is_empty());
        let spec = check(r#","annotations":{"bramble.devices":"i2c, gpio"}"#).unwrap();
        assert_eq!(spec.devices().to_string(), "gpio, i2c");
    }

    #[test]
    fn constraints_are_read_in_all_the_spellings_of_old_stack_files() {
        for text in ["node.platform.os == linux", "kubernetes.io/os=linux", "os=linux"] {
            let constraint = Constraint::parse(text).unwrap();
            assert_eq!(
                (constraint.key, constraint.value.as_str()),
                (ConstraintKey::Os, "linux")
            );
            assert_eq!(constraint.to_string(), text);
        }
    }

    #[test]
    fn probes_follow_the_annotations() {
        let spec = check(
            r#","annotations":{"com.openfaas.ready.http.path":"/ok","com.openfaas.ready.http.periodSeconds":"5","com.openfaas.ready.http.initialDelay":"1m30s"}"#,
        )
        .unwrap();
        let probe = spec.readiness();
        assert_eq!(probe.path.as_deref(), Some("/ok"));
        assert_eq!((probe.period_ms, probe.initial_delay_ms), (5000, 90_000));
        assert_eq!(spec.liveness(), Probe::default());
    }

    #[test]
    fn a_replica_gets_the_grace_that_its_watchdog_takes() {
        assert_eq!(check("").unwrap().stop_grace(), Duration::from_secs(60));
        let spec = check(r#","envVars":{"write_timeout":"5s","healthcheck_interval":"1"}"#).unwrap();
        assert_eq!(spec.stop_grace(), Duration::from_secs(6));
    }

    #[test]
    fn durations_are_whole_seconds_or_gos_form() {
        assert_eq!(parse_duration("30"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("soon"), None);
        assert_eq!(parse_duration("5x"), None);
    }
}
