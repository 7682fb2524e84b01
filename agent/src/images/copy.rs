//! Getting an image from nodes that hold it.
//!
//! The engine takes the archive in while it arrives. When the connection breaks, the engine is kept waiting and the
//! archive is asked for again from that byte on; whoever answers has first to make sure that it would have sent the
//! same bytes before.

use std::time::{Duration, Instant};

use api::NodeId;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::info;
use transport::BoxError;

use super::Bytestream;
use crate::builtin::hex;

/// Pieces of an archive, some kilobytes each, that wait for the engine.
const PIECES: usize = 16;

/// Longest silence in the middle of an archive.
const STALL: Duration = Duration::from_secs(60);

/// Failures in a row after which it is given up; the replica is then started again later.
const MAX_FAILURES: u32 = 8;

/// Pause after a failure, doubled with each, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Pause before a node is asked again that gives the image to others just now.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// How often an archive is begun anew because nobody could continue it.
const MAX_BEGINNINGS: u32 = 3;

/// Progress is told not more often than this, and not for less than so many percent.
const TELL: (Duration, u64) = (Duration::from_secs(1), 5);

/// An archive from some byte on.
pub struct Part {
    /// Name of the node that gives it.
    pub node: String,
    /// What the image in it is told by.
    pub content: String,
    /// About how long the whole archive is, in bytes.
    pub size_bytes: u64,
    /// The bytes.
    pub bytes: Bytestream,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Why a node does not give an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It gives it to as many others as it can.
    Busy,
    /// It does not hold it any more.
    NotHeld,
    /// What it would send begins with other bytes.
    Differs,
    /// It cannot be reached, or its engine fails.
    Failed(String),
}

/// The nodes that hold one image.
pub trait Holders: Send + Sync {
    /// Who they are at this moment, in the order in which this node should ask them.
    fn now(&self) -> Vec<NodeId>;

    /// Asks `holder` for the archive from `offset` on, which begins with bytes that have this SHA-256.
    fn open(
        &self,
        holder: NodeId,
        offset: u64,
        prefix: &str,
    ) -> impl Future<Output = Result<Part, Refused>> + Send;
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// What the image is told by, as its holder says.
    pub content: String,
    /// Name of the node that gave the last of it.
    pub node: String,
}

/// Why an image could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError<E> {
    /// Nobody gave it.
    #[error("{0}")]
    GaveUp(String),
    /// The engine did not take it.
    #[error("the engine does not take it")]
    Engine(#[source] E),
}

/// Why feeding the engine ended early.
enum Ended {
    /// The archive has to begin anew.
    Differs,
    /// The engine takes no more; it says why.
    Closed,
    GaveUp(String),
}

/// Gets an image from one of `holders` into an engine: `load` takes the archive as it arrives. `progress` is told the
/// giving node's name and the share that is here, in percent.
///
/// # Errors
/// [`CopyError`], once nobody gives it for a while.
pub async fn copy<T, E, F>(
    holders: &impl Holders,
    load: impl Fn(Bytestream) -> F,
    progress: &(dyn Fn(&str, u64) + Send + Sync),
) -> Result<(T, Copied), CopyError<E>>
where
    F: Future<Output = Result<T, E>>,
{
    for _ in 0..MAX_BEGINNINGS {
        let (give, take) = mpsc::channel(PIECES);
        let taken = stream::unfold(take, |mut take| async move {
            let piece: Result<Bytes, BoxError> = take.recv().await?;
            Some((piece, take))
        });
        let mut copied = Copied::default();
        let (fed, loaded) = tokio::join!(feed(holders, give, &mut copied, progress), load(Box::pin(taken)));
        match (fed, loaded) {
            (Ok(()), Ok(loaded)) => return Ok((loaded, copied)),
            (Err(Ended::Differs), _) => info!("nobody can continue the archive: it begins anew"),
            (Err(Ended::GaveUp(words)), _) => return Err(CopyError::GaveUp(words)),
            (Ok(()) | Err(Ended::Closed), Err(error)) => return Err(CopyError::Engine(error)),
            (Err(Ended::Closed), Ok(_)) => {
                return Err(CopyError::GaveUp("the engine ended early".to_owned()));
            }
        }
    }
    Err(CopyError::GaveUp(
        "the nodes that hold it do not send the same bytes twice".to_owned(),
    ))
}

/// Sends the whole archive into `give`, from whoever has it. An error is told to the other end, so that the engine
/// never takes a part for the whole.
async fn feed(
    holders: &impl Holders,
    give: mpsc::Sender<Result<Bytes, BoxError>>,
    copied: &mut Copied,
    progress: &(dyn Fn(&str, u64) + Send + Sync),
) -> Result<(), Ended> {
    let ended = feed_all(holders, &give, copied, progress).await;
    if ended.is_err() {
        // Nobody listens where the engine ended first.
        _ = give.send(Err("the archive broke off".into())).await;
    }
    ended
}

