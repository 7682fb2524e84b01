//! The figures of section 6.2 of the OpenFaaS contract, in Prometheus's text format 0.0.4.
//!
//! Requests to the function are counted, also those that were told to come back (429); the watchdog's own paths are
//! not. Upstream's names, labels and help texts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use hyper::{Method, StatusCode};

/// Content type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper ends of the buckets in seconds: the default ones of Prometheus's libraries. One for all others follows.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What has been counted so far.
#[derive(Default)]
pub(crate) struct Metrics {
    /// By status and method. There are few: a caller can choose neither freely.
    series: RefCell<BTreeMap<(u16, &'static str), Series>>,
}

#[derive(Default)]
struct Series {
    /// Requests per bucket, not summed up yet.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: Duration,
}

impl Metrics {
    /// Counts one request that is over.
    pub(crate) fn record(&self, status: StatusCode, method: &Method, took: Duration) {
        let mut all = self.series.borrow_mut();
        let series = all.entry((status.as_u16(), label(method))).or_default();
        series.count += 1;
        series.sum += took;
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|end| seconds <= *end) {
            series.buckets[bucket] += 1;
        }
    }

    /// Everything as Prometheus reads it.
    pub(crate) fn text(&self, in_flight: usize) -> String {
        let mut text = String::with_capacity(1024);
        self.write(&mut text, in_flight)
            .expect("writing to a string cannot fail");
        text
    }

    fn write(&self, out: &mut String, in_flight: usize) -> std::fmt::Result {
        let all = self.series.borrow();
        let name = "http_request_duration_seconds";
        writeln!(out, "# HELP {name} Seconds spent serving HTTP requests.")?;
        writeln!(out, "# TYPE {name} histogram")?;
        for ((code, method), series) in all.iter() {
            let labels = format!("code=\"{code}\",method=\"{method}\"");
            let mut up_to = 0;
            for (end, count) in BUCKETS.iter().zip(series.buckets) {
                up_to += count;
                writeln!(out, "{name}_bucket{{{labels},le=\"{end}\"}} {up_to}")?;
            }
            writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", series.count)?;
            writeln!(out, "{name}_sum{{{labels}}} {}", series.sum.as_secs_f64())?;
            writeln!(out, "{name}_count{{{labels}}} {}", series.count)?;
        }
        writeln!(
            out,
            "# HELP http_requests_in_flight total HTTP requests in-flight"
        )?;
        writeln!(out, "# TYPE http_requests_in_flight gauge")?;
        writeln!(out, "http_requests_in_flight {in_flight}")?;
        writeln!(out, "# HELP http_requests_total total HTTP requests processed")?;
        writeln!(out, "# TYPE http_requests_total counter")?;
        for ((code, method), series) in all.iter() {
            let count = series.count;
            writeln!(
                out,
                "http_requests_total{{code=\"{code}\",method=\"{method}\"}} {count}"
            )?;
        }
        Ok(())
    }
}

/// A caller may invent methods; they share one label.
fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "PUT" => "put",
        "HEAD" => "head",
        "POST" => "post",
        "DELETE" => "delete",
        "CONNECT" => "connect",
        "OPTIONS" => "options",
        "TRACE" => "trace",
        "PATCH" => "patch",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_status_method_and_duration() {
        let metrics = Metrics::default();
        for (status, method, millis) in [
            (StatusCode::OK, Method::GET, 3),
            (StatusCode::OK, Method::GET, 5),
            (StatusCode::OK, Method::GET, 30),
            (StatusCode::OK, Method::GET, 60_000),
            (StatusCode::NOT_FOUND, Method::POST, 0),
        ] {
            metrics.record(status, &method, Duration::from_millis(millis));
        }

        let text = metrics.text(7);

        for line in [
            "# TYPE http_requests_total counter",
            "# TYPE http_request_duration_seconds histogram",
            "# TYPE http_requests_in_flight gauge",
            "http_requests_total{code=\"200\",method=\"get\"} 4",
            "http_requests_total{code=\"404\",method=\"post\"} 1",
            "http_request_duration_seconds_bucket{code=\"200\",method=\"get\",le=\"0.005\"} 2",
            "http_request_duration_seconds_bucket{code=\"200\",method=\"get\",le=\"0.025\"} 2",
            "http_request_duration_seconds_bucket{code=\"200\",method=\"get\",le=\"0.05\"} 3",
            "http_request_duration_seconds_bucket{code=\"200\",method=\"get\",le=\"10\"} 3",
            "http_request_duration_seconds_bucket{code=\"200\",method=\"get\",le=\"+Inf\"} 4",
            "http_request_duration_seconds_sum{code=\"200\",method=\"get\"} 60.038",
            "http_request_duration_seconds_count{code=\"200\",method=\"get\"} 4",
            "http_requests_in_flight 7",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}\n{text}");
        }
    }

    #[test]
    fn invented_methods_share_one_label() {
        let metrics = Metrics::default();
        for method in ["BREW", "WHEN"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            metrics.record(StatusCode::OK, &method, Duration::ZERO);
        }

        assert!(
            metrics
                .text(0)
                .contains("http_requests_total{code=\"200\",method=\"unknown\"} 2\n")
        );
    }
}
