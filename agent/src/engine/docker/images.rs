//! Images: those that are here, those that are fetched, and those that are made on the spot.

pub(super) mod held;
pub(super) mod pages;
pub(super) mod pinned;
pub(super) mod yard;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bollard::{
    Docker, body_full,
    models::{CreateImageInfo, ImageInspect},
    query_parameters::{CreateImageOptionsBuilder, ImportImageOptions, PruneImagesOptionsBuilder},
};
use futures_util::StreamExt;
use tokio::sync::{Mutex, OnceCell};
use tracing::info;

use super::client::{pull_failed, status};
use crate::{
    builtin::{self, Archive, BuiltinError, Builtins},
    engine::{EngineError, Progress},
    images::Sources,
};
use api::{Platform, sync::DesiredReplica};
use pinned::Wanted;
use yard::Yard;

/// Words on progress are replicated by the leader: not more often than this, and not for less than a tenth.
const PROGRESS_PAUSE: Duration = Duration::from_secs(2);
const PROGRESS_STEP: i64 = 10;

/// Longest that Docker may take to load the built-in images: seconds on a worn card.
const LOAD_LIMIT: Duration = Duration::from_secs(300);

/// Finds, fetches and makes images.
#[derive(Debug)]
pub(super) struct Images {
    builtin_dir: PathBuf,
    builtins: OnceCell<Arc<Builtins>>,
    /// One at a time: all built-in images are made in one go.
    making: Mutex<()>,
    yard: Yard,
    sources: Sources,
    /// One at a time.
    bringing: Mutex<()>,
}

impl Images {
    pub(super) fn new(builtin_dir: PathBuf, yard: Yard, sources: Sources) -> Self {
        Self {
            builtin_dir,
            builtins: OnceCell::new(),
            making: Mutex::new(()),
            yard,
            sources,
            bringing: Mutex::new(()),
        }
    }

    /// Has the image of `desired` on this node, whatever it takes; answers by which name or id Docker runs it.
    pub(super) async fn ensure(
        &self,
        docker: &Docker,
        desired: &DesiredReplica,
        platforms: &[Platform],
        progress: &Progress,
    ) -> Result<String, EngineError> {
        let image = &desired.spec.image;
        match (builtin::name_of(image), &desired.image) {
            (Some(name), _) => self.make(docker, image, name, progress).await?,
            (None, Some(facts)) => {
                let wanted = Wanted {
                    spec: &desired.spec,
                    facts,
                    platforms,
                };
                return self.ensure_pinned(docker, &wanted, progress).await;
            }
            // Deployed before images were looked up.
            (None, None) if inspect(docker, image).await?.is_some() => {}
            (None, None) => {
                let best = platforms.first().map(ToString::to_string).unwrap_or_default();
                pull(docker, image, &best, progress).await?;
            }
        }
        Ok(image.clone())
    }

    async fn make(
        &self,
        docker: &Docker,
        image: &str,
        name: &str,
        progress: &Progress,
    ) -> Result<(), EngineError> {
        let builtins = match self.builtins().await {
            Ok(builtins) => builtins,
            // Somebody put it here, and it is better than nothing.
            Err(_) if inspect(docker, image).await?.is_some() => return Ok(()),
            Err(error) => return Err(error),
        };
        if builtins.function(name).is_none() {
            let there_are = builtins.names();
            return Err(EngineError::Refused(format!(
                "there is no built-in function `{image}`; there are {there_are}"
            )));
        }
        let is_made = |found: &Option<ImageInspect>| {
            let labels = found.as_ref().and_then(|f| f.config.as_ref()?.labels.as_ref());
            labels.is_some_and(|labels| labels.get(builtin::LABEL) == Some(&builtins.hash))
        };
        if is_made(&inspect(docker, image).await?) {
            return Ok(());
        }
        let _one_at_a_time = self.making.lock().await;
        if is_made(&inspect(docker, image).await?) {
            return Ok(());
        }
        progress("making the built-in images".to_owned());
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| EngineError::Failed {
            doing: "make the built-in images".to_owned(),
            source,
        };
        let archive = {
            let builtins = builtins.clone();
            blocking(move || Archive::pack(&builtins))
                .await
                .map_err(|e| failed(e.into()))?
        };
        info!(bytes = archive.bytes.len(), "loading the built-in images");
        let docker = docker.clone().with_timeout(LOAD_LIMIT);
        let mut loading = docker.import_image(
            ImportImageOptions::default(),
            body_full(archive.bytes.into()),
            None,
        );
        while let Some(message) = loading.next().await {
            message.map_err(|e| failed(Box::new(e)))?;
        }
        remove_replaced(&docker).await;
        Ok(())
    }

