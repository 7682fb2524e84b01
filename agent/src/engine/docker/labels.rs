//! What a container says of itself, so that the agent needs no records: containers are its memory
//! (docs/decisions/0008-docker-is-the-agents-memory.md).

use std::{collections::HashMap, str::FromStr, time::Duration};

use api::{FunctionName, Generation, NodeId, ReplicaId, sync::DesiredReplica};

/// The node that a container belongs to. Nothing without it is ever touched.
pub const NODE: &str = "bramble.node";
/// The bramble that the node was part of.
pub const BRAMBLE: &str = "bramble.bramble";
/// The replica.
pub const REPLICA: &str = "bramble.replica";
/// The function, as `name.namespace`.
pub const FUNCTION: &str = "bramble.function";
/// Version of the function.
pub const VERSION: &str = "bramble.version";
/// Generation of the orders by which it was made.
pub const GENERATION: &str = "bramble.generation";
/// How long it may take to stop, in seconds.
pub const GRACE: &str = "bramble.grace";

/// What the labels of one container say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) replica: ReplicaId,
    pub(super) function: FunctionName,
    pub(super) version: u64,
    pub(super) generation: Generation,
    pub(super) grace: Duration,
}

impl Labels {
    pub(super) fn new(replica: ReplicaId, desired: &DesiredReplica, generation: Generation) -> Self {
        Self {
            replica,
            function: desired.spec.name.clone(),
            version: desired.version,
            generation,
            grace: desired.spec.stop_grace(),
        }
    }

    /// As they are written on a container of this node.
    pub(super) fn write(&self, node: NodeId, bramble: &str) -> HashMap<String, String> {
        let texts = [
            (NODE, node.to_string()),
            (BRAMBLE, bramble.to_owned()),
            (REPLICA, self.replica.to_string()),
            (FUNCTION, self.function.to_string()),
            (VERSION, self.version.to_string()),
            (GENERATION, self.generation.to_string()),
            (GRACE, self.grace.as_secs().to_string()),
        ];
        texts
            .into_iter()
            .map(|(key, text)| (key.to_owned(), text))
            .collect()
    }

    /// `None` where the container is none that this program made in this bramble.
    pub(super) fn read(labels: &HashMap<String, String>, bramble: &str) -> Option<Self> {
        fn get<T: FromStr>(labels: &HashMap<String, String>, key: &str) -> Option<T> {
            labels.get(key)?.parse().ok()
        }
        if labels.get(BRAMBLE)? != bramble {
            return None;
        }
        Some(Self {
            replica: get(labels, REPLICA)?,
            function: get(labels, FUNCTION)?,
            version: get(labels, VERSION)?,
            generation: get(labels, GENERATION)?,
            grace: Duration::from_secs(get(labels, GRACE)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_back_what_they_say_and_only_in_their_own_bramble() {
        let labels = Labels {
            replica: ReplicaId(7),
            function: "env.class-4b".parse().unwrap(),
            version: 3,
            generation: Generation { epoch: 1, number: 9 },
            grace: Duration::from_secs(60),
        };
        let written = labels.write(NodeId::from_number(1), "hedge");
        assert_eq!(Labels::read(&written, "hedge"), Some(labels));
        assert_eq!(Labels::read(&written, "thicket"), None);
        let mut damaged = written;
        damaged.insert(REPLICA.to_owned(), "seven".to_owned());
        assert_eq!(Labels::read(&damaged, "hedge"), None);
    }
}
