//! `bramble store`: functions to deploy with one command, the bramble's own or those of any store of this format.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    store::{Store, StoreEntry},
    v1,
};
use clap::{Args, Subcommand};

use super::{
    connect::{Api, Target, download},
    deploy::{self, HowFlags},
    deployment::{self, SpecFlags},
    failure::Failure,
    out::Out,
    stack::{StackFunction, StackResources, Texts},
    suggest,
    table::{self, Column, Table, Tone},
};

/// What `store` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Show what there is
    #[command(
        alias = "ls",
        after_help = "Examples:
  bramble store list
  bramble store list --url https://raw.githubusercontent.com/openfaas/store/master/functions.json -p arm64"
    )]
    List(ListArgs),
    /// Show one function, with a request to try it with
    #[command(alias = "describe", after_help = "Example:\n  bramble store inspect figlet")]
    Inspect(InspectArgs),
    /// Deploy a function
    #[command(after_help = "Examples:
  bramble store deploy figlet --wait
  bramble store deploy figlet --name banner -l class=7b")]
    Deploy(Box<DeployArgs>),
}

/// Which store.
#[derive(Args, Clone, Debug)]
struct StoreFlags {
    #[command(flatten)]
    target: Target,

    /// Another store [else: OPENFAAS_STORE, the bramble's own]
    #[arg(help_heading = "Store", short, long, value_name = "URL")]
    url: Option<String>,

    /// Only for this platform: x86_64, arm64, armhf [else: what the nodes of the bramble are]
    #[arg(help_heading = "Store", short, long)]
    platform: Option<String>,
}

/// What `store list` is told.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    store: StoreFlags,

    /// Print the store as it is
    #[arg(long)]
    json: bool,

    /// Print names only
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

/// What `store inspect` is told.
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// The function
    name: String,

    #[command(flatten)]
    store: StoreFlags,

    /// Print the entry of the store as JSON
    #[arg(long)]
    json: bool,
}

/// What `store deploy` is told.
#[derive(Args, Debug)]
pub(crate) struct DeployArgs {
    /// The function
    function: String,

    #[command(flatten)]
    store: StoreFlags,

    /// Another name for it
    #[arg(long)]
    name: Option<String>,

    #[command(flatten)]
    spec: SpecFlags,

    #[command(flatten)]
    how: HowFlags,
}

/// Does what was asked for.
pub(crate) async fn run(command: StoreCommand, out: &Out) -> Result<(), Failure> {
    match command {
        StoreCommand::List(args) => list(args, out).await,
        StoreCommand::Inspect(args) => inspect(args, out).await,
        StoreCommand::Deploy(args) => deploy(*args, out).await,
    }
}

impl StoreFlags {
    /// The store as text.
    async fn text(&self) -> Result<Vec<u8>, Failure> {
        let environment = std::env::var("OPENFAAS_STORE").ok().filter(|url| !url.is_empty());
        match self.url.clone().or(environment) {
            Some(url) => Ok(download(&url).await?.to_vec()),
            None => Ok(self
                .target
                .connect(None)
                .await?
                .get_answer("/store.json")
                .await?
                .body
                .to_vec()),
        }
    }

    async fn read(&self) -> Result<Vec<StoreEntry>, Failure> {
        parse(&self.text().await?)
    }
}

/// Reads a store; older ones are a plain list.
fn parse(text: &[u8]) -> Result<Vec<StoreEntry>, Failure> {
    let list = || serde_json::from_slice::<Vec<StoreEntry>>(text).ok();
    match serde_json::from_slice::<Store>(text) {
        Ok(store) => Ok(store.functions),
        Err(error) => {
            list().ok_or_else(|| Failure::failed(format!("this is no store of functions: {error}")))
        }
    }
}

async fn list(args: ListArgs, out: &Out) -> Result<(), Failure> {
    if args.json {
        return out.json(&args.store.text().await?);
    }
    let mut entries = args.store.read().await?;
    if let Some(platform) = &args.store.platform {
        entries.retain(|entry| entry.images.contains_key(platform.as_str()));
    }
    if entries.is_empty() {
        return Err(Failure::not_found(
            "The store has no functions for that platform.",
        ));
    }
    if args.quiet {
        return entries.iter().try_for_each(|entry| out.line(&entry.name));
    }
    let mut table = Table::new([
        Column::new("NAME"),
        Column::new("TITLE").spare(2),
        Column::new("PLATFORMS").spare(1),
        Column::new("DESCRIPTION").flexible(),
    ]);
    for entry in &entries {
        table.row([
            entry.name.as_str().into(),
            entry.title.as_str().into(),
            platforms(&entry.images).into(),
            entry.description.as_str().into(),
        ]);
    }
    out.table(&table)
}

