//! Where every function is answered, as one value that is replaced whole.
//!
//! Made of what the leader says (routes) and what this node's agent says (addresses of its own replicas). Counts
//! belong to functions and replicas, not to a table, and are carried over from one to the next.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use api::{FunctionName, NodeId, ReplicaId, ids::DEFAULT_NAMESPACE, sync::Routes};
use transport::Peer;

use crate::{
    counters::{FunctionCounts, ReplicaLoad},
    local::Local,
};

/// One function and its ready replicas.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) function: FunctionName,
    pub(crate) counts: Arc<FunctionCounts>,
    pub(crate) targets: Vec<Target>,
}

/// One ready replica that can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) replica: ReplicaId,
    pub(crate) load: Arc<ReplicaLoad>,
    pub(crate) place: Place,
}

/// Where a replica is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// On this node.
    Here(Arc<Local>),
    /// On another.
    There(Peer),
}

/// The routes of one moment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By `name.namespace`, and by `name` alone for the default namespace, so that a lookup needs no new text.
    by_name: HashMap<Box<str>, Arc<Entry>>,
    /// This node's own replicas, also those that the leader does not route to.
    here: HashMap<ReplicaId, Target>,
    pub(crate) routes: Arc<Routes>,
}

impl Table {
    /// The function of this name, as clients write it.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Entry>> {
        self.by_name.get(name).or_else(|| {
            // `env.` and the like: names that nobody writes.
            let name: FunctionName = name.parse().ok()?;
            self.by_name.get(name.to_string().as_str())
        })
    }

    /// This node's own replica of this id.
    pub(crate) fn here(&self, replica: ReplicaId) -> Option<&Target> {
        self.here.get(&replica)
    }
}

/// Makes tables, and keeps what outlives them.
#[derive(Debug, Default)]
pub(crate) struct Maker {
    routes: Arc<Routes>,
    here: HashMap<ReplicaId, Arc<Local>>,
    counts: BTreeMap<FunctionName, Arc<FunctionCounts>>,
    loads: HashMap<ReplicaId, Arc<ReplicaLoad>>,
}

impl Maker {
    /// Takes over newer routes; `false` if they are older than those that are known.
    pub(crate) fn set_routes(&mut self, routes: Routes) -> bool {
        let newer = routes.revision >= self.routes.revision;
        if newer {
            self.routes = Arc::new(routes);
        }
        newer
    }

    /// Takes over the addresses of this node's own replicas. Those that stay where they are keep their connections.
    pub(crate) fn set_local(&mut self, addresses: &BTreeMap<ReplicaId, SocketAddr>) {
        let kept = |id: &ReplicaId, address: &SocketAddr| {
            self.here
                .get(id)
                .filter(|local| local.address == *address)
                .cloned()
        };
        self.here = addresses
            .iter()
            .map(|(id, address)| {
                (
                    *id,
                    kept(id, address).unwrap_or_else(|| Arc::new(Local::new(*address))),
                )
            })
            .collect();
    }

    /// The table of this moment, seen from `node`.
    pub(crate) fn table(&mut self, node: NodeId) -> Table {
        let routes = self.routes.clone();
        let mut table = Table {
            routes: routes.clone(),
            ..Table::default()
        };
        for (replica, local) in &self.here {
            let target = Target {
                replica: *replica,
                load: self.loads.entry(*replica).or_default().clone(),
                place: Place::Here(local.clone()),
            };
            table.here.insert(*replica, target);
        }
        for (function, route) in &routes.functions {
            let targets = route.ready.iter().filter_map(|(replica, at)| {
                if *at == node {
                    return table.here.get(replica).cloned();
                }
                let address = *routes.nodes.get(at)?;
                Some(Target {
                    replica: *replica,
                    load: self.loads.entry(*replica).or_default().clone(),
                    place: Place::There(Peer { id: *at, address }),
                })
            });
            let entry = Arc::new(Entry {
                function: function.clone(),
                counts: self.counts.entry(function.clone()).or_default().clone(),
                targets: targets.collect(),
            });
            if function.namespace() == DEFAULT_NAMESPACE {
                table.by_name.insert(function.name().into(), entry.clone());
            }
            table.by_name.insert(function.to_string().into(), entry);
        }
        // Totals stay for as long as this gateway lives; what was never used or is no longer known goes.
        self.counts
            .retain(|function, counts| routes.functions.contains_key(function) || !counts.is_unused());
        self.loads.retain(|_, load| Arc::strong_count(load) > 1);
        table
    }

