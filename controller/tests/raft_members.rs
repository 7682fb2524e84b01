//! Three controllers in one process, over a network that can be cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod raft_support;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use api::NodeId;
use bytes::Bytes;
use controller::raft::{
    BoxFuture, CallError, Leadership, MembersError, Peers, ProposeError, RaftHandle, Timings, call,
    log::sim::SimDisk,
};
use futures_util::future::join_all;
use raft_support::{Numbers, tell};

const IDS: [NodeId; 3] = [
    NodeId::from_number(1),
    NodeId::from_number(2),
    NodeId::from_number(3),
];

/// Who runs, who cannot reach whom, and how often each call was made.
#[derive(Default)]
struct Lan {
    running: Mutex<BTreeMap<NodeId, RaftHandle<Numbers>>>,
    unplugged: Mutex<BTreeSet<NodeId>>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
}

/// The LAN as one member sees it.
struct Port {
    lan: Arc<Lan>,
    me: NodeId,
}

impl Peers for Port {
    fn call<'a>(&'a self, to: NodeId, rpc: &'static str, body: Bytes) -> BoxFuture<'a, io::Result<Bytes>> {
        Box::pin(async move {
            *self.lan.calls.lock().unwrap().entry(rpc).or_default() += 1;
            let peer = {
                let unplugged = self.lan.unplugged.lock().unwrap();
                if unplugged.contains(&self.me) || unplugged.contains(&to) {
                    return Err(io::ErrorKind::HostUnreachable.into());
                }
                self.lan.running.lock().unwrap().get(&to).cloned()
            };
            let peer = peer.ok_or(io::ErrorKind::ConnectionRefused)?;
            peer.handle(self.me, rpc, body).await.map_err(io::Error::other)
        })
    }
}

/// Three members, each with a disk of its own.
struct Bramble {
    lan: Arc<Lan>,
    disks: BTreeMap<NodeId, SimDisk>,
}

impl Bramble {
    async fn of_three() -> Self {
        Self::founded_by(&IDS).await
    }

    /// Three controllers run; `first` are the first members.
    async fn founded_by(first: &[NodeId]) -> Self {
        let disks = IDS.map(|id| (id, SimDisk::new())).into();
        let bramble = Self {
            lan: Arc::default(),
            disks,
        };
        for id in IDS {
            bramble.start(id).await;
        }
        bramble
            .at(IDS[0])
            .initialize(first.iter().copied())
            .await
            .unwrap();
        bramble
    }

