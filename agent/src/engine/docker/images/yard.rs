//! Docker's images on their way in and out: given to other nodes, taken from users, removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use api::images::{Brought, HeldImage, Loaded, Reference, built_in};
use bollard::{
    Docker,
    errors::Error,
    query_parameters::{ImportImageOptions, ListContainersOptionsBuilder, RemoveImageOptionsBuilder},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use transport::BoxError;

use super::{
    super::client::{connect, said, status},
    held::{Shelf, mark, mark_of},
};
use crate::{
    engine::EngineError,
    images::{
        Bytestream, Need,
        clean::{Disk, Stored},
    },
};

/// Longest that Docker may take to give or take an image; silence on the way is noticed much earlier.
const TRANSFER_LIMIT: Duration = Duration::from_secs(6 * 3600);

/// Room that has to stay free beside an archive and what is made of it, in bytes.
const SPARE_BYTES: u64 = 128 << 20;

/// Pieces of an archive that wait to be sent.
const PIECES: usize = 4;

/// Why an archive was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not what it should be.
    #[error("{0}")]
    Archive(String),
    /// The disk is full.
    #[error("{0}")]
    NoRoom(String),
    /// Docker failed.
    #[error("{0}")]
    Engine(String),
}

/// Docker's images, for those who bring and take them. Clones share everything.
#[derive(Clone, Debug)]
pub struct Yard {
    place: Option<String>,
    pub(in super::super) shelf: Arc<Shelf>,
}

impl Yard {
    /// That of the Docker at `place`; see [`connect`].
    pub fn new(place: Option<String>) -> Self {
        Self {
            place,
            shelf: Arc::default(),
        }
    }

    /// A connection for one transfer.
    pub(crate) async fn docker(&self) -> Result<Docker, EngineError> {
        Ok(connect(self.place.as_deref()).await?.with_timeout(TRANSFER_LIMIT))
    }

    /// The image that is needed, if it is here.
    pub(crate) async fn find(&self, docker: &Docker, need: &Need) -> Result<Option<HeldImage>, Error> {
        let all = self.shelf.list_all(docker).await?;
        Ok(all.into_iter().find(|held| need.is(held)))
    }

    /// The image `id` as an archive, without any of its names.
    pub(crate) fn export(&self, docker: &Docker, id: &str) -> Bytestream {
        // The stream borrows what it comes from, so both go into a task of their own.
        let (docker, id) = (docker.clone(), id.to_owned());
        let (give, take) = mpsc::channel::<Result<Bytes, BoxError>>(PIECES);
        tokio::spawn(async move {
            let mut archive = std::pin::pin!(docker.export_image(&id));
            while let Some(piece) = archive.next().await {
                if give.send(piece.map_err(Into::into)).await.is_err() {
                    return;
                }
            }
        });
        Box::pin(stream::unfold(take, |mut take| async move {
            let piece = take.recv().await?;
            Some((piece, take))
        }))
    }

    /// Has Docker take an archive in; answers what it says about it.
    pub(crate) async fn load(&self, docker: &Docker, archive: Bytestream) -> Result<Vec<String>, Error> {
        let docker = docker.clone().with_timeout(TRANSFER_LIMIT);
        let mut loading = docker.import_image_stream(ImportImageOptions::default(), archive, None);
        let mut lines = Vec::new();
        while let Some(message) = loading.next().await {
            lines.extend(message?.stream);
        }
        Ok(lines)
    }

    /// Takes an archive that a user sent, of `length` bytes if they said so: all images in it, by their names.
    ///
    /// # Errors
    /// [`LoadError`], in words for its sender.
    pub(crate) async fn take(&self, length: Option<u64>, archive: Bytestream) -> Result<Loaded, LoadError> {
        let archive = looks_like_an_archive(archive).await?;
        if let (Some(length), Some(disk)) = (length, self.disk().await) {
            // Docker unpacks the archive beside what it makes of it.
            let needed = length.saturating_mul(2).saturating_add(SPARE_BYTES);
            if disk.free_bytes < needed {
                return Err(LoadError::NoRoom(format!(
                    "there is no room: this image needs {} MB while it is unpacked, and {} MB are free",
                    needed / 1_000_000,
                    disk.free_bytes / 1_000_000
                )));
            }
        }
        let engine = |error: Error| LoadError::Engine(format!("Docker does not take it: {error}"));
        let docker = self
            .docker()
            .await
            .map_err(|error| LoadError::Engine(error.in_words()))?;
        let before = self.shelf.list(&docker).await.map_err(engine)?;
        let lines = self.load(&docker, archive).await.map_err(load_failed)?;
        let (names, ids) = loaded(&lines);
        if let Some(name) = names.iter().find(|name| built_in(name).is_some()) {
            _ = self.untag(&docker, name).await;
            return Err(LoadError::Archive(format!(
                "{name} is the name of a built-in function, which nodes make themselves; give the image another name"
            )));
        }
        if names.is_empty() {
            for id in ids {
                // Only what nothing else has a name for.
                _ = self.untag(&docker, &id).await;
            }
            return Err(LoadError::Archive(
                "the archive does not name its image; save it by its name: docker save NAME:TAG -o FILE"
                    .to_owned(),
            ));
        }
        let after = self.shelf.list(&docker).await.map_err(engine)?;
        let mut images = BTreeMap::new();
        for name in names {
            let Some(held) = after.iter().find(|held| held.names.contains(&name)) else {
                continue;
            };
            mark(&docker, &held.id, Brought::Pushed).await.map_err(engine)?;
            images.insert(name, held.clone());
        }
        self.demote(&docker, &before, &images).await;
        Ok(Loaded { images })
    }

