//! How many strangers are spoken with. Pure: time is passed in.
//!
//! A handshake costs some milliseconds on a Pi, and anybody on the network can ask for one. Each address gets a few
//! and then three a second; all together get what a bramble of a hundred nodes needs when it is founded, and no more
//! than a third of a core.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Conversations that one address may begin at once, and per second after that.
const ADDRESS_BURST: u32 = 12;
const ADDRESS_PER_SECOND: u32 = 3;

/// The same for all addresses together.
const ALL_BURST: u32 = 200;
const ALL_PER_SECOND: u32 = 100;

/// Addresses that are remembered. Beyond, those that have been quiet are forgotten.
const ADDRESSES: usize = 1024;

/// Conversations of one address that may be open at a time.
const ADDRESS_OPEN: u32 = 8;

/// A bucket of permissions that fills slowly. In thousandths.
#[derive(Clone, Debug)]
struct Bucket {
    millis: u64,
    filled: Duration,
}

impl Bucket {
    fn full(burst: u32, now: Duration) -> Self {
        Self {
            millis: u64::from(burst) * 1000,
            filled: now,
        }
    }

    fn fill(&mut self, burst: u32, per_second: u32, now: Duration) {
        let passed = u64::try_from(now.saturating_sub(self.filled).as_millis()).unwrap_or(u64::MAX);
        let gained = passed.saturating_mul(u64::from(per_second));
        self.millis = self.millis.saturating_add(gained).min(u64::from(burst) * 1000);
        self.filled = now;
    }

    fn take(&mut self) -> bool {
        let left = self.millis.checked_sub(1000);
        self.millis = left.unwrap_or(self.millis);
        left.is_some()
    }
}

#[derive(Clone, Debug)]
struct Address {
    bucket: Bucket,
    open: u32,
}

/// Who has begun how many conversations lately.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    all: Bucket,
    addresses: BTreeMap<IpAddr, Address>,
}

impl Limits {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            all: Bucket::full(ALL_BURST, now),
            addresses: BTreeMap::new(),
        }
    }

    /// Whether `from` may begin a conversation at `now`. If so, [`end`](Self::end) has to be told of its end.
    pub(super) fn begin(&mut self, from: IpAddr, now: Duration) -> bool {
        self.all.fill(ALL_BURST, ALL_PER_SECOND, now);
        // Whoever is on this machine could do worse, and the demo's nodes all are.
        if from.is_loopback() {
            return self.all.take();
        }
        if !self.addresses.contains_key(&from) && self.addresses.len() >= ADDRESSES {
            self.forget(now);
            if self.addresses.len() >= ADDRESSES {
                return false;
            }
        }
        let address = self.addresses.entry(from).or_insert_with(|| Address {
            bucket: Bucket::full(ADDRESS_BURST, now),
            open: 0,
        });
        address.bucket.fill(ADDRESS_BURST, ADDRESS_PER_SECOND, now);
        if address.open >= ADDRESS_OPEN || !address.bucket.take() {
            return false;
        }
        let allowed = self.all.take();
        address.open += u32::from(allowed);
        allowed
    }

    /// A conversation that was begun has ended.
    pub(super) fn end(&mut self, from: IpAddr) {
        if let Some(address) = self.addresses.get_mut(&from) {
            address.open = address.open.saturating_sub(1);
        }
    }

    fn forget(&mut self, now: Duration) {
        self.addresses.retain(|_, address| {
            address.bucket.fill(ADDRESS_BURST, ADDRESS_PER_SECOND, now);
            address.open > 0 || address.bucket.millis < u64::from(ADDRESS_BURST) * 1000
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(number: u32) -> IpAddr {
        IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + number))
    }

    /// How many of `tries` at the same moment are allowed, each ending at once.
    fn allowed(limits: &mut Limits, from: IpAddr, at: u64, tries: u32) -> u32 {
        let now = Duration::from_secs(at);
        let mut allowed = 0;
        for _ in 0..tries {
            if limits.begin(from, now) {
                limits.end(from);
                allowed += 1;
            }
        }
        allowed
    }

    #[test]
    fn one_address_gets_a_few_and_then_three_a_second() {
        let mut limits = Limits::new(Duration::ZERO);
        assert_eq!(allowed(&mut limits, from(1), 0, 100), 12);
        assert_eq!(allowed(&mut limits, from(1), 2, 100), 6);
        assert_eq!(allowed(&mut limits, from(2), 2, 1), 1, "others are not held up");
    }

    #[test]
    fn a_hundred_nodes_that_come_at_once_are_all_heard() {
        let mut limits = Limits::new(Duration::ZERO);
        for node in 0..100 {
            assert_eq!(allowed(&mut limits, from(node), 0, 2), 2);
        }
    }

    #[test]
    fn many_addresses_together_get_no_more_than_the_pi_can_do() {
        let mut limits = Limits::new(Duration::ZERO);
        let flood = |limits: &mut Limits, at| {
            (0..5_000)
                .map(|node| allowed(limits, from(node), at, 1))
                .sum::<u32>()
        };
        assert_eq!(flood(&mut limits, 0), 200);
        assert!(flood(&mut limits, 1) <= 100);
        assert!(limits.addresses.len() <= ADDRESSES);
        assert_eq!(allowed(&mut limits, from(9_999), 60, 1), 1, "it passes");
    }

    #[test]
    fn one_address_keeps_only_so_many_conversations_open() {
        let mut limits = Limits::new(Duration::ZERO);
        let open = (0..12).filter(|_| limits.begin(from(1), Duration::ZERO)).count();
        assert_eq!(open, 8);
        limits.end(from(1));
        assert!(limits.begin(from(1), Duration::from_secs(60)));
    }

    #[test]
    fn the_nodes_of_one_machine_share_an_address_and_are_not_held_up() {
        let mut limits = Limits::new(Duration::ZERO);
        let here = IpAddr::from(std::net::Ipv4Addr::LOCALHOST);
        assert_eq!(allowed(&mut limits, here, 0, 100), 100);
    }
}
