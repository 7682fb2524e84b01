//! Several controllers in one process: on disks that may be slow, over a network that can be cut, with members that
//! can lose power. Everything goes by tokio's clock, so that it can be paused.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use api::NodeId;
use bytes::Bytes;
use controller::raft::{
    BoxFuture, Leadership, Peers, RaftHandle, Timings, call,
    log::sim::{Pace, SimDisk},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{Numbers, tell};

/// A message takes up to this long; a tenth of it at least.
const LATENCY: Duration = Duration::from_millis(2);

/// How often those who wait for a new leader ask.
const ASK: Duration = Duration::from_millis(10);

/// Who runs, whose cable is cut, and how often somebody asked for a vote.
struct Lan {
    running: Mutex<BTreeMap<NodeId, RaftHandle<Numbers>>>,
    cut: Mutex<BTreeSet<NodeId>>,
    elections: AtomicU64,
    luck: Mutex<fastrand::Rng>,
}

/// The LAN as one member sees it, from one start to the next.
struct Port {
    lan: Arc<Lan>,
    me: NodeId,
    powered: Arc<AtomicBool>,
}

impl Lan {
    async fn travel(&self) {
        let share = self.luck.lock().unwrap().u32(10..=100);
        sleep(LATENCY * share / 100).await;
    }

    fn is_cut(&self, one: NodeId, other: NodeId) -> bool {
        let cut = self.cut.lock().unwrap();
        cut.contains(&one) || cut.contains(&other)
    }
}

impl Port {
    /// One way; nothing comes out at the other end of a cut, and nobody says so.
    async fn way(&self, to: NodeId) {
        self.lan.travel().await;
        if self.lan.is_cut(self.me, to) || !self.powered.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
    }
}

impl Peers for Port {
    fn call<'a>(&'a self, to: NodeId, rpc: &'static str, body: Bytes) -> BoxFuture<'a, io::Result<Bytes>> {
        Box::pin(async move {
            if matches!(rpc, call::PRE_VOTE | call::VOTE) {
                self.lan.elections.fetch_add(1, Ordering::SeqCst);
            }
            self.way(to).await;
            let peer = self.lan.running.lock().unwrap().get(&to).cloned();
            let peer = peer.ok_or(io::ErrorKind::NotConnected)?;
            let answer = peer.handle(self.me, rpc, body).await.map_err(io::Error::other);
            self.way(to).await;
            if !self.lan.running.lock().unwrap().contains_key(&to) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            answer
        })
    }
}

/// How a leader is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Its process is killed, and its disk keeps what was synced: who calls is refused.
    Killed,
    /// Its cable is pulled at the switch: who calls hears nothing.
    Silent,
}

/// Some controllers.
pub(crate) struct Bramble {
    lan: Arc<Lan>,
    ids: Vec<NodeId>,
    timings: Timings,
    pub(crate) disks: BTreeMap<NodeId, SimDisk>,
    powered: BTreeMap<NodeId, Arc<AtomicBool>>,
    luck: fastrand::Rng,
}

impl Bramble {
    /// `count` controllers, with disks of this pace (none: they take no time), leading and followed.
    pub(crate) async fn of(count: u8, timings: Timings, pace: Option<Pace>, seed: u64) -> Self {
        let mut luck = fastrand::Rng::with_seed(seed);
        let ids: Vec<_> = (1..=count).map(|id| NodeId::from_number(id.into())).collect();
        let disk = |id: &NodeId| {
            let disk = SimDisk::new();
            if let Some(pace) = pace {
                disk.slow(pace, luck.u64(..));
            }
            (*id, disk)
        };
        let disks = ids.iter().map(disk).collect();
        let lan = Lan {
            running: Mutex::default(),
            cut: Mutex::default(),
            elections: AtomicU64::new(0),
            luck: Mutex::new(luck.fork()),
        };
        let mut bramble = Self {
            lan: Arc::new(lan),
            ids,
            timings,
            disks,
            powered: BTreeMap::new(),
            luck,
        };
        for id in bramble.ids.clone() {
            bramble.start(id).await;
        }
        let first = bramble.at(bramble.ids[0]);
        first.initialize(bramble.ids.iter().copied()).await.unwrap();
        bramble.settled().await;
        bramble
    }

    pub(crate) fn ids(&self) -> &[NodeId] {
        &self.ids
    }

    pub(crate) fn at(&self, id: NodeId) -> RaftHandle<Numbers> {
        self.lan.running.lock().unwrap()[&id].clone()
    }

    /// How often one asked another to vote for it, or whether it would.
    pub(crate) fn elections(&self) -> u64 {
        self.lan.elections.load(Ordering::SeqCst)
    }

