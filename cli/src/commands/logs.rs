//! `bramble logs`: what a function's replicas write.

use std::collections::HashMap;

use api::Timestamp;
use clap::{ArgAction, Args, ValueEnum};
use futures_util::TryStreamExt;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::io::AsyncBufReadExt;
use tokio_util::io::StreamReader;

use super::{
    connect::{self, Target},
    failure::{Exit, Failure},
    human,
    out::Out,
};
use crate::client::whole;

/// Colours of replicas, by turns.
const COLOURS: [&str; 6] = ["36", "33", "35", "32", "34", "31"];

/// What `logs` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble logs figlet                          what comes, until Ctrl-C
  bramble logs figlet --tail=false --lines 20  the last 20 lines, and end
  bramble logs figlet --since 10m -o json | jq -r .text")]
pub(crate) struct LogsArgs {
    /// The function: NAME or NAME.NAMESPACE
    name: String,

    #[command(flatten)]
    target: Target,

    /// Its namespace
    #[arg(short, long)]
    namespace: Option<String>,

    /// Go on with what is written from now on
    #[arg(short, long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    tail: bool,

    /// At most so many lines from before now; -1 for all
    #[arg(long, value_name = "NUMBER", default_value_t = -1, allow_negative_numbers = true)]
    lines: i64,

    /// Only what is not older than this: 30s, 5m, 1h
    #[arg(long, value_name = "TIME", conflicts_with = "since_time")]
    since: Option<String>,

    /// Only what is not older than this time, for example 2026-11-21T10:20:30Z
    #[arg(long, value_name = "RFC3339")]
    since_time: Option<String>,

    /// Only this replica
    #[arg(long, value_name = "REPLICA")]
    instance: Option<String>,

    /// How lines are shown
    #[arg(short, long, value_enum, default_value_t = Format::Plain)]
    output: Format,
}

/// How lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Time, function, replica and text
    Plain,
    /// The same with names
    Keyvalue,
    /// As the API says it
    Json,
}

/// One line of a replica.
#[derive(Clone, Debug, Deserialize)]
struct Message {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    instance: String,
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    text: String,
}

/// Prints what the replicas write.
pub(crate) async fn logs(args: LogsArgs, out: &Out) -> Result<(), Failure> {
    let name = connect::function(&args.name, args.namespace.as_deref())?;
    let path = query(&args, &name, human::now())?;
    let api = args.target.connect(None).await?;
    let response = api.open(Method::GET, &path, HeaderMap::new(), whole("")).await?;
    if !response.status().is_success() {
        let failure = api.refusal(response).await;
        return Err(api.with_nearest(failure, &name).await);
    }
    let broken = |error: std::io::Error| {
        Failure::new(
            Exit::Unreachable,
            format!("the logs broke off: {error}. Ask again to go on."),
        )
    };
    let data = response
        .into_body()
        .into_data_stream()
        .map_err(std::io::Error::other);
    let mut lines = StreamReader::new(data).lines();
    let mut colours = HashMap::new();
    while let Some(line) = lines.next_line().await.map_err(broken)? {
        match serde_json::from_str::<Message>(&line) {
            Ok(message) if args.output != Format::Json => {
                out.line(show(&message, args.output, out, &mut colours))?
            }
            _ if line.trim().is_empty() => {}
            _ => out.line(&line)?,
        }
    }
    Ok(())
}

fn query(args: &LogsArgs, name: &api::FunctionName, now: Timestamp) -> Result<String, Failure> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("name", name.name());
    query.append_pair("namespace", name.namespace());
    query.append_pair("follow", if args.tail { "true" } else { "false" });
    if args.lines > 0 {
        query.append_pair("tail", &args.lines.to_string());
    }
    if let Some(instance) = &args.instance {
        query.append_pair("instance", instance);
    }
    let since = match (&args.since, &args.since_time) {
        (Some(text), _) => {
            let before = api::spec::parse_duration(text).ok_or_else(|| {
                Failure::usage(format!("--since {text}: write a time such as 30s, 5m or 1h"))
            })?;
            let before = u64::try_from(before.as_millis()).unwrap_or(u64::MAX);
            Some(Timestamp::from_millis(now.millis().saturating_sub(before)).to_rfc3339())
        }
        (None, Some(time)) => match Timestamp::from_rfc3339(time) {
            Some(_) => Some(time.clone()),
            None => {
                return Err(Failure::usage(format!(
                    "--since-time {time}: write a time such as 2026-11-21T10:20:30Z"
                )));
            }
        },
        (None, None) => None,
    };
    if let Some(since) = since {
        query.append_pair("since", &since);
    }
    Ok(format!("/system/logs?{}", query.finish()))
}

fn show(message: &Message, format: Format, out: &Out, colours: &mut HashMap<String, usize>) -> String {
    let text = message.text.trim_end_matches(['\r', '\n']);
    let Message {
        name,
        namespace,
        instance,
        timestamp,
        ..
    } = message;
    if format == Format::Keyvalue {
        return format!(
            "timestamp=\"{timestamp}\" name=\"{name}\" namespace=\"{namespace}\" instance=\"{instance}\" text=\"{text}\""
        );
    }
    let who = format!("{} ({instance})", connect::shown(name, namespace));
    let turn = colours.len();
    let colour = *colours.entry(instance.clone()).or_insert(turn);
    match out.has_colour() {
        true => format!(
            "{timestamp} \x1b[{}m{who}\x1b[0m {text}",
            COLOURS[colour % COLOURS.len()]
        ),
        false => format!("{timestamp} {who} {text}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: LogsArgs,
    }

    fn path(words: &[&str]) -> Result<String, Failure> {
        let args = Line::parse_from(["logs"].iter().chain(words)).args;
        let name = connect::function(&args.name, None)?;
        query(&args, &name, Timestamp::from_millis(1_800_000_000_000))
    }

    #[test]
    fn what_is_asked_for_is_what_the_flags_say() {
        let base = "/system/logs?name=env&namespace=openfaas-fn";
        let rows: [(&[&str], &str); 5] = [
            (&["env"], "&follow=true"),
            (&["env", "--tail=false", "--lines", "20"], "&follow=false&tail=20"),
            (&["env", "--lines", "-1"], "&follow=true"),
            (
                &["env", "--since", "5m"],
                "&follow=true&since=2027-01-15T07%3A55%3A00Z",
            ),
            (
                &["env", "--instance", "r12", "--since-time", "2026-11-21T10:20:30Z"],
                "&follow=true&instance=r12&since=2026-11-21T10%3A20%3A30Z",
            ),
        ];
        for (words, expected) in rows {
            assert_eq!(path(words).unwrap(), format!("{base}{expected}"), "{words:?}");
        }
        for words in [["env", "--since", "soon"], ["env", "--since-time", "now"]] {
            assert!(
                path(&words).unwrap_err().words.contains("write a time"),
                "{words:?}"
            );
        }
    }
}
