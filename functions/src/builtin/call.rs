//! What a function is asked and what it answers, apart from how it came and how it goes.

use std::env;
use std::fmt::Display;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::str::FromStr;

use hyper::HeaderMap;
use hyper::http::request::Parts;

/// One request, with its whole body.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// After the function's own address.
    pub(crate) path: String,
    query: Vec<(String, String)>,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What a function makes of a call.
pub(crate) type Reply = Result<Answer, Refusal>;

/// What is sent back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer, for the one who asked.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) sentence: String,
}

/// The content type of text.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

impl Call {
    /// What an HTTP server was asked.
    pub(crate) fn from_http(head: &Parts, body: Vec<u8>) -> Self {
        Self {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: pairs(head.uri.query().unwrap_or_default()),
            headers: headers(&head.headers),
            body,
        }
    }

    /// What a watchdog asks: `Http_*` variables, and the body on standard input, of which at most `limit` bytes are
    /// taken.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub(crate) fn from_process(limit: usize) -> io::Result<Result<Self, Refusal>> {
        let mut call = Self::default();
        for (name, value) in env::vars() {
            match name.strip_prefix("Http_") {
                Some("Method") => call.method = value,
                Some("Path") => call.path = value,
                Some("Query") => call.query = pairs(&value),
                Some(header) => call
                    .headers
                    .push((header.replace('_', "-").to_ascii_lowercase(), value)),
                None => {}
            }
        }
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        io::stdin().lock().take(most).read_to_end(&mut call.body)?;
        Ok(if call.body.len() > limit {
            Err(Refusal::too_large(limit))
        } else {
            Ok(call)
        })
    }

    /// The variables by which [`Self::from_process`] gets what `head` says.
    pub(crate) fn variables(head: &Parts) -> Vec<(String, String)> {
        let mut variables = vec![
            ("Http_Method".to_owned(), head.method.as_str().to_owned()),
            ("Http_Path".to_owned(), head.uri.path().to_owned()),
            (
                "Http_Query".to_owned(),
                head.uri.query().unwrap_or_default().to_owned(),
            ),
        ];
        let headers = headers(&head.headers).into_iter();
        variables.extend(headers.map(|(name, value)| (format!("Http_{}", name.replace('-', "_")), value)));
        variables
    }

    /// How the call is to be done: `?name=…`, or the header `X-Name`.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        let in_query = self.query.iter().find(|(known, _)| known == name);
        let found = in_query.or_else(|| {
            let header = format!("x-{name}");
            self.headers.iter().find(|(known, _)| *known == header)
        });
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// With the fields of a form that was sent as options too; what the address says counts first.
    pub(crate) fn with_form(mut self) -> Self {
        let fields = self.form();
        self.query.extend(fields);
        self
    }

    /// An option that is a number within `range`.
    pub(crate) fn number<T>(&self, name: &str, range: RangeInclusive<T>, otherwise: T) -> Result<T, Refusal>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.option(name) else {
            return Ok(otherwise);
        };
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(Refusal::new(format!(
                "{name} is `{text}`; it has to be a number from {} to {}.",
                range.start(),
                range.end()
            ))),
        }
    }

    /// An option that is one of a few words.
    pub(crate) fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
        otherwise: T,
    ) -> Result<T, Refusal> {
        let Some(text) = self.option(name) else {
            return Ok(otherwise);
        };
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            Refusal::new(format!("{name} is `{text}`; it can be {}.", words.join(", ")))
        })
    }

    /// The text sent, or `?text=…` of a call without a body, so that a browser's address line will do. `wanted` says
    /// in the refusal what to send.
    pub(crate) fn text(&self, wanted: &str) -> Result<&str, Refusal> {
        let text = if self.body.is_empty() {
            self.option("text").unwrap_or_default()
        } else {
            str::from_utf8(&self.body)
                .map_err(|_| Refusal::new("What was sent is no text: it is not UTF-8.".to_owned()))?
        };
        if text.trim().is_empty() {
            return Err(Refusal::new(format!(
                "Send {wanted} as the body, or as ?text=… in the address."
            )));
        }
        Ok(text)
    }

    /// The text sent, without the newline with which `echo` and editors end one.
    pub(crate) fn line(&self, wanted: &str) -> Result<&str, Refusal> {
        Ok(self.text(wanted)?.trim_end_matches(['\n', '\r']))
    }

    /// The fields of a form that was sent.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

impl Answer {
    pub(crate) fn new(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// Plain text.
    pub(crate) fn text(body: impl Into<Vec<u8>>) -> Self {
        Self::new(TEXT, body)
    }

    pub(crate) fn html(body: impl Into<Vec<u8>>) -> Self {
        Self::new("text/html; charset=utf-8", body)
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal.status,
            ..Self::text(format!("{}\n", refusal.sentence))
        }
    }
}

impl Refusal {
    /// The one who asked can do better.
    pub(crate) fn new(sentence: String) -> Self {
        Self::with_status(400, sentence)
    }

    pub(crate) fn with_status(status: u16, sentence: impl Into<String>) -> Self {
        let mut sentence = sentence.into();
        // What libraries say may end a sentence by itself.
        if ["..", "?.", "!."].iter().any(|twice| sentence.ends_with(twice)) {
            sentence.pop();
        }
        Self { status, sentence }
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let limit = match limit / 1024 {
            kib if kib >= 1024 => format!("{} MiB", kib / 1024),
            kib => format!("{kib} KiB"),
        };
        Self::with_status(
            413,
            format!("That is too large: this function takes up to {limit}."),
        )
    }
}

#[cfg(test)]
impl Call {
    /// A body, and options as in an address: `a=1&b=2`.
    pub(crate) fn of(body: &[u8], query: &str) -> Self {
        Self {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: pairs(query),
            body: body.to_owned(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_from_the_address_or_from_a_header() {
        let mut call = Call::of(b"", "width=20&name=a%20b");
        call.headers.push(("x-height".to_owned(), "30".to_owned()));
        assert_eq!(call.number("width", 1..=100, 5).unwrap(), 20);
        assert_eq!(call.number("height", 1..=100, 5).unwrap(), 30);
        assert_eq!(call.number("depth", 1..=100, 5).unwrap(), 5);
        assert_eq!(call.option("name"), Some("a b"));
    }

    #[test]
    fn a_number_out_of_range_is_refused_with_the_range() {
        let refusal = Call::of(b"", "width=200")
            .number("width", 1..=100, 5)
            .unwrap_err();
        assert_eq!(
            refusal.sentence,
            "width is `200`; it has to be a number from 1 to 100."
        );
    }

    #[test]
    fn without_a_body_the_address_may_hold_the_text() {
        assert_eq!(Call::of(b"", "text=hi").text("a text").unwrap(), "hi");
        assert_eq!(Call::of(b"ho\n", "text=hi").line("a text").unwrap(), "ho");
        assert!(
            Call::of(b"", "")
                .text("a text")
                .unwrap_err()
                .sentence
                .contains("Send a text")
        );
        assert!(Call::of(b"\xff\xfe", "").text("a text").is_err());
    }
}
