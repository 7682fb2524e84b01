//! Docker's events, as a wake-up: what happened is found out by looking.

use std::{collections::HashMap, sync::Arc};

use api::NodeId;
use bollard::{Docker, query_parameters::EventsOptionsBuilder};
use futures_util::StreamExt;
use tokio::{sync::Notify, task::JoinHandle};

use super::labels;

/// Listens until it is dropped, or until Docker ends.
#[derive(Debug)]
pub(super) struct Listener(JoinHandle<()>);

impl Listener {
    /// Wakes `changed` when something happens to a container of `node`, and once when Docker ends.
    pub(super) fn new(docker: Docker, node: NodeId, changed: Arc<Notify>) -> Self {
        Self(tokio::spawn(async move {
            let text = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
            let filters = HashMap::from([
                ("type".to_owned(), text(&["container"])),
                (
                    "event".to_owned(),
                    text(&["start", "die", "destroy", "pause", "unpause"]),
                ),
                ("label".to_owned(), vec![format!("{}={node}", labels::NODE)]),
            ]);
            let options = EventsOptionsBuilder::default().filters(&filters).build();
            let mut events = std::pin::pin!(docker.events(Some(options)));
            while let Some(Ok(_)) = events.next().await {
                changed.notify_one();
            }
            changed.notify_one();
        }))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}
