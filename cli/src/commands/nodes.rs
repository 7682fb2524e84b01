//! `bramble nodes …`: who waits to be let in, and who is part of the bramble.

use api::{
    Devices,
    v1::{AllowDevices, Fact, Node, NodeInWords, WaitingNode},
};
use clap::{Args, Subcommand};
use http::Method;

use super::{
    connect::{Api, Target},
    failure::Failure,
    human,
    manage::{self, ControllerArgs, ControllersArgs, CordonArgs, RenameArgs},
    out::Out,
    table::{Column, Table, Tone},
};

/// What can be done about nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// Show all that is known of one node: its board, and how it is
    Show(ShowArgs),
    /// Show the nodes that wait to be let in
    #[command(after_help = "Example:\n  bramble nodes waiting")]
    Waiting(WaitingArgs),
    /// Let a node in that waits, also one that was removed
    Admit(AdmitArgs),
    /// Turn a node away that waits, for good
    #[command(after_help = "Example:\n  bramble nodes refuse pi-4b-7f2a")]
    Refuse(OneArgs),
    /// Have a node whose card was flashed anew go on as the one that it was: its name, and all that was said of it
    #[command(
        after_help = "Example:\n  bramble nodes replace pi-4b-1c3d              it is in already, by its join key"
    )]
    Replace(OneArgs),
    /// Say which devices of a node functions may use: pins, buses, cameras
    Devices(DevicesArgs),
    /// Put a node out of the bramble; it stays out until somebody admits it again
    #[command(after_help = "Example:\n  bramble nodes remove pi-4b-7f2a")]
    Remove(OneArgs),
    /// Give a node another name
    Rename(RenameArgs),
    /// Say whether a node should be a controller
    Controller(ControllerArgs),
    /// Say how many controllers there should be, or show it
    Controllers(ControllersArgs),
    /// Let a node take nothing new
    Cordon(CordonArgs),
    /// Let a node take replicas again
    Uncordon(CordonArgs),
}

/// What `nodes show` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble nodes show pi-4b-7f2a
  bramble nodes show pi-4b-7f2a --json | jq .sensors.card")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    one: OneArgs,

    /// Print what the API answers
    #[arg(long)]
    json: bool,
}

/// What `nodes waiting` is told.
#[derive(Args, Debug)]
pub(crate) struct WaitingArgs {
    #[command(flatten)]
    target: Target,

    /// Print what the API answers
    #[arg(long)]
    json: bool,
}

/// Which node is meant.
#[derive(Args, Debug)]
pub(crate) struct OneArgs {
    /// Name of the node; of one that waits, its id will do too
    node: String,

    #[command(flatten)]
    target: Target,
}

/// What `nodes admit` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble nodes waiting                  compare what they show with what the Pis show
  bramble nodes admit pi-4b-7f2a
  bramble nodes admit pi-4b-7f2a --replace      its card was flashed anew: it is what it was before")]
pub(crate) struct AdmitArgs {
    #[command(flatten)]
    one: OneArgs,

    /// In place of the silent node of the same board
    #[arg(long)]
    replace: bool,
}

/// What `nodes devices` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble nodes devices pi-4b-7f2a                     what it offers, and what functions may use
  bramble nodes devices pi-4b-7f2a --allow gpio
  bramble nodes devices pi-4b-7f2a --allow gpio,i2c    these, and no others
  bramble nodes devices pi-4b-7f2a --none              take all back

A function asks for devices by an annotation: bramble deploy … --annotation bramble.devices=gpio")]
pub(crate) struct DevicesArgs {
    #[command(flatten)]
    one: OneArgs,

    /// All devices that functions may use from now on: gpio, i2c, spi, camera, serial
    #[arg(long, value_name = "DEVICES", value_parser = some_devices)]
    allow: Option<Devices>,

    /// Let functions use none
    #[arg(long, conflicts_with = "allow")]
    none: bool,
}

fn some_devices(text: &str) -> Result<Devices, String> {
    match text.parse::<Devices>() {
        Ok(devices) if devices.is_empty() => Err("name at least one, or say --none".to_owned()),
        Ok(devices) => Ok(devices),
        Err(unknown) => Err(unknown.to_string()),
    }
}

