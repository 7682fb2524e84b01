//! Having exactly the image that a function was deployed with: here already, copied from another node, or fetched
//! from its registry by its digest.

use std::{sync::Arc, time::Instant};

use api::{
    FunctionSpec, Platform,
    images::{Brought, HeldImage, ImageFacts, ImageSource, Reference},
};
use bollard::{Docker, auth::DockerCredentials, errors::Error, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt;
use tracing::{info, warn};

use super::{
    super::client::{is_gone, pull_failed, said},
    Images, Meter,
    held::mark,
    inspect,
};
use crate::{
    engine::{EngineError, Progress},
    images::{Need, copy},
};

/// What is to be had, and for whom.
pub(in super::super) struct Wanted<'a> {
    pub(in super::super) spec: &'a FunctionSpec,
    pub(in super::super) facts: &'a ImageFacts,
    /// What this node runs, the best first.
    pub(in super::super) platforms: &'a [Platform],
}

impl Images {
    /// Has the image on this node, whatever it takes; answers the engine's id of it.
    pub(in super::super) async fn ensure_pinned(
        &self,
        docker: &Docker,
        wanted: &Wanted<'_>,
        progress: &Progress,
    ) -> Result<String, EngineError> {
        let image = &wanted.spec.image;
        let Some(need) = Need::of(wanted.facts, wanted.platforms) else {
            let best = wanted
                .platforms
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            return Err(EngineError::Refused(format!(
                "image {image} has no {best}, which this node needs; build it for several platforms"
            )));
        };
        let here = self.find(docker, &need, wanted).await?;
        let held = match here {
            Some(held) => held,
            None => {
                // One at a time: the network and the card are no faster for two.
                let _turn = self.bringing.lock().await;
                match self.find(docker, &need, wanted).await? {
                    Some(held) => held,
                    None => self.bring(docker, &need, wanted, progress).await?,
                }
            }
        };
        if let Some(brought) = held.brought {
            // Its time says when the image was used last. A failure only makes it look older.
            _ = mark(docker, &held.id, brought).await;
        }
        Ok(held.id)
    }

    async fn find(
        &self,
        docker: &Docker,
        need: &Need,
        wanted: &Wanted<'_>,
    ) -> Result<Option<HeldImage>, EngineError> {
        let found = self.yard.find(docker, need).await;
        found.map_err(|error| failed(&format!("look for image `{}`", wanted.spec.image), error))
    }

    async fn bring(
        &self,
        docker: &Docker,
        need: &Need,
        wanted: &Wanted<'_>,
        progress: &Progress,
    ) -> Result<HeldImage, EngineError> {
        let image = &wanted.spec.image;
        let from_registry = wanted.facts.source == ImageSource::Registry;
        let holders = self.sources.holders_of(need);
        let nobody = copy::Holders::now(&holders).is_empty();
        let mut why = String::new();
        if !nobody || !from_registry {
            progress(format!("fetching {image} from another node"));
            match self.copy(docker, need, image, &holders, progress).await {
                Ok(held) => return Ok(held),
                Err(error) if !from_registry => return Err(error),
                Err(error) => {
                    why = format!("; and from other nodes: {}", error.in_words());
                    warn!(
                        image,
                        error = error.in_words(),
                        "copying failed; trying the registry"
                    );
                }
            }
        }
        let id = self
            .pull(docker, wanted, progress)
            .await
            .map_err(|error| match error {
                EngineError::Refused(words) => EngineError::Refused(format!("{words}{why}")),
                other => other,
            })?;
        mark(docker, &id, Brought::Fetched)
            .await
            .map_err(|error| failed("mark the image", error))?;
        self.by_id(docker, &id).await
    }

    async fn by_id(&self, docker: &Docker, id: &str) -> Result<HeldImage, EngineError> {
        let all = self.yard.shelf.list(docker).await;
        let all = all.map_err(|error| failed("list the images", error))?;
        all.into_iter().find(|held| held.id == id).ok_or_else(|| {
            EngineError::Refused(
                "the image was removed while it was being fetched; it is tried again".to_owned(),
            )
        })
    }

