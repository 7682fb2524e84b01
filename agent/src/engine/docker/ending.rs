//! Why a container ended. Asked once per container, since it does not change any more.

use std::{collections::HashMap, sync::Mutex};

use api::Memory;
use bollard::{
    Docker,
    errors::Error,
    models::{ContainerSummary, ContainerSummaryStateEnum as Shown},
    query_parameters::{InspectContainerOptions, LogsOptionsBuilder},
};
use futures_util::StreamExt;

use crate::engine::{Ending, last_words};

/// The endings of the containers that are there.
#[derive(Debug, Default)]
pub(super) struct Endings(Mutex<HashMap<String, Ending>>);

impl Endings {
    /// Forgets those of containers that are gone, or that somebody started again.
    pub(super) fn keep_only(&self, containers: &[ContainerSummary]) {
        let is_at_rest = |c: &ContainerSummary| c.state != Some(Shown::RUNNING);
        let ended = |id: &String| {
            containers
                .iter()
                .any(|c| c.id.as_ref() == Some(id) && is_at_rest(c))
        };
        self.0
            .lock()
            .expect("no panic while held")
            .retain(|id, _| ended(id));
    }

    /// How the container ended.
    pub(super) async fn of(&self, docker: &Docker, id: &str) -> Result<Ending, Error> {
        if let Some(known) = self.0.lock().expect("no panic while held").get(id) {
            return Ok(known.clone());
        }
        let found = docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await?;
        let state = found.state.unwrap_or_default();
        let limit = found.host_config.and_then(|host| host.memory).unwrap_or(0);
        let ending = Ending {
            code: state
                .exit_code
                .and_then(|code| i32::try_from(code).ok())
                .unwrap_or(-1),
            out_of_memory: state.oom_killed == Some(true),
            memory_limit: u64::try_from(limit)
                .ok()
                .filter(|bytes| *bytes > 0)
                .map(Memory::from_bytes),
            last_words: last_words(docker, id).await,
        };
        self.0
            .lock()
            .expect("no panic while held")
            .insert(id.to_owned(), ending.clone());
        Ok(ending)
    }
}

/// Empty where they cannot be read: a log driver of the user's may not let us.
async fn last_words(docker: &Docker, id: &str) -> String {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .tail("5")
        .build();
    let mut logs = std::pin::pin!(docker.logs(id, Some(options)));
    let mut output = Vec::new();
    while let Some(Ok(piece)) = logs.next().await {
        output.extend_from_slice(&piece.into_bytes());
    }
    last_words::of(&output)
}
