//! Asking a replica whether it is ready, or healthy.
//!
//! A plain HTTP GET on a fresh connection that ends with it: a server that takes one connection at a time must not
//! find it taken by us, and a new connection is what is to be found out about. What an answer means is pure.

use std::{io, net::SocketAddr, time::Duration};

use api::spec::Probe;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Asked where no annotation names a path: watchdogs answer it.
const DEFAULT_PATH: &str = "/_/health";

/// Watchdogs do not log requests of a program of this name.
const USER_AGENT: &str = "kube-probe/bramble";

/// Most of an answer that is read; more is cut off.
const ANSWER_BYTES: usize = 64 * 1024;

/// The first wait between questions to a replica that has not answered yet, and the factor by which it grows.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP answer with this status.
    Status(u16),
    /// None; why, in words.
    Silence(String),
}

/// Asks once.
pub async fn ask(address: SocketAddr, probe: &Probe) -> Answer {
    let path = path(probe);
    let limit = Duration::from_millis(probe.timeout_ms);
    match timeout(limit, get(address, path)).await {
        Ok(Ok(status)) => Answer::Status(status),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Answer::Silence("nothing listens on its port".to_owned())
        }
        Ok(Err(error)) => Answer::Silence(format!("GET {path} failed: {error}")),
        Err(_) => Answer::Silence(format!("no answer to GET {path} within {} ms", probe.timeout_ms)),
    }
}

fn path(probe: &Probe) -> &str {
    probe.path.as_deref().unwrap_or(DEFAULT_PATH)
}

async fn get(address: SocketAddr, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let status = std::str::from_utf8(&head)
        .ok()
        .filter(|head| head.starts_with("HTTP/1."))
        .and_then(|head| head.get(9..12)?.parse().ok())
        .ok_or_else(|| io::Error::other("what answers does not speak HTTP"))?;
    // Read to the end, so that the function does not find its answer unwanted.
    let mut rest = [0; 1024];
    let mut read = 0;
    while read < ANSWER_BYTES {
        match stream.read(&mut rest).await? {
            0 => break,
            n => read += n,
        }
    }
    Ok(status)
}

/// Whether the answer is good enough; `has_lock_file` is asked only where it matters.
///
/// Without a path of the user's own, a server that does not know `/_/health` counts as ready once it answers at all,
/// and an older watchdog once it has written its lock file.
///
/// # Errors
/// What is wrong with it, in words.
pub async fn judge(
    answer: Answer,
    probe: &Probe,
    has_lock_file: impl Future<Output = bool>,
) -> Result<(), String> {
    let is_default = probe.path.is_none();
    match answer {
        Answer::Silence(words) => Err(words),
        Answer::Status(200..=399) => Ok(()),
        Answer::Status(404 | 405 | 501) if is_default => Ok(()),
        Answer::Status(_) if is_default && has_lock_file.await => Ok(()),
        Answer::Status(status) => Err(format!("answers GET {} with {status}", path(probe))),
    }
}

/// How long to wait before a replica that is not ready is asked again, when it has been asked `times` times.
pub fn pause_before_ready(times: u32, probe: &Probe) -> Duration {
    let growing = FIRST_PAUSE.saturating_mul(1 << (times / 8).min(10));
    growing.min(Duration::from_millis(probe.period_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom() -> Probe {
        Probe {
            path: Some("/ok".to_owned()),
            ..Probe::default()
        }
    }

    #[tokio::test]
    async fn a_server_without_the_route_is_ready_once_it_answers() {
        let judge = async |status, probe: &Probe, lock| {
            judge(Answer::Status(status), probe, async move { lock }).await
        };
        assert!(judge(200, &Probe::default(), false).await.is_ok());
        assert!(judge(404, &Probe::default(), false).await.is_ok());
        assert!(judge(404, &custom(), true).await.is_err());
        assert!(judge(503, &Probe::default(), false).await.is_err());
    }

    #[tokio::test]
    async fn an_older_watchdog_is_ready_with_its_lock_file() {
        let answer = judge(Answer::Status(500), &Probe::default(), async { true }).await;
        assert_eq!(answer, Ok(()));
        let answer = judge(Answer::Status(500), &Probe::default(), async { false }).await;
        assert_eq!(answer.unwrap_err(), "answers GET /_/health with 500");
    }

    #[tokio::test]
    async fn silence_is_told_in_words() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let quick = Probe {
            timeout_ms: 50,
            ..Probe::default()
        };
        assert_eq!(
            ask(address, &quick).await,
            Answer::Silence("no answer to GET /_/health within 50 ms".to_owned())
        );
        drop(listener);
        assert_eq!(
            ask(address, &quick).await,
            Answer::Silence("nothing listens on its port".to_owned())
        );
    }

    #[tokio::test]
    async fn the_status_is_read_and_the_name_is_one_that_watchdogs_do_not_log() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno")
                .await
                .unwrap();
            String::from_utf8(request[..n].to_vec()).unwrap()
        });
        assert_eq!(ask(address, &Probe::default()).await, Answer::Status(503));
        let request = server.await.unwrap();
        assert!(request.starts_with("GET /_/health HTTP/1.1\r\n") && request.contains("kube-probe"));
    }

    #[test]
    fn questions_are_quick_at_first_and_then_as_often_as_the_probe_says() {
        let probe = Probe::default();
        assert_eq!(pause_before_ready(0, &probe), Duration::from_millis(20));
        let first_second: Duration = (0..24).map(|n| pause_before_ready(n, &probe)).sum();
        assert!(first_second > Duration::from_secs(1));
        assert_eq!(pause_before_ready(1000, &probe), Duration::from_secs(2));
    }
}