    /// The counts of every function that was ever called here.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&FunctionName, &Arc<FunctionCounts>)> {
        self.counts.iter().filter(|(_, counts)| !counts.is_unused())
    }

    /// How busy a replica is.
    pub(crate) fn load(&self, replica: ReplicaId) -> Option<&Arc<ReplicaLoad>> {
        self.loads.get(&replica)
    }
}

#[cfg(test)]
mod tests {
    use api::{Generation, sync::FunctionRoute};

    use super::*;

    const HERE: NodeId = NodeId::from_number(1);
    const THERE: NodeId = NodeId::from_number(2);

    fn routes(number: u64, ready: &[(u64, NodeId)]) -> Routes {
        let ready = ready.iter().map(|(id, node)| (ReplicaId(*id), *node)).collect();
        Routes {
            revision: Generation { epoch: 1, number },
            nodes: BTreeMap::from([(THERE, "10.0.0.2:7443".parse().unwrap())]),
            functions: BTreeMap::from([("env".parse().unwrap(), FunctionRoute { ready })]),
            ..Routes::default()
        }
    }

    fn replicas(table: &Table) -> Vec<u64> {
        table
            .find("env")
            .unwrap()
            .targets
            .iter()
            .map(|target| target.replica.0)
            .collect()
    }

    #[test]
    fn older_routes_are_refused() {
        let mut maker = Maker::default();
        assert!(maker.set_routes(routes(5, &[(1, THERE)])));
        assert!(!maker.set_routes(routes(4, &[])));
        assert_eq!(replicas(&maker.table(HERE)), [1]);
    }

    #[test]
    fn a_function_is_found_by_each_form_of_its_name() {
        let mut maker = Maker::default();
        maker.set_routes(routes(1, &[]));
        let table = maker.table(HERE);
        for name in ["env", "env.openfaas-fn", "env."] {
            assert!(table.find(name).is_some(), "{name}");
        }
        for name in ["en", "env.other", "ENV", ".env", ".openfaas-fn"] {
            assert!(table.find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_replica_of_this_node_counts_once_its_address_is_known() {
        let mut maker = Maker::default();
        maker.set_routes(routes(1, &[(1, HERE), (2, THERE)]));
        assert_eq!(replicas(&maker.table(HERE)), [2]);
        maker.set_local(&BTreeMap::from([(
            ReplicaId(1),
            "10.1.0.1:8080".parse().unwrap(),
        )]));
        assert_eq!(replicas(&maker.table(HERE)), [1, 2]);
    }

    #[test]
    fn a_replica_on_a_node_that_nobody_knows_is_left_out() {
        let mut maker = Maker::default();
        maker.set_routes(routes(1, &[(1, NodeId::from_number(3))]));
        assert_eq!(replicas(&maker.table(HERE)), [0u64; 0]);
    }

    #[test]
    fn loads_and_counts_outlive_a_table() {
        let mut maker = Maker::default();
        maker.set_routes(routes(1, &[(2, THERE)]));
        let before = maker.table(HERE);
        let call = crate::counters::Call::begin(before.find("env").unwrap().counts.clone());
        maker.set_routes(Routes {
            functions: BTreeMap::new(),
            ..routes(2, &[])
        });
        maker.table(HERE);
        drop(call);
        assert_eq!(maker.counts().count(), 1);
    }
}