fn platforms(images: &BTreeMap<String, String>) -> String {
    // The same under two names.
    let twice = images.contains_key("x86_64");
    let shown = images.keys().filter(|name| !(twice && *name == "amd64"));
    shown.map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn find<'a>(entries: &'a [StoreEntry], name: &str) -> Result<&'a StoreEntry, Failure> {
    let is =
        |entry: &&StoreEntry| entry.name.eq_ignore_ascii_case(name) || entry.title.eq_ignore_ascii_case(name);
    entries.iter().find(is).ok_or_else(|| {
        let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
        Failure::not_found(match suggest::nearest(name, &names) {
            Some(near) => format!("The store has no {name}. Did you mean {near}?"),
            None => format!("The store has no {name}. `bramble store list` shows what there is."),
        })
    })
}

async fn inspect(args: InspectArgs, out: &Out) -> Result<(), Failure> {
    let entries = args.store.read().await?;
    let entry = find(&entries, &args.name)?;
    if args.json {
        let json = serde_json::to_vec(entry).map_err(|error| Failure::failed(error.to_string()))?;
        return out.json(&json);
    }
    let field = |label: &str, value: &str| {
        if value.is_empty() {
            return Ok(());
        }
        let label = out.paint(&format!("{label:<13}"), Tone::Bold);
        out.line(format!("{label} {}", table::plain(value)))
    };
    field("Name", &entry.name)?;
    field("Title", &entry.title)?;
    field("Description", &entry.description)?;
    field("Author", &entry.author)?;
    field("Category", &entry.category)?;
    let images: BTreeSet<&String> = entry.images.values().collect();
    for image in images {
        let of_image = |(_, its): &(&String, &String)| *its == image;
        let its: Vec<&str> = entry
            .images
            .iter()
            .filter(of_image)
            .map(|(name, _)| name.as_str())
            .collect();
        field("Image", &format!("{image} ({})", its.join(", ")))?;
    }
    field("Command", &entry.fprocess)?;
    field("Memory", entry.memory.as_deref().unwrap_or_default())?;
    for (label, map) in [
        ("Environment", &entry.environment),
        ("Labels", &entry.labels),
        ("Annotations", &entry.annotations),
    ] {
        let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
        field(label, &pairs.join(" "))?;
    }
    field("More", &entry.repo_url)?;
    if let Some(example) = example(entry) {
        out.line("")?;
        out.line(format!(
            "Try it:\n  bramble store deploy {} --wait\n  {example}",
            entry.name
        ))?;
    }
    Ok(())
}

