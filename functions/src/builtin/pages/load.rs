//! `load-page`: a page whose browser keeps this function, or another one, busy.
//!
//! What the page fetches is, unless it is told otherwise, the very function it came from, which allows that to every
//! origin. From another function the page may not read the answer; it still counts it.

use serde::Serialize;

use super::replica;
use crate::builtin::call::{Answer, Call, Reply};
use crate::builtin::numbers::primes::primes;

const PAGE: &str = include_str!("load.html");

/// The most work of one call: some milliseconds of a Pi, during which the replica does nothing else.
const MOST: u32 = 100_000;

/// What a call for work answers.
#[derive(Debug, Serialize)]
struct Done {
    replica: String,
    primes: u32,
    below: u32,
}

pub(crate) fn answer(call: &Call) -> Reply {
    if call.option("work").is_none() {
        return Ok(Answer::html(PAGE));
    }
    let below = call.number("work", 3..=MOST, 3)?;
    let done = Done {
        replica: replica(),
        primes: primes(below).0,
        below,
    };
    let json = serde_json::to_vec(&done).expect("a text and numbers");
    Ok(Answer::new("application/json", json)
        .with_header("access-control-allow-origin", "*")
        .with_header("access-control-expose-headers", "X-Bramble-Node")
        .with_header("cache-control", "no-store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_and_every_origin_may_see_it() {
        let answer = answer(&Call::of(b"", "work=1000")).unwrap();
        let done: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&done["primes"], &done["below"]), (&168.into(), &1000.into()));
        assert!(
            answer
                .headers
                .contains(&("access-control-allow-origin", "*".to_owned()))
        );
    }

    #[test]
    fn without_work_there_is_the_page() {
        let page = answer(&Call::of(b"", "")).unwrap();
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert!(answer(&Call::of(b"", "work=1000000")).is_err());
    }
}
