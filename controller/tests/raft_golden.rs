//! What controllers store and say to each other stays readable: every form against a file that is kept.
//!
//! A file changes only together with the version in its envelope, or by gaining a field that has a default.
//! `UPDATE_GOLDEN=1 cargo test -p controller --test raft_golden` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod raft_support;

use std::{collections::BTreeMap, fs, path::Path};

use api::{
    NodeId,
    versioned::{Versioned, decode, encode},
};
use controller::raft::{
    Enveloped, Member, Types,
    log::{Batch, Begin, Record},
    machine::SnapshotHeader,
    network::{
        AppendAnswer, AppendRequest, ProposeAnswer, ProposeRequest, SnapshotAnswer, SnapshotRequest,
        TransferAnswer, TransferRequest, VoteAnswer, VoteRequest,
    },
};
use openraft::{
    Entry, EntryPayload, LogId, Membership, SnapshotMeta, StoredMembership, Vote,
    alias::EntryOf,
    raft::{self, TransferLeaderError},
    vote::RaftLeaderId,
};
use raft_support::{Numbers, Tell, Told};

type Leader = openraft::impls::leader_id_adv::LeaderId<u64, NodeId>;
type C = Types<Numbers>;

const ONE: NodeId = NodeId::from_number(1);
const TWO: NodeId = NodeId::from_number(2);

/// Compares the form of `value` with the kept one, and what the kept one reads back as with `value`. The kept files
/// are indented for people; the order of fields is as written.
fn matches_golden<T: Versioned>(name: &str, value: &T) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("raft-{name}.json"));
    let compact = encode(value);
    let pretty: serde_json::Value = serde_json::from_slice(&compact).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &pretty).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert_eq!(
        pretty, kept,
        "{name} is written differently now: raise its version, or give the new field a default"
    );
    assert_eq!(
        encode(&decode::<T>(kept.as_bytes()).unwrap()),
        compact,
        "{name} reads back as it was"
    );
}

fn vote(committed: bool) -> Vote<Leader> {
    Vote {
        leader_id: Leader::new(3, ONE),
        committed,
    }
}

fn id(index: u64) -> LogId<Leader> {
    LogId::new(Leader::new(3, ONE), index)
}

fn command() -> Enveloped<Tell> {
    Enveloped(Tell {
        number: 42,
        ballast: "x".to_owned(),
    })
}

fn members() -> Membership<NodeId, Member> {
    Membership::new(
        vec![[ONE, TWO].into()],
        BTreeMap::from([(ONE, Member {}), (TWO, Member {})]),
    )
    .unwrap()
}

fn entries() -> Vec<EntryOf<C>> {
    vec![
        Entry {
            log_id: id(8),
            payload: EntryPayload::Blank,
        },
        Entry {
            log_id: id(9),
            payload: EntryPayload::Membership(members()),
        },
        Entry {
            log_id: id(10),
            payload: EntryPayload::Normal(command()),
        },
    ]
}

fn meta() -> SnapshotMeta<Leader, NodeId, Member> {
    SnapshotMeta {
        last_log_id: Some(id(10)),
        last_membership: StoredMembership::new(Some(id(9)), members()),
    }
}

fn state() -> Numbers {
    Numbers {
        told: BTreeMap::from([(42, 1)]),
        applied: 1,
    }
}

#[test]
fn the_log() {
    let mut records = vec![Record::Begin(Box::new(Begin {
        vote: Some(vote(true)),
        purged: Some(id(6)),
        last: Some(id(7)),
        committed: Some(id(7)),
    }))];
    records.push(Record::Vote(vote(false)));
    records.extend(entries().into_iter().map(Record::Entry));
    records.push(Record::Committed(id(9)));
    records.push(Record::Truncate { after: Some(id(9)) });
    records.push(Record::Truncate { after: None });
    records.push(Record::Purge(id(9)));
    matches_golden("log-batch", &Batch::<C>(records));
}

#[test]
fn snapshots() {
    matches_golden("snapshot-header", &SnapshotHeader::<C> { meta: meta() });
    let request = SnapshotRequest::<Numbers> {
        vote: vote(true),
        meta: meta(),
        state: Enveloped(state()),
    };
    matches_golden("snapshot-request", &request);
    matches_golden(
        "snapshot-answer",
        &SnapshotAnswer::<Numbers>(raft::SnapshotResponse::new(vote(true))),
    );
}

#[test]
fn appending() {
    let request = raft::AppendEntriesRequest {
        vote: vote(true),
        prev_log_id: Some(id(7)),
        entries: entries(),
        leader_commit: Some(id(8)),
    };
    matches_golden("append-request", &AppendRequest::<Numbers>(request));
    let answers = [
        ("success", raft::AppendEntriesResponse::Success),
        (
            "partial",
            raft::AppendEntriesResponse::PartialSuccess(Some(id(8))),
        ),
        ("conflict", raft::AppendEntriesResponse::Conflict),
        (
            "higher-vote",
            raft::AppendEntriesResponse::HigherVote(vote(false)),
        ),
    ];
    for (name, answer) in answers {
        matches_golden(&format!("append-answer-{name}"), &AppendAnswer::<Numbers>(answer));
    }
}

#[test]
fn voting() {
    let request = raft::VoteRequest::new(vote(false), Some(id(10)));
    matches_golden("vote-request", &VoteRequest::<Numbers>(request));
    let answer = raft::VoteResponse::new(vote(false), Some(id(10)), true);
    matches_golden("vote-answer", &VoteAnswer::<Numbers>(answer));
}

#[test]
fn handing_over() {
    let request = raft::TransferLeaderRequest::new(vote(true), TWO, Some(id(10)));
    matches_golden("transfer-request", &TransferRequest::<Numbers>(request));
    matches_golden("transfer-answer", &TransferAnswer::<Numbers>(Ok(())));
    let refused = TransferLeaderError::LogNotFlushed {
        expected: Some(id(10)),
        actual: Some(id(9)),
    };
    matches_golden(
        "transfer-answer-refused",
        &TransferAnswer::<Numbers>(Err(refused)),
    );
}

#[test]
fn proposing() {
    matches_golden("propose-request", &ProposeRequest::<Numbers>(command()));
    let applied = ProposeAnswer::<Numbers>::Applied {
        index: 10,
        outcome: Told { times: 1 },
    };
    matches_golden("propose-answer-applied", &applied);
    matches_golden(
        "propose-answer-not-leader",
        &ProposeAnswer::<Numbers>::NotLeader { leader: Some(TWO) },
    );
    matches_golden(
        "propose-answer-unconfirmed",
        &ProposeAnswer::<Numbers>::Unconfirmed,
    );
}
