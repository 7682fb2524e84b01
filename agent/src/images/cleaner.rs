//! Makes room when the disk runs low: looks, asks what is used, and removes what [`super::clean`] says.

use std::time::Duration;

use api::images::Cleaned;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Sources,
    clean::{Disk, removals},
};
use crate::engine::docker::Yard;

/// Time between looks at the disk: one system call.
const LOOK: Duration = Duration::from_secs(60);

/// Runs until `stop`.
pub(crate) async fn run(yard: Yard, sources: Sources, stop: CancellationToken) {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let Some(disk) = yard.disk().await.filter(|disk| disk.is_low()) else {
            continue;
        };
        // While no leader says what is used, nothing is known to be unused.
        let Some(used) = sources.used().await else {
            continue;
        };
        let cleaned = make_room(&yard, &used.ids, disk).await;
        if !cleaned.images.is_empty() {
            info!(images = ?cleaned.images, bytes = cleaned.freed_bytes, "removed images to make room");
            sources.cleaned(&cleaned).await;
        }
    }
}

/// Removes what may go of the images in `yard`; `used` is what functions use, by any id.
pub async fn make_room(yard: &Yard, used: &std::collections::BTreeSet<String>, disk: Disk) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let (stored, by_containers) = match yard.stored().await {
        Ok(found) => found,
        Err(error) => {
            warn!(%error, "failed to look for images that could go");
            return cleaned;
        }
    };
    let mut in_use = used.clone();
    in_use.extend(by_containers);
    for image in removals(&stored, &in_use, disk) {
        match yard.remove(&image.id).await {
            Ok(()) => {
                let name = image.names.first().or(image.digests.first()).unwrap_or(&image.id);
                cleaned.images.push(name.clone());
                cleaned.freed_bytes = cleaned.freed_bytes.saturating_add(image.size_bytes);
            }
            Err(words) => warn!(id = image.id, words, "an image stays"),
        }
    }
    cleaned
}
