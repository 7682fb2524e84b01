//! `bramble login` and `bramble logout`.

use std::{
    io::{self, IsTerminal, Read as _},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    connect::Target,
    failure::{Exit, Failure},
    gateway,
    logins::LoginFile,
    out::Out,
};
use crate::client::ApiClient;

/// How long the gateway may take to say whether it knows a password.
const LIMIT: Duration = Duration::from_secs(10);

/// Longest password that is read from a pipe.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// What `login` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  bramble login
  bramble login -g http://pi-4b-7f2a.local:8080 -u admin
  bramble login --password-stdin <password.txt

The login is saved in ~/.openfaas/config.yml (or the folder that OPENFAAS_CONFIG names), where faas-cli finds it too.")]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    target: Target,

    /// Who signs in
    #[arg(short, long, default_value = "admin")]
    username: String,

    /// Read the password from standard input
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,

    /// The password; others on this computer can see it there: better be asked, or use --password-stdin
    #[arg(short, long)]
    password: Option<String>,
}

/// What `logout` is told.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  bramble logout -g http://bramble.local")]
pub(crate) struct LogoutArgs {
    #[command(flatten)]
    target: Target,
}

/// Asks for a password, tries it, and saves it if the gateway knows it.
pub(crate) async fn login(args: LoginArgs, out: &Out) -> Result<(), Failure> {
    if args.username.is_empty() || args.username.contains(':') {
        return Err(Failure::usage("a user's name is not empty and has no colon"));
    }
    let url = args.target.url(None, None).await?;
    if gateway::is_exposed(&url) {
        out.note(format!(
            "Warning: {url} is not encrypted, and others on the way can read the password. Use https:// if it has that."
        ));
    }
    let password = password(&args, &url, out)?;
    if password.is_empty() {
        return Err(Failure::usage("the password is empty"));
    }
    let token = STANDARD.encode(format!("{}:{password}", args.username));
    check(&args, &url, &token).await?;
    let file = LoginFile::of_user();
    let mut logins = file.read()?;
    logins.put(&url, &token);
    file.write(&logins)?;
    out.line(format!(
        "{} is signed in at {url} (saved in {}).",
        args.username,
        file.path().display()
    ))
}

/// Whether the gateway takes the password.
async fn check(args: &LoginArgs, url: &str, token: &str) -> Result<(), Failure> {
    let failure = |error| Failure::of_client(error, url, true);
    let client = ApiClient::with_token(url, Some(token), args.target.trust()).map_err(failure)?;
    let json = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]);
    let answer = client
        .send_with(Method::GET, "/system/functions", json, Bytes::new(), LIMIT)
        .await
        .map_err(failure)?;
    match answer.status {
        StatusCode::OK => Ok(()),
        StatusCode::UNAUTHORIZED => Err(Failure::new(
            Exit::NotSignedIn,
            format!("{url} does not know this user with this password."),
        )),
        StatusCode::NOT_FOUND => Err(Failure::failed(format!(
            "{url} answers, but not as a bramble does. Is the port right? Nodes answer on 8080, on Pis on 80 too."
        ))),
        status => Err(Failure::failed(format!(
            "{url} answered {status}: {}",
            answer.words()
        ))),
    }
}

fn password(args: &LoginArgs, url: &str, out: &Out) -> Result<String, Failure> {
    if let Some(password) = &args.password {
        out.note(
            "Warning: a password on the command line can be read by others on this computer. Better be asked for it, \
             or use --password-stdin.",
        );
        return Ok(password.clone());
    }
    if args.password_stdin {
        let mut text = String::new();
        io::stdin()
            .take(MAX_PASSWORD_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| Failure::failed(format!("the password cannot be read: {error}")))?;
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "there is no terminal to ask for the password on: use --password-stdin",
        ));
    }
    rpassword::prompt_password(format!("Password of {} at {url}: ", args.username))
        .map_err(|error| Failure::failed(format!("the password cannot be read: {error}")))
}

/// Forgets a saved login.
pub(crate) async fn logout(args: LogoutArgs, out: &Out) -> Result<(), Failure> {
    let file = LoginFile::of_user();
    let mut logins = file.read()?;
    // Who names no gateway means the one that commands speak to.
    let url = args.target.url(None, logins.newest()).await?;
    if !logins.remove(&url) {
        return out.line(format!("Nobody was signed in at {url}."));
    }
    file.write(&logins)?;
    out.line(format!("Signed out from {url}."))
}
