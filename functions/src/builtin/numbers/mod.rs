//! Functions that compute.

pub(super) mod dice;
pub(super) mod moon;
pub(super) mod primes;
pub(super) mod temperature;
pub(super) mod tone;
