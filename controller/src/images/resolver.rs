//! Finds out what the images of functions mean, before their replicas are placed.
//!
//! Level-triggered: each look goes over all functions that lack their image. What the bramble itself knows costs
//! nothing and is looked at every second; registries are asked with growing pauses.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use api::{
    FunctionName, Platform,
    images::{ImageFacts, Reference},
};
use cluster::{
    Action, State,
    images::{Meaning, learned, meaning},
    state::NodePhase,
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::credentials;
use crate::{
    Controller,
    registry::{RegistryError, look_up},
};

/// Time between looks when nothing seems to have changed.
const TICK: Duration = Duration::from_secs(1);

/// How long a new leader waits for nodes to say what they hold, before it asks a registry for what one of them may
/// have built.
const PATIENCE: Duration = Duration::from_secs(5);

/// Registries that are asked at the same time: more would only make each other slow on a school's line.
const AT_ONCE: usize = 4;

/// Pause after a first failed question, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(120));

/// Whose image, of which deployment.
type Wanted = (FunctionName, u64);

/// How asking for one image stands.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// How often it was asked for.
    times: u32,
    /// Not before this it is asked for again; `None` while an answer is waited for.
    next: Option<Instant>,
}

/// What came of a question.
struct Answer {
    wanted: Wanted,
    reference: Reference,
    otherwise: Option<ImageFacts>,
    result: Result<ImageFacts, RegistryError>,
}

/// Runs until `stop`; does something only while this controller leads.
pub(crate) async fn run(controller: Controller, stop: CancellationToken) {
    let mut resolver = Resolver {
        controller,
        attempts: BTreeMap::new(),
        asking: JoinSet::new(),
        leads_since: None,
        learned_at: None,
    };
    let mut state = resolver.controller.raft.watch();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
            changed = state.changed() => if changed.is_err() { return },
            Some(answer) = resolver.asking.join_next() => {
                // Aborted where another controller leads by now.
                if let Ok(answer) = answer {
                    resolver.take(answer).await;
                }
            }
        }
        let seen = state.borrow_and_update().clone();
        let actions = resolver.look(&seen);
        // What is held as `Arc` while a command is applied costs a copy of the state.
        drop(seen);
        for action in actions {
            resolver.controller.desk.propose(action).await;
        }
    }
}

struct Resolver {
    controller: Controller,
    attempts: BTreeMap<Wanted, Attempt>,
    asking: JoinSet<Answer>,
    leads_since: Option<Instant>,
    /// What was last looked at for news on pinned images: revision, and count of holdings that came.
    learned_at: Option<(u64, u64)>,
}

impl Resolver {
    /// One look at the whole, and what to propose.
    fn look(&mut self, state: &State) -> Vec<Action> {
        if !self.controller.raft.leadership().borrow().is_me {
            self.leads_since = None;
            self.attempts.clear();
            self.asking.abort_all();
            return Vec::new();
        }
        let now = Instant::now();
        let settled = now.duration_since(*self.leads_since.get_or_insert(now)) >= PATIENCE;
        let lacking: BTreeMap<Wanted, &str> = state
            .functions()
            .iter()
            .filter(|(_, function)| function.lacks_image())
            .map(|(name, function)| ((name.clone(), function.version), function.spec.image.as_str()))
            .collect();
        self.attempts.retain(|wanted, _| lacking.contains_key(wanted));
        let mut actions = self.news(state);
        for (wanted, image) in lacking {
            let at = self.controller.clock.wall();
            let found = meaning(state, &self.controller.desk.memory(), image, at);
            match found {
                Meaning::Found(facts) => actions.extend(pin(state, &wanted, facts)),
                Meaning::Nothing(problem) => {
                    actions.extend(pin(state, &wanted, ImageFacts::nowhere(problem, at)));
                }
                Meaning::Ask { early: true, .. } if !settled => {}
                Meaning::Ask {
                    reference, otherwise, ..
                } => self.ask(state, wanted, reference, otherwise, now),
            }
        }
        actions
    }

    /// What nodes found out of images that are pinned already.
    fn news(&mut self, state: &State) -> Vec<Action> {
        let memory = self.controller.desk.memory();
        let at = (state.revision().0, memory.holdings_heard());
        if self.learned_at.replace(at) == Some(at) {
            return Vec::new();
        }
        learned(state, &memory)
    }

