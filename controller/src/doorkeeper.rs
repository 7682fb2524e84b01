//! Who may try a code for the first visit: few tries for each address, so that one pupil who guesses keeps nobody else out,
//! and not too many in all. Time is passed in.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// For so long a try counts.
const COUNTS_FOR: Duration = Duration::from_secs(50);

/// Tries of one address in that time: five at once, and then one every ten seconds on average.
const TRIES: usize = 5;

/// Tries of all in that time, and as many are remembered. Ten a second find one of 2^40 codes in some two thousand years.
const TRIES_OF_ALL: usize = 500;

/// Where a request comes from: who is counted as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor(IpAddr);

impl Visitor {
    /// Somebody at this address. With IPv6, a computer has as many as it likes of one network: those are one.
    pub fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into()),
            v4 => Self(v4),
        }
    }

    /// Somebody of whom nothing is known.
    pub fn unknown() -> Self {
        Self(Ipv6Addr::UNSPECIFIED.into())
    }
}

/// Lets few codes be tried. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doorkeeper(Arc<Mutex<VecDeque<(Instant, Visitor)>>>);

impl Doorkeeper {
    /// Whether `visitor` may try one more code at `now`.
    pub(crate) fn lets_try(&self, visitor: Visitor, now: Instant) -> bool {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tries
            .front()
            .is_some_and(|(tried, _)| now.duration_since(*tried) >= COUNTS_FOR)
        {
            tries.pop_front();
        }
        let own = tries.iter().filter(|(_, tried)| *tried == visitor).count();
        let free = own < TRIES && tries.len() < TRIES_OF_ALL;
        if free {
            tries.push_back((now, visitor));
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Visitor {
        Visitor::at(address.parse().unwrap())
    }

    #[test]
    fn five_codes_may_be_tried_and_then_no_more_for_a_while() {
        let (doorkeeper, began) = (Doorkeeper::default(), Instant::now());
        let tries = |seconds: u64| {
            (0..20)
                .filter(|_| doorkeeper.lets_try(at("192.168.1.9"), began + Duration::from_secs(seconds)))
                .count()
        };
        assert_eq!(tries(0), 5);
        assert_eq!(tries(30), 0);
        assert_eq!(tries(51), 5);
    }

    #[test]
    fn who_guesses_keeps_nobody_else_out() {
        let (doorkeeper, now) = (Doorkeeper::default(), Instant::now());
        while doorkeeper.lets_try(at("192.168.1.9"), now) {}
        assert!(doorkeeper.lets_try(at("192.168.1.10"), now));
        while doorkeeper.lets_try(at("2001:db8:0:1::9"), now) {}
        assert!(
            !doorkeeper.lets_try(at("2001:db8:0:1:ffff::1"), now),
            "the same computer with another address"
        );
        assert!(doorkeeper.lets_try(at("2001:db8:0:2::9"), now));
        assert!(!doorkeeper.lets_try(at("::ffff:192.168.1.9"), now));
    }

    #[test]
    fn however_many_guess_they_have_some_tries_in_all_and_take_little_memory() {
        let (doorkeeper, now) = (Doorkeeper::default(), Instant::now());
        let tries = (0..10_000_u32).filter(|number| {
            let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            doorkeeper.lets_try(Visitor::at(address), now)
        });
        assert_eq!(tries.count(), TRIES_OF_ALL);
        assert_eq!(doorkeeper.0.lock().unwrap().len(), TRIES_OF_ALL);
        assert!(doorkeeper.lets_try(at("192.168.1.9"), now + COUNTS_FOR));
    }
}