/// The command that makes the example's request, where a line of a shell can say it.
fn example(entry: &StoreEntry) -> Option<String> {
    let text = |key: &str| {
        entry
            .example
            .get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let (method, path, query, body) = (text("method"), text("path"), text("query"), text("body"));
    if method.is_empty() {
        return None;
    }
    let mut line = format!("bramble invoke {}", entry.name);
    if method != "POST" {
        line += &format!(" -m {method}");
    }
    if !path.is_empty() || !query.is_empty() {
        let separator = if query.is_empty() { "" } else { "?" };
        line += &format!(" --path {}", quoted(&format!("{path}{separator}{query}")));
    }
    match (text("content_type"), body.is_empty()) {
        ("" | "text/plain", _) | (_, true) => {}
        (kind, false) => line += &format!(" --content-type {}", quoted(kind)),
    }
    if let Some(headers) = entry
        .example
        .get("headers")
        .and_then(serde_json::Value::as_object)
    {
        for (name, value) in headers {
            line += &format!(
                " -H {}",
                quoted(&format!("{name}: {}", value.as_str().unwrap_or_default()))
            );
        }
    }
    if !text("body_base64").is_empty() {
        line += " --file FILE";
    } else {
        line += &format!(" --body {}", quoted(body));
    }
    Some(line)
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

async fn deploy(args: DeployArgs, out: &Out) -> Result<(), Failure> {
    let entries = args.store.read().await?;
    let entry = find(&entries, &args.function)?;
    let api = args.store.target.connect(None).await?;
    let image = image(entry, args.store.platform.as_deref(), &api).await?;
    let some = |map: &BTreeMap<String, String>| -> Texts {
        map.iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect()
    };
    let function = StackFunction {
        image: Some(image),
        fprocess: Some(entry.fprocess.clone()),
        environment: Some(some(&entry.environment)),
        labels: Some(some(&entry.labels)),
        annotations: Some(some(&entry.annotations)),
        requests: Some(StackResources {
            memory: entry.memory.clone(),
            cpu: None,
        }),
        readonly_root_filesystem: Some(entry.read_only_root_filesystem),
        ..StackFunction::default()
    };
    let name = args.name.as_deref().unwrap_or(&entry.name);
    let deployment = deployment::build(name, function, Texts::new(), &args.spec)?;
    deploy::send(&api, &deployment, &args.how, out).await
}

/// The image to deploy: for the platform that was named, else for most nodes of the bramble.
async fn image(entry: &StoreEntry, platform: Option<&str>, api: &Api) -> Result<String, Failure> {
    let there_are = || format!("{} is there for {}", entry.name, platforms(&entry.images));
    if let Some(platform) = platform {
        let image = entry.images.get(platform).cloned();
        return image.ok_or_else(|| Failure::not_found(format!("{}, not for {platform}.", there_are())));
    }
    let images: BTreeSet<&String> = entry.images.values().collect();
    if let (Some(only), 1) = (images.first(), images.len()) {
        return Ok((*only).clone());
    }
    let nodes: Vec<v1::Node> = api.get("/api/v1/nodes").await?;
    let mut of_platform: BTreeMap<&str, usize> = BTreeMap::new();
    for node in &nodes {
        *of_platform.entry(store_platform(&node.platform)).or_default() += 1;
    }
    let usual = of_platform
        .iter()
        .filter(|(platform, _)| entry.images.contains_key(**platform))
        .max_by_key(|(_, count)| **count);
    match usual {
        Some((platform, _)) => Ok(entry.images[*platform].clone()),
        None => Err(Failure::failed(format!(
            "{}, and no node of this bramble is that.",
            there_are()
        ))),
    }
}

/// A node's platform as stores call it.
fn store_platform(platform: &str) -> &str {
    match platform {
        "linux/amd64" => "x86_64",
        "linux/arm64" => "arm64",
        platform if platform.starts_with("linux/arm/") || platform == "linux/arm" => "armhf",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = r#"{"version":"0.2.1","functions":[
        {"title":"NodeInfo","name":"nodeinfo","images":{"arm64":"x/nodeinfo:latest","amd64":"y","x86_64":"y"},
         "example":{"method":"POST","path":"/a","query":"b=c d","body":"it's","content_type":"application/json","headers":{"X-A":"1"}}},
        {"title":"Figlet","name":"figlet","images":{"armhf":"z"},"example":{"method":"GET","body_base64":"AA=="}}]}"#;

    #[test]
    fn stores_are_read_in_both_of_their_forms() {
        let entries = parse(STORE.as_bytes()).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(platforms(&entries[0].images), "arm64 x86_64");
        let list = serde_json::to_vec(&entries).unwrap();
        assert_eq!(parse(&list).unwrap(), entries);
        assert!(parse(b"<html>").unwrap_err().words.contains("no store"));
    }

    #[test]
    fn a_function_is_found_by_name_or_title_and_slips_are_understood() {
        let entries = parse(STORE.as_bytes()).unwrap();
        assert_eq!(find(&entries, "NodeInfo").unwrap().name, "nodeinfo");
        assert!(
            find(&entries, "figlte")
                .unwrap_err()
                .words
                .contains("Did you mean figlet?")
        );
    }

    #[test]
    fn an_example_is_a_command_that_a_shell_takes() {
        let entries = parse(STORE.as_bytes()).unwrap();
        assert_eq!(
            example(&entries[0]).unwrap(),
            r#"bramble invoke nodeinfo --path '/a?b=c d' --content-type 'application/json' -H 'X-A: 1' --body 'it'\''s'"#
        );
        assert_eq!(
            example(&entries[1]).unwrap(),
            "bramble invoke figlet -m GET --file FILE"
        );
    }

    #[test]
    fn nodes_and_stores_mean_the_same_platforms() {
        let rows = [
            ("linux/arm64", "arm64"),
            ("linux/arm/v7", "armhf"),
            ("linux/amd64", "x86_64"),
        ];
        for (node, store) in rows {
            assert_eq!(store_platform(node), store);
        }
    }
}
