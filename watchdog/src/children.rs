//! Starting processes, learning how they ended, and ending them with everything they started.
//!
//! Every child leads its own process group. One task collects *all* ended children of this process: ours, whose
//! status is handed to whoever waits for it, and orphans that fell to us because we are PID 1 of a container.
//! That is why no other code here waits for a process.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::rc::Rc;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::signal::unix;
use tokio::sync::oneshot;

/// The living children, by id.
#[derive(Default)]
pub(crate) struct Children {
    living: RefCell<HashMap<Pid, oneshot::Sender<Ended>>>,
}

/// How a process ended, in Go's words, which users of OpenFaaS know: `exit status 3`, `signal: killed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Killed(i32),
}

impl Ended {
    pub(crate) const fn well(self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

impl From<WaitStatus> for Ended {
    fn from(status: WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Killed(signal.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(out, "exit status {code}"),
            Self::Killed(9) => write!(out, "signal: killed"),
            Self::Killed(11) => write!(out, "signal: segmentation fault"),
            Self::Killed(15) => write!(out, "signal: terminated"),
            Self::Killed(signal) => write!(out, "signal: {signal}"),
        }
    }
}

impl Children {
    /// Starts `command` in a process group of its own. The group is killed when the returned [`Group`] is dropped
    /// without [`Group::let_be`].
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(crate) fn spawn(
        self: &Rc<Self>,
        command: &mut Command,
    ) -> io::Result<(Child, Group, oneshot::Receiver<Ended>)> {
        let child = command.process_group(0).spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let leader = pid.ok_or_else(|| io::Error::other("the system gave a process no usable id"))?;
        let (ended, when_ended) = oneshot::channel();
        // Nothing awaits between the spawn and this line, so the collector cannot have seen the child yet.
        self.living.borrow_mut().insert(leader, ended);
        Ok((
            child,
            Group {
                leader,
                children: Some(self.clone()),
            },
            when_ended,
        ))
    }

    /// Collects ended children for as long as it is polled. `when_any_ends` must have been set up before the first
    /// spawn.
    pub(crate) async fn collect(&self, mut when_any_ends: unix::Signal) {
        loop {
            while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
                if let Some(waiting) = self.living.borrow_mut().remove(&pid) {
                    // The call that waited may be gone; then nobody needs to know.
                    _ = waiting.send(status.into());
                }
            }
            when_any_ends.recv().await;
        }
    }

    /// Kills the group of every living child.
    pub(crate) fn kill_all(&self) {
        for leader in self.living.borrow().keys() {
            _ = rustix::process::kill_process_group(*leader, Signal::KILL);
        }
    }

    fn lives(&self, leader: Pid) -> bool {
        self.living.borrow().contains_key(&leader)
    }
}

/// A child and all it started that did not leave its process group. Dropping it kills them.
pub(crate) struct Group {
    leader: Pid,
    children: Option<Rc<Children>>,
}

impl Group {
    /// Whatever still runs may go on.
    pub(crate) fn let_be(mut self) {
        self.children = None;
    }

    /// A handle that can kill the group while somebody else owns it.
    pub(crate) fn killer(&self) -> Killer {
        Killer {
            leader: self.leader,
            children: self.children.clone(),
        }
    }

    /// Sends SIGTERM to the leader alone: it knows best how to end its own helpers.
    pub(crate) fn ask_leader_to_end(&self) {
        if self
            .children
            .as_ref()
            .is_some_and(|children| children.lives(self.leader))
        {
            _ = rustix::process::kill_process(self.leader, Signal::TERM);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Also when the leader has ended: a helper it left behind may hold our pipe, and keeps the group's id taken.
        if self.children.is_some() {
            _ = rustix::process::kill_process_group(self.leader, Signal::KILL);
        }
    }
}

/// Kills a group whose leader still lives.
pub(crate) struct Killer {
    leader: Pid,
    children: Option<Rc<Children>>,
}

impl Killer {
    pub(crate) fn kill(&self) {
        if self
            .children
            .as_ref()
            .is_some_and(|children| children.lives(self.leader))
        {
            _ = rustix::process::kill_process_group(self.leader, Signal::KILL);
        }
    }
}
