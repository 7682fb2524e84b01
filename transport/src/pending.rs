//! Connections that have not said a word yet. They cost a file descriptor each, and anybody can open them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections without a word that are kept at a time; more wait in the kernel's queue. Half of the file descriptors
/// that a service has by default.
const ALL: usize = 512;

/// The same for one address. A node opens a few at a time.
const ONE_ADDRESS: u32 = 64;

/// The connections that have not said a word yet. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// One of them; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _all: OwnedSemaphorePermit,
    from: Option<IpAddr>,
    by_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            by_address: Arc::default(),
        }
    }

    /// Waits until there is room for one more.
    pub(crate) async fn room(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.all).acquire_owned().await;
        permit.expect("never closed")
    }

    /// A place for the connection from `from`; `None` where that address has too many. The nodes of one machine share an
    /// address, and whoever is on this machine could do worse.
    pub(crate) fn place(&self, room: OwnedSemaphorePermit, from: IpAddr) -> Option<Place> {
        let counted = (!from.is_loopback()).then_some(from);
        if let Some(from) = counted {
            let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_address.entry(from).or_default();
            if *count >= ONE_ADDRESS {
                return None;
            }
            *count += 1;
        }
        Some(Place {
            _all: room,
            from: counted,
            by_address: Arc::clone(&self.by_address),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(from) = self.from else { return };
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn one_address_gets_only_its_share_and_is_forgotten_when_it_has_gone() {
        let pending = Pending::new();
        let (one, other) = (
            Ipv4Addr::new(10, 0, 0, 1).into(),
            Ipv4Addr::new(10, 0, 0, 2).into(),
        );
        let mut places = Vec::new();
        for _ in 0..100 {
            places.extend(pending.place(pending.room().await, one));
        }
        assert_eq!(places.len(), 64);
        assert!(pending.place(pending.room().await, other).is_some());
        places.clear();
        assert!(pending.place(pending.room().await, one).is_some());
        assert!(pending.by_address.lock().unwrap().is_empty());
    }
}
