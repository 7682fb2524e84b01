//! Functions that are pages for a browser.
//!
//! The gateway shows a function's page in a sandbox with an origin of its own: scripts and forms work, but fetching
//! anything needs the fetched one's permission (`Access-Control-Allow-Origin`), and nothing is kept in the browser.

pub(super) mod guestbook;
pub(super) mod load;

/// The name of the replica's computer: of the container, where there are containers.
fn replica() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A text within HTML, in quotes or not.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// A page in which each `{{name}}` is replaced by its text.
fn fill(page: &str, texts: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(page.len() + 256);
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("{{") {
        filled += before;
        let Some((name, after)) = after.split_once("}}") else {
            rest = after;
            break;
        };
        if let Some((_, text)) = texts.iter().find(|(known, _)| *known == name) {
            filled += text;
        }
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_in_once() {
        assert_eq!(
            fill("a {{x}} b {{y}}{{z}}", &[("x", "{{y}}"), ("y", "1")]),
            "a {{y}} b 1"
        );
        assert_eq!(
            escaped("<a href='x'>\"&"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;"
        );
    }
}
