//! One replica as a child process: started, listened to, ended.

use std::{
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver,
    process::{Child, ChildStdin},
    runtime::Handle,
    sync::{Notify, oneshot, watch},
    time::timeout,
};

use super::output::Output;

/// Starts children from one thread that lives as long as the engine: a child that is told to end with its parent
/// ends with the *thread* that started it.
#[derive(Debug)]
pub(super) struct Spawner(mpsc::Sender<Order>);

#[derive(Debug)]
struct Order {
    command: Command,
    /// Learns of the child's end.
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for order in receiver {
                let _context = order.runtime.enter();
                let child = tokio::process::Command::from(order.command).spawn();
                // Nobody waits any more where the start was given up: the child ends with its dropped input.
                _ = order.answer.send(child);
            }
        });
        Self(sender)
    }

    async fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the thread that starts replicas ended");
        let (answer, started) = oneshot::channel();
        let order = Order {
            command,
            runtime: Handle::current(),
            answer,
        };
        self.0.send(order).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

/// A child process and its group.
#[derive(Debug)]
pub(super) struct Running {
    group: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
    output: Output,
    /// The watchdog ends when this does, and it does when this node does.
    _input: Option<ChildStdin>,
}

impl Running {
    /// Starts `command` in a group of its own; `changed` is notified when it ends.
    pub(super) async fn start(
        spawner: &Spawner,
        mut command: Command,
        changed: Arc<Notify>,
    ) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let mut child = spawner.spawn(command).await?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let group = pid.ok_or_else(|| io::Error::other("the system gave no process id"))?;
        let output = Output::default();
        let reader = Receiver::from_owned_fd(reader.into())?;
        let listener = tokio::spawn(listen(reader, output.clone()));
        let input = child.stdin.take();
        let (sender, ended) = watch::channel(None);
        tokio::spawn(async move {
            let status = child.wait().await.ok();
            // Processes that it left behind.
            _ = kill_process_group(group, Signal::KILL);
            // Its last words may still be on their way; a grandchild that holds the pipe is not waited for.
            _ = timeout(Duration::from_millis(200), listener).await;
            sender.send_replace(Some(status.unwrap_or_default()));
            changed.notify_one();
        });
        Ok(Self {
            group,
            ended,
            output,
            _input: input,
        })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// Exit code as shells count it, once it has ended.
    pub(super) fn code(&self) -> Option<i32> {
        let status = (*self.ended.borrow())?;
        status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
    }

    /// What it writes.
    pub(super) fn output(&self) -> &Output {
        &self.output
    }

    pub(super) fn signal(&self, signal: Signal) {
        if self.ended.borrow().is_none() {
            // Ended in between: then it needs no signal.
            _ = kill_process_group(self.group, signal);
        }
    }

    /// Something to wait for its end with, apart from this.
    pub(super) fn end(&self) -> End {
        End {
            group: self.group,
            ended: self.ended.clone(),
        }
    }
}

/// The end of a child, to be waited for or brought about.
#[derive(Debug)]
pub(super) struct End {
    group: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl End {
    /// Asks it to end, waits for `grace`, ends it.
    pub(super) async fn bring_about(mut self, grace: Duration) {
        let signal = |signal| _ = kill_process_group(self.group, signal);
        if self.ended.borrow().is_some() {
            return;
        }
        signal(Signal::TERM);
        // A stopped process hears nothing.
        signal(Signal::CONT);
        if timeout(grace, self.ended.wait_for(Option::is_some))
            .await
            .is_err()
        {
            signal(Signal::KILL);
            _ = self.ended.wait_for(Option::is_some).await;
        }
    }
}

async fn listen(mut reader: Receiver, output: Output) {
    let mut piece = [0; 1024];
    while let Ok(n @ 1..) = reader.read(&mut piece).await {
        output.write(&piece[..n]);
    }
    output.end();
}
