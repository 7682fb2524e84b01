//! `bramble secret`: what functions may know and nobody else. Values go in and never come out.

use std::{
    io::{self, IsTerminal, Read as _},
    path::PathBuf,
};

use api::ids::DEFAULT_NAMESPACE;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{ArgAction, Args, Subcommand};
use http::Method;
use serde::{Deserialize, Serialize};

use super::{
    connect::Target,
    failure::{Exit, Failure},
    out::Out,
    suggest,
    table::{Column, Table},
};

/// Longest value that is read; the bramble takes at most this.
const MAX_VALUE_BYTES: u64 = 1 << 20;

/// What `secret` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Show which secrets there are
    #[command(alias = "ls", after_help = "Example:\n  bramble secret list")]
    List(ListArgs),
    /// Keep a new secret
    #[command(after_help = "Examples:
  bramble secret create api-key --from-file key.txt
  bramble secret create api-key <key.txt
  bramble deploy --image ghcr.io/me/hello:1 --name hello --secret api-key

Functions find it in the file /var/openfaas/secrets/api-key.")]
    Create(CreateArgs),
    /// Change a secret; functions see the new value without being deployed again
    #[command(after_help = "Example:\n  bramble secret update api-key --from-file key.txt")]
    Update(ChangeArgs),
    /// Forget a secret
    #[command(aliases = ["rm", "delete"], after_help = "Example:\n  bramble secret remove api-key")]
    Remove(RemoveArgs),
}

/// What `secret list` is told.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    target: Target,

    /// The namespace
    #[arg(short, long, default_value = DEFAULT_NAMESPACE)]
    namespace: String,

    /// Print what the API answers
    #[arg(long)]
    json: bool,

    /// Print names only
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
}

/// What `secret create` is told.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    change: ChangeArgs,

    /// Change it if it is there already
    #[arg(long)]
    replace: bool,
}

/// What `secret create` and `secret update` are told.
#[derive(Args, Debug)]
pub(crate) struct ChangeArgs {
    /// Its name
    name: String,

    #[command(flatten)]
    target: Target,

    /// Its namespace
    #[arg(short, long, default_value = DEFAULT_NAMESPACE)]
    namespace: String,

    /// Read the value from this file [else: standard input]
    #[arg(long, value_name = "FILE", conflicts_with = "from_literal")]
    from_file: Option<PathBuf>,

    /// The value; others on this computer can see it there: better use --from-file or standard input
    #[arg(long, value_name = "VALUE")]
    from_literal: Option<String>,

    /// Leave out space at the beginning and the end of the value
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
    trim: bool,
}

/// What `secret remove` is told.
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// Its name
    name: String,

    #[command(flatten)]
    target: Target,

    /// Its namespace
    #[arg(short, long, default_value = DEFAULT_NAMESPACE)]
    namespace: String,
}

/// A secret as the API takes and lists it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secret {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Base64, for values that are no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw_value: Option<String>,
}

const PATH: &str = "/system/secrets";

/// Does what was asked for.
pub(crate) async fn run(command: SecretCommand, out: &Out) -> Result<(), Failure> {
    match command {
        SecretCommand::List(args) => list(args, out).await,
        SecretCommand::Create(args) => create(args, out).await,
        SecretCommand::Update(args) => update(args, out).await,
        SecretCommand::Remove(args) => remove(args, out).await,
    }
}

async fn list(args: ListArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    let path = in_namespace(&args.namespace);
    if args.json {
        return out.json(&api.get_answer(&path).await?.body);
    }
    let secrets: Vec<Secret> = api.get(&path).await?;
    if args.quiet {
        return secrets.iter().try_for_each(|secret| out.line(&secret.name));
    }
    if secrets.is_empty() {
        out.note("There are no secrets: `bramble secret create` makes one.");
        return Ok(());
    }
    let mut table = Table::new([Column::new("NAME").flexible(), Column::new("NAMESPACE")]);
    for secret in &secrets {
        table.row([secret.name.as_str().into(), secret.namespace.as_str().into()]);
    }
    out.table(&table)
}