/// Does it.
pub(crate) async fn run(command: NodesCommand, out: &Out) -> Result<(), Failure> {
    match command {
        NodesCommand::Show(args) => show(args, out).await,
        NodesCommand::Waiting(args) => waiting(args, out).await,
        NodesCommand::Admit(args) => admit(args, out).await,
        NodesCommand::Refuse(args) => {
            let (api, node) = args.waiting().await?;
            post(&api, &format!("/api/v1/waiting/{}/refuse", node.id)).await?;
            out.line(format!("Refused: {}.", node.name))
        }
        NodesCommand::Replace(args) => {
            let api = args.target.connect(None).await?;
            post(&api, &format!("/api/v1/nodes/{}/replace", args.node)).await?;
            out.line(format!("{} goes on as the node that it was.", args.node))
        }
        NodesCommand::Devices(args) => devices(args, out).await,
        NodesCommand::Remove(args) => {
            let api = args.target.connect(None).await?;
            let path = format!("/api/v1/nodes/{}", args.node);
            api.send_json(Method::DELETE, &path, &serde_json::json!({}))
                .await?;
            out.line(format!(
                "Removed: {}. It stops what it runs, and stays out until somebody admits it again.",
                args.node
            ))
        }
        NodesCommand::Rename(args) => manage::rename(args, out).await,
        NodesCommand::Controller(args) => manage::controller(args, out).await,
        NodesCommand::Controllers(args) => manage::controllers(args, out).await,
        NodesCommand::Cordon(args) => manage::cordon(args, true, out).await,
        NodesCommand::Uncordon(args) => manage::cordon(args, false, out).await,
    }
}

async fn post(api: &Api, path: &str) -> Result<(), Failure> {
    api.send_json(Method::POST, path, &serde_json::json!({})).await?;
    Ok(())
}

impl OneArgs {
    /// The node that waits, and the bramble at whose door.
    async fn waiting(&self) -> Result<(Api, WaitingNode), Failure> {
        let api = self.target.connect(None).await?;
        let all: Vec<WaitingNode> = api.get("/api/v1/waiting").await?;
        let node = pick(all, &self.node)?;
        Ok((api, node))
    }
}

/// The one that is called so.
pub(super) fn pick(all: Vec<WaitingNode>, name: &str) -> Result<WaitingNode, Failure> {
    let meant = |node: &WaitingNode| node.name == name || node.id.to_string() == name;
    let mut meant: Vec<_> = all.into_iter().filter(meant).collect();
    match (meant.pop(), meant.is_empty()) {
        (Some(node), true) => Ok(node),
        (Some(_), false) => Err(Failure::usage(format!(
            "several nodes that wait are called {name}: say which by its id, as `bramble nodes waiting --json` shows it"
        ))),
        (None, _) => Err(Failure::not_found(format!(
            "no node {name} waits: `bramble nodes waiting` shows who does"
        ))),
    }
}

async fn show(args: ShowArgs, out: &Out) -> Result<(), Failure> {
    let api = args.one.target.connect(None).await?;
    let path = format!("/api/v1/nodes/{}", args.one.node);
    if args.json {
        return out.json(&api.get_answer(&path).await?.body);
    }
    let NodeInWords { node, about } = api.get(&path).await?;
    let wide = about.iter().map(|fact| fact.title.len()).max().unwrap_or(0);
    out.line(out.paint(&super::table::plain(&node.name), Tone::Bold))?;
    for Fact { title, words } in &about {
        let label = out.paint(&format!("{title:<wide$}"), Tone::Bold);
        out.line(format!("{label}  {}", super::table::plain(words)))?;
    }
    for warning in &node.warnings {
        out.line(out.paint(&super::table::plain(warning), Tone::Fair))?;
    }
    Ok(())
}

async fn waiting(args: WaitingArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    if args.json {
        return out.json(&api.get_answer("/api/v1/waiting").await?.body);
    }
    let all: Vec<WaitingNode> = api.get("/api/v1/waiting").await?;
    if all.is_empty() {
        out.note("Nobody waits.");
        return Ok(());
    }
    out.table(&table(&all))
}

fn table(all: &[WaitingNode]) -> Table {
    let mut table = Table::new([
        Column::new("NAME"),
        Column::new("SHOWS"),
        Column::new("ADDRESS").spare(2),
        Column::new("MEMORY").right().spare(3),
        Column::new("BOARD").spare(1),
        Column::new("NOTE").flexible(),
    ]);
    for node in all {
        table.row([
            node.name.as_str().into(),
            node.fingerprint.as_str().into(),
            node.address.as_str().into(),
            human::bytes(node.memory_bytes).into(),
            node.board.as_str().into(),
            note(node).into(),
        ]);
    }
    table
}

/// What is to be known before somebody is let in.
fn note(node: &WaitingNode) -> String {
    match &node.replaces {
        Some(old) => format!("seems to be {old} with a new card"),
        None if node.removed => "was removed before".to_owned(),
        None => String::new(),
    }
}

