//! The gateway as the other rooms hold it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use api::{
    NodeId, ReplicaId,
    sync::{FunctionCounters, Routes},
};
use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::{Notify, watch};
use tracing::warn;
use transport::Client;

use crate::table::{Maker, Table};

/// What a gateway is told at its start.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// This node.
    pub node: NodeId,
    /// Its name, which answers of its replicas carry (`X-Bramble-Node`).
    pub name: String,
    /// The version of this program (`X-Served-By`).
    pub version: String,
    /// Longest time from the last piece of a request that went to the function to the beginning of its answer. The
    /// answer itself may take as long as it likes.
    pub invoke_limit: Duration,
    /// Longest time that a request waits for a replica of its function to become ready.
    pub wait_limit: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            node: NodeId::default(),
            name: String::new(),
            version: String::new(),
            invoke_limit: Duration::from_secs(60),
            wait_limit: Duration::from_secs(60),
        }
    }
}

/// Takes invocations and carries them to replicas, here or on another node. Cheap to clone; clones are the same
/// gateway.
#[derive(Clone, Debug)]
pub struct Gateway(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: GatewayConfig,
    pub(crate) client: Client,
    pub(crate) table: ArcSwap<Table>,
    maker: Mutex<Maker>,
    /// Changes with every table: what waits for a replica looks again.
    pub(crate) changed: watch::Sender<()>,
    /// A function began to wait for a replica.
    pub(crate) wake: Notify,
    pub(crate) began: Instant,
    pub(crate) node_name: HeaderValue,
    pub(crate) served_by: HeaderValue,
    pub(crate) user_agent: HeaderValue,
}

impl Gateway {
    /// A gateway that knows no function yet. `client` reaches the other nodes.
    ///
    /// # Panics
    /// If the configured name or version has characters that no header can carry.
    pub fn new(config: GatewayConfig, client: Client) -> Self {
        let header = |text: String| HeaderValue::try_from(text).expect("names and versions are printable");
        Self(Arc::new(Inner {
            node_name: header(config.name.clone()),
            served_by: header(format!("bramble/{}", config.version)),
            user_agent: header(format!("bramble-gateway/{}", config.version)),
            config,
            client,
            table: ArcSwap::default(),
            maker: Mutex::default(),
            changed: watch::Sender::new(()),
            wake: Notify::new(),
            began: Instant::now(),
        }))
    }

    /// Takes over the leader's routes, unless they are older than those that are known.
    pub fn set_routes(&self, routes: Routes) {
        self.change(|maker| {
            let revision = routes.revision;
            if !maker.set_routes(routes) {
                warn!(%revision, "refused routes that are older than the known ones");
            }
        });
    }

    /// Takes over where this node's own replicas take HTTP.
    pub fn set_local(&self, addresses: &BTreeMap<ReplicaId, SocketAddr>) {
        self.change(|maker| maker.set_local(addresses));
    }

    fn change(&self, change: impl FnOnce(&mut Maker)) {
        let mut maker = self.0.maker.lock().expect("no panic while held");
        change(&mut maker);
        self.0.table.store(Arc::new(maker.table(self.0.config.node)));
        drop(maker);
        self.0.changed.send_replace(());
    }

    /// The routes that are in force.
    pub fn routes(&self) -> Arc<Routes> {
        self.0.table.load().routes.clone()
    }

    /// What was counted since this gateway began: totals, of every function that was called here. An invocation is
    /// counted by the gateway that a client asked, `started = finished + in_flight + waiting`; one whose client went
    /// away before there was an answer is finished with 499.
    pub fn counters(&self) -> Vec<FunctionCounters> {
        let table = self.0.table.load_full();
        let maker = self.0.maker.lock().expect("no panic while held");
        maker
            .counts()
            .map(|(function, counts)| {
                let mut report = counts.report(function);
                let route = table.routes.functions.get(function);
                let replicas = route.into_iter().flat_map(|route| route.ready.keys());
                report.replicas = replicas
                    .map(|replica| (*replica, maker.load(*replica).map_or(0, |load| load.own())))
                    .filter(|(_, own)| *own > 0)
                    .collect();
                report
            })
            .collect()
    }

    /// Invocations under way on this node's `replica`, whichever gateway took them. A replica that is drained can go
    /// when there are none.
    pub fn local_in_flight(&self, replica: ReplicaId) -> u32 {
        let maker = self.0.maker.lock().expect("no panic while held");
        maker.load(replica).map_or(0, |load| load.here())
    }

    /// Returns when an invocation began to wait for a replica since the last time: a good moment to ask the leader for
    /// one.
    pub async fn woken(&self) {
        self.0.wake.notified().await;
    }
}

impl Inner {
    /// Milliseconds since the gateway began.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
