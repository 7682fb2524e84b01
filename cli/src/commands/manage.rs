//! `bramble nodes rename`, `controller`, `cordon`, `uncordon` and `controllers`: what can be said of nodes that are in.
//!
//! Not here: who comes in and who is put out ([`super::nodes`]).

use api::v1::{ControllerWish, Controllers, NewName, Node};
use clap::{Args, ValueEnum};
use http::Method;

use super::{connect::Target, failure::Failure, out::Out};

/// What `nodes rename` is told.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  bramble nodes rename pi-4b-7f2a window")]
pub(crate) struct RenameArgs {
    /// Name of the node
    node: String,

    /// What it is called from now on: lower case letters, digits and hyphens, at most 63
    name: String,

    #[command(flatten)]
    target: Target,
}

/// What `nodes controller` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble nodes controller pi-4b-7f2a always       it has the good card and the good power supply
  bramble nodes controller pi-zero-w-03c1 never    it is carried about
  bramble nodes controller pi-4b-7f2a as-fits")]
pub(crate) struct ControllerArgs {
    /// Name of the node
    node: String,

    /// When it should be a controller
    #[arg(value_name = "WHEN")]
    when: When,

    #[command(flatten)]
    target: Target,
}

/// When a node should be a controller.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    /// Before all of which nothing was said
    Always,
    /// Others have to do
    Never,
    /// The bramble decides
    AsFits,
}

/// What `nodes cordon` and `nodes uncordon` are told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble nodes cordon pi-4b-7f2a      what runs there goes on; nothing is added
  bramble nodes uncordon pi-4b-7f2a")]
pub(crate) struct CordonArgs {
    /// Name of the node
    node: String,

    #[command(flatten)]
    target: Target,
}

/// What `nodes controllers` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble nodes controllers            how many are wanted, and which there are
  bramble nodes controllers 3          survives the loss of any one of them
  bramble nodes controllers auto       1 for one or two nodes, 3 from three, 5 from nine")]
pub(crate) struct ControllersArgs {
    /// How many there should be: 1, 3, 5, or `auto` for as many as fit the number of nodes
    #[arg(value_name = "COUNT", value_parser = count)]
    count: Option<Count>,

    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count(Option<u8>);

fn count(text: &str) -> Result<Count, String> {
    match text {
        "auto" => Ok(Count(None)),
        "1" => Ok(Count(Some(1))),
        "3" => Ok(Count(Some(3))),
        "5" => Ok(Count(Some(5))),
        _ => Err("1, 3, 5 or auto: an even number survives no more than one less".to_owned()),
    }
}

/// Gives a node another name.
pub(crate) async fn rename(args: RenameArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    let path = format!("/api/v1/nodes/{}/name", args.node);
    let body = NewName {
        name: args.name.clone(),
    };
    api.send_json(Method::PUT, &path, &body).await?;
    out.line(format!("{} is called {} now.", args.node, args.name))
}

/// Says whether a node should be a controller.
pub(crate) async fn controller(args: ControllerArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    let path = format!("/api/v1/nodes/{}/controller", args.node);
    let node = &args.node;
    let (wish, words) = match args.when {
        When::Always => (
            "pinned",
            format!("{node} should be a controller: it becomes one as soon as it can."),
        ),
        When::Never => (
            "excluded",
            format!("{node} should be no controller: if it is one, another takes its place."),
        ),
        When::AsFits => (
            "none",
            format!("The bramble decides whether {node} is a controller."),
        ),
    };
    let wish = wish.to_owned();
    api.send_json(Method::PUT, &path, &ControllerWish { wish })
        .await?;
    out.line(words)
}

/// Lets a node take nothing new, or lifts that.
pub(crate) async fn cordon(args: CordonArgs, cordoned: bool, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    let what = if cordoned { "cordon" } else { "uncordon" };
    let path = format!("/api/v1/nodes/{}/{what}", args.node);
    api.send_json(Method::POST, &path, &serde_json::json!({})).await?;
    out.line(match cordoned {
        true => format!("{} takes nothing new. What runs there goes on.", args.node),
        false => format!("{} takes replicas again.", args.node),
    })
}

/// Says how many controllers there should be, or shows it.
pub(crate) async fn controllers(args: ControllersArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    if let Some(Count(count)) = args.count {
        api.send_json(Method::PUT, "/api/v1/controllers", &Controllers { count })
            .await?;
        return out.line(wanted(count));
    }
    let Controllers { count } = api.get("/api/v1/controllers").await?;
    let nodes: Vec<Node> = api.get("/api/v1/nodes").await?;
    let names: Vec<_> = nodes
        .into_iter()
        .filter(|node| node.controller)
        .map(|node| node.name)
        .collect();
    out.line(wanted(count))?;
    out.line(format!("Controllers now: {}.", names.join(", ")))
}

fn wanted(count: Option<u8>) -> String {
    match count {
        Some(1) => "There should be 1 controller.".to_owned(),
        Some(count) => format!("There should be {count} controllers."),
        None => "There should be as many controllers as fit the number of nodes.".to_owned(),
    }
}
