//! Addresses of a name, without the C library's help: a static program in an empty image has no plug-ins to load.
//!
//! As everywhere else: `/etc/hosts` first, then the servers of `/etc/resolv.conf`, with its search list. Both are read
//! anew for each look-up, because engines rewrite them and look-ups are rare.
//!
//! [`files`] reads the two files, [`question`] asks one server; here is the order of things.

mod files;
mod question;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use self::files::{Settings, in_hosts};
use self::question::{Answer, Kind, Trouble, ask};

/// Where to look names up.
#[derive(Debug)]
pub(crate) struct Names {
    hosts: PathBuf,
    settings: PathBuf,
    /// Where name servers listen; `resolv.conf` has no word for it.
    port: u16,
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamesError {
    #[error("nobody knows the name `{0}`: it is neither in /etc/hosts nor known to the name servers")]
    Unknown(String),
    #[error("no name server tells the address of `{name}`: {server}: {trouble}")]
    Unanswered {
        name: String,
        server: IpAddr,
        #[source]
        trouble: Trouble,
    },
}

impl From<NamesError> for io::Error {
    fn from(error: NamesError) -> Self {
        let kind = match error {
            NamesError::Unknown(_) => io::ErrorKind::NotFound,
            NamesError::Unanswered { .. } => io::ErrorKind::TimedOut,
        };
        Self::new(kind, error)
    }
}

impl Names {
    /// Those of this system.
    pub(crate) fn of_system() -> Self {
        Self {
            hosts: "/etc/hosts".into(),
            settings: "/etc/resolv.conf".into(),
            port: 53,
        }
    }

    /// The addresses of `name`, IPv4 first; never none.
    ///
    /// # Errors
    /// [`NamesError`] where the name is unknown, or nobody answers.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NamesError> {
        let known = in_hosts(&text(&self.hosts), name);
        if !known.is_empty() {
            return Ok(known);
        }
        let settings = Settings::parse(&text(&self.settings));
        for candidate in settings.candidates(name) {
            let found = self.ask_servers(&settings, &candidate).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(NamesError::Unknown(name.to_owned()))
    }

    /// Asks one server after the other, until one answers; nothing where it says that there is nothing.
    async fn ask_servers(&self, settings: &Settings, name: &str) -> Result<Vec<IpAddr>, NamesError> {
        let mut last = None;
        for _ in 0..settings.attempts {
            for server in &settings.servers {
                match self.ask_one(*server, name, settings.timeout).await {
                    Ok(found) => return Ok(found),
                    Err(trouble) => last = Some((*server, trouble)),
                }
            }
        }
        match last {
            Some((server, trouble)) => Err(NamesError::Unanswered {
                name: name.to_owned(),
                server,
                trouble,
            }),
            None => Ok(Vec::new()),
        }
    }

    /// Both kinds of address at once. One of them is enough: not every server knows what to say about IPv6.
    async fn ask_one(&self, server: IpAddr, name: &str, patience: Duration) -> Result<Vec<IpAddr>, Trouble> {
        let server = SocketAddr::new(server, self.port);
        let one = |kind| async move {
            let answer = timeout(patience, ask(server, name, kind)).await;
            answer.unwrap_or(Err(Trouble::Silent))
        };
        let (four, six) = tokio::join!(one(Kind::V4), one(Kind::V6));
        match (four, six) {
            (Ok(Answer::Nothing), Err(trouble)) | (Err(trouble), Ok(Answer::Nothing) | Err(_)) => {
                Err(trouble)
            }
            (four, six) => Ok([four, six]
                .into_iter()
                .flatten()
                .flat_map(Answer::addresses)
                .collect()),
        }
    }
}

/// What is in a file; nothing where it is missing, as in an image that brings none.
fn text(path: &Path) -> String {
    std::fs::read(path).map_or_else(
        |_| String::new(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}

#[cfg(test)]
mod tests;
