//! `curl`: fetches a page, with the options of `curl` that lessons use.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use hyper::{HeaderMap, Method, Response, Uri};
use lexopt::prelude::{Long, Short, Value};
use tokio::time::timeout;
use url::Url;

use super::connect::Target;
use super::exchange::Exchange;
use super::{tls, words};
use crate::args;
use crate::builtin::call::{Answer, Call, Refusal, Reply};
use crate::tools::Failure;

/// For all of it, redirections included.
const TIME: Duration = Duration::from_secs(15);

/// The longest page.
const LONGEST: usize = 1024 * 1024;

const MOST_REDIRECTIONS: usize = 5;

pub(crate) async fn answer(call: Call) -> Reply {
    let line = call
        .line("an address such as http://gateway:8080/healthz, perhaps after -i, -I, -L, -k, -X, -H or -d")?;
    let wish = Wish::read(line)?;
    timeout(TIME, fetch(wish)).await.unwrap_or_else(|_| {
        Err(Refusal::with_status(
            504,
            format!("That took longer than {} seconds.", TIME.as_secs()),
        ))
    })
}

/// What is asked for.
#[derive(Debug, Default)]
struct Wish {
    address: String,
    method: Option<Method>,
    headers: HeaderMap,
    data: Option<String>,
    /// Show the head of the answer.
    head: bool,
    follow: bool,
    insecure: bool,
}

impl Wish {
    fn read(line: &str) -> Result<Self, Refusal> {
        let mut words = words::split(line)?;
        // People paste whole commands.
        if words.first().is_some_and(|word| word == "curl") {
            words.remove(0);
        }
        Self::parse(words).map_err(|why| {
            Refusal::new(format!(
                "{why}. This curl knows -i, -I, -L, -k, -s, -X, -H and -d."
            ))
        })
    }

    fn parse(words: Vec<std::ffi::OsString>) -> Result<Self, Failure> {
        let mut wish = Self::default();
        let mut parser = args::parser(words);
        while let Some(argument) = parser.next()? {
            match argument {
                Short('i') | Long("include") => wish.head = true,
                Short('I') | Long("head") => {
                    wish.head = true;
                    wish.method = Some(Method::HEAD);
                }
                Short('L') | Long("location") => wish.follow = true,
                Short('k') | Long("insecure") => wish.insecure = true,
                Short('s' | 'S' | 'f') | Long("silent" | "show-error" | "fail") => {}
                Short('X') | Long("request") => {
                    let text = args::text(&mut parser)?;
                    let bad = |_| Failure::Usage(format!("`{text}` is no method"));
                    wish.method = Some(text.parse().map_err(bad)?);
                }
                Short('H') | Long("header") => {
                    let text = args::text(&mut parser)?;
                    let (name, value) = header(&text).ok_or_else(|| {
                        Failure::Usage(format!("`{text}` is no header such as `Accept: text/html`"))
                    })?;
                    wish.headers.append(name, value);
                }
                Short('d') | Long("data" | "data-raw") => wish.data = Some(args::text(&mut parser)?),
                Value(address) if wish.address.is_empty() => wish.address = args::utf8(address)?,
                other => return Err(other.unexpected().into()),
            }
        }
        if wish.address.is_empty() {
            return Err(Failure::Usage("there is no address".to_owned()));
        }
        Ok(wish)
    }
}

fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
}

async fn fetch(mut wish: Wish) -> Reply {
    let config = if wish.insecure {
        tls::careless()
    } else {
        tls::careful()
    };
    let (mut target, mut uri) = Target::of(&wish.address)?;
    if wish.data.is_some() && !wish.headers.contains_key(CONTENT_TYPE) {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        wish.headers.insert(CONTENT_TYPE, form);
    }
    let usual = if wish.data.is_some() {
        Method::POST
    } else {
        Method::GET
    };
    let method = wish.method.clone().unwrap_or(usual);
    let body = Bytes::from(wish.data.take().unwrap_or_default());
    for _ in 0..=MOST_REDIRECTIONS {
        let mut exchange = Exchange::open(&target, &config).await?;
        let response = exchange
            .send(method.clone(), &uri, &wish.headers, body.clone())
            .await?;
        let next = wish
            .follow
            .then(|| redirection(&response, &target, &uri))
            .flatten();
        let Some(address) = next else {
            return page(response, wish.head, &target).await;
        };
        (target, uri) = Target::of(&address)?;
    }
    Err(Refusal::with_status(
        502,
        format!("{} redirects again and again.", target.host),
    ))
}

/// Where the answer sends us.
fn redirection(response: &Response<Incoming>, target: &Target, uri: &Uri) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    if !response.status().is_redirection() {
        return None;
    }
    followed(target, uri, location)
}

/// What `location` means in an answer from there: it may be a whole address or the end of one.
fn followed(target: &Target, uri: &Uri, location: &str) -> Option<String> {
    let scheme = if target.tls { "https" } else { "http" };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let here = Url::parse(&format!("{scheme}://{}{path}", target.authority())).ok()?;
    Some(here.join(location).ok()?.into())
}

async fn page(response: Response<Incoming>, with_head: bool, target: &Target) -> Reply {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LONGEST).collect().await.map_err(|why| {
        let sentence = match why.is::<LengthLimitError>() {
            true => format!(
                "{} sends more than 1 MiB; this function takes no more.",
                target.host
            ),
            false => format!("{} broke off: {why}.", target.host),
        };
        Refusal::with_status(502, sentence)
    })?;
    let body = body.to_bytes();
    if !with_head {
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        return Ok(Answer::new(kind.unwrap_or("application/octet-stream"), body));
    }
    let mut text = format!("{:?} {}\n", head.version, head.status).into_bytes();
    for (name, value) in &head.headers {
        text.extend(format!("{name}: ").as_bytes());
        text.extend(value.as_bytes());
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend(body);
    Ok(Answer::text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_people_paste_them() {
        let wish = Wish::read("curl -sL -X PUT -H 'X-A: b' -d 'x=1' http://a/").unwrap();
        assert_eq!((wish.address.as_str(), wish.follow), ("http://a/", true));
        assert_eq!(wish.method, Some(Method::PUT));
        assert_eq!(wish.headers["x-a"], "b");
        assert_eq!(wish.data.as_deref(), Some("x=1"));
        assert!(Wish::read("-i").unwrap_err().sentence.contains("no address"));
        assert!(Wish::read("--upload-file x http://a").is_err());
    }

    #[test]
    fn a_redirection_may_be_a_whole_address_or_the_end_of_one() {
        let (target, uri) = Target::of("https://a:444/b/c/d?e=f").unwrap();
        for (location, expected) in [
            ("http://other/x", "http://other/x"),
            ("//other/x", "https://other/x"),
            ("/x", "https://a:444/x"),
            ("x", "https://a:444/b/c/x"),
            ("x/y.html", "https://a:444/b/c/x/y.html"),
            ("./", "https://a:444/b/c/"),
            ("../x?y", "https://a:444/b/x?y"),
            ("../../../x", "https://a:444/x"),
            ("?g=h", "https://a:444/b/c/d?g=h"),
        ] {
            assert_eq!(
                followed(&target, &uri, location).as_deref(),
                Some(expected),
                "{location}"
            );
        }
    }
}
