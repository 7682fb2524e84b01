//! `primes`: counts prime numbers the slow way, to keep a processor busy.

use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// The highest limit: some seconds of a Pi.
const MOST: u32 = 10_000_000;

pub(crate) fn answer(call: &Call) -> Reply {
    let asked = if call.body.is_empty() {
        call.option("below")
            .or_else(|| call.option("text"))
            .unwrap_or("1000000")
    } else {
        call.line("a number")?
    };
    let below = asked
        .trim()
        .parse()
        .ok()
        .filter(|below| (3..=MOST).contains(below));
    let below = below.ok_or_else(|| {
        Refusal::new(format!(
            "`{}` does not go; send a number from 3 to {MOST}.",
            asked.trim()
        ))
    })?;
    let (count, largest) = primes(below);
    Ok(Answer::text(format!(
        "There are {count} prime numbers below {below}. The largest is {largest}.\n"
    )))
}

/// How many there are below a number, and the largest, by trying to divide each by all smaller ones that could.
pub(crate) fn primes(below: u32) -> (u32, u32) {
    let mut divisors: Vec<u32> = Vec::new();
    let (mut count, mut largest) = (0, 0);
    for candidate in 2..below {
        let could = divisors
            .iter()
            .take_while(|divisor| *divisor * *divisor <= candidate);
        if could.into_iter().all(|divisor| candidate % divisor != 0) {
            count += 1;
            largest = candidate;
            // Larger ones divide nothing below the limit, and their squares would not fit the type.
            if candidate <= below.isqrt() {
                divisors.push(candidate);
            }
        }
    }
    (count, largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_counted() {
        assert_eq!(primes(3), (1, 2));
        assert_eq!(primes(100), (25, 97));
        assert_eq!(primes(100_000), (9_592, 99_991));
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        assert!(answer(&Call::of(b"10000001", "")).is_err());
        assert!(answer(&Call::of(b"many", "")).is_err());
    }
}
