//! Whether this node answers for the bramble's name. Pure: time is passed in.
//!
//! Only the leader does. When leadership moves there is a moment in which two nodes think they lead; the raft term, which
//! each says along with its claim, settles which of the two is wrong.

use std::{collections::BTreeMap, time::Duration};

use api::{
    NodeId,
    join::{Announcement, BrambleId, Role, Standing},
};

/// How long a claim with a later term is believed against what this node is told by its own raft: it would be told that
/// it leads no longer within seconds. What lasts longer is made up by somebody.
const DOUBT: Duration = Duration::from_secs(120);

/// What to do about the bramble's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameStep {
    /// Answer for it, as the leader since this term.
    Publish(u64),
    /// Say goodbye and answer no longer.
    Withdraw,
    /// All is as it should be.
    Keep,
}

/// Whether this node answers for the bramble's name.
#[derive(Clone, Debug)]
pub struct OneName {
    bramble: BrambleId,
    /// The term in which this node leads, if it does.
    leads: Option<u64>,
    /// The term under which the name is published.
    published: Option<u64>,
    /// Others that claim to lead this bramble: since which term, and since when they are heard of.
    claims: BTreeMap<NodeId, (u64, Duration)>,
}

impl OneName {
    /// For a member of this bramble, which does not lead yet.
    pub fn new(bramble: BrambleId) -> Self {
        Self {
            bramble,
            leads: None,
            published: None,
            claims: BTreeMap::new(),
        }
    }

    /// The node's own controller says whether it leads, and since which term.
    pub fn leads(&mut self, term: Option<u64>) {
        self.leads = term;
    }

    /// Another node of the bramble is in sight. Only admitted nodes are to be told of here: what strangers claim does
    /// not count.
    pub fn sighted(&mut self, announcement: &Announcement, now: Duration) {
        match announcement.standing {
            Standing::Member {
                bramble,
                role: Role::Leader(term),
                ..
            } if bramble == self.bramble => {
                let claim = self.claims.entry(announcement.node).or_insert((term, now));
                if claim.0 != term {
                    *claim = (term, now);
                }
            }
            _ => self.lost(announcement.node),
        }
    }

    /// Another node is in sight no longer.
    pub fn lost(&mut self, node: NodeId) {
        self.claims.remove(&node);
    }

    /// What to do now; to be asked after every change, and every second or so. What it answers is taken as done.
    pub fn decide(&mut self, now: Duration) -> NameStep {
        let outdone = |term: u64| {
            let mut claims = self.claims.values();
            claims.any(|(later, since)| *later > term && now.saturating_sub(*since) < DOUBT)
        };
        let wanted = self.leads.filter(|term| !outdone(*term));
        if wanted == self.published {
            return NameStep::Keep;
        }
        self.published = wanted;
        wanted.map_or(NameStep::Withdraw, NameStep::Publish)
    }
}

#[cfg(test)]
mod tests {
    use api::Memory;

    use super::*;

    const BRAMBLE: BrambleId = BrambleId::from_number(1);

    fn claims(node: u128, bramble: BrambleId, role: Role) -> Announcement {
        Announcement {
            node: NodeId::from_number(node),
            standing: Standing::Member {
                bramble,
                key: None,
                role,
                work: true,
            },
            board: String::new(),
            memory: Memory::from_mib(1),
            version: String::new(),
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_while_it_leads_a_node_answers_for_the_brambles_name() {
        let mut name = OneName::new(BRAMBLE);
        assert_eq!(name.decide(at(0)), NameStep::Keep);
        name.leads(Some(3));
        assert_eq!(name.decide(at(1)), NameStep::Publish(3));
        assert_eq!(name.decide(at(2)), NameStep::Keep);
        name.leads(None);
        assert_eq!(name.decide(at(3)), NameStep::Withdraw);
        assert_eq!(name.decide(at(4)), NameStep::Keep);
    }

    #[test]
    fn of_two_that_think_they_lead_the_later_term_is_right() {
        let (mut old, mut new) = (OneName::new(BRAMBLE), OneName::new(BRAMBLE));
        old.leads(Some(3));
        new.leads(Some(4));
        assert_eq!(old.decide(at(0)), NameStep::Publish(3));
        assert_eq!(new.decide(at(0)), NameStep::Publish(4));
        old.sighted(&claims(2, BRAMBLE, Role::Leader(4)), at(1));
        new.sighted(&claims(1, BRAMBLE, Role::Leader(3)), at(1));
        assert_eq!(old.decide(at(1)), NameStep::Withdraw);
        assert_eq!(new.decide(at(1)), NameStep::Keep);
    }

    #[test]
    fn a_claim_that_is_taken_back_counts_no_longer() {
        let mut name = OneName::new(BRAMBLE);
        name.leads(Some(3));
        name.sighted(&claims(2, BRAMBLE, Role::Leader(4)), at(0));
        assert_eq!(name.decide(at(0)), NameStep::Keep);
        name.sighted(&claims(2, BRAMBLE, Role::Controller), at(1));
        assert_eq!(name.decide(at(1)), NameStep::Publish(3));
        name.sighted(&claims(2, BRAMBLE, Role::Leader(5)), at(2));
        assert_eq!(name.decide(at(2)), NameStep::Withdraw);
        name.lost(NodeId::from_number(2));
        assert_eq!(name.decide(at(3)), NameStep::Publish(3));
    }

    #[test]
    fn leaders_of_other_brambles_are_none_of_our_business() {
        let mut name = OneName::new(BRAMBLE);
        name.leads(Some(3));
        name.sighted(&claims(2, BrambleId::from_number(2), Role::Leader(9)), at(0));
        assert_eq!(name.decide(at(0)), NameStep::Publish(3));
    }

    #[test]
    fn a_false_claim_silences_the_leader_for_two_minutes_at_most() {
        let mut name = OneName::new(BRAMBLE);
        name.leads(Some(3));
        name.decide(at(0));
        for second in 1..120 {
            name.sighted(&claims(2, BRAMBLE, Role::Leader(u64::MAX)), at(second));
            assert_ne!(name.decide(at(second)), NameStep::Publish(3));
        }
        assert_eq!(name.decide(at(121)), NameStep::Publish(3));
    }
}