    /// Copies the image from a node that has it, and makes sure that it is the right one.
    async fn copy(
        &self,
        docker: &Docker,
        need: &Need,
        image: &str,
        holders: &impl copy::Holders,
        progress: &Progress,
    ) -> Result<HeldImage, EngineError> {
        let began = Instant::now();
        let before = self.yard.shelf.list_all(docker).await;
        let before = before.map_err(|error| failed("list the images", error))?;
        let tell = {
            let (progress, image) = (Arc::clone(progress), image.to_owned());
            move |node: &str, percent: u64| progress(format!("fetching {image} from {node}: {percent} %"))
        };
        let load = |archive| self.yard.load(docker, archive);
        let copied = copy::copy(holders, load, &tell).await;
        let (_, copied) = copied.map_err(|error| match error {
            copy::CopyError::GaveUp(words) => EngineError::Refused(format!(
                "image `{image}` cannot be copied from another node: {words}"
            )),
            copy::CopyError::Engine(error) => copy_failed(image, error),
        })?;
        let after = self.yard.shelf.list_all(docker).await;
        let after = after.map_err(|error| failed("list the images", error))?;
        let is_it = |held: &&HeldImage| held.content == copied.content && is_wanted(need, held);
        match after.iter().find(is_it) {
            Some(held) => {
                mark(docker, &held.id, Brought::Copied)
                    .await
                    .map_err(|error| failed("mark the image", error))?;
                let milliseconds = began.elapsed().as_millis();
                info!(image, from = copied.node, milliseconds, "copied an image");
                self.by_id(docker, &held.id).await
            }
            None => {
                let new = after
                    .iter()
                    .filter(|held| !before.iter().any(|old| old.id == held.id));
                for held in new {
                    // It came with the copy, and is not what was asked for.
                    if mark(docker, &held.id, Brought::Copied).await.is_ok() {
                        _ = self.yard.remove(&held.id).await;
                    }
                }
                Err(EngineError::Refused(format!(
                    "what {} gave is not image `{image}` as it was deployed; it was removed, and is tried again",
                    copied.node
                )))
            }
        }
    }

    /// Fetches the image from its registry, by the digest that it was deployed with.
    async fn pull(
        &self,
        docker: &Docker,
        wanted: &Wanted<'_>,
        progress: &Progress,
    ) -> Result<String, EngineError> {
        let (spec, facts) = (wanted.spec, wanted.facts);
        let reference: Reference = spec
            .image
            .parse()
            .map_err(|error: api::images::ReferenceError| EngineError::Refused(error.to_string()))?;
        let place = format!("{}@{}", reference.familiar_name(), facts.digest);
        progress(format!("fetching {} from {}", spec.image, reference.registry()));
        info!(image = place, "fetching");
        let best = wanted.platforms.first();
        let variant = facts.variant_for(wanted.platforms).map(|(platform, _)| platform);
        let mut options = CreateImageOptionsBuilder::default().from_image(&place);
        let text = variant.map(ToString::to_string).unwrap_or_default();
        if variant != best {
            options = options.platform(&text);
        }
        let credentials = self
            .sources
            .credentials(&spec.name)
            .await
            .map(|known| DockerCredentials {
                username: Some(known.username),
                password: Some(known.password),
                serveraddress: Some(reference.registry().to_owned()),
                ..DockerCredentials::default()
            });
        let mut pulling = docker.create_image(Some(options.build()), None, credentials);
        let mut meter = Meter::default();
        while let Some(message) = pulling.next().await {
            let message = message.map_err(|error| pull_failed(&spec.image, &text, error))?;
            if let Some(percent) = meter.add(message, Instant::now()) {
                progress(format!(
                    "fetching {} from {}: {percent} %",
                    spec.image,
                    reference.registry()
                ));
            }
        }
        let found = inspect(docker, &place).await?;
        found.and_then(|image| image.id).ok_or_else(|| {
            EngineError::Refused(format!(
                "image `{}` was fetched and is gone again; it is tried again",
                spec.image
            ))
        })
    }
}

/// Whether a copy is what was asked for. Another kind of store gives it another id: then it counts that its holder knew
/// it by the right one, and that it is the same image here as there.
fn is_wanted(need: &Need, copy: &HeldImage) -> bool {
    need.is(copy) || (need.content.is_none() && copy.platform == need.platform)
}

fn failed(doing: &str, error: Error) -> EngineError {
    EngineError::Failed {
        doing: doing.to_owned(),
        source: Box::new(error),
    }
}

fn copy_failed(image: &str, error: Error) -> EngineError {
    let text = said(&error).unwrap_or_default().to_owned();
    if text.contains("no space left") {
        return EngineError::Refused(format!(
            "there is no room for image `{image}`: this node's card is full"
        ));
    }
    if is_gone(&error) || text.is_empty() {
        return failed(&format!("take in image `{image}`"), error);
    }
    EngineError::Refused(format!("image `{image}` cannot be taken in: {text}"))
}