async fn feed_all(
    holders: &impl Holders,
    give: &mpsc::Sender<Result<Bytes, BoxError>>,
    copied: &mut Copied,
    progress: &(dyn Fn(&str, u64) + Send + Sync),
) -> Result<(), Ended> {
    let mut hash = Sha256::new();
    let mut sent = 0_u64;
    let mut failures = 0;
    let mut turn = 0;
    let mut teller = Teller::new(progress);
    loop {
        let all = holders.now();
        let why = match all.get(turn % all.len().max(1)) {
            None => "no node that is up holds it".to_owned(),
            Some(holder) => {
                let prefix = hex(&hash.clone().finalize());
                match holders.open(*holder, sent, &prefix).await {
                    Ok(part) if !copied.content.is_empty() && part.content != copied.content => {
                        format!("{} holds another image under this id", part.node)
                    }
                    Ok(mut part) => {
                        copied.content.clone_from(&part.content);
                        copied.node.clone_from(&part.node);
                        if sent > 0 {
                            info!(from = part.node, at = sent, "the copy of an image goes on");
                        }
                        loop {
                            match timeout(STALL, part.bytes.next()).await {
                                Ok(None) => return Ok(()),
                                Ok(Some(Ok(piece))) => {
                                    hash.update(&piece);
                                    sent += u64::try_from(piece.len()).unwrap_or(0);
                                    failures = 0;
                                    give.send(Ok(piece)).await.map_err(|_| Ended::Closed)?;
                                    teller.tell(&part.node, sent, part.size_bytes);
                                }
                                Ok(Some(Err(error))) => break format!("{} broke off: {error}", part.node),
                                Err(_) => break format!("{} fell silent", part.node),
                            }
                        }
                    }
                    Err(Refused::Busy) => {
                        turn += 1;
                        sleep(BUSY_PAUSE).await;
                        continue;
                    }
                    Err(Refused::Differs) => return Err(Ended::Differs),
                    Err(Refused::NotHeld) => "the node that held it does not any more".to_owned(),
                    Err(Refused::Failed(why)) => why,
                }
            }
        };
        if give.is_closed() {
            return Err(Ended::Closed);
        }
        turn += 1;
        failures += 1;
        if failures >= MAX_FAILURES {
            return Err(Ended::GaveUp(why));
        }
        info!(why, at = sent, "the copy of an image is interrupted");
        sleep(PAUSE.0.saturating_mul(1 << failures.min(16)).min(PAUSE.1)).await;
    }
}

/// Tells progress, but not all the time.
struct Teller<'a> {
    progress: &'a (dyn Fn(&str, u64) + Send + Sync),
    told: Option<(u64, Instant)>,
}

impl<'a> Teller<'a> {
    fn new(progress: &'a (dyn Fn(&str, u64) + Send + Sync)) -> Self {
        Self { progress, told: None }
    }

