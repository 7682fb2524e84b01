//! `bramble invoke`: a request to a function, its answer as it is.
//!
//! Bodies stream both ways. No credentials are sent: the password of the bramble is no function's business.

use std::{io::IsTerminal, path::PathBuf, time::Instant};

use api::FunctionName;
use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::ReaderStream;

use super::{
    connect::{self, Api, Target},
    deployment::pairs,
    failure::{Exit, Failure},
    human,
    logins::LoginFile,
    out::Out,
};
use crate::client::{RequestBody, answering_node, whole};

/// A body up to this size is read whole, so that the function is told how long it is.
const SMALL_BYTES: u64 = 64 << 10;

/// Says that the gateway itself answers, and not the function.
const INTERNAL: &str = "x-openfaas-internal";

/// What `invoke` is told.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  echo hello | bramble invoke figlet
  bramble invoke figlet --body hello -v
  bramble invoke resize --file photo.jpg --content-type image/jpeg --query width=200 >small.jpg
  bramble invoke env -m GET -H 'X-Class: 7b'
  bramble invoke hook --body '{}' --sign X-Hub-Signature-256 --key secret

The answer goes to standard output as it is. An answer other than 2xx makes the exit code 1.")]
pub(crate) struct InvokeArgs {
    /// The function: NAME or NAME.NAMESPACE
    name: String,

    #[command(flatten)]
    target: Target,

    /// Its namespace
    #[arg(short, long)]
    namespace: Option<String>,

    /// Send this text [else: --file or standard input]
    #[arg(short, long, conflicts_with = "file")]
    body: Option<String>,

    /// Send this file
    #[arg(long)]
    file: Option<PathBuf>,

    /// The method
    #[arg(short, long, default_value = "POST")]
    method: String,

    /// The path below the function
    #[arg(long, value_name = "PATH")]
    path: Option<String>,

    /// Add a header; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// Add to the query; may be given more than once
    #[arg(long = "query", value_name = "NAME=VALUE")]
    query: Vec<String>,

    /// What kind of body it is
    #[arg(long, default_value = "text/plain")]
    content_type: String,

    /// Sign the body with --key, and send the signature in this header
    #[arg(long, value_name = "HEADER", requires = "key")]
    sign: Option<String>,

    /// The key to sign with (HMAC-SHA256)
    #[arg(long, requires = "sign")]
    key: Option<String>,

    /// Have the bramble take the request and answer at once; the function runs later
    #[arg(long = "async", short = 'a')]
    later: bool,

    /// Say which Pi answered, how, and how long it took
    #[arg(short, long)]
    verbose: bool,
}

/// Invokes a function.
pub(crate) async fn invoke(args: InvokeArgs, out: &Out) -> Result<(), Failure> {
    let name = connect::function(&args.name, args.namespace.as_deref())?;
    let method = Method::from_bytes(args.method.to_uppercase().as_bytes())
        .map_err(|_| Failure::usage(format!("{} is no method such as GET or POST", args.method)))?;
    let path = path(&args, &name)?;
    let mut headers = headers(&args)?;
    let body = body(&args, &method, &mut headers, out).await?;
    let logins = LoginFile::of_user().read()?;
    let url = args.target.url(None, logins.newest()).await?;
    let api = args.target.connect_to(&url, None)?;
    let began = Instant::now();
    let response = api.open(method, &path, headers, body).await?;
    let status = response.status();
    let from_gateway = response.headers().contains_key(INTERNAL);
    if status == StatusCode::NOT_FOUND && (from_gateway || args.later) {
        return Err(not_there(&args, &name, &url).await);
    }
    let node = answering_node(response.headers());
    let mut body = response.into_body();
    let mut last = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::new(
                Exit::Unreachable,
                format!("the answer of {} broke off: {error}", args.name),
            )
        })?;
        if let Ok(data) = frame.into_data() {
            out.raw(&data)?;
            last = data.last().copied().or(last);
        }
    }
    out.end_open_line(last)?;
    if args.verbose {
        let node = node.map_or_else(String::new, |node| format!(" from {node}"));
        out.note(format!(
            "{status}{node} in {}",
            human::milliseconds(began.elapsed())
        ));
    }
    match status.is_success() {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "{} answered {status}",
            connect::of(&name)
        ))),
    }
}

