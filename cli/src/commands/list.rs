//! `bramble nodes` and `bramble functions`: what there is, in a table.

use std::collections::BTreeMap;

use api::v1::{FunctionPhase, FunctionSummary, Node, NodePhase};
use clap::Args;

use super::{
    connect::{Target, shown},
    failure::Failure,
    human,
    out::Out,
    table::{Cell, Column, Table, Tone},
};

/// What `nodes` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble nodes
  bramble nodes --json | jq -r '.[] | select(.phase == \"down\").name'
  bramble nodes -q
  bramble nodes show pi-4b-7f2a                 which board it is, and how it is
  bramble nodes waiting                         who wants to be let in
  bramble nodes admit pi-4b-7f2a
  bramble nodes rename pi-4b-7f2a window
  bramble nodes cordon window                   it takes nothing new")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct NodesArgs {
    #[command(subcommand)]
    command: Option<super::nodes::NodesCommand>,

    #[command(flatten)]
    target: Target,

    /// Print what the API answers
    #[arg(long)]
    json: bool,

    /// Print names only
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

/// What `functions` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble functions
  bramble functions -n lab
  bramble functions -q | xargs bramble remove")]
pub(crate) struct FunctionsArgs {
    #[command(flatten)]
    target: Target,

    /// Only this namespace
    #[arg(short, long)]
    namespace: Option<String>,

    /// Print what the API answers
    #[arg(long, conflicts_with = "namespace")]
    json: bool,

    /// Print names only
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

/// Every node, and how it is.
pub(crate) async fn nodes(args: NodesArgs, out: &Out) -> Result<(), Failure> {
    if let Some(command) = args.command {
        return super::nodes::run(command, out).await;
    }
    let api = args.target.connect(None).await?;
    if args.json {
        return out.json(&api.get_answer("/api/v1/nodes").await?.body);
    }
    let nodes: Vec<Node> = api.get("/api/v1/nodes").await?;
    if args.quiet {
        return nodes.iter().try_for_each(|node| out.line(&node.name));
    }
    out.table(&node_table(&nodes))?;
    for line in warnings(&nodes) {
        out.line(out.paint(&super::table::plain(&line), Tone::Fair))?;
    }
    for (node, old) in nodes
        .iter()
        .filter_map(|node| Some((&node.name, node.replaces.as_ref()?)))
    {
        out.line(format!(
            "{node} seems to be {old} with a new card: `bramble nodes replace {node}` has it go on as {old}."
        ))?;
    }
    Ok(())
}

/// What is wrong with nodes, each thing once.
fn warnings(nodes: &[Node]) -> Vec<String> {
    let mut of_warning: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        for warning in &node.warnings {
            of_warning.entry(warning).or_default().push(&node.name);
        }
    }
    let line = |(warning, names): (&str, Vec<&str>)| match names.len() == nodes.len() && names.len() > 1 {
        true => format!("Every node: {warning}"),
        false => format!("{}: {warning}", names.join(", ")),
    };
    of_warning.into_iter().map(line).collect()
}

/// What it does for the bramble, and what somebody said about that.
fn role(node: &Node) -> String {
    let is = match (node.leader, node.controller) {
        (true, _) => "leader",
        (false, true) => "controller",
        (false, false) => "",
    };
    let should = match node.wish.as_str() {
        "pinned" => "always",
        "excluded" => "never",
        _ => "",
    };
    let words: Vec<_> = [is, should].into_iter().filter(|word| !word.is_empty()).collect();
    words.join(", ")
}

fn node_table(nodes: &[Node]) -> Table {
    let mut table = Table::new([
        Column::new("NAME"),
        Column::new("STATE"),
        Column::new("ROLE").spare(2),
        Column::new("REPLICAS").right(),
        Column::new("MEMORY PROMISED").right(),
        Column::new("FREE").right().spare(3),
        Column::new("LOAD").right().spare(4),
        Column::new("TEMP").right().spare(5),
        Column::new("UP").right().spare(6),
        Column::new("PLATFORM").spare(7),
        Column::new("BOARD").flexible().spare(1),
    ]);
    for node in nodes {
        let state = match node.phase {
            NodePhase::Up => Cell::toned("up", Tone::Good),
            NodePhase::Down => Cell::toned("down", Tone::Bad),
            NodePhase::Joining => Cell::toned("joining", Tone::Fair),
            NodePhase::Cordoned => Cell::toned("cordoned", Tone::Fair),
        };
        let unknown = || "-".to_owned();
        let promised = format!(
            "{} of {}",
            human::bytes(node.memory_requested_bytes),
            human::bytes(node.memory_for_replicas_bytes)
        );
        table.row([
            node.name.as_str().into(),
            state,
            role(node).into(),
            node.replicas.to_string().into(),
            promised.into(),
            node.memory_available_bytes
                .map_or_else(unknown, human::bytes)
                .into(),
            node.load.map_or_else(unknown, |load| format!("{load:.1}")).into(),
            node.temperature_c
                .map_or_else(unknown, |c| format!("{c:.0} °C"))
                .into(),
            node.uptime_seconds
                .map_or_else(unknown, |s| human::duration(std::time::Duration::from_secs(s)))
                .into(),
            node.platform.as_str().into(),
            node.board.as_str().into(),
        ]);
    }
    table
}

/// Every function, and how it stands.
pub(crate) async fn functions(args: FunctionsArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    if args.json {
        return out.json(&api.get_answer("/api/v1/functions").await?.body);
    }
    let mut functions: Vec<FunctionSummary> = api.get("/api/v1/functions").await?;
    if let Some(namespace) = &args.namespace {
        functions.retain(|function| function.function.namespace == *namespace);
    }
    if args.quiet {
        let name = |f: &FunctionSummary| shown(&f.function.name, &f.function.namespace);
        return functions.iter().try_for_each(|function| out.line(name(function)));
    }
    if functions.is_empty() {
        out.note("There are no functions yet: `bramble store list` shows some to deploy.");
        return Ok(());
    }
    out.table(&function_table(&functions))
}

fn function_table(functions: &[FunctionSummary]) -> Table {
    let mut table = Table::new([
        Column::new("NAME"),
        Column::new("STATUS"),
        Column::new("READY").right(),
        Column::new("INVOCATIONS").right(),
        Column::new("PER SECOND").right().spare(2),
        Column::new("IMAGE").flexible().spare(1),
        Column::new("NODES").flexible().spare(3),
    ]);
    for summary in functions {
        let function = &summary.function;
        let mut nodes = summary.nodes.clone();
        nodes.dedup();
        let (status, tone) = status(summary.status);
        table.row([
            shown(&function.name, &function.namespace).into(),
            Cell::toned(status, tone),
            format!("{}/{}", summary.ready, function.replicas).into(),
            human::count(function.invocation_count).into(),
            human::rate(summary.rate).into(),
            function.image.as_str().into(),
            nodes.join(" ").into(),
        ]);
    }
    table
}

/// How a function stands, in words and a colour.
fn status(status: FunctionPhase) -> (&'static str, Tone) {
    match status {
        FunctionPhase::Ready => ("ready", Tone::Good),
        FunctionPhase::PartlyReady => ("partly ready", Tone::Fair),
        FunctionPhase::Starting => ("starting", Tone::Fair),
        FunctionPhase::Waiting => ("waiting", Tone::Fair),
        FunctionPhase::Failing => ("failing", Tone::Bad),
        FunctionPhase::ScaledToZero => ("scaled to zero", Tone::Dim),
    }
}
