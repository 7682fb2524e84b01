//! Time and chance: events in their order, and a network that cannot be relied on.

use std::collections::BTreeMap;

use agent::plan::Step;
use api::sync::{SyncAnswer, SyncRequest};

/// No message is under way, and no step of an engine takes, longer than this, in milliseconds.
pub(super) const AFTERMATH_MS: u64 = 8_000;

/// Which node, by its place in the list.
pub(super) type NodeNumber = usize;

/// Something that is going to happen.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// An agent's process begins, if the node has power.
    AgentStarts(NodeNumber),
    /// An agent looks around; its process is the `boot`-th.
    AgentTick { node: NodeNumber, boot: u64 },
    /// A step of an agent comes to its end.
    StepEnds {
        node: NodeNumber,
        boot: u64,
        power: u64,
        step: Box<Step>,
        fails: bool,
    },
    /// A sync request reaches the controller.
    Asked {
        node: NodeNumber,
        boot: u64,
        number: u64,
        request: Box<SyncRequest>,
    },
    /// An answer reaches an agent.
    Answered {
        node: NodeNumber,
        boot: u64,
        number: u64,
        answer: Box<SyncAnswer>,
    },
    /// The controller's process begins.
    ControllerStarts,
    /// The controller looks around; its process is the `life`-th.
    ControllerTick { life: u64 },
    /// The disk has written and synced a batch.
    DiskDone { life: u64 },
    /// Somebody does something.
    UserActs,
    /// Somebody invokes a function.
    Invocation,
    /// Something breaks.
    Fault,
    /// A node is reached again.
    Reconnects(NodeNumber),
}

/// The clock, what is going to happen, and luck.
#[derive(Debug)]
pub(super) struct World {
    /// Milliseconds since the start.
    pub(super) now: u64,
    pub(super) luck: fastrand::Rng,
    /// By time, then in the order in which they were thought of.
    events: BTreeMap<(u64, u64), Event>,
    thought_of: u64,
    /// Whether messages get lost and repeated.
    pub(super) unreliable: bool,
    pub(super) lost_messages: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: 0,
            luck: fastrand::Rng::with_seed(seed),
            events: BTreeMap::new(),
            thought_of: 0,
            unreliable: true,
            lost_messages: 0,
        }
    }

    /// Lets `event` happen `after_ms` from now.
    pub(super) fn after(&mut self, after_ms: u64, event: Event) {
        self.thought_of += 1;
        self.events.insert((self.now + after_ms, self.thought_of), event);
    }

    /// The next event; the clock jumps to it.
    pub(super) fn next(&mut self) -> Option<Event> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        Some(event)
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.luck.f64() < probability
    }

    /// A number from `range`.
    pub(super) fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.luck.u64(range)
    }

    /// Sends a message over the network: it arrives soon, late, twice or never, and others may overtake it.
    pub(super) fn send(&mut self, message: Event) {
        if self.unreliable && self.happens(0.02) {
            self.lost_messages += 1;
            return;
        }
        if self.unreliable && self.happens(0.02) {
            let delay = self.delay();
            self.after(delay, message.clone());
        }
        let delay = self.delay();
        self.after(delay, message);
    }

    fn delay(&mut self) -> u64 {
        if self.unreliable && self.happens(0.03) {
            self.within(100..AFTERMATH_MS / 2)
        } else {
            self.within(1..15)
        }
    }
}