/// Why nothing took the request.
async fn not_there(args: &InvokeArgs, name: &FunctionName, url: &str) -> Failure {
    if args.later {
        return Failure::failed(format!(
            "{url} does not take invocations for later: leave out --async, and the answer comes at once."
        ));
    }
    let failure = Failure::not_found("");
    // The names that are there are told only to who is signed in.
    let signed_in: Result<Api, Failure> = args.target.connect(None).await;
    match signed_in {
        Ok(api) => api.with_nearest(failure, name).await,
        Err(failure) => failure,
    }
}

/// What people type and addresses may not hold; what is encoded already stays as it is.
const ODD: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

fn path(args: &InvokeArgs, name: &FunctionName) -> Result<String, Failure> {
    let route = if args.later { "async-function" } else { "function" };
    let mut path = format!("/{route}/{}", connect::of(name));
    if let Some(below) = &args.path {
        let below = utf8_percent_encode(below.trim_start_matches('/'), ODD);
        path = format!("{path}/{below}");
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    for text in &args.query {
        query.extend_pairs(pairs("--query", std::slice::from_ref(text))?);
    }
    match query.finish() {
        query if query.is_empty() => Ok(path),
        query => Ok(format!(
            "{path}{}{query}",
            if path.contains('?') { '&' } else { '?' }
        )),
    }
}

fn headers(args: &InvokeArgs) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let wrong = |text: &str| Failure::usage(format!("-H '{text}': write it as 'Name: value'"));
    let kind = HeaderValue::from_str(&args.content_type)
        .map_err(|_| Failure::usage(format!("--content-type {}: that is none", args.content_type)))?;
    headers.insert(header::CONTENT_TYPE, kind);
    for (i, text) in args.header.iter().enumerate() {
        // The other tool takes an equals sign too.
        let (name, value) = text
            .split_once(':')
            .or_else(|| text.split_once('='))
            .ok_or_else(|| wrong(text))?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong(text))?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong(text))?;
        let again = args.header[..i]
            .iter()
            .any(|earlier| earlier.to_lowercase().starts_with(name.as_str()));
        if again {
            headers.append(name, value);
        } else {
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

async fn body(
    args: &InvokeArgs,
    method: &Method,
    headers: &mut HeaderMap,
    out: &Out,
) -> Result<RequestBody, Failure> {
    if let Some(text) = &args.body {
        sign(args, text.as_bytes(), headers)?;
        return Ok(whole(text.clone()));
    }
    let mut input: Box<dyn AsyncRead + Send + Unpin> = match &args.file {
        Some(file) => {
            let opened = tokio::fs::File::open(file).await;
            Box::new(opened.map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    Failure::not_found(format!("there is no file {}", file.display()))
                }
                _ => Failure::failed(format!("{} cannot be read: {error}", file.display())),
            })?)
        }
        None => {
            if std::io::stdin().is_terminal() {
                if [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS].contains(method) {
                    return Ok(whole(Bytes::new()));
                }
                out.note("Reading from standard input: end with Ctrl-D, or give --body.");
            }
            Box::new(tokio::io::stdin())
        }
    };
    let unreadable = |error| Failure::failed(format!("the body cannot be read: {error}"));
    let mut begin = Vec::new();
    if args.sign.is_some() {
        input.read_to_end(&mut begin).await.map_err(unreadable)?;
        sign(args, &begin, headers)?;
        return Ok(whole(begin));
    }
    (&mut input)
        .take(SMALL_BYTES)
        .read_to_end(&mut begin)
        .await
        .map_err(unreadable)?;
    if u64::try_from(begin.len()).is_ok_and(|length| length < SMALL_BYTES) {
        return Ok(whole(begin));
    }
    let begin = stream::iter([Ok(Bytes::from(begin))]);
    let all = begin
        .chain(ReaderStream::with_capacity(input, 64 << 10))
        .map_ok(Frame::data);
    Ok(StreamBody::new(all).boxed_unsync())
}

/// Adds `sha256=` and the signature of the body in hexadecimal, as the other tool does.
fn sign(args: &InvokeArgs, body: &[u8], headers: &mut HeaderMap) -> Result<(), Failure> {
    let (Some(name), Some(key)) = (&args.sign, &args.key) else {
        return Ok(());
    };
    let name: HeaderName = name
        .parse()
        .map_err(|_| Failure::usage(format!("--sign {name}: that is no name of a header")))?;
    let value = HeaderValue::from_str(&signature(key, body)).expect("hexadecimal is text");
    headers.insert(name, value);
    Ok(())
}

fn signature(key: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    let hex = mac
        .finalize()
        .into_bytes()
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("sha256={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_everybody_computes() {
        assert_eq!(
            signature("key", b"The quick brown fox jumps over the lazy dog"),
            "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
        );
    }
}
