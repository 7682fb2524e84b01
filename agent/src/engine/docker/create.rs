//! What a container of a replica looks like. Pure.

use std::{collections::HashMap, net::IpAddr, path::Path};

use api::{NodeId, ReplicaId, spec::FunctionSpec};
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, RestartPolicy, RestartPolicyNameEnum,
};

use super::labels::Labels;
use crate::engine::GATEWAY_NAMES;

/// Most processes and threads of one replica: a runaway function must not take the node's.
const PIDS: i64 = 512;

/// What Docker on this node can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// The log driver `local`, which bounds and packs what functions write.
    pub(super) log_local: bool,
    /// Limits of CPU time.
    pub(super) cpu_quota: bool,
    /// Cores, beyond which Docker refuses a limit.
    pub(super) cores: u32,
}

/// Name of the container of a replica.
pub(super) fn container_name(replica: ReplicaId, spec_name: &str, node: NodeId) -> String {
    format!("bramble-{spec_name}-{replica}-{}", node.tail())
}

/// What is asked of Docker for one replica.
pub(super) fn body(
    node: NodeId,
    bramble: &str,
    network: &str,
    gateway: Option<IpAddr>,
    labels: &Labels,
    spec: &FunctionSpec,
    can: &Capabilities,
) -> ContainerCreateBody {
    ContainerCreateBody {
        hostname: Some(crate::engine::hostname(labels.replica, spec.name.name())),
        image: Some(spec.image.clone()),
        env: Some(env(spec)),
        labels: Some(labels.write(node, bramble)),
        host_config: Some(host_config(network, gateway, spec, can)),
        ..ContainerCreateBody::default()
    }
}

/// Lets the replica read what is in `directory` as its secrets. The directory itself is mounted, so that it sees what
/// is changed in there.
pub(super) fn mount_secrets(body: &mut ContainerCreateBody, directory: &Path) {
    let host = body.host_config.get_or_insert_default();
    host.binds = Some(vec![format!("{}:/var/openfaas/secrets:ro", directory.display())]);
}

/// Environment of a replica of `spec`, besides what its image brings.
fn env(spec: &FunctionSpec) -> Vec<String> {
    let own = [
        ("OPENFAAS_NAME", Some(spec.name.name())),
        ("OPENFAAS_NAMESPACE", Some(spec.name.namespace())),
        ("fprocess", spec.process.as_deref()),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
    // Docker takes the last of several: what a user names wins, but for the command, which has a field of its own.
    let users = spec
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let users = users.filter(|(name, _)| *name != "fprocess" || spec.process.is_none());
    own.chain(users)
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn host_config(
    network: &str,
    gateway: Option<IpAddr>,
    spec: &FunctionSpec,
    can: &Capabilities,
) -> HostConfig {
    let memory = spec
        .memory_limit()
        .map(|m| i64::try_from(m.bytes()).unwrap_or(i64::MAX));
    let nano_cpus = spec.cpu_limit().filter(|_| can.cpu_quota).map(|cpu| {
        // Docker takes a hundredth of a core at the least, and what the node has at the most.
        i64::from(cpu.millis().clamp(10, can.cores.max(1).saturating_mul(1000))) * 1_000_000
    });
    HostConfig {
        network_mode: Some(network.to_owned()),
        extra_hosts: gateway.map(|address| GATEWAY_NAMES.map(|name| format!("{name}:{address}")).to_vec()),
        memory,
        // No swap on top: it would wear the card, and hide that the limit is too small.
        memory_swap: memory,
        nano_cpus,
        pids_limit: Some(PIDS),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(spec.read_only_root),
        tmpfs: spec
            .read_only_root
            .then(|| HashMap::from([("/tmp".to_owned(), "rw,nosuid,nodev,mode=1777".to_owned())])),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(log_config(can)),
        ..HostConfig::default()
    }
}

/// Bounded, since a card is small and a talkative function must not fill it.
fn log_config(can: &Capabilities) -> HostConfigLogConfig {
    let options = [("max-size", "1m"), ("max-file", "2")];
    HostConfigLogConfig {
        typ: Some(if can.log_local { "local" } else { "json-file" }.to_owned()),
        config: Some(
            options
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{Generation, openfaas::FunctionDeployment, sync::DesiredReplica};

    const NODE: NodeId = NodeId::from_number(0x7f2a);

    fn made(extra: &str) -> ContainerCreateBody {
        let text = format!(r#"{{"service":"env","image":"bramble/env:latest"{extra}}}"#);
        let written: FunctionDeployment = serde_json::from_str(&text).unwrap();
        let desired = DesiredReplica {
            version: 2,
            spec: FunctionSpec::check(&written, "").unwrap(),
            image: None,
            secrets: Default::default(),
            devices: Default::default(),
        };
        let labels = Labels::new(ReplicaId(7), &desired, Generation { epoch: 1, number: 4 });
        let can = Capabilities {
            log_local: true,
            cpu_quota: true,
            cores: 4,
        };
        let gateway = Some(IpAddr::from([172, 20, 0, 1]));
        body(
            NODE,
            "hedge",
            "bramble-7f2a",
            gateway,
            &labels,
            &desired.spec,
            &can,
        )
    }

    #[test]
    fn every_container_is_confined() {
        let host = made("").host_config.unwrap();
        assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
        assert_eq!(host.security_opt.unwrap(), ["no-new-privileges"]);
        assert_eq!(host.pids_limit, Some(512));
        assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::NO));
        assert_eq!(host.network_mode.as_deref(), Some("bramble-7f2a"));
        assert!(host.port_bindings.is_none() && host.publish_all_ports.is_none() && host.binds.is_none());
        assert_eq!(host.extra_hosts.unwrap()[0], "gateway:172.20.0.1");
        assert_eq!(
            (host.memory, host.nano_cpus, host.readonly_rootfs),
            (None, None, Some(false))
        );
        assert_eq!(host.log_config.unwrap().typ.as_deref(), Some("local"));
    }

    #[test]
    fn limits_leave_no_way_round_by_swap_and_stay_within_the_node() {
        let host = made(r#","limits":{"memory":"64Mi","cpu":"64"},"readOnlyRootFilesystem":true"#)
            .host_config
            .unwrap();
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!(host.nano_cpus, Some(4_000_000_000));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert!(host.tmpfs.unwrap().contains_key("/tmp"));
    }

    #[test]
    fn the_environment_is_the_users_with_the_command_in_its_own_field() {
        let env = made(r#","envProcess":"cat","envVars":{"A":"1","fprocess":"other"}"#)
            .env
            .unwrap();
        assert_eq!(
            env,
            [
                "OPENFAAS_NAME=env",
                "OPENFAAS_NAMESPACE=openfaas-fn",
                "fprocess=cat",
                "A=1"
            ]
        );
    }

    #[test]
    fn names_tell_function_replica_and_node() {
        assert_eq!(container_name(ReplicaId(7), "env", NODE), "bramble-env-r7-7f2a");
        assert_eq!(made("").hostname.as_deref(), Some("env-r7"));
    }
}
