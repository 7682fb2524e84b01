//! How the state changes: one `match` over everything that can happen.
//!
//! Runs on every controller, in every version of this program that is out there, so it decides nothing: no clock, no
//! randomness, no scheduling; what was decided is in the command. A refused command leaves the state as it was.

mod devices;
mod dissolving;
mod functions;
mod images;
mod lights;
mod nodes;
mod replicas;
mod secrets;
#[cfg(test)]
mod tests;
mod users;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{FunctionName, NodeId, Revision, Timestamp};

use crate::{
    command::{Action, Actor, Command},
    outcome::{Outcome, Refusal},
    state::{Authority, Event, MAX_EVENTS, State},
    totals::FunctionTotals,
};

/// How long the bramble does not repeat a sentence.
const QUIET: Duration = Duration::from_secs(600);

impl State {
    /// Applies one committed command.
    pub fn apply(&mut self, command: Command) -> Outcome {
        let revision = self.revision.0 + 1;
        let mut change = Change {
            state: self,
            at: command.at,
            actor: &command.actor,
            revision,
        };
        match change.checked(command.action) {
            Ok(()) => {
                self.revision = Revision(revision);
                self.worked |= matches!(command.actor, Actor::User(_));
                Outcome::Applied(self.revision)
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }
}

/// One command being applied.
struct Change<'a> {
    state: &'a mut State,
    /// When it was proposed.
    at: Timestamp,
    actor: &'a Actor,
    /// The revision that the state has afterwards, unless the command is refused.
    revision: u64,
}

impl Change<'_> {
    /// What a person changes in a bramble that has ended would be lost.
    fn checked(&mut self, action: Action) -> Result<(), Refusal> {
        match (self.actor, self.state.dissolved) {
            (Actor::User(_), Some(into)) => Err(Refusal::Dissolved(into)),
            _ => self.make(action),
        }
    }

    /// Every branch first checks, then changes.
    fn make(&mut self, action: Action) -> Result<(), Refusal> {
        match action {
            Action::Found { name } => self.found(name),
            Action::AdmitNode {
                id,
                facts,
                controller,
                awaited,
            } => {
                self.admit_node(id, *facts, controller, awaited);
                Ok(())
            }
            Action::RefuseNode { id, name } => {
                self.refuse_node(id, &name);
                Ok(())
            }
            Action::NoteAttempt { text } => {
                self.record(None, None, text);
                Ok(())
            }
            Action::SetController { id, controller } => self.set_controller(id, controller),
            Action::WishController { id, wish } => self.wish_controller(id, wish),
            Action::WantControllers { count } => {
                self.state.controllers_wanted = count;
                Ok(())
            }
            Action::NameNode { id, name } => self.name_node(id, name),
            Action::UpdateFacts { id, facts } => self.update_facts(id, *facts),
            Action::MarkNode { id, phase } => self.mark_node(id, phase),
            Action::Cordon { id, cordoned } => self.cordon(id, cordoned),
            Action::AllowDevices { id, devices } => self.allow_devices(id, devices),
            Action::RemoveNode { id } => self.remove_node(id),
            Action::ReplaceNode { id, old } => self.replace_node(id, old),
            Action::Lead { id } => self.lead(id),
            Action::PutFunction { spec, expect } => self.put_function(spec, expect),
            Action::RemoveFunction { name } => self.remove_function(&name),
            Action::ScaleFunction { name, replicas } => self.scale_function(&name, replicas),
            Action::Assign {
                relies_on,
                place,
                drain,
            } => self.assign(&relies_on, place, &drain),
            Action::ReplicaPhases { node, changes, gone } => self.replica_phases(node, changes, &gone),
            Action::PutImageFacts { .. } => Ok(()),
            Action::PinImage {
                function,
                version,
                facts,
            } => self.pin_image(&function, version, facts),
            Action::PutImage { name, facts } => {
                self.put_image(name, facts);
                Ok(())
            }
            Action::RemoveImage { name } => self.remove_image(&name),
            Action::CleanImages { node, cleaned } => {
                self.note_cleaned(node, &cleaned);
                Ok(())
            }
            Action::PutSecret { name, value, expect } => self.put_secret(name, value, expect),
            Action::RemoveSecret { name } => self.remove_secret(&name),
            Action::PutKey { node, id, key } => self.put_key(node, id, key),
            Action::PutAuthority { certificate, key } => {
                self.state.authority = Some(Authority { certificate, key });
                Ok(())
            }
            Action::PutFirstVisitCode { code } => {
                self.put_first_visit_code(code);
                Ok(())
            }
            Action::Identify { id, until } => self.identify(id, until),
            Action::SetLights { settings } => {
                self.set_lights(settings);
                Ok(())
            }
            Action::PutUser {
                name,
                password_hash,
                role,
            } => {
                self.put_user(name, password_hash, role);
                Ok(())
            }
            Action::OpenSession { id, user } => self.open_session(id, user),
            Action::CloseSessions { ids } => {
                self.close_sessions(&ids);
                Ok(())
            }
            Action::Dissolve { into, give_up } => self.dissolve(into, give_up),
            Action::CheckpointTotals { totals } => {
                self.checkpoint_totals(totals);
                Ok(())
            }
        }
    }

    fn found(&mut self, name: String) -> Result<(), Refusal> {
        if self.state.is_founded() {
            return Err(Refusal::AlreadyFounded);
        }
        self.state.epoch = 1;
        self.record(None, None, format!("The bramble {name} was founded."));
        self.state.name = name;
        self.routes_changed();
        Ok(())
    }

    /// Once somebody can sign in there is no first visit any more.
    fn put_first_visit_code(&mut self, code: String) {
        if self.state.users.is_empty() {
            self.state.first_visit_code = Some(code);
        }
    }

    /// Totals of functions that were removed meanwhile are not brought back.
    fn checkpoint_totals(&mut self, totals: BTreeMap<FunctionName, FunctionTotals>) {
        for (name, totals) in totals {
            if self.state.functions.contains_key(&name) {
                self.state.totals.insert(name, Arc::new(totals));
            }
        }
    }

    /// Says that gateways may have to go by other routes.
    fn routes_changed(&mut self) {
        self.state.routes_revision = self.revision;
    }

    /// Keeps what happened, for people. What the bramble has said lately is not repeated: a crash loop would push
    /// out everything else.
    fn record(&mut self, function: Option<FunctionName>, node: Option<NodeId>, text: String) {
        let lately = |event: &Arc<Event>| self.at.since(event.time) < QUIET && event.text == text;
        let activity = &mut self.state.activity;
        if *self.actor == Actor::Bramble && activity.iter().rev().take(16).any(lately) {
            return;
        }
        while activity.len() >= MAX_EVENTS {
            activity.pop_front();
        }
        activity.push_back(Arc::new(Event {
            time: self.at,
            actor: self.actor.clone(),
            function,
            node,
            text,
        }));
    }
}