    /// What was sent before and lost its last name to what was sent now needs no special care any more.
    async fn demote(&self, docker: &Docker, before: &[HeldImage], now: &BTreeMap<String, HeldImage>) {
        let old = before
            .iter()
            .filter(|held| held.brought == Some(Brought::Pushed) && !held.names.is_empty());
        for held in old {
            let lost_all = held.names.iter().all(|name| now.contains_key(name));
            let is_new = now.values().any(|new| new.id == held.id);
            if lost_all && !is_new && mark(docker, &held.id, Brought::Copied).await.is_ok() {
                _ = self.untag(docker, &mark_of(&held.id, Brought::Pushed)).await;
            }
        }
    }

    /// Removes an image that Bramble brought, with all its names.
    ///
    /// # Errors
    /// Why it stays, as a sentence.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), String> {
        let docker = self.docker().await.map_err(|error| error.in_words())?;
        let failed = |error: Error| match status(&error) {
            Some(409) => "a container still uses it".to_owned(),
            _ => error.to_string(),
        };
        let all = self.shelf.list_all(&docker).await.map_err(failed)?;
        let Some(held) = all.into_iter().find(|held| held.id == id) else {
            return Ok(());
        };
        let Some(brought) = held.brought else {
            return Err(format!(
                "it was there before Bramble; remove it there with `docker image rm {}`",
                held.names.first().map_or(id, String::as_str)
            ));
        };
        for name in held.names.iter().chain(&held.digests) {
            self.untag(&docker, name).await.map_err(failed)?;
        }
        for kind in [Brought::Fetched, Brought::Copied, Brought::Pushed] {
            if kind != brought {
                _ = self.untag(&docker, &mark_of(id, kind)).await;
            }
        }
        // The mark goes last: what fails in between is found again.
        self.untag(&docker, &mark_of(id, brought)).await.map_err(failed)
    }

    /// Takes one name away; with the last one the image goes.
    async fn untag(&self, docker: &Docker, name: &str) -> Result<(), Error> {
        let options = RemoveImageOptionsBuilder::default().build();
        match docker.remove_image(name, Some(options), None).await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All images, and what containers use, by the engine's ids.
    pub(crate) async fn stored(&self) -> Result<(Vec<Stored>, BTreeSet<String>), EngineError> {
        let docker = self.docker().await?;
        let failed = |error: Error| EngineError::Failed {
            doing: "list the images".to_owned(),
            source: Box::new(error),
        };
        let mut stored = Vec::new();
        for held in self.shelf.list_all(&docker).await.map_err(failed)? {
            let inspected = docker.inspect_image(&held.id).await.map_err(failed)?;
            let used = inspected.metadata.and_then(|metadata| metadata.last_tag_time);
            let used = used.and_then(|time| time.parse::<jiff::Timestamp>().ok());
            stored.push(Stored {
                last_used: used.map_or(0, jiff::Timestamp::as_second),
                id: held.id,
                content: held.content,
                names: held.names,
                digests: held.digests,
                brought: held.brought,
                size_bytes: held.size_bytes,
            });
        }
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let containers = docker.list_containers(Some(options)).await.map_err(failed)?;
        let used = containers.into_iter().filter_map(|container| container.image_id);
        Ok((stored, used.collect()))
    }

    /// The disk that Docker keeps its images on; `None` where that is on another machine.
    pub(crate) async fn disk(&self) -> Option<Disk> {
        let docker = connect(self.place.as_deref()).await.ok()?;
        let root = docker.info().await.ok()?.docker_root_dir?;
        let found = rustix::fs::statvfs(Path::new(&root)).ok()?;
        Some(Disk {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

/// What Docker says that it loaded: names, as people write them, and ids of what has none.
fn loaded(lines: &[String]) -> (BTreeSet<String>, Vec<String>) {
    let mut names = BTreeSet::new();
    let mut ids = Vec::new();
    for line in lines.iter().flat_map(|line| line.lines()) {
        if let Some(id) = line.strip_prefix("Loaded image ID: ") {
            ids.push(id.trim().to_owned());
        } else if let Some(name) = line.strip_prefix("Loaded image: ") {
            let name = name.trim();
            names.extend(
                name.parse::<Reference>()
                    .ok()
                    .map(|reference| reference.to_string()),
            );
        }
    }
    (names, ids)
}

/// What a user is told when Docker does not take their archive.
fn load_failed(error: Error) -> LoadError {
    let text = said(&error).map_or_else(|| error.to_string(), str::to_owned);
    let lower = text.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if any(&["no space left"]) {
        LoadError::NoRoom("its disk is full; remove images with `bramble image remove`".to_owned())
    } else if any(&["manifest.json"]) {
        LoadError::Archive(
            "the archive has no manifest.json as `docker save` writes it; `bramble image push FILE` also reads OCI \
             archives"
                .to_owned(),
        )
    } else if any(&[
        "unexpected eof",
        "invalid tar header",
        "invalid checksum",
        "broke off",
        "body",
    ]) {
        LoadError::Archive(format!(
            "the archive is damaged or was cut off ({text}); send it again"
        ))
    } else {
        LoadError::Engine(format!("Docker does not take it: {text}"))
    }
}

/// Looks at the beginning: a tar, or one that is packed in a way that Docker unpacks.
async fn looks_like_an_archive(mut archive: Bytestream) -> Result<Bytestream, LoadError> {
    let broken = |error: BoxError| LoadError::Archive(format!("the archive did not arrive whole ({error})"));
    let mut first: Vec<u8> = Vec::new();
    while first.len() < TAR_MAGIC.0 + TAR_MAGIC.1.len() {
        match archive.next().await {
            None => break,
            Some(piece) => first.extend_from_slice(&piece.map_err(broken)?),
        }
    }
    let packed = PACKED.iter().any(|magic| first.starts_with(magic));
    let is_tar = first
        .get(TAR_MAGIC.0..)
        .is_some_and(|rest| rest.starts_with(TAR_MAGIC.1));
    if !packed && !is_tar {
        return Err(LoadError::Archive(
            "this is no archive of images; make one with: docker save NAME:TAG -o FILE".to_owned(),
        ));
    }
    Ok(Box::pin(stream::iter([Ok(Bytes::from(first))]).chain(archive)))
}

/// Where a tar says that it is one.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

/// How gzip, bzip2, xz and zstd begin.
const PACKED: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_loaded_is_read_from_what_it_says() {
        let lines = ["Loaded image: figlet:1\n", "Loaded image ID: sha256:0a\n", "{}"].map(str::to_owned);
        let (names, ids) = loaded(&lines);
        assert_eq!(names, ["figlet:1".to_owned()].into());
        assert_eq!(ids, ["sha256:0a"]);
    }

    #[tokio::test]
    async fn only_archives_are_sent_to_docker() {
        let of = |bytes: Vec<u8>| -> Bytestream {
            let pieces: Vec<_> = bytes
                .chunks(100)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                .collect();
            Box::pin(stream::iter(pieces))
        };
        let words = looks_like_an_archive(of(b"hello".to_vec()))
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(words.contains("docker save"), "{words}");
        let mut tar = vec![0; 1024];
        tar[257..262].copy_from_slice(b"ustar");
        for good in [tar, b"\x1f\x8b and so on".to_vec()] {
            let whole: Vec<_> = looks_like_an_archive(of(good.clone()))
                .await
                .unwrap()
                .collect()
                .await;
            let whole: Vec<u8> = whole
                .into_iter()
                .flat_map(|piece| piece.unwrap().to_vec())
                .collect();
            assert_eq!(whole, good);
        }
    }

    #[test]
    fn a_refused_archive_is_told_with_what_to_do() {
        let failed = |message: &str| {
            load_failed(Error::DockerStreamError {
                error: message.to_owned(),
            })
        };
        let full = failed("write /var/lib/docker/tmp/x: no space left on device");
        assert!(matches!(full, LoadError::NoRoom(_)));
        let oci = failed("open /var/lib/docker/tmp/docker-import-1/manifest.json: no such file or directory");
        assert!(oci.to_string().contains("bramble image push"), "{oci}");
        assert!(failed("unexpected EOF").to_string().contains("send it again"));
    }
}
