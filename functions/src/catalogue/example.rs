//! A request worth trying, and what comes back.

use std::collections::BTreeMap;

use serde::Serialize;

/// The content type of plain text.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// A request and its answer.
#[derive(Debug, Serialize)]
pub(super) struct Example {
    method: &'static str,
    /// After the function's own address: empty, or beginning with `/`.
    path: &'static str,
    /// Without `?`.
    query: &'static str,
    headers: BTreeMap<&'static str, &'static str>,
    #[serde(flatten)]
    body: Body,
    /// Of the body; empty without one.
    content_type: &'static str,
    answer: Answer,
}

#[derive(Debug, Serialize)]
enum Body {
    #[serde(rename = "body")]
    Text(&'static str),
    #[serde(rename = "body_base64")]
    Base64(&'static str),
}

#[derive(Debug, Serialize)]
struct Answer {
    status: u16,
    content_type: &'static str,
    #[serde(flatten)]
    expected: Expected,
}

/// How an answer is known to be right.
#[derive(Debug, Serialize)]
pub(super) enum Expected {
    /// It is exactly this.
    #[serde(rename = "body")]
    Exactly(&'static str),
    /// It has this SHA-256 checksum, in hexadecimal digits.
    #[serde(rename = "body_sha256")]
    Sha256(&'static str),
    /// It has this in it; the rest differs from time to time or from node to node.
    #[serde(rename = "contains")]
    Contains(&'static str),
}

/// A request without a body. What it answers with is still to be said.
pub(super) fn get(query: &'static str) -> Example {
    Example {
        method: "GET",
        path: "",
        query,
        headers: BTreeMap::new(),
        body: Body::Text(""),
        content_type: "",
        answer: Answer {
            status: 200,
            content_type: TEXT,
            expected: Expected::Contains(""),
        },
    }
}

/// A text sent. What it answers with is still to be said.
pub(super) fn post(text: &'static str) -> Example {
    Example {
        method: "POST",
        body: Body::Text(text),
        content_type: TEXT,
        ..get("")
    }
}

impl Example {
    pub(super) fn query(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The body's content type, where it is no plain text.
    pub(super) fn of_type(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    /// Bytes in base64 instead of text.
    pub(super) fn bytes(mut self, base64: &'static str) -> Self {
        self.body = Body::Base64(base64);
        self
    }

    /// Answered with plain text, exactly this.
    pub(super) fn says(self, text: &'static str) -> Self {
        self.answers(TEXT, Expected::Exactly(text))
    }

    /// Answered with plain text in which this is found.
    pub(super) fn tells(self, part: &'static str) -> Self {
        self.answers(TEXT, Expected::Contains(part))
    }

    /// Answered with this content type, and a body as expected.
    pub(super) fn answers(mut self, content_type: &'static str, expected: Expected) -> Self {
        self.answer.content_type = content_type;
        self.answer.expected = expected;
        self
    }
}
