//! When two brambles meet: they never merge silently.
//!
//! A bramble in which a person has done anything (`work`, which never turns back) stays. One in which nobody has
//! may dissolve: its nodes become candidates again and join the other. Both sides come to matching conclusions from
//! what both know, and nobody dissolves into one that dissolves itself: a bramble dissolves only into one with work,
//! which stays for good, or into one with a lower id, and there is no circle of ever lower ids.
//!
//! The shell has to make sure of two things: that the other bramble is what it claims (it proves the join key before
//! anything is dissolved), and that dissolving is a command which is refused once there is work.

use std::time::Duration;

use api::join::{BrambleId, KeyTag, Standing};

use super::Pace;

/// What matters of a bramble when it is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InSight {
    /// Which.
    pub bramble: BrambleId,
    /// The join key that lets nodes in.
    pub key: Option<KeyTag>,
    /// Whether a person has ever changed anything in it.
    pub work: bool,
}

impl InSight {
    /// What a member says of its bramble; `None` for a candidate.
    pub fn of(standing: &Standing) -> Option<Self> {
        match *standing {
            Standing::Member {
                bramble, key, work, ..
            } => Some(Self { bramble, key, work }),
            Standing::Candidate { .. } => None,
        }
    }
}

/// Which of two brambles stays if only one can.
pub fn better(one: InSight, other: InSight) -> InSight {
    let rank = |it: &InSight| (!it.work, it.bramble);
    if rank(&one) <= rank(&other) { one } else { other }
}

/// What to do about another bramble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// It is none of our business: another key, or ourselves.
    Strangers,
    /// It will dissolve into ours.
    TheyDissolve,
    /// Ours is to dissolve into it.
    Dissolve,
    /// People have used both: the portal asks.
    Ask,
}

/// What our bramble does about `theirs`.
///
/// Brambles of the same key belong together, and so do keyless ones. A keyless bramble makes way for one with a key,
/// as its nodes would have waited there had they seen it in time; one with a key never makes way for one without.
pub fn meet(ours: InSight, theirs: InSight) -> Meeting {
    if ours.bramble == theirs.bramble {
        return Meeting::Strangers;
    }
    match (ours.key, theirs.key) {
        (ours_key, theirs_key) if ours_key == theirs_key => match (ours.work, theirs.work) {
            (true, true) => Meeting::Ask,
            _ if better(ours, theirs) == ours => Meeting::TheyDissolve,
            _ => Meeting::Dissolve,
        },
        (None, Some(_)) if !ours.work => Meeting::Dissolve,
        (Some(_), None) if !theirs.work => Meeting::TheyDissolve,
        _ => Meeting::Strangers,
    }
}

/// Whether a node that has heard nothing of its bramble for `silence` goes over to `theirs` alone.
///
/// That is for who was switched off while its bramble dissolved, and could not be told. What a person made is never
/// left behind: a node stays where it knows of any. Only for holders of the same join key, which `theirs` has to prove.
pub fn goes_over(ours: InSight, silence: Duration, theirs: InSight, pace: &Pace) -> bool {
    silence >= pace.stray
        && !ours.work
        && ours.bramble != theirs.bramble
        && ours.key.is_some()
        && ours.key == theirs.key
}