    /// Lets the leader take a command every now and then; answers how many it took.
    ///
    /// Panics where one is refused.
    pub(crate) async fn write_for(&self, leader: NodeId, duration: Duration) -> u64 {
        let until = Instant::now() + duration;
        let mut number = 0;
        while Instant::now() < until {
            self.at(leader).propose(tell(number)).await.unwrap();
            number += 1;
            sleep(Duration::from_millis(700)).await;
        }
        number
    }

    /// What each member that runs thinks of who leads.
    pub(crate) fn leaderships(&self) -> Vec<Leadership> {
        let running = self.lan.running.lock().unwrap();
        running.values().map(|raft| *raft.leadership().borrow()).collect()
    }

    pub(crate) async fn start(&mut self, id: NodeId) {
        let powered = Arc::new(AtomicBool::new(true));
        let port = Port {
            lan: Arc::clone(&self.lan),
            me: id,
            powered: Arc::clone(&powered),
        };
        self.powered.insert(id, powered);
        let disk = Arc::new(self.disks[&id].clone());
        let raft = RaftHandle::open_on(disk, id, self.timings, Arc::new(port))
            .await
            .unwrap();
        self.lan.running.lock().unwrap().insert(id, raft);
    }

    /// Ends a member's process at this moment; what it had not synced is lost.
    pub(crate) fn kill(&mut self, id: NodeId) {
        self.powered[&id].store(false, Ordering::SeqCst);
        let raft = self.lan.running.lock().unwrap().remove(&id).unwrap();
        let disk = self.disks[&id].crash(self.luck.u64(..));
        self.disks.insert(id, disk);
        tokio::spawn(async move { raft.shutdown().await });
    }

    pub(crate) fn cut(&self, id: NodeId) {
        self.lan.cut.lock().unwrap().insert(id);
    }

    pub(crate) fn mend(&self, id: NodeId) {
        self.lan.cut.lock().unwrap().remove(&id);
    }

    /// Waits until one leads, all follow it and have everything; answers who.
    pub(crate) async fn settled(&self) -> NodeId {
        let settled = async {
            loop {
                let views = self.leaderships();
                let agreed = views
                    .windows(2)
                    .all(|pair| (pair[0].leader, pair[0].term) == (pair[1].leader, pair[1].term));
                if let Some(leader) = views[0]
                    .leader
                    .filter(|_| agreed && views.len() == self.ids.len())
                {
                    let raft = self.at(leader);
                    let is_me = raft.leadership().borrow().is_me;
                    // The leader's own progress is not among what it replicates.
                    if is_me
                        && self
                            .ids
                            .iter()
                            .all(|id| *id == leader || raft.members().caught_up.contains(id))
                    {
                        return leader;
                    }
                }
                sleep(ASK).await;
            }
        };
        timeout(Duration::from_secs(60), settled)
            .await
            .expect("they agree on a leader")
    }

    /// Loses the leader in the middle of other writes, and measures until the others have agreed on the next command;
    /// every few milliseconds somebody asks one of them. Then brings the lost one back.
    pub(crate) async fn failover(&mut self, loss: Loss) -> Duration {
        let leader = self.settled().await;
        let writer = self.at(leader);
        let writing = tokio::spawn(async move {
            for number in 0.. {
                if writer.propose(tell(number)).await.is_err() {
                    return;
                }
                sleep(ASK).await;
            }
        });
        sleep(Duration::from_millis(self.luck.u64(300..1300))).await;
        match loss {
            Loss::Killed => self.kill(leader),
            Loss::Silent => self.cut(leader),
        }
        let lost = Instant::now();
        let others: Vec<_> = self.ids.iter().copied().filter(|id| *id != leader).collect();
        let mut asked = JoinSet::new();
        let took = loop {
            let one = others[self.luck.usize(..others.len())];
            let asks = self.at(one);
            asked.spawn(async move {
                asks.propose(tell(lost.elapsed().as_millis().try_into().unwrap()))
                    .await
            });
            let next = sleep(ASK);
            tokio::pin!(next);
            let committed = loop {
                tokio::select! {
                    Some(answer) = asked.join_next() => if answer.unwrap().is_ok() { break true },
                    () = &mut next => break false,
                }
            };
            if committed {
                break lost.elapsed();
            }
            assert!(
                lost.elapsed() < Duration::from_secs(60),
                "nobody leads: {:?}",
                self.leaderships()
            );
        };
        writing.abort();
        asked.shutdown().await;
        match loss {
            Loss::Killed => self.start(leader).await,
            Loss::Silent => self.mend(leader),
        }
        took
    }
}
