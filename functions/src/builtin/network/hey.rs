//! `hey`: many requests at once, and a report of how they went.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{HeaderMap, Method, Uri};
use lexopt::prelude::{Long, Short, Value};
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout_at};

use super::connect::Target;
use super::exchange::{Exchange, broken};
use super::{tls, words};
use crate::args;
use crate::builtin::call::{Answer, Call, Refusal, Reply};
use crate::tools::Failure;

const MOST_REQUESTS: usize = 20_000;
const MOST_WORKERS: usize = 50;
const MOST_SECONDS: u64 = 30;

/// The gateway that every container of a bramble can reach by this name.
const GATEWAY: &str = "http://gateway:8080/healthz";

/// Rest after a failed request, so that a server that is down is not asked a million times.
const REST: Duration = Duration::from_millis(20);

/// Lines of the histogram, and the length of its longest bar.
const BARS: usize = 10;
const BAR: usize = 40;

/// One at a time: two would measure each other.
static TURN: Semaphore = Semaphore::const_new(1);

pub(crate) async fn answer(call: Call) -> Reply {
    let line = if call.body.is_empty() {
        call.option("text").unwrap_or_default()
    } else {
        call.line("")?
    };
    let plan = Plan::read(line)?;
    let Ok(_turn) = TURN.try_acquire() else {
        return Err(Refusal::with_status(
            429,
            "This replica is generating load already; try again when it is done.",
        ));
    };
    let started = Instant::now();
    let time = plan.time;
    let outcomes = generate(plan).await?;
    let total = started.elapsed();
    let mut text = report(&outcomes, total);
    if outcomes.len() >= MOST_REQUESTS && total < time {
        text += &format!("\nStopped after {MOST_REQUESTS} requests, the most of one run.\n");
    }
    Ok(Answer::text(text))
}

/// What is asked for.
#[derive(Debug)]
struct Plan {
    target: Target,
    uri: Uri,
    requests: usize,
    workers: usize,
    time: Duration,
    method: Method,
    body: Bytes,
}

impl Plan {
    fn read(line: &str) -> Result<Self, Refusal> {
        let mut words = words::split(line)?;
        if words.first().is_some_and(|word| word == "hey") {
            words.remove(0);
        }
        let gateway = std::env::var("gateway_url").unwrap_or_default();
        let usual = if gateway.is_empty() { GATEWAY } else { &gateway };
        Self::parse(words, usual)
    }

    fn parse(words: Vec<std::ffi::OsString>, usual: &str) -> Result<Self, Refusal> {
        let told = |why: Failure| {
            Refusal::new(format!(
                "{why}. Send -n requests (up to {MOST_REQUESTS}), -c at once (up to {MOST_WORKERS}), -z seconds (up to \
                 {MOST_SECONDS}), -m method, -d body, and an address; all may be left out."
            ))
        };
        let (mut requests, mut workers, mut seconds) = (None, 10, None);
        let (mut method, mut body, mut address) = (None, None, None);
        let mut parser = args::parser(words);
        let mut read = || -> Result<(), Failure> {
            while let Some(argument) = parser.next()? {
                match argument {
                    Short('n') => requests = Some(within(args::value(&mut parser)?, MOST_REQUESTS, "-n")?),
                    Short('c') => workers = within(args::value(&mut parser)?, MOST_WORKERS, "-c")?,
                    Short('z') => {
                        let text = args::text(&mut parser)?;
                        seconds = Some(within(
                            args::parse(text.trim_end_matches('s'))?,
                            MOST_SECONDS,
                            "-z",
                        )?);
                    }
                    Short('m') | Long("method") => method = Some(args::text(&mut parser)?),
                    Short('d') => body = Some(args::text(&mut parser)?),
                    Value(text) if address.is_none() => address = Some(args::utf8(text)?),
                    other => return Err(other.unexpected().into()),
                }
            }
            Ok(())
        };
        read().map_err(told)?;
        let method = match (&method, &body) {
            (Some(text), _) => text
                .parse()
                .map_err(|_| Refusal::new(format!("`{text}` is no method.")))?,
            (None, Some(_)) => Method::POST,
            (None, None) => Method::GET,
        };
        let (target, uri) = Target::of(address.as_deref().unwrap_or(usual))?;
        Ok(Self {
            target,
            uri,
            // With a time, as many as fit into it.
            requests: requests.unwrap_or(if seconds.is_some() { MOST_REQUESTS } else { 200 }),
            workers,
            time: Duration::from_secs(seconds.unwrap_or(MOST_SECONDS)),
            method,
            body: Bytes::from(body.unwrap_or_default()),
        })
    }
}

