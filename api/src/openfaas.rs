//! The OpenFaaS JSON, as clients write it and want it back (contract sections 1.4 to 1.8).
//!
//! Unknown fields are passed over; `null` means the same as absent, because the official client sends it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    spec::{FunctionSpec, Resources, SpecError},
    units::Timestamp,
};

/// Reads `null` as the default: Go clients send `null` for empty maps, lists and strings.
fn null_as_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    d: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// Body of POST and PUT `/system/functions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionDeployment {
    /// The function's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub service: String,
    /// The container image.
    #[serde(default, deserialize_with = "null_as_default")]
    pub image: String,
    /// The namespace; the default one when empty.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub namespace: String,
    /// Becomes the environment variable `fprocess`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_process: Option<String>,
    /// Environment of the replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<BTreeMap<String, String>>,
    /// Which nodes may run it: `key=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Vec<String>>,
    /// Names of secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<String>>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Most that a replica may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<FunctionResources>,
    /// What a replica is placed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<FunctionResources>,
    /// Whether the replica may write only to `/tmp`.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub read_only_root_filesystem: bool,
}

/// Amounts as strings (`128Mi`, `100m`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionResources {
    /// Memory.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub memory: String,
    /// CPU.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub cpu: String,
    /// GPUs of three makers, which no Raspberry Pi has.
    #[serde(
        rename = "nvidia.com/gpu",
        default,
        deserialize_with = "null_as_default",
        skip_serializing
    )]
    pub nvidia_gpu: String,
    /// See above.
    #[serde(
        rename = "amd.com/gpu",
        default,
        deserialize_with = "null_as_default",
        skip_serializing
    )]
    pub amd_gpu: String,
    /// See above.
    #[serde(
        rename = "intel.com/gpu",
        default,
        deserialize_with = "null_as_default",
        skip_serializing
    )]
    pub intel_gpu: String,
}

impl FunctionResources {
    /// Checks the strings; `None` where all are empty.
    pub(crate) fn check(&self, which: &'static str) -> Result<Option<Resources>, SpecError> {
        for (field, value) in [
            ("nvidia.com/gpu", &self.nvidia_gpu),
            ("amd.com/gpu", &self.amd_gpu),
            ("intel.com/gpu", &self.intel_gpu),
        ] {
            if !value.is_empty() && value != "0" {
                return Err(SpecError::Gpu(field));
            }
        }
        let (memory_field, cpu_field) = match which {
            "limits" => ("limits.memory", "limits.cpu"),
            _ => ("requests.memory", "requests.cpu"),
        };
        let memory = (!self.memory.is_empty()).then(|| self.memory.parse()).transpose();
        let cpu = (!self.cpu.is_empty()).then(|| self.cpu.parse()).transpose();
        let resources = Resources {
            memory: memory.map_err(|source| SpecError::Quantity {
                field: memory_field,
                source,
            })?,
            cpu: cpu.map_err(|source| SpecError::Quantity {
                field: cpu_field,
                source,
            })?,
        };
        Ok((resources != Resources::default()).then_some(resources))
    }

    fn from_checked(resources: &Resources) -> Self {
        let memory = resources
            .memory
            .as_ref()
            .map(|m| m.text().to_owned())
            .unwrap_or_default();
        let cpu = resources
            .cpu
            .as_ref()
            .map(|c| c.text().to_owned())
            .unwrap_or_default();
        Self {
            memory,
            cpu,
            ..Self::default()
        }
    }
}

/// What OpenFaaS clients are told of a function (GET `/system/functions` and `/system/function/{name}`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStatus {
    /// The name within its namespace.
    pub name: String,
    /// The image exactly as it was deployed.
    pub image: String,
    /// The namespace.
    pub namespace: String,
    /// The command that the watchdog runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_process: Option<String>,
    /// Environment as it was deployed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env_vars: BTreeMap<String, String>,
    /// Constraints as they were written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// Names of the secrets that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Labels: present even when empty, since clients follow the pointer.
    pub labels: BTreeMap<String, String>,
    /// Annotations: present even when empty.
    pub annotations: BTreeMap<String, String>,
    /// Limits as they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<FunctionResources>,
    /// Requests as they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<FunctionResources>,
    /// Whether the replicas may write only to `/tmp`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only_root_filesystem: bool,
    /// Invocations ever counted.
    #[serde(default, skip_serializing_if = "is_zero_f64")]
    pub invocation_count: f64,
    /// Replicas that are wanted.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub replicas: u32,
    /// Replicas that are ready.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub available_replicas: u32,
    /// When it was deployed first, RFC 3339.
    pub created_at: String,
}

fn is_zero_f64(number: &f64) -> bool {
    *number == 0.0
}

fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

/// How many there are of a function, for [`FunctionStatus::new`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionNumbers {
    /// Replicas that are wanted.
    pub wanted: u32,
    /// Replicas that are ready.
    pub ready: u32,
    /// Invocations ever counted.
    pub invocations: u64,
}

impl FunctionStatus {
    /// The status of `spec`, deployed first at `created`.
    pub fn new(spec: &FunctionSpec, created: Timestamp, numbers: FunctionNumbers) -> Self {
        Self {
            name: spec.name.name().to_owned(),
            image: spec.image.clone(),
            namespace: spec.name.namespace().to_owned(),
            env_process: spec.process.clone(),
            env_vars: spec.env.clone(),
            constraints: spec.constraints.iter().map(|c| c.text.clone()).collect(),
            secrets: spec.secrets.iter().cloned().collect(),
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
            limits: spec.limits.as_ref().map(FunctionResources::from_checked),
            requests: spec.requests.as_ref().map(FunctionResources::from_checked),
            read_only_root_filesystem: spec.read_only_root,
            #[expect(
                clippy::cast_precision_loss,
                reason = "the contract's type; exact up to 2^53 invocations"
            )]
            invocation_count: numbers.invocations as f64,
            replicas: numbers.wanted,
            available_replicas: numbers.ready,
            created_at: created.to_rfc3339(),
        }
    }
}

/// Body of DELETE `/system/functions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteFunctionRequest {
    /// The function's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub function_name: String,
    /// The namespace; the default one when empty.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub namespace: String,
}

/// Body of POST, PUT and DELETE `/system/secrets`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Its name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// The namespace; the default one when empty.
    #[serde(default, deserialize_with = "null_as_default")]
    pub namespace: String,
    /// The value, where it is text.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub value: String,
    /// The value in base64; counts where both are there.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub raw_value: String,
}

impl fmt::Debug for Secret {
    /// Without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Body of POST `/system/scale-function/{name}`; the name in the path is the one that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleServiceRequest {
    /// The function's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub service_name: String,
    /// Replicas that are wanted.
    pub replicas: u64,
    /// The namespace; the default one when empty.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub namespace: String,
}

/// Answer of GET `/system/info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayInfo {
    /// What runs the functions.
    pub provider: ProviderInfo,
    /// Version of the gateway.
    pub version: VersionInfo,
    /// Architecture of the answering node.
    pub arch: String,
}

/// What runs the functions, within [`GatewayInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderInfo {
    /// Its name.
    pub provider: String,
    /// Its version.
    pub version: VersionInfo,
    /// What starts containers.
    pub orchestration: String,
}

/// A version; none of the fields may be missing, because `faas-cli version` follows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// Subject of the commit it was built from.
    pub commit_message: String,
    /// The commit it was built from.
    pub sha: String,
    /// The released version.
    pub release: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_official_client_sends_is_read() {
        let text = r#"{"service":"env","image":"functions/alpine:latest","network":"","envProcess":"env",
            "envVars":{"a":"1"},"constraints":null,"secrets":[],"labels":{},"annotations":null,
            "limits":null,"requests":{"memory":"40Mi"},"readOnlyRootFilesystem":false,"namespace":"openfaas-fn"}"#;
        let deployment: FunctionDeployment = serde_json::from_str(text).unwrap();
        assert_eq!(deployment.service, "env");
        assert_eq!(deployment.requests.unwrap().memory, "40Mi");
    }

    #[test]
    fn a_status_always_has_labels_and_annotations_and_omits_what_is_not_set() {
        let deployment = FunctionDeployment {
            service: "env".to_owned(),
            image: "bramble/env:latest".to_owned(),
            ..FunctionDeployment::default()
        };
        let spec = FunctionSpec::check(&deployment, "").unwrap();
        let status = FunctionStatus::new(&spec, Timestamp::from_millis(0), FunctionNumbers::default());
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            r#"{"name":"env","image":"bramble/env:latest","namespace":"openfaas-fn","labels":{},"annotations":{},"createdAt":"1970-01-01T00:00:00Z"}"#
        );
    }

    #[test]
    fn amounts_come_back_exactly_as_they_were_written() {
        let deployment: FunctionDeployment =
            serde_json::from_str(r#"{"service":"env","image":"x","limits":{"memory":"0.5Gi","cpu":"100m"}}"#)
                .unwrap();
        let spec = FunctionSpec::check(&deployment, "").unwrap();
        let status = FunctionStatus::new(&spec, Timestamp::from_millis(0), FunctionNumbers::default());
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(
            json["limits"],
            serde_json::json!({"memory": "0.5Gi", "cpu": "100m"})
        );
        assert!(json.get("requests").is_none());
    }
}
