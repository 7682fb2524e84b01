//! `load-page`: a page whose browser keeps this function, or another one, busy.
//!
//! What the page fetches is the very function it came from, which allows that to every origin. From another function the
//! page could not even read whether it answered well or was not there at all; so this one calls it, at the gateway, and
//! tells the page what became of it.

use serde::Serialize;

use std::env;
use std::time::Duration;

use tokio::time::timeout;
use url::Url;

use super::replica;
use crate::builtin::call::{Answer, Call, Refusal, Reply};
use crate::builtin::network::exchange::head_of;
use crate::builtin::numbers::primes::primes;

const PAGE: &str = include_str!("load.html");

/// The most work of one call: some milliseconds of a Pi, during which the replica does nothing else.
const MOST: u32 = 100_000;

/// The gateway, under its name inside a container, and where it has functions.
const GATEWAY: &str = "http://gateway:8080";
const FUNCTION: &str = "/function/";

/// The longest that a call of another function may take.
const TIME: Duration = Duration::from_secs(60);

/// What a call for work answers.
#[derive(Debug, Serialize)]
struct Done {
    replica: String,
    primes: u32,
    below: u32,
}

/// What became of a call of another function.
#[derive(Debug, Serialize)]
struct Called {
    status: u16,
    /// The node that answered.
    node: Option<String>,
}

pub(crate) async fn answer(call: Call) -> Reply {
    let reply = match (call.option("call"), call.option("work")) {
        (Some(function), _) => other(function).await,
        (None, Some(_)) => work(&call),
        (None, None) => return Ok(Answer::html(PAGE)),
    };
    // The page counts refusals too.
    Ok(reply
        .unwrap_or_else(Answer::from)
        .with_header("access-control-allow-origin", "*")
        .with_header("access-control-expose-headers", "X-Bramble-Node")
        .with_header("cache-control", "no-store"))
}

/// Calls another function.
async fn other(function: &str) -> Reply {
    let gateway = env::var("gateway_url").ok().and_then(|url| Url::parse(&url).ok());
    let gateway = gateway.unwrap_or_else(|| Url::parse(GATEWAY).expect("it is an address"));
    // What leads out of the functions, such as `../system`, is an address of something else.
    let address = gateway
        .join(&format!("{FUNCTION}{function}"))
        .ok()
        .filter(|address| address.path().len() > FUNCTION.len() && address.path().starts_with(FUNCTION))
        .ok_or_else(|| Refusal::new(format!("`{function}` is no name of a function.")))?;
    let late = || Refusal::with_status(504, format!("{function} took longer than {} s.", TIME.as_secs()));
    let head = timeout(TIME, head_of(address.as_str()))
        .await
        .map_err(|_| late())??;
    let node = head
        .headers
        .get("x-bramble-node")
        .and_then(|node| node.to_str().ok());
    let called = Called {
        status: head.status.as_u16(),
        node: node.map(str::to_owned),
    };
    let json = serde_json::to_vec(&called).expect("a number and a text");
    Ok(Answer::new("application/json", json))
}

fn work(call: &Call) -> Reply {
    let below = call.number("work", 3..=MOST, 3)?;
    let done = Done {
        replica: replica(),
        primes: primes(below).0,
        below,
    };
    let json = serde_json::to_vec(&done).expect("a text and numbers");
    Ok(Answer::new("application/json", json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_and_every_origin_may_see_it() {
        let answer = answer(Call::of(b"", "work=1000")).await.unwrap();
        let done: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&done["primes"], &done["below"]), (&168.into(), &1000.into()));
        assert!(
            answer
                .headers
                .contains(&("access-control-allow-origin", "*".to_owned()))
        );
    }

    #[tokio::test]
    async fn without_work_there_is_the_page() {
        let page = answer(Call::of(b"", "")).await.unwrap();
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert!(work(&Call::of(b"", "work=1000000")).is_err());
        let refused = answer(Call::of(b"", "work=1000000")).await.unwrap();
        assert_eq!(refused.status, 400);
    }

    #[tokio::test]
    async fn what_leads_out_of_the_functions_is_not_called() {
        for name in ["", "..", "../system/functions", "a/../../system"] {
            let refused = answer(Call::of(b"", &format!("call={name}"))).await.unwrap();
            assert_eq!(refused.status, 400, "{name}");
        }
    }
}