fn within<T: PartialOrd + std::fmt::Display + From<u8>>(
    number: T,
    most: T,
    option: &str,
) -> Result<T, Failure> {
    if number >= T::from(1) && number <= most {
        Ok(number)
    } else {
        Err(Failure::Usage(format!(
            "{option} is {number}; it can be 1 to {most}"
        )))
    }
}

/// How one request went.
#[derive(Debug)]
struct Outcome {
    took: Duration,
    /// The status, or why there is none.
    status: Result<u16, String>,
    /// The node that answered, if it said so.
    node: Option<String>,
}

async fn generate(plan: Plan) -> Result<Vec<Outcome>, Refusal> {
    let config = tls::careless();
    // The first connection tells whether there is anybody at all.
    drop(Exchange::open(&plan.target, &config).await?);
    let plan = Arc::new(plan);
    let left = Arc::new(Semaphore::new(plan.requests));
    let until = tokio::time::Instant::now() + plan.time;
    let workers: Vec<_> = (0..plan.workers.min(plan.requests))
        .map(|_| {
            let (plan, left, config) = (plan.clone(), left.clone(), config.clone());
            spawn_local(async move {
                let mut outcomes = Vec::new();
                // What is cut off by the end of the time does not count.
                _ = timeout_at(until, work(&plan, &left, &config, &mut outcomes)).await;
                outcomes
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for worker in workers {
        outcomes.extend(worker.await.unwrap_or_default());
    }
    Ok(outcomes)
}

async fn work(plan: &Plan, left: &Semaphore, config: &Arc<ClientConfig>, outcomes: &mut Vec<Outcome>) {
    let mut exchange = None;
    while let Ok(permit) = left.try_acquire() {
        permit.forget();
        let started = Instant::now();
        let result = one(plan, config, &mut exchange).await;
        let took = started.elapsed();
        let failed = result.is_err();
        let (status, node) = match result {
            Ok((status, node)) => (Ok(status), node),
            Err(refusal) => (Err(refusal.sentence), None),
        };
        outcomes.push(Outcome { took, status, node });
        if failed {
            exchange = None;
            sleep(REST).await;
        }
    }
}

async fn one(
    plan: &Plan,
    config: &Arc<ClientConfig>,
    kept: &mut Option<Exchange>,
) -> Result<(u16, Option<String>), Refusal> {
    let mut exchange = match kept.take().filter(|exchange| !exchange.is_over()) {
        Some(exchange) => exchange,
        None => Exchange::open(&plan.target, config).await?,
    };
    let response = exchange
        .send(
            plan.method.clone(),
            &plan.uri,
            &HeaderMap::new(),
            plan.body.clone(),
        )
        .await?;
    let node = response.headers().get("x-bramble-node");
    let node = node.and_then(|node| node.to_str().ok()).map(str::to_owned);
    let status = response.status().as_u16();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|why| broken(&plan.target.host, &why))?;
    }
    *kept = Some(exchange);
    Ok((status, node))
}

fn report(outcomes: &[Outcome], total: Duration) -> String {
    let mut times: Vec<f64> = outcomes
        .iter()
        .filter(|outcome| outcome.status.is_ok())
        .map(|outcome| outcome.took.as_secs_f64())
        .collect();
    times.sort_by(f64::total_cmp);
    let mut text = "Summary:\n".to_owned();
    let total = total.as_secs_f64();
    text += &format!("  Total:        {total:.4} s\n");
    if let (Some(fastest), Some(slowest)) = (times.first(), times.last()) {
        let count = times.iter().map(|_| 1.0).sum::<f64>();
        text += &format!("  Slowest:      {slowest:.4} s\n  Fastest:      {fastest:.4} s\n");
        text += &format!("  Average:      {:.4} s\n", times.iter().sum::<f64>() / count);
        text += &format!("  Requests/sec: {:.1}\n", count / total);
        text += &histogram(&times, *fastest, *slowest);
        text += "\nLatency distribution:\n";
        for percent in [10, 50, 90, 95, 99] {
            let index = (times.len() * percent / 100).min(times.len() - 1);
            text += &format!("  {percent}% in {:.4} s\n", times[index]);
        }
    }
    let (mut statuses, mut nodes, mut errors) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for outcome in outcomes {
        match &outcome.status {
            Ok(status) => *statuses.entry(*status).or_insert(0) += 1,
            Err(why) => *errors.entry(why.as_str()).or_insert(0) += 1,
        }
        if let Some(node) = &outcome.node {
            *nodes.entry(node.as_str()).or_insert(0) += 1;
        }
    }
    text += "\nStatus code distribution:\n";
    for (status, count) in statuses {
        text += &format!("  [{status}] {count} responses\n");
    }
    if !nodes.is_empty() {
        text += "\nAnswered by:\n";
    }
    for (node, count) in nodes {
        text += &format!("  {node} {count} responses\n");
    }
    if !errors.is_empty() {
        text += "\nError distribution:\n";
    }
    for (why, count) in errors {
        text += &format!("  [{count}] {why}\n");
    }
    text
}

fn histogram(times: &[f64], fastest: f64, slowest: f64) -> String {
    let mut text = "\nResponse time histogram:\n".to_owned();
    let step = ((slowest - fastest) / 10.0).max(1e-9);
    let mut bars = [0_usize; BARS];
    for time in times {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to BARS"
        )]
        let bar = ((time - fastest) / step) as usize;
        bars[bar.min(BARS - 1)] += 1;
    }
    let longest = bars.iter().copied().max().unwrap_or(1).max(1);
    let mut upper = fastest;
    for count in bars {
        upper += step;
        text += &format!("  {upper:.4} [{count}]\t|{}\n", "■".repeat(count * BAR / longest));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        Plan::read(line).map_err(|refusal| refusal.sentence)
    }

    #[test]
    fn everything_may_be_left_out() {
        let plan = plan("").unwrap();
        assert_eq!((plan.requests, plan.workers, plan.method), (200, 10, Method::GET));
        assert_eq!(plan.target.host, "gateway");
    }

    #[test]
    fn limits_are_told() {
        assert!(
            plan("-n 1000000")
                .unwrap_err()
                .contains("-n is 1000000; it can be 1 to 20000")
        );
        assert!(plan("-c 0").unwrap_err().contains("-c is 0"));
        assert!(plan("-z 1h").unwrap_err().contains("not a valid number"));
        assert_eq!(
            plan("hey -z 5s -d x http://a/").unwrap().time,
            Duration::from_secs(5)
        );
    }

    #[test]
    fn a_report_counts_what_came_back() {
        let outcome = |millis, status: Result<u16, String>| Outcome {
            took: Duration::from_millis(millis),
            status,
            node: Some("pi-1".to_owned()),
        };
        let outcomes = [
            outcome(10, Ok(200)),
            outcome(30, Ok(200)),
            outcome(20, Ok(500)),
            outcome(1, Err("gone".to_owned())),
        ];
        let text = report(&outcomes, Duration::from_secs(1));
        for part in [
            "Requests/sec: 3.0",
            "Average:      0.0200 s",
            "[200] 2 responses",
            "[500] 1 responses",
            "[1] gone",
            "pi-1 4 responses",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