    /// Lets `member` learn from the leader, and waits until it has caught up.
    async fn learn(&self, leader: NodeId, member: NodeId) {
        let raft = self.at(leader);
        raft.add_learner(member).await.unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while !raft.members().caught_up.contains(&member) {
            assert!(
                Instant::now() < until,
                "{member} never caught up: {:?}",
                raft.members()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn start(&self, id: NodeId) {
        let peers = Arc::new(Port {
            lan: Arc::clone(&self.lan),
            me: id,
        });
        let disk = Arc::new(self.disks[&id].clone());
        let raft = RaftHandle::open_on(disk, id, Timings::default(), peers)
            .await
            .unwrap();
        self.lan.running.lock().unwrap().insert(id, raft);
    }

    async fn stop(&self, id: NodeId) {
        let raft = self.lan.running.lock().unwrap().remove(&id).unwrap();
        raft.shutdown().await;
    }

    fn at(&self, id: NodeId) -> RaftHandle<Numbers> {
        self.lan.running.lock().unwrap()[&id].clone()
    }

    fn unplug(&self, id: NodeId) {
        self.lan.unplugged.lock().unwrap().insert(id);
    }

    fn plug(&self, id: NodeId) {
        self.lan.unplugged.lock().unwrap().remove(&id);
    }

    fn calls(&self, rpc: &str) -> u64 {
        self.lan.calls.lock().unwrap().get(rpc).copied().unwrap_or(0)
    }

    /// Who leads, by its own account and that of `member`.
    async fn leader_seen_by(&self, member: NodeId) -> NodeId {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if let Some(leader) = self.at(member).leadership().borrow().leader {
                let itself = self.lan.running.lock().unwrap().get(&leader).cloned();
                if itself.is_some_and(|raft| raft.leadership().borrow().is_me) {
                    return leader;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no leader");
    }

    async fn leader_and_followers(&self) -> (NodeId, [NodeId; 2]) {
        let leader = self.leader_seen_by(IDS[0]).await;
        let followers: Vec<_> = IDS.into_iter().filter(|id| *id != leader).collect();
        (leader, followers.try_into().unwrap())
    }

    /// Waits until `member` has applied `commands`, and answers its state.
    async fn applied(&self, member: NodeId, commands: u64) -> Arc<Numbers> {
        let mut watch = self.at(member).watch();
        let wait = watch.wait_for(|state| state.applied >= commands);
        let state = tokio::time::timeout(Duration::from_secs(20), wait).await;
        state
            .unwrap_or_else(|_| panic!("{member} never applied {commands}"))
            .unwrap()
            .clone()
    }
}

#[tokio::test]
async fn three_elect_a_leader_and_agree_on_200_commands_from_all_of_them() {
    let bramble = Bramble::of_three().await;
    bramble.leader_seen_by(IDS[2]).await;
    for number in 0..200 {
        let member = bramble.at(IDS[usize::try_from(number % 3).unwrap()]);
        assert_eq!(member.propose(tell(number)).await.unwrap().times, 1);
        let seen = member.watch().borrow().clone();
        assert!(
            seen.told.contains_key(&number),
            "`propose` answers when the asked member has applied it"
        );
    }
    let states = [
        bramble.applied(IDS[0], 200).await,
        bramble.applied(IDS[1], 200).await,
    ];
    assert_eq!(states[0], states[1]);
    assert_eq!(states[1], bramble.applied(IDS[2], 200).await);
}

#[tokio::test]
async fn leadership_is_handed_over_when_asked() {
    let bramble = Bramble::of_three().await;
    let (leader, [heir, _]) = bramble.leader_and_followers().await;
    bramble.at(leader).propose(tell(1)).await.unwrap();
    bramble.applied(heir, 1).await;
    let before = Instant::now();
    bramble.at(leader).transfer_leadership(heir).await.unwrap();
    let mut leadership = bramble.at(heir).leadership();
    let took = tokio::time::timeout(Duration::from_secs(5), leadership.wait_for(|now| now.is_me)).await;
    took.expect("the heir leads").unwrap();
    println!("handed over in {:?}", before.elapsed());
    // Quicker than anybody could have missed the old leader.
    assert!(
        before.elapsed() < Timings::default().election_max,
        "{:?}",
        before.elapsed()
    );
    bramble.at(leader).propose(tell(2)).await.unwrap();
}

#[tokio::test]
async fn a_member_that_was_away_catches_up_from_the_log() {
    let bramble = Bramble::of_three().await;
    let (leader, [away, _]) = bramble.leader_and_followers().await;
    bramble.stop(away).await;
    for number in 0..100 {
        bramble.at(leader).propose(tell(number)).await.unwrap();
    }
    bramble.start(away).await;
    assert_eq!(bramble.applied(away, 100).await.told.len(), 100);
    assert_eq!(bramble.calls(call::SNAPSHOT), 0);
}

#[tokio::test]
async fn a_member_that_was_away_too_long_is_sent_the_state_and_keeps_it() {
    let bramble = Bramble::of_three().await;
    let (leader, [away, other]) = bramble.leader_and_followers().await;
    bramble.stop(away).await;
    let raft = bramble.at(leader);
    let mut commands = 0;
    // The leader tries to send the state once its log no longer goes back far enough.
    while bramble.calls(call::SNAPSHOT) == 0 {
        join_all((commands..commands + 500).map(|number| raft.propose(tell(number)))).await;
        commands += 500;
        assert!(
            commands < 50_000,
            "the log is never shortened while a member is away"
        );
    }
    bramble.start(away).await;
    let state = bramble.applied(away, commands).await;
    assert_eq!(state, bramble.applied(other, commands).await);

    bramble.stop(away).await;
    bramble.start(away).await;
    assert_eq!(bramble.applied(away, commands).await.told.len() as u64, commands);
}

#[tokio::test]
async fn a_lost_leader_is_replaced_and_finds_its_place_again() {
    let bramble = Bramble::of_three().await;
    let (leader, [one, two]) = bramble.leader_and_followers().await;
    bramble.at(leader).propose(tell(1)).await.unwrap();
    let before = Instant::now();
    bramble.unplug(leader);
    let heir = loop {
        let is_leader = |id: &NodeId| bramble.at(*id).leadership().borrow().is_me;
        if let Some(heir) = [one, two].into_iter().find(is_leader) {
            break heir;
        }
        assert!(before.elapsed() < Duration::from_secs(10), "no new leader");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    println!("a new leader after {:?}", before.elapsed());
    bramble.at(heir).propose(tell(2)).await.unwrap();
    let cut_off = bramble.at(leader).propose(tell(3)).await;
    assert!(
        matches!(cut_off, Err(ProposeError::NoLeader | ProposeError::Unconfirmed)),
        "{cut_off:?}"
    );

    bramble.plug(leader);
    let state = bramble.applied(leader, 2).await;
    assert!(
        state.told.contains_key(&2) && !state.told.contains_key(&3),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_member_that_was_cut_off_does_not_disturb_the_others_when_it_returns() {
    let bramble = Bramble::of_three().await;
    let (leader, [away, _]) = bramble.leader_and_followers().await;
    let term = bramble.at(leader).leadership().borrow().term;
    bramble.unplug(away);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        bramble.calls(call::PRE_VOTE) > 0,
        "it asked whether it would be voted for"
    );
    let alone = *bramble.at(away).leadership().borrow();
    assert_eq!(
        alone.term, term,
        "silence is no vote: it never stood for election"
    );

    bramble.plug(away);
    bramble.at(leader).propose(tell(1)).await.unwrap();
    bramble.applied(away, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let now = *bramble.at(leader).leadership().borrow();
    assert_eq!(
        now,
        Leadership {
            leader: Some(leader),
            is_me: true,
            term
        }
    );
}

#[tokio::test]
async fn a_power_cut_for_all_loses_nothing() {
    let mut bramble = Bramble::of_three().await;
    let mut commands = 0;
    for seed in 0..5 {
        for _ in 0..30 {
            bramble.at(IDS[0]).propose(tell(commands)).await.unwrap();
            commands += 1;
        }
        let disks = IDS.map(|id| (id, bramble.disks[&id].crash(seed)));
        bramble = Bramble {
            lan: Arc::default(),
            disks: disks.into(),
        };
        for id in IDS {
            bramble.start(id).await;
        }
        bramble.leader_seen_by(IDS[0]).await;
        for id in IDS {
            assert_eq!(
                bramble.applied(id, commands).await.told.len() as u64,
                commands,
                "seed {seed}"
            );
        }
    }
}

#[tokio::test]
async fn idle_members_write_nothing_but_talk() {
    let bramble = Bramble::of_three().await;
    bramble.leader_seen_by(IDS[0]).await;
    bramble.at(IDS[0]).propose(tell(1)).await.unwrap();
    for id in IDS {
        bramble.applied(id, 1).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let counts = |bramble: &Bramble| IDS.map(|id| bramble.disks[&id].counts());
    let (before, calls) = (counts(&bramble), bramble.calls(call::APPEND));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(counts(&bramble), before);
    assert!(bramble.calls(call::APPEND) > calls + 20, "heartbeats go on");
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let bramble = Bramble::of_three().await;
    let (leader, [follower, _]) = bramble.leader_and_followers().await;
    // What the leader would send, sent by somebody else.
    let heartbeat = format!(
        r#"{{"v":1,"body":{{"vote":{{"leader_id":{{"term":9,"node_id":"{leader}"}},"committed":true}},"prev_log_id":null,"entries":[],"leader_commit":null}}}}"#
    );
    let stranger = NodeId::from_number(99);
    let refused = bramble
        .at(follower)
        .handle(stranger, call::APPEND, heartbeat.into())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, CallError::NotYours { rpc: "append", .. }),
        "{refused}"
    );

    let propose = Bytes::from_static(br#"{"v":1,"body":{"v":1,"body":{"number":1}}}"#);
    let refused = bramble
        .at(leader)
        .handle(stranger, call::PROPOSE, propose.clone())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, CallError::NotYours { rpc: "propose", .. }),
        "{refused}"
    );
    bramble
        .at(leader)
        .handle(follower, call::PROPOSE, propose)
        .await
        .unwrap();
}

#[tokio::test]
async fn calls_that_are_not_understood_are_refused_in_words() {
    let bramble = Bramble::of_three().await;
    let unknown = bramble
        .at(IDS[0])
        .handle(IDS[1], "sing", Bytes::new())
        .await
        .unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "this controller knows no call `sing`: update it"
    );
    let future = Bytes::from_static(br#"{"v":2,"body":{}}"#);
    let newer = bramble
        .at(IDS[0])
        .handle(IDS[1], call::VOTE, future)
        .await
        .unwrap_err();
    assert!(
        matches!(newer, CallError::Unreadable { rpc: "vote", .. }),
        "{newer}"
    );
}

#[tokio::test]
async fn one_becomes_three_and_then_outlives_the_first() {
    let bramble = Bramble::founded_by(&IDS[..1]).await;
    let first = bramble.leader_seen_by(IDS[0]).await;
    for number in 0..100 {
        bramble.at(first).propose(tell(number)).await.unwrap();
    }
    bramble.learn(first, IDS[1]).await;
    bramble.learn(first, IDS[2]).await;
    assert_eq!(
        bramble.at(first).members().learners,
        IDS[1..].iter().copied().collect()
    );
    bramble.at(first).set_voters(IDS.into()).await.unwrap();
    let members = bramble.at(first).members();
    assert_eq!((members.voters, members.learners), (IDS.into(), BTreeSet::new()));

    bramble.unplug(first);
    let until = Instant::now() + Duration::from_secs(10);
    while !IDS[1..]
        .iter()
        .any(|id| bramble.at(*id).leadership().borrow().is_me)
    {
        assert!(Instant::now() < until, "no new leader");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bramble.at(IDS[1]).propose(tell(100)).await.unwrap();
    assert_eq!(bramble.applied(IDS[2], 101).await.told.len(), 101);
}

#[tokio::test]
async fn a_voter_that_left_is_not_asked_any_more() {
    let bramble = Bramble::of_three().await;
    let (leader, [leaves, stays]) = bramble.leader_and_followers().await;
    bramble.stop(leaves).await;
    bramble
        .at(leader)
        .set_voters([leader, stays].into())
        .await
        .unwrap();
    let members = bramble.at(leader).members();
    assert_eq!(
        (members.voters, members.learners),
        ([leader, stays].into(), BTreeSet::new())
    );
    bramble.at(stays).propose(tell(1)).await.unwrap();

    // Two are left, and both are needed.
    bramble.unplug(stays);
    let alone = tokio::time::timeout(Duration::from_secs(2), bramble.at(leader).propose(tell(2))).await;
    assert!(!matches!(alone, Ok(Ok(_))), "{alone:?}");
}

#[tokio::test]
async fn a_leader_that_is_to_leave_hands_over_first_and_leaves() {
    let bramble = Bramble::of_three().await;
    let (leader, [heir, other]) = bramble.leader_and_followers().await;
    bramble.at(leader).propose(tell(1)).await.unwrap();
    bramble.applied(heir, 1).await;
    bramble.at(leader).transfer_leadership(heir).await.unwrap();
    let mut leadership = bramble.at(heir).leadership();
    leadership.wait_for(|now| now.is_me).await.unwrap();
    bramble.at(heir).propose(tell(2)).await.unwrap();
    bramble.at(heir).set_voters([heir, other].into()).await.unwrap();
    bramble.stop(leader).await;
    bramble.at(other).propose(tell(3)).await.unwrap();
    assert_eq!(bramble.at(heir).members().voters, [heir, other].into());
}

#[tokio::test]
async fn only_the_leader_changes_members_and_only_to_something_that_can_be() {
    let bramble = Bramble::of_three().await;
    let (leader, [follower, _]) = bramble.leader_and_followers().await;
    bramble.at(leader).propose(tell(1)).await.unwrap();
    let refused = bramble.at(follower).set_voters(IDS.into()).await;
    assert!(matches!(refused, Err(MembersError::NotLeader)), "{refused:?}");
    let refused = bramble.at(leader).set_voters(BTreeSet::new()).await;
    assert!(
        matches!(refused, Err(MembersError::Refused { .. })),
        "{refused:?}"
    );
    let stranger = NodeId::from_number(99);
    let refused = bramble.at(leader).set_voters([leader, stranger].into()).await;
    assert!(
        matches!(refused, Err(MembersError::Refused { .. })),
        "{refused:?}"
    );
}