    /// Begins to ask, if it is time to.
    fn ask(
        &mut self,
        state: &State,
        wanted: Wanted,
        reference: Reference,
        otherwise: Option<ImageFacts>,
        now: Instant,
    ) {
        let before = self.attempts.get(&wanted).copied();
        let due = before.is_none_or(|before| before.next.is_some_and(|next| now >= next));
        if !due || self.asking.len() >= AT_ONCE {
            return;
        }
        let times = before.map_or(1, |before| before.times.saturating_add(1));
        self.attempts
            .insert(wanted.clone(), Attempt { times, next: None });
        if times == 1 {
            info!(image = %reference, "asking its registry");
        }
        let up = state.nodes().values().filter(|node| node.phase == NodePhase::Up);
        let platforms: BTreeSet<Platform> = up.flat_map(|node| node.facts.platforms.clone()).collect();
        let credentials = credentials::of(&self.controller.vault, state, &wanted.0, &reference);
        let at = self.controller.clock.wall();
        self.asking.spawn(async move {
            let result = look_up(&reference, &platforms, credentials.as_ref(), at).await;
            Answer {
                wanted,
                reference,
                otherwise,
                result,
            }
        });
    }

    async fn take(&mut self, answer: Answer) {
        let Answer {
            wanted,
            reference,
            otherwise,
            result,
        } = answer;
        if let Some(attempt) = self.attempts.get_mut(&wanted) {
            attempt.next = Some(Instant::now() + pause(attempt.times - 1));
        }
        let at = self.controller.clock.wall();
        let facts = match (result, otherwise) {
            (Ok(facts), _) if facts.variants.is_empty() => ImageFacts::nowhere(
                format!("{reference} is made for no platform that runs programs"),
                at,
            ),
            (Ok(facts), _) => facts,
            (Err(error), Some(known)) => {
                info!(image = %reference, %error, "taking what a node fetched before");
                known
            }
            (Err(error), None) => ImageFacts::nowhere(problem(&reference, &error), at),
        };
        let state = self.controller.state();
        if let Some(action) = pin(&state, &wanted, facts) {
            self.controller.desk.propose(action).await;
        }
    }
}

fn pause(failures: u32) -> Duration {
    RETRY.0.saturating_mul(1 << failures.min(16)).min(RETRY.1)
}

/// Why an image is not found, and what helps.
fn problem(reference: &Reference, error: &RegistryError) -> String {
    let cure = match error {
        RegistryError::Unreachable { .. } => {
            format!("send it from your computer with `bramble image push {reference}`")
        }
        RegistryError::NotFound { .. } => {
            format!("check its name and tag, or send it with `bramble image push {reference}`")
        }
        RegistryError::Denied { .. } => format!(
            "check its name, or keep credentials for {} in a secret named {}",
            reference.registry(),
            credentials::SECRET
        ),
        RegistryError::TooMany { .. } => "it is asked again".to_owned(),
        RegistryError::Strange { .. } => format!("try `bramble image push {reference}`"),
    };
    format!("no node holds {reference}, and {error}; {cure}")
}

/// The command that says so, unless the state says so already.
fn pin(state: &State, wanted: &Wanted, facts: ImageFacts) -> Option<Action> {
    let (name, version) = wanted;
    let function = state
        .function(name)
        .filter(|function| function.version == *version)?;
    let known = function.image.as_ref().map(|facts| &facts.problem);
    if facts.problem.is_some() && known == Some(&facts.problem) {
        return None;
    }
    Some(Action::PinImage {
        function: name.clone(),
        version: *version,
        facts: Arc::new(facts),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_two_minutes() {
        let seconds: Vec<u64> = (0..8).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(pause(u32::MAX), RETRY.1);
    }

    #[test]
    fn a_problem_names_the_cure() {
        let reference: Reference = "ghcr.io/x/y:1".parse().unwrap();
        let error = RegistryError::Unreachable {
            registry: "ghcr.io".to_owned(),
            reason: "no answer".to_owned(),
        };
        assert_eq!(
            problem(&reference, &error),
            "no node holds ghcr.io/x/y:1, and ghcr.io cannot be reached (no answer); send it from your computer with \
             `bramble image push ghcr.io/x/y:1`"
        );
    }
}
