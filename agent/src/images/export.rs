//! Giving an image to another node from where it stopped: what was sent before is made again and compared.

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use transport::BoxError;

use super::Bytestream;
use crate::builtin::hex;

/// Why an archive cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It begins with other bytes than those that were received before: it has to be sent anew.
    #[error("the archive begins differently now")]
    Differs,
    /// The engine failed.
    #[error("the engine cannot give the image")]
    Engine(#[source] BoxError),
}

/// Leaves out the first `offset` bytes of `archive`, provided that `prefix` is their SHA-256 in hexadecimal. The same
/// image gives the same archive from one engine, and often from another one; where it does not, this tells.
///
/// # Errors
/// [`ResumeError`].
pub async fn resume(mut archive: Bytestream, offset: u64, prefix: &str) -> Result<Bytestream, ResumeError> {
    let mut hash = Sha256::new();
    let mut left = offset;
    let mut rest = Bytes::new();
    while left > 0 {
        let Some(piece) = archive.next().await else {
            return Err(ResumeError::Differs);
        };
        let mut piece = piece.map_err(ResumeError::Engine)?;
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        hash.update(&piece[..skipped]);
        piece.advance(skipped);
        left -= u64::try_from(skipped).unwrap_or(left);
        rest = piece;
    }
    if offset > 0 && hex(&hash.finalize()) != prefix {
        return Err(ResumeError::Differs);
    }
    let first = (!rest.is_empty()).then_some(Ok(rest));
    Ok(Box::pin(futures_util::stream::iter(first).chain(archive)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{TryStreamExt, stream};

    fn archive(pieces: &[&'static str]) -> Bytestream {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        Box::pin(stream::iter(pieces))
    }

    fn sha256(text: &str) -> String {
        hex(&Sha256::digest(text))
    }

    async fn whole(archive: Bytestream) -> String {
        let pieces: Vec<Bytes> = archive.try_collect().await.unwrap();
        pieces
            .iter()
            .map(|piece| std::str::from_utf8(piece).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn the_rest_is_given_wherever_it_was_cut() {
        let text = "hello, bramble";
        for cut in 0..=text.len() {
            let rest = resume(
                archive(&["hel", "lo, b", "ramble"]),
                cut as u64,
                &sha256(&text[..cut]),
            )
            .await
            .unwrap();
            assert_eq!(whole(rest).await, text[cut..]);
        }
    }

    #[tokio::test]
    async fn another_beginning_is_noticed() {
        let other = resume(archive(&["hello"]), 3, &sha256("hal")).await;
        assert!(matches!(other, Err(ResumeError::Differs)));
        let shorter = resume(archive(&["he"]), 3, &sha256("hel")).await;
        assert!(matches!(shorter, Err(ResumeError::Differs)));
    }
}