fn in_namespace(namespace: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("namespace", namespace);
    format!("{PATH}?{}", query.finish())
}

async fn create(args: CreateArgs, out: &Out) -> Result<(), Failure> {
    let secret = args.change.secret(out)?;
    let api = args.change.target.connect(None).await?;
    if args.replace {
        match api.send_json(Method::PUT, PATH, &secret).await {
            Ok(_) => return out.line(format!("Updated: {}.", secret.name)),
            Err(failure) if failure.exit == Exit::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    api.send_json(Method::POST, PATH, &secret).await?;
    out.line(format!("Created: {}.", secret.name))
}

async fn update(args: ChangeArgs, out: &Out) -> Result<(), Failure> {
    let secret = args.secret(out)?;
    let api = args.target.connect(None).await?;
    match api.send_json(Method::PUT, PATH, &secret).await {
        Ok(_) => out.line(format!("Updated: {}.", secret.name)),
        Err(failure) => Err(with_nearest(failure, &api, &secret).await),
    }
}

async fn remove(args: RemoveArgs, out: &Out) -> Result<(), Failure> {
    let api = args.target.connect(None).await?;
    let secret = Secret {
        name: args.name,
        namespace: args.namespace,
        ..Secret::default()
    };
    match api.send_json(Method::DELETE, PATH, &secret).await {
        Ok(_) => out.line(format!("Removed: {}.", secret.name)),
        Err(failure) => Err(with_nearest(failure, &api, &secret).await),
    }
}

async fn with_nearest(failure: Failure, api: &super::connect::Api, secret: &Secret) -> Failure {
    if failure.exit != Exit::NotFound {
        return failure;
    }
    let there: Vec<Secret> = api
        .get(&in_namespace(&secret.namespace))
        .await
        .unwrap_or_default();
    let names: Vec<String> = there.into_iter().map(|secret| secret.name).collect();
    let base = format!("There is no secret {} at {}.", secret.name, api.base());
    Failure::not_found(match suggest::nearest(&secret.name, &names) {
        Some(near) => format!("{base} Did you mean {near}?"),
        None => format!("{base} `bramble secret list` shows what there is."),
    })
}

impl ChangeArgs {
    fn secret(&self, out: &Out) -> Result<Secret, Failure> {
        let bytes = self.read(out)?;
        let (value, raw_value) = match String::from_utf8(bytes) {
            Ok(text) if self.trim => (Some(text.trim().to_owned()), None),
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.into_bytes()))),
        };
        Ok(Secret {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            value,
            raw_value,
        })
    }

    fn read(&self, out: &Out) -> Result<Vec<u8>, Failure> {
        if let Some(value) = &self.from_literal {
            out.note(
                "Warning: a secret on the command line can be read by others on this computer. Better use --from-file, \
                 or standard input.",
            );
            return Ok(value.clone().into_bytes());
        }
        let mut bytes = Vec::new();
        let read = match &self.from_file {
            Some(file) => std::fs::File::open(file)
                .and_then(|file| file.take(MAX_VALUE_BYTES + 1).read_to_end(&mut bytes))
                .map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => {
                        Failure::not_found(format!("there is no file {}", file.display()))
                    }
                    _ => Failure::failed(format!("{} cannot be read: {error}", file.display())),
                }),
            None => {
                if io::stdin().is_terminal() {
                    let value = rpassword::prompt_password(format!("Value of {}: ", self.name));
                    return value
                        .map(String::into_bytes)
                        .map_err(|error| Failure::failed(format!("the value cannot be read: {error}")));
                }
                io::stdin()
                    .take(MAX_VALUE_BYTES + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|error| Failure::failed(format!("the value cannot be read: {error}")))
            }
        };
        read?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_VALUE_BYTES) {
            return Err(Failure::failed(
                "the value is longer than 1 MiB, which is the most a secret can be",
            ));
        }
        Ok(bytes)
    }
}
