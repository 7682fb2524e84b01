//! What pages show while they are open: nodes, functions, activity and who waits to be admitted, rendered once for all who look.
//!
//! Level-triggered: each kind is a whole, never a difference, so whoever is late or new sees the same. Nothing is
//! rendered while nobody looks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::Revision;
use cluster::views;
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{desk::Desk, joining::Joining};

/// Shortest time between two renderings: twice a second is as live as people can follow.
const PAUSE: Duration = Duration::from_millis(500);

/// Nodes are rendered at this pace though the state did not change: their load and memory did.
const VITALS_EVERY: Duration = Duration::from_secs(2);

/// Events that pages show.
const EVENTS_SHOWN: usize = 50;

/// Pages that may look at the same time: a class with two tabs each.
const MAX_LISTENERS: usize = 128;

/// Nobody waits, as JSON.
const NOBODY: &str = "[]";

/// What is shown, as JSON; `None` until it is rendered.
type Shown = Option<Arc<str>>;

/// The renderings and those who look at them. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    desk: Desk,
    nodes: watch::Sender<Shown>,
    functions: watch::Sender<Shown>,
    activity: watch::Sender<Shown>,
    waiting: watch::Sender<Shown>,
    joining: Joining,
    listeners: AtomicUsize,
    rendering: AtomicBool,
    closing: CancellationToken,
}

/// Somebody who looks, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) nodes: watch::Receiver<Shown>,
    pub(crate) functions: watch::Receiver<Shown>,
    pub(crate) activity: watch::Receiver<Shown>,
    /// Nodes that wait to be admitted; not told as long as nobody does.
    pub(crate) waiting: watch::Receiver<Shown>,
    /// Cancelled when this controller ends.
    pub(crate) closing: CancellationToken,
    inner: Arc<Inner>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.inner.listeners.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Live {
    pub(crate) fn new(desk: Desk, joining: Joining) -> Self {
        Self {
            inner: Arc::new(Inner {
                desk,
                nodes: watch::Sender::new(None),
                functions: watch::Sender::new(None),
                activity: watch::Sender::new(None),
                waiting: watch::Sender::new(Some(NOBODY.into())),
                joining,
                listeners: AtomicUsize::new(0),
                rendering: AtomicBool::new(false),
                closing: CancellationToken::new(),
            }),
        }
    }

    /// Lets somebody look; `None` where too many do.
    pub(crate) fn listen(&self) -> Option<Listener> {
        let inner = Arc::clone(&self.inner);
        if inner.listeners.fetch_add(1, Ordering::AcqRel) >= MAX_LISTENERS {
            inner.listeners.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let mut listener = Listener {
            nodes: inner.nodes.subscribe(),
            functions: inner.functions.subscribe(),
            activity: inner.activity.subscribe(),
            waiting: inner.waiting.subscribe(),
            closing: inner.closing.clone(),
            inner,
        };
        // What is there is news to someone new.
        listener.nodes.mark_changed();
        listener.functions.mark_changed();
        listener.activity.mark_changed();
        if listener.waiting.borrow().as_deref() != Some(NOBODY) {
            listener.waiting.mark_changed();
        }
        if !self.inner.rendering.swap(true, Ordering::AcqRel) {
            tokio::spawn(render_while_looked_at(Arc::clone(&self.inner)));
        }
        Some(listener)
    }

    /// Cancelled when this controller stops.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.inner.closing.clone()
    }

    /// Ends every stream: this controller stops.
    pub(crate) fn close(&self) {
        self.inner.closing.cancel();
    }
}

/// Renders what changed, until nobody looks any more.
async fn render_while_looked_at(inner: Arc<Inner>) {
    let mut state = inner.desk.state();
    let mut vitals_shown: Option<Instant> = None;
    let mut revision: Option<Revision> = None;
    loop {
        if inner.listeners.load(Ordering::Acquire) == 0 || inner.closing.is_cancelled() {
            // Whoever comes next sees nothing stale.
            for shown in [&inner.nodes, &inner.functions, &inner.activity] {
                shown.send_replace(None);
            }
            inner.waiting.send_replace(Some(NOBODY.into()));
            inner.rendering.store(false, Ordering::Release);
            // Somebody may have come between the look and the store.
            let deserted = inner.listeners.load(Ordering::Acquire) == 0 || inner.closing.is_cancelled();
            if deserted || inner.rendering.swap(true, Ordering::AcqRel) {
                return;
            }
            vitals_shown = None;
            revision = None;
        }
        let seen = state.borrow_and_update().clone();
        let changed = revision != Some(seen.revision());
        revision = Some(seen.revision());
        let vitals_due = vitals_shown.is_none_or(|at| at.elapsed() >= VITALS_EVERY);
        {
            let memory = inner.desk.memory();
            if changed || vitals_due {
                show(&inner.nodes, &views::nodes(&seen, &memory));
                vitals_shown = Some(Instant::now());
            }
            show(&inner.functions, &views::function_summaries(&seen, &memory));
        }
        show(&inner.waiting, &inner.joining.list(&seen));
        if changed {
            let mut events = views::events(&seen);
            events.truncate(EVENTS_SHOWN);
            show(&inner.activity, &events);
        }
        // What is held as `Arc` while a command is applied costs a copy of the state.
        drop(seen);
        sleep(PAUSE).await;
    }
}

/// Tells those who look, if there is anything new to see.
fn show(shown: &watch::Sender<Shown>, what: &impl Serialize) {
    let Ok(json) = serde_json::to_string(what) else {
        return;
    };
    shown.send_if_modified(|last| {
        let news = last.as_deref() != Some(json.as_str());
        if news {
            *last = Some(json.into());
        }
        news
    });
}
