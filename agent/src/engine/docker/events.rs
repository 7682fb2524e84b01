//! Docker's events, as a wake-up: what happened is found out by looking.

use std::{collections::HashMap, sync::Arc, time::Duration};

use api::NodeId;
use bollard::{Docker, query_parameters::EventsOptionsBuilder};
use futures_util::{Stream, StreamExt};
use tokio::{sync::Notify, task::JoinHandle, time::timeout};

use super::labels;

/// Docker tells of a death before its list shows it: it frees the container's network first. Who looks at once sees
/// it running, so there is another look this long after the last event, and one more.
const AFTERTHOUGHTS: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];

/// Listens until it is dropped, or until Docker ends.
#[derive(Debug)]
pub(super) struct Listener([JoinHandle<()>; 2]);

impl Listener {
    /// Wakes `changed` when something happens to a container of `node`, and once when Docker ends; wakes
    /// `images_changed` when images come, go or change their names.
    pub(super) fn new(
        docker: Docker,
        node: NodeId,
        changed: Arc<Notify>,
        images_changed: Arc<Notify>,
    ) -> Self {
        let text = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let listens_to_images = {
            let filters = HashMap::from([
                ("type".to_owned(), text(&["image"])),
                (
                    "event".to_owned(),
                    text(&["pull", "load", "import", "tag", "untag", "delete", "prune"]),
                ),
            ]);
            let docker = docker.clone();
            tokio::spawn(async move {
                let options = EventsOptionsBuilder::default().filters(&filters).build();
                let mut events = docker.events(Some(options));
                while let Some(Ok(_)) = events.next().await {
                    images_changed.notify_one();
                }
            })
        };
        let listens = tokio::spawn(async move {
            let filters = HashMap::from([
                ("type".to_owned(), text(&["container"])),
                (
                    "event".to_owned(),
                    text(&["start", "die", "destroy", "pause", "unpause"]),
                ),
                ("label".to_owned(), vec![format!("{}={node}", labels::NODE)]),
            ]);
            let options = EventsOptionsBuilder::default().filters(&filters).build();
            let events = docker
                .events(Some(options))
                .take_while(|event| std::future::ready(event.is_ok()));
            wake(std::pin::pin!(events), &changed).await;
        });
        Self([listens, listens_to_images])
    }
}

/// Wakes at each event, at the afterthoughts of the last one, and at the end of `events`.
async fn wake(mut events: impl Stream + Unpin, changed: &Notify) {
    let mut later = [].iter();
    loop {
        let next = match later.next() {
            Some(pause) => timeout(*pause, events.next()).await,
            None => Ok(events.next().await),
        };
        changed.notify_one();
        match next {
            Ok(Some(_)) => later = AFTERTHOUGHTS.iter(),
            Ok(None) => return,
            Err(_) => {}
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    /// When somebody who waits for `changed` was woken within two minutes, in milliseconds.
    async fn woken_at(events: impl Stream) -> Vec<u128> {
        let changed = Notify::new();
        let began = tokio::time::Instant::now();
        let mut woken = Vec::new();
        let events = std::pin::pin!(events.chain(stream::pending()));
        let mut waker = std::pin::pin!(wake(events, &changed));
        while began.elapsed() < Duration::from_secs(120) {
            tokio::select! {
                biased;
                () = changed.notified() => woken.push(began.elapsed().as_millis()),
                () = &mut waker => break,
                () = tokio::time::sleep(Duration::from_secs(30)) => {}
            }
        }
        woken
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_wakes_at_once_and_twice_more_for_what_the_list_shows_late() {
        let later = stream::once(tokio::time::sleep(Duration::from_secs(60)));
        let woken = woken_at(stream::iter([()]).chain(later)).await;
        assert_eq!(woken, [0, 300, 2300, 60_000, 60_300, 62_300]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_events_nobody_is_woken() {
        assert!(woken_at(stream::pending::<()>()).await.is_empty());
    }
}