async fn admit(args: AdmitArgs, out: &Out) -> Result<(), Failure> {
    let (api, node) = args.one.waiting().await?;
    let how = if args.replace { "replace" } else { "admit" };
    post(&api, &format!("/api/v1/waiting/{}/{how}", node.id)).await?;
    out.line(match node.replaces.filter(|_| args.replace) {
        Some(old) => format!("Admitted: {} goes on as {old}.", node.name),
        None => format!("Admitted: {}.", node.name),
    })
}

async fn devices(args: DevicesArgs, out: &Out) -> Result<(), Failure> {
    let api = args.one.target.connect(None).await?;
    let name = &args.one.node;
    let allow = args.allow.or(args.none.then(Devices::default));
    if let Some(allow) = &allow {
        let body = AllowDevices {
            allow: allow.iter().map(|device| device.to_string()).collect(),
        };
        let path = format!("/api/v1/nodes/{name}/devices");
        api.send_json(Method::PUT, &path, &body).await?;
    }
    let nodes: Vec<Node> = api.get("/api/v1/nodes").await?;
    let Some(node) = nodes.into_iter().find(|node| node.name == *name) else {
        return Err(Failure::not_found(format!(
            "no node {name} in this bramble: `bramble nodes` shows all"
        )));
    };
    // What was just said, if a controller that is a moment behind answers.
    let allowed = allow.unwrap_or(node.devices_allowed);
    for line in told(name, &node.devices, &allowed) {
        out.line(line)?;
    }
    Ok(())
}

/// What a node offers to functions, and what of it they may use.
fn told(name: &str, offered: &Devices, allowed: &Devices) -> Vec<String> {
    let mut told = vec![match offered.is_empty() {
        true => format!("{name} offers no devices to functions."),
        false => format!("{name} offers {offered}."),
    }];
    told.push(match allowed.is_empty() {
        true => format!("Functions may use no devices of {name}."),
        false => format!("Functions may use {allowed} of {name}, if they ask for it."),
    });
    let absent = allowed.without(offered);
    if !absent.is_empty() {
        told.push(format!("Not there at this moment: {absent}."));
    }
    told
}

#[cfg(test)]
mod tests {
    use api::NodeId;

    use super::*;

    fn knocks(number: u128, name: &str) -> WaitingNode {
        WaitingNode {
            id: NodeId::from_number(number),
            name: name.to_owned(),
            board: "Raspberry Pi 4 Model B".to_owned(),
            memory_bytes: 1 << 30,
            fingerprint: "k7q2-m9fd".to_owned(),
            address: "192.168.1.20".to_owned(),
            waiting_minutes: 1,
            removed: false,
            identifies: false,
            replaces: None,
        }
    }

    #[test]
    fn who_waits_is_meant_by_name_or_where_two_have_one_name_by_id() {
        let all = || vec![knocks(1, "desk"), knocks(2, "desk"), knocks(3, "window")];
        assert_eq!(pick(all(), "window").unwrap().id, NodeId::from_number(3));
        let id = NodeId::from_number(2).to_string();
        assert_eq!(pick(all(), &id).unwrap().id, NodeId::from_number(2));
        assert!(pick(all(), "desk").unwrap_err().words.contains("by its id"));
        assert!(pick(all(), "door").unwrap_err().words.contains("nodes waiting"));
    }

    #[test]
    fn a_table_tells_what_is_to_be_known_before_somebody_is_let_in() {
        let mut node = knocks(1, "desk");
        assert_eq!(note(&node), "");
        node.removed = true;
        assert_eq!(note(&node), "was removed before");
        node.replaces = Some("pi-4b-7f2a".to_owned());
        assert_eq!(note(&node), "seems to be pi-4b-7f2a with a new card");
    }

    #[test]
    fn devices_are_told_with_what_is_allowed_and_what_is_missing() {
        let devices = |text: &str| text.parse::<Devices>().unwrap();
        assert_eq!(
            told("desk", &devices("gpio,i2c"), &devices("")),
            ["desk offers gpio, i2c.", "Functions may use no devices of desk."]
        );
        assert_eq!(
            told("desk", &devices("gpio"), &devices("gpio,camera")),
            [
                "desk offers gpio.",
                "Functions may use gpio, camera of desk, if they ask for it.",
                "Not there at this moment: camera."
            ]
        );
        assert_eq!(
            told("desk", &devices(""), &devices(""))[0],
            "desk offers no devices to functions."
        );
    }

    #[test]
    fn taking_all_back_has_to_be_said_and_unknown_devices_are_named() {
        assert_eq!(some_devices("i2c,gpio").unwrap().typed(), "gpio,i2c");
        assert!(some_devices("").unwrap_err().contains("--none"));
        assert!(
            some_devices("gpu")
                .unwrap_err()
                .contains("there is no device `gpu`")
        );
    }
}
