//! The bramble's name on the network: `bramble.local`, which leads to the leader.
//!
//! Its address records live for 120 seconds in others' caches at most, a new leader's replace the old one's there, and
//! a goodbye ends them at once. The name is never changed to something else because somebody claims it too.

use mdns_sd::{ServiceDaemon, ServiceInfo};

use super::{DiscoveryError, Mdns, mdns::register, one_name::NameStep};

/// The portal as programs that browse for web pages see it.
const PORTAL: &str = "_http._tcp.local.";

/// Publishes the bramble's name when told to.
pub struct BrambleName {
    daemon: ServiceDaemon,
    name: String,
    port: u16,
    /// The full name under which the portal is published.
    published: Option<String>,
}

impl std::fmt::Debug for BrambleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrambleName")
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl BrambleName {
    /// For the bramble called `name`, whose portal is on `port`. Uses the name server of `mdns`, and must not outlive it.
    pub fn new(mdns: &Mdns, name: &str, port: u16) -> Self {
        Self {
            daemon: mdns.daemon().clone(),
            name: name.to_owned(),
            port,
            published: None,
        }
    }

    /// Carries out what [`OneName`](super::OneName) decided.
    ///
    /// # Errors
    /// [`DiscoveryError`] where the name server is gone or the name is none.
    pub fn carry_out(&mut self, step: NameStep) -> Result<(), DiscoveryError> {
        match step {
            NameStep::Keep => Ok(()),
            NameStep::Withdraw => self.withdraw(),
            NameStep::Publish(term) => {
                let host = format!("{}.local.", self.name);
                let term = term.to_string();
                let entries = [("path", "/"), ("term", term.as_str())];
                let info = ServiceInfo::new(PORTAL, &self.name, &host, (), self.port, &entries[..]);
                self.published = Some(register(&self.daemon, info)?);
                Ok(())
            }
        }
    }

    fn withdraw(&mut self) -> Result<(), DiscoveryError> {
        match self.published.take() {
            Some(fullname) => self
                .daemon
                .unregister(&fullname)
                .map(|_| ())
                .map_err(DiscoveryError::Mdns),
            None => Ok(()),
        }
    }
}

impl Drop for BrambleName {
    fn drop(&mut self) {
        _ = self.withdraw();
    }
}