    fn tell(&mut self, node: &str, sent: u64, of: u64) {
        let percent = (sent.saturating_mul(100) / of.max(1)).min(99);
        let worth_it = self
            .told
            .is_none_or(|(told, when)| percent >= told + TELL.1 && when.elapsed() >= TELL.0);
        if worth_it {
            self.told = Some((percent, Instant::now()));
            (self.progress)(node, percent);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::TryStreamExt;

    use super::*;
    use crate::images::export::{ResumeError, resume};

    /// Holders of one archive, each with the faults that it has.
    struct Fakes {
        archive: Vec<u8>,
        /// What each does when it is asked; the last again and again.
        scripts: Mutex<Vec<(NodeId, Vec<Does>)>>,
        asked: Mutex<Vec<(NodeId, u64)>>,
    }

    #[derive(Clone)]
    enum Does {
        /// Gives so many bytes, and breaks off unless that is all.
        Gives(usize),
        Refuses(Refused),
        /// Gives other bytes altogether.
        GivesOther(Vec<u8>),
        /// Gives an image of another content.
        IsOther,
    }

    const ALL: usize = usize::MAX;

    fn quietly(_: &str, _: u64) {}

    fn node(number: u128) -> NodeId {
        NodeId::from_number(number)
    }

    fn fakes(scripts: &[(u128, &[Does])]) -> Fakes {
        let scripts = scripts
            .iter()
            .map(|(number, does)| (node(*number), does.to_vec()));
        Fakes {
            archive: (0..10_000_u32).flat_map(u32::to_le_bytes).collect(),
            scripts: Mutex::new(scripts.collect()),
            asked: Mutex::default(),
        }
    }

    impl Holders for Fakes {
        fn now(&self) -> Vec<NodeId> {
            self.scripts
                .lock()
                .unwrap()
                .iter()
                .map(|(node, _)| *node)
                .collect()
        }

        async fn open(&self, holder: NodeId, offset: u64, prefix: &str) -> Result<Part, Refused> {
            self.asked.lock().unwrap().push((holder, offset));
            let does = {
                let mut scripts = self.scripts.lock().unwrap();
                let (_, script) = scripts.iter_mut().find(|(node, _)| *node == holder).unwrap();
                if script.len() > 1 {
                    script.remove(0)
                } else {
                    script[0].clone()
                }
            };
            let (archive, limit, content) = match does {
                Does::Gives(limit) => (self.archive.clone(), limit, "content"),
                Does::GivesOther(other) => (other, ALL, "content"),
                Does::IsOther => (self.archive.clone(), ALL, "other"),
                Does::Refuses(refused) => return Err(refused),
            };
            let pieces: Vec<Result<Bytes, BoxError>> = archive
                .chunks(777)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                .collect();
            let size_bytes = archive.len() as u64;
            let bytes = resume(Box::pin(stream::iter(pieces)), offset, prefix).await;
            let bytes = bytes.map_err(|error| match error {
                ResumeError::Differs => Refused::Differs,
                ResumeError::Engine(_) => Refused::NotHeld,
            })?;
            let is_cut = limit < usize::try_from(size_bytes - offset).unwrap();
            let mut left = limit;
            let cut = bytes.map(move |piece| {
                let piece = piece?;
                if left == 0 {
                    return Err("cut".into());
                }
                let given = left.min(piece.len());
                left -= given;
                Ok(piece.slice(..given))
            });
            Ok(Part {
                node: format!("pi-{holder}"),
                content: content.to_owned(),
                size_bytes,
                bytes: Box::pin(cut.chain(stream::iter(is_cut.then(|| Err("cut".into()))))),
            })
        }
    }

    async fn copied(fakes: &Fakes) -> Result<(Vec<u8>, Copied), CopyError<String>> {
        let load = |archive: Bytestream| async {
            let pieces: Result<Vec<Bytes>, BoxError> = archive.try_collect().await;
            pieces
                .map(|pieces| pieces.concat())
                .map_err(|error| error.to_string())
        };
        copy(fakes, load, &quietly).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_archive_comes_whole() {
        let fakes = fakes(&[(1, &[Does::Gives(ALL)])]);
        let (bytes, copied) = copied(&fakes).await.unwrap();
        assert_eq!(bytes, fakes.archive);
        assert_eq!(copied.content, "content");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_connection_is_continued_where_it_broke_by_whoever_has_the_image() {
        let cuts = [Does::Gives(5000), Does::Gives(777), Does::Gives(ALL)];
        let fakes = fakes(&[(1, &cuts), (2, &[Does::Gives(10_000)])]);
        let (bytes, _) = copied(&fakes).await.unwrap();
        assert_eq!(bytes, fakes.archive);
        let asked = fakes.asked.lock().unwrap().clone();
        assert_eq!(
            asked,
            [
                (node(1), 0),
                (node(2), 5000),
                (node(1), 15_000),
                (node(2), 15_777),
                (node(1), 25_777)
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_send_other_bytes_does_not_continue_the_archive() {
        let other = vec![7; 30_000];
        let fakes = fakes(&[
            (1, &[Does::Gives(5000), Does::Gives(ALL)]),
            (2, &[Does::GivesOther(other)]),
        ]);
        let (bytes, _) = copied(&fakes).await.unwrap();
        assert_eq!(bytes, fakes.archive, "it began anew, and nothing was mixed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_calls_another_image_the_same_is_passed_over() {
        let fakes = fakes(&[(1, &[Does::Gives(5000), Does::Gives(ALL)]), (2, &[Does::IsOther])]);
        assert_eq!(copied(&fakes).await.unwrap().0, fakes.archive);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_holder_is_waited_for_and_is_no_failure() {
        let mut script = vec![Does::Refuses(Refused::Busy); 100];
        script.push(Does::Gives(ALL));
        let fakes = fakes(&[(1, &script)]);
        assert_eq!(copied(&fakes).await.unwrap().0, fakes.archive);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_given_up_in_words_when_nobody_gives_it() {
        let gone = Does::Refuses(Refused::Failed("pi-1 cannot be reached".to_owned()));
        let refused = copied(&fakes(&[(1, &[gone])])).await.unwrap_err();
        assert_eq!(refused.to_string(), "pi-1 cannot be reached");
        let nobody = copied(&fakes(&[])).await.unwrap_err();
        assert_eq!(nobody.to_string(), "no node that is up holds it");
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_takes_no_more_ends_it() {
        let fakes = fakes(&[(1, &[Does::Gives(ALL)])]);
        let load = |mut archive: Bytestream| async move {
            archive.next().await;
            Err::<(), _>("the card is full".to_owned())
        };
        let error = copy(&fakes, load, &quietly).await.unwrap_err();
        assert!(matches!(error, CopyError::Engine(words) if words == "the card is full"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_cut_wherever_the_engine_gets_the_archive_once(cuts in proptest::collection::vec(1..30_000_usize, 0..12)) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let (odd, even): (Vec<_>, Vec<_>) = cuts.iter().enumerate().partition(|(n, _)| n % 2 == 1);
            let script = |cuts: Vec<(usize, &usize)>| {
                let cuts = cuts.into_iter().map(|(_, cut)| Does::Gives(*cut));
                cuts.chain([Does::Gives(ALL)]).collect::<Vec<_>>()
            };
            let (odd, even) = (script(odd), script(even));
            let fakes = fakes(&[(1, &odd), (2, &even)]);
            let (bytes, _) = runtime.block_on(copied(&fakes)).unwrap();
            assert!(bytes == fakes.archive);
        }
    }
}
