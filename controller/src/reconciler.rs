//! The leader's loop: compares what is asked with what is there, and proposes the difference.
//!
//! Level-triggered: woken by every change of the state, by the desk's bell and by a timer; it always looks at the
//! whole. The deciding is `cluster::plan` and `cluster::liveness`.

use std::{sync::Arc, time::Duration};

use cluster::plan::{Observed, plan};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    clock::Clock,
    desk::Desk,
    raft::{Leadership, Raft},
};

/// Time between looks when nothing seems to have changed: silence of a node is noticed by looking.
const TICK: Duration = Duration::from_millis(250);

/// Plans that may follow each other without a pause. Each should bring the state closer to what is wanted; a planner
/// that does not come to rest must not fill the log.
const MAX_PLANS_AT_ONCE: u32 = 16;

/// Runs until `stop`, then keeps the last counts.
pub(crate) async fn run(desk: &Desk, raft: &Raft, clock: Clock, stop: CancellationToken) {
    let mut state = raft.watch();
    let mut leadership = raft.leadership();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut led_in_term = None;
    let mut plans = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = tick.tick() => plans = 0,
            changed = state.changed(), if plans < MAX_PLANS_AT_ONCE => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = desk.bell.notified() => {}
        }
        let term = leading_term(&leadership);
        if term != led_in_term {
            if term.is_some() {
                info!(?term, "leads the bramble");
                desk.clear();
            }
            led_in_term = term;
        }
        if term.is_some() {
            plans += 1;
            pass(desk, raft, &mut state, clock).await;
        }
    }
    if leading_term(&leadership).is_some() {
        let checkpoint = desk.memory().totals.checkpoint(&raft.watch().borrow());
        if let Some(checkpoint) = checkpoint {
            desk.propose(checkpoint).await;
        }
    }
}

fn leading_term(leadership: &watch::Receiver<Leadership>) -> Option<u64> {
    let leadership = leadership.borrow();
    leadership.is_me.then_some(leadership.term)
}

/// One look at the whole, and the proposals that follow from it. Each stands for itself: what is refused because the
/// state moved on is decided anew with the next look.
async fn pass(desk: &Desk, raft: &Raft, state: &mut watch::Receiver<Arc<cluster::State>>, clock: Clock) {
    let seen = state.borrow_and_update().clone();
    if !seen.is_founded() {
        return;
    }
    let now = clock.now();
    let actions = {
        let mut memory = desk.memory();
        let mut actions = memory.liveness.losses(&seen, now);
        actions.extend(memory.totals.due(&seen, now));
        memory.forget_served(&seen);
        let observed = Observed {
            leader: raft.id(),
            waiting: memory.waiting(&seen),
        };
        actions.extend(plan(&seen, &observed).actions);
        actions
    };
    // What is held as `Arc` while a command is applied costs a copy of the state.
    drop(seen);
    for action in actions {
        desk.propose(action).await;
    }
}
