//! A connection to what an address says.

use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::resolve;
use crate::builtin::call::Refusal;

/// How long an address may take to let us in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Where to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// Of an address that begins with `http://` or `https://`, or with neither, which means `http://`.
    pub(super) fn of(address: &str) -> Result<(Self, Uri), Refusal> {
        let bad = || {
            Refusal::new(format!(
                "`{address}` is no address; write it like http://gateway:8080/healthz."
            ))
        };
        let whole = match address.contains("://") {
            true => address.to_owned(),
            false => format!("http://{address}"),
        };
        let uri: Uri = whole.parse().map_err(|_| bad())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let target = Self {
            tls,
            host: uri
                .host()
                .filter(|host| !host.is_empty())
                .ok_or_else(bad)?
                .to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        };
        Ok((target, uri))
    }

    /// `host:port`, without the port where it is the usual one.
    pub(super) fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// The name that the server's certificate has to be for.
    pub(super) fn server_name(&self) -> Result<ServerName<'static>, Refusal> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        ServerName::try_from(host).map_err(|_| unreachable(&self.host, "that is no name of a server"))
    }

    /// A plain connection to the first of its addresses that takes one.
    pub(super) async fn tcp(&self) -> Result<TcpStream, Refusal> {
        let addresses = resolve::addresses(&self.host)
            .await
            .map_err(|why| unreachable(&self.host, why))?;
        let mut reason = String::new();
        for address in addresses {
            match timeout(PATIENCE, TcpStream::connect((address, self.port))).await {
                Ok(Ok(stream)) => {
                    _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(why)) => reason = format!("{address} port {}: {why}", self.port),
                Err(_) => reason = format!("{address} port {} does not answer", self.port),
            }
        }
        Err(unreachable(&self.host, reason))
    }

    /// A TLS connection, whatever the address said.
    pub(super) async fn tls(&self, config: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, Refusal> {
        let stream = self.tcp().await?;
        let connected = TlsConnector::from(config).connect(self.server_name()?, stream);
        match timeout(PATIENCE, connected).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(why)) => Err(unreachable(&self.host, why)),
            Err(_) => Err(unreachable(&self.host, "it does not speak TLS")),
        }
    }

    /// A connection as the address says.
    pub(super) async fn open(&self, config: &Arc<ClientConfig>) -> Result<Box<dyn Stream>, Refusal> {
        Ok(match self.tls {
            true => Box::new(self.tls(config.clone()).await?),
            false => Box::new(self.tcp().await?),
        })
    }
}

fn unreachable(host: &str, why: impl std::fmt::Display) -> Refusal {
    Refusal::with_status(502, format!("{host} cannot be reached: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_their_usual_ports() {
        let target = |text: &str| Target::of(text).unwrap().0;
        assert_eq!(
            target("https://a.b/c?d"),
            Target {
                tls: true,
                host: "a.b".into(),
                port: 443
            }
        );
        assert_eq!(
            target("gateway:8080/x"),
            Target {
                tls: false,
                host: "gateway".into(),
                port: 8080
            }
        );
        assert_eq!(target("http://[::1]:81/").authority(), "[::1]:81");
        assert!(Target::of("ftp://a").is_err());
        assert!(Target::of("http://").is_err());
        assert!(Target::of("a b").is_err());
    }
}
