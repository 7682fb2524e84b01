//! Whether the program that an image starts can live with this node's memory pages: a Pi 5 has a kernel with pages of
//! 16 KiB, and programs that are linked for 4 KiB do not start there.
//!
//! Only the program that the image names as its start is looked at, and only where it is a file and no link.

use bollard::{Docker, models::ImageInspect, query_parameters::DownloadFromContainerOptionsBuilder};
use futures_util::StreamExt;

use super::yard::Yard;
use crate::builtin::elf;

/// How much of a program is read: its table of segments is at the beginning.
const HEAD_BYTES: usize = 64 << 10;

/// What comes before the file in the archive that Docker gives.
const TAR_HEADER: usize = 512;

/// Where a tar says what an entry is, and how it calls a file.
const KIND: (usize, [u8; 2]) = (156, [b'0', 0]);

/// Where programs are looked for that are named without a folder, if the image does not say.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Largest memory pages that the program of the image `id` can run with, in bytes, where that can be found out;
/// `container` was made from it. Looked at once.
pub(in super::super) async fn largest(
    docker: &Docker,
    yard: &Yard,
    container: &str,
    id: &str,
) -> Option<u32> {
    if let Some(known) = yard.shelf.page_bytes(id) {
        return Some(known);
    }
    let image = docker.inspect_image(id).await.ok()?;
    for path in places(&image) {
        if let Some(head) = head(docker, container, &path).await {
            let found = elf::page_bytes(&head)?;
            yard.shelf.set_page_bytes(id, found);
            return Some(found);
        }
    }
    None
}

/// Where the program may be that the image starts.
fn places(image: &ImageInspect) -> Vec<String> {
    let config = image.config.as_ref();
    let first = |words: Option<&Vec<String>>| words.and_then(|words| words.first()).cloned();
    let program = first(config.and_then(|config| config.entrypoint.as_ref()))
        .or_else(|| first(config.and_then(|config| config.cmd.as_ref())));
    let Some(program) = program else {
        return Vec::new();
    };
    if program.starts_with('/') {
        return vec![program];
    }
    let env = config.and_then(|config| config.env.as_ref());
    let path = env.and_then(|env| env.iter().find_map(|pair| pair.strip_prefix("PATH=")));
    path.unwrap_or(USUAL_PATH)
        .split(':')
        .map(|folder| format!("{}/{program}", folder.trim_end_matches('/')))
        .collect()
}

/// The beginning of a file of `container`.
async fn head(docker: &Docker, container: &str, path: &str) -> Option<Vec<u8>> {
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let mut archive = std::pin::pin!(docker.download_from_container(container, Some(options)));
    let mut bytes = Vec::new();
    while bytes.len() < TAR_HEADER + HEAD_BYTES {
        match archive.next().await {
            Some(piece) => bytes.extend_from_slice(&piece.ok()?),
            None => break,
        }
    }
    let is_file = bytes.get(KIND.0).is_some_and(|kind| KIND.1.contains(kind));
    (is_file && bytes.len() > TAR_HEADER).then(|| bytes.split_off(TAR_HEADER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ImageConfig;

    fn image(entrypoint: &[&str], cmd: &[&str], env: &[&str]) -> ImageInspect {
        let list = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
        ImageInspect {
            config: Some(ImageConfig {
                entrypoint: list(entrypoint),
                cmd: list(cmd),
                env: list(env),
                ..ImageConfig::default()
            }),
            ..ImageInspect::default()
        }
    }

    #[test]
    fn the_program_is_looked_for_as_the_engine_does() {
        assert_eq!(places(&image(&["/bin/a", "b"], &["c"], &[])), ["/bin/a"]);
        assert_eq!(
            places(&image(&[], &["c"], &["A=1", "PATH=/x/:/y"])),
            ["/x/c", "/y/c"]
        );
        assert_eq!(places(&image(&["w"], &[], &[])).len(), 6);
        assert!(places(&image(&[], &[], &[])).is_empty());
    }
}
