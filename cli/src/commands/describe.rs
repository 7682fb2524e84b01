//! `bramble describe` and `bramble why`: one function, whole or in sentences.

use std::collections::BTreeMap;

use api::{openfaas::FunctionResources, sync::Phase, v1};
use clap::Args;

use super::{
    connect::{self, Api, Target},
    failure::Failure,
    human,
    out::Out,
    table::{self, Cell, Column, Table, Tone},
};

/// Events that are shown.
const EVENTS: usize = 8;

/// Width of the names of fields.
const LABEL: usize = 13;

/// What `describe` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble describe figlet
  bramble describe figlet.lab
  bramble describe figlet --json | jq .placements")]
pub(crate) struct DescribeArgs {
    /// The function: NAME or NAME.NAMESPACE
    name: String,

    #[command(flatten)]
    target: Target,

    /// Its namespace
    #[arg(short, long)]
    namespace: Option<String>,

    /// Print what the API answers
    #[arg(long)]
    json: bool,
}

/// What `why` is told.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  bramble why figlet")]
pub(crate) struct WhyArgs {
    /// The function: NAME or NAME.NAMESPACE
    name: String,

    #[command(flatten)]
    target: Target,

    /// Its namespace
    #[arg(short, long)]
    namespace: Option<String>,

    /// Print the sentences as a JSON list
    #[arg(long)]
    json: bool,
}

/// Reads a function, naming the nearest where there is none of this name.
pub(crate) async fn read(api: &Api, name: &api::FunctionName) -> Result<v1::Function, Failure> {
    match api.get(&path(name)).await {
        Ok(function) => Ok(function),
        Err(failure) => Err(api.with_nearest(failure, name).await),
    }
}

/// Where a function is told of.
fn path(name: &api::FunctionName) -> String {
    format!("/api/v1/functions/{}/{}", name.namespace(), name.name())
}

/// Why a function is as it is.
pub(crate) async fn why(args: WhyArgs, out: &Out) -> Result<(), Failure> {
    let name = connect::function(&args.name, args.namespace.as_deref())?;
    let api = args.target.connect(None).await?;
    let function = read(&api, &name).await?;
    if args.json {
        return out.line(serde_json::Value::from(function.why).to_string());
    }
    sentences(&function)
        .iter()
        .try_for_each(|sentence| out.line(table::plain(sentence)))
}

/// Why a function is as it is.
pub(crate) fn sentences(function: &v1::Function) -> &[String] {
    if function.why.is_empty() {
        &function.sentences
    } else {
        &function.why
    }
}

/// A function with all that is known of it.
pub(crate) async fn describe(args: DescribeArgs, out: &Out) -> Result<(), Failure> {
    let name = connect::function(&args.name, args.namespace.as_deref())?;
    let api = args.target.connect(None).await?;
    if args.json {
        return match api.get_answer(&path(&name)).await {
            Ok(answer) => out.json(&answer.body),
            Err(failure) => Err(api.with_nearest(failure, &name).await),
        };
    }
    let function = read(&api, &name).await?;
    let url = format!("{}/function/{}", api.base(), connect::of(&name));
    print(&function, &url, out)
}

fn print(function: &v1::Function, url: &str, out: &Out) -> Result<(), Failure> {
    let now = human::now();
    let status = &function.status;
    let field = |label: &str, value: &str| {
        if value.is_empty() {
            return Ok(());
        }
        let label = format!("{label:<LABEL$}");
        out.line(format!(
            "{} {}",
            out.paint(&label, Tone::Bold),
            table::plain(value)
        ))
    };
    field("Name", &connect::shown(&status.name, &status.namespace))?;
    for (i, sentence) in sentences(function).iter().enumerate() {
        field(if i == 0 { "Status" } else { "" }, sentence)?;
    }
    field("URL", url)?;
    field("Image", &status.image)?;
    field("Command", status.env_process.as_deref().unwrap_or_default())?;
    field(
        "Replicas",
        &format!("{} ready, {} wanted", status.available_replicas, status.replicas),
    )?;
    field(
        "Invocations",
        &invocations(status.invocation_count, &function.invocations_by_code),
    )?;
    field("Deployed", &human::ago(&status.created_at, now))?;
    field("Limits", &amounts(status.limits.as_ref()))?;
    field("Requests", &amounts(status.requests.as_ref()))?;
    field(
        "Root",
        if status.read_only_root_filesystem {
            "read-only but for /tmp"
        } else {
            ""
        },
    )?;
    field("Constraints", &status.constraints.join(", "))?;
    for (label, map) in [
        ("Environment", &status.env_vars),
        ("Labels", &status.labels),
        ("Annotations", &status.annotations),
    ] {
        for (i, (key, value)) in map.iter().enumerate() {
            field(if i == 0 { label } else { "" }, &format!("{key}={value}"))?;
        }
    }
    if !function.placements.is_empty() {
        out.line("")?;
        out.table(&placements(&function.placements))?;
    }
    if !function.refusals.is_empty() {
        let mut table = Table::new([Column::new("NODE"), Column::new("WHY NO MORE THERE").flexible()]);
        for refusal in &function.refusals {
            table.row([refusal.node.as_str().into(), refusal.reason.as_str().into()]);
        }
        out.line("")?;
        out.table(&table)?;
    }
    if !function.events.is_empty() {
        let mut table = Table::new([
            Column::new("WHEN"),
            Column::new("WHO"),
            Column::new("WHAT HAPPENED").flexible(),
        ]);
        for event in function.events.iter().take(EVENTS) {
            table.row([
                human::ago(&event.time, now).into(),
                event.actor.as_str().into(),
                event.text.as_str().into(),
            ]);
        }
        out.line("")?;
        out.table(&table)?;
    }
    Ok(())
}

fn placements(placements: &[v1::Placement]) -> Table {
    let mut table = Table::new([
        Column::new("REPLICA"),
        Column::new("NODE"),
        Column::new("PHASE"),
        Column::new("RESTARTS").right().spare(1),
        Column::new("REASON").flexible(),
    ]);
    for placement in placements {
        let tone = match placement.phase {
            Phase::Ready => Tone::Good,
            Phase::Failing => Tone::Bad,
            Phase::Starting => Tone::Fair,
            Phase::Frozen | Phase::Stopped | Phase::Draining => Tone::Dim,
        };
        table.row([
            placement.replica.to_string().into(),
            placement.node.as_str().into(),
            Cell::toned(placement.phase.to_string(), tone),
            placement.restarts.to_string().into(),
            placement.reason.as_str().into(),
        ]);
    }
    table
}

fn invocations(count: f64, by_code: &BTreeMap<u16, u64>) -> String {
    let codes: Vec<String> = by_code
        .iter()
        .map(|(code, count)| format!("{count} answered {code}"))
        .collect();
    match codes.is_empty() {
        true => human::count(count),
        false => format!("{} (lately {})", human::count(count), codes.join(", ")),
    }
}

fn amounts(resources: Option<&FunctionResources>) -> String {
    let Some(resources) = resources else {
        return String::new();
    };
    let amount = |what: &str, text: &str| (!text.is_empty()).then(|| format!("{what} {text}"));
    let amounts = [amount("memory", &resources.memory), amount("CPU", &resources.cpu)];
    amounts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