    /// The built-in functions; read once they are needed, and again after a failure.
    async fn builtins(&self) -> Result<Arc<Builtins>, EngineError> {
        let load = || async {
            let directory = self.builtin_dir.clone();
            blocking(move || Builtins::load(&directory)).await.map(Arc::new)
        };
        let refused = |error: BuiltinError| {
            let error = EngineError::Failed {
                doing: "use the built-in functions".to_owned(),
                source: Box::new(error),
            };
            EngineError::Refused(error.in_words())
        };
        self.builtins
            .get_or_try_init(load)
            .await
            .cloned()
            .map_err(refused)
    }
}

/// Removes built-in images of an earlier version of this program, which lost their names to the new ones; those that
/// a container still uses stay.
async fn remove_replaced(docker: &Docker) {
    let filters = HashMap::from([("dangling", vec!["true"]), ("label", vec![builtin::LABEL])]);
    let options = PruneImagesOptionsBuilder::default().filters(&filters).build();
    // They only take room: the next time is soon enough.
    _ = docker.prune_images(Some(options)).await;
}

/// Runs what blocks for some milliseconds where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("reads files and does not panic")
}

/// What Docker knows of an image; `None` where it has none of that name.
pub(super) async fn inspect(docker: &Docker, image: &str) -> Result<Option<ImageInspect>, EngineError> {
    match docker.inspect_image(image).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(EngineError::Failed {
            doing: format!("look for image `{image}`"),
            source: Box::new(error),
        }),
    }
}

async fn pull(docker: &Docker, image: &str, platform: &str, progress: &Progress) -> Result<(), EngineError> {
    progress("fetching image".to_owned());
    info!(image, "fetching");
    // Without a tag Docker would fetch every tag there is.
    let (name, tag) = match image.rsplit_once(':') {
        _ if image.contains('@') => (image, ""),
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    };
    let options = CreateImageOptionsBuilder::default()
        .from_image(name)
        .tag(tag)
        .build();
    let mut pulling = docker.create_image(Some(options), None, None);
    let mut meter = Meter::default();
    while let Some(message) = pulling.next().await {
        let message = message.map_err(|error| pull_failed(image, platform, error))?;
        if let Some(percent) = meter.add(message, Instant::now()) {
            progress(format!("fetching image: {percent} %"));
        }
    }
    Ok(())
}

/// Sums up what Docker says about each layer.
#[derive(Debug, Default)]
struct Meter {
    layers: HashMap<String, (i64, i64)>,
    told: Option<(i64, Instant)>,
}

impl Meter {
    /// The share that is here by now in percent, if it is worth telling again.
    fn add(&mut self, message: CreateImageInfo, now: Instant) -> Option<i64> {
        let (id, detail) = (message.id?, message.progress_detail?);
        // Unpacking counts the same bytes again.
        if message.status.as_deref() == Some("Downloading") {
            self.layers.insert(id, (detail.current?, detail.total?));
        }
        let (current, total) = self.layers.values().fold((0, 0), |(current, total), layer| {
            (current + layer.0, total + layer.1)
        });
        let percent = (current * 100).checked_div(total)?.clamp(0, 100);
        let worth_it = self.told.is_none_or(|(told, when)| {
            (percent - told).abs() >= PROGRESS_STEP && now.duration_since(when) >= PROGRESS_PAUSE
        });
        worth_it.then(|| {
            self.told = Some((percent, now));
            percent
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    fn downloading(id: &str, current: i64, total: i64) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some("Downloading".to_owned()),
            progress_detail: Some(ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn progress_is_told_over_all_layers_and_not_too_often() {
        let mut meter = Meter::default();
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(meter.add(downloading("a", 0, 100), at(0)), Some(0));
        assert_eq!(meter.add(downloading("b", 50, 100), at(1)), None);
        assert_eq!(meter.add(downloading("a", 40, 100), at(3)), Some(45));
        assert_eq!(meter.add(downloading("a", 50, 100), at(60)), None);
        assert_eq!(meter.add(CreateImageInfo::default(), at(61)), None);
    }
}
