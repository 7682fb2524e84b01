//! Who should be a controller: the leader's loop around `cluster::autopilot`, one step at a time.
//!
//! A node is asked to run a controller before it becomes a member, and asked no longer only after it has left: in
//! between it has to answer. The membership is Raft's own; the state says who is asked.

use std::{collections::BTreeSet, time::Duration};

use api::NodeId;
use cluster::{
    Action,
    autopilot::{Membership, Patience, Step, candidates, step},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::{Controller, http::ApiError, raft::Members};

/// Time between looks.
const LOOK: Duration = Duration::from_secs(1);

/// How long a controller that is to leave may take to hand over what it has.
const LEAVE_PATIENCE: Duration = Duration::from_secs(20);

/// Until `stop`: whenever this controller leads, it takes the next step.
pub(crate) async fn run(controller: &Controller, stop: &CancellationToken) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut patience = Patience::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        if !controller.raft.leadership().borrow().is_me {
            patience = Patience::default();
        } else if controller.state().is_founded() {
            pass(controller, &mut patience).await;
        }
    }
}

fn all(members: &Members) -> BTreeSet<NodeId> {
    members.voters.union(&members.learners).copied().collect()
}

async fn pass(controller: &Controller, patience: &mut Patience) {
    let members = controller.raft.members();
    let next = {
        let membership = Membership {
            voters: members.voters.clone(),
            learners: members.learners.clone(),
            caught_up: members.caught_up.clone(),
            leader: controller.id,
        };
        let (state, now) = (controller.state(), controller.clock.now());
        patience.look(&membership, now);
        let candidates = candidates(&state, &controller.desk.memory(), patience, now);
        step(&candidates, &membership, state.controllers_wanted())
    };
    let asked = |id: NodeId| controller.state().node(id).is_some_and(|node| node.controller);
    let outcome = match next {
        Step::Nothing => {
            let_go(controller, &all(&members)).await;
            return;
        }
        Step::AddLearner(id) => {
            if !asked(id) {
                controller
                    .desk
                    .propose(Action::SetController { id, controller: true })
                    .await;
            }
            controller.raft.add_learner(id).await
        }
        Step::SetVoters(ref voters) => controller.raft.set_voters(voters.clone()).await,
        Step::Remove(id) => controller.raft.remove_learner(id).await,
        Step::TransferLeadership(id) => {
            if let Err(error) = controller.raft.transfer_leadership(id).await {
                debug!(%error, "leadership stays for now");
            }
            return;
        }
    };
    match outcome {
        Ok(()) => info!(step = ?next, "the controllers change"),
        Err(error) => debug!(step = ?next, %error, "the controllers do not change yet"),
    }
}

/// Asks nodes that have left the members to run a controller no longer.
async fn let_go(controller: &Controller, members: &BTreeSet<NodeId>) {
    let state = controller.state();
    let left = |(id, node): &(&NodeId, &std::sync::Arc<cluster::state::Node>)| {
        node.controller && !members.contains(*id)
    };
    let left: Vec<NodeId> = state.nodes().iter().filter(left).map(|(id, _)| *id).collect();
    drop(state);
    for id in left {
        controller
            .desk
            .propose(Action::SetController {
                id,
                controller: false,
            })
            .await;
    }
}

impl Controller {
    /// Has a node that is to be removed be no controller any more.
    pub(crate) async fn let_leave(&self, id: NodeId) -> Result<(), ApiError> {
        if id == self.id && self.state().nodes().len() > 1 {
            return Err(ApiError::conflict(
                "this node leads the bramble: exclude it from being a controller first, and remove it when another leads",
            ));
        }
        if id == self.id {
            return Err(ApiError::conflict("this is the only node of the bramble"));
        }
        let deadline = Instant::now() + LEAVE_PATIENCE;
        loop {
            let members = self.raft.members();
            let outcome = if members.voters.contains(&id) {
                let mut voters = members.voters;
                voters.remove(&id);
                self.raft.set_voters(voters).await
            } else if members.learners.contains(&id) {
                self.raft.remove_learner(id).await
            } else {
                return Ok(());
            };
            if let Err(error) = outcome {
                if Instant::now() > deadline {
                    return Err(ApiError::conflict(format!(
                        "it cannot stop being a controller at the moment: {error}"
                    )));
                }
                sleep(LOOK).await;
            }
        }
    }
}
