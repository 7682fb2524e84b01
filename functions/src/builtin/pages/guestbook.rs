//! `guestbook`: a page to sign. The entries are in the memory of the replica that took them, and nowhere else.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::{escaped, fill, replica};
use crate::builtin::call::{Answer, Call, Refusal, Reply};

const PAGE: &str = include_str!("guestbook.html");

/// The newest so many entries are kept.
const MOST_ENTRIES: usize = 200;

/// The longest name and message, in characters.
const LONGEST_NAME: usize = 40;
const LONGEST_MESSAGE: usize = 500;

#[derive(Debug)]
struct Entry {
    name: String,
    message: String,
    time: Timestamp,
}

/// Newest first.
static BOOK: Mutex<VecDeque<Entry>> = Mutex::new(VecDeque::new());

pub(crate) fn answer(call: &Call) -> Reply {
    let mut book = BOOK.lock().unwrap_or_else(PoisonError::into_inner);
    match call.method.as_str() {
        "POST" => {
            let entry = read(call, Timestamp::now())?;
            book.push_front(entry);
            book.truncate(MOST_ENTRIES);
            // Back to the page, so that reloading it does not sign again.
            Ok(Answer {
                status: 303,
                ..Answer::text("Thank you!\n").with_header("location", "?")
            })
        }
        "GET" | "HEAD" | "" => Ok(page(&book)),
        method => Err(Refusal::with_status(
            405,
            format!("A guestbook can be read (GET) and signed (POST), but not {method}."),
        )),
    }
}

fn read(call: &Call, time: Timestamp) -> Result<Entry, Refusal> {
    let form = call.form();
    let field = |wanted: &str, longest: usize| {
        let found = form.iter().find(|(name, _)| name == wanted);
        let text = found.map_or("", |(_, value)| value.as_str()).trim();
        match text.chars().count() {
            0 => Err(Refusal::new(format!(
                "The {wanted} is missing; send name=… and message=… as a form does."
            ))),
            length if length > longest => Err(Refusal::new(format!(
                "The {wanted} is too long: it may have {longest} letters."
            ))),
            _ => Ok(text.to_owned()),
        }
    };
    Ok(Entry {
        name: field("name", LONGEST_NAME)?,
        message: field("message", LONGEST_MESSAGE)?,
        time,
    })
}

fn page(book: &VecDeque<Entry>) -> Answer {
    let mut entries = String::new();
    for entry in book {
        entries += &format!(
            "<li><p>{}</p><footer>{}, {} UTC</footer></li>\n",
            escaped(&entry.message),
            escaped(&entry.name),
            entry.time.strftime("%Y-%m-%d %H:%M"),
        );
    }
    if book.is_empty() {
        entries += "<li><p>Nobody has signed here yet.</p></li>\n";
    }
    let texts = [
        ("replica", escaped(&replica())),
        ("count", book.len().to_string()),
        ("entries", entries),
    ];
    let texts: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    Answer::html(fill(PAGE, &texts)).with_header("cache-control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(form: &str) -> Result<Entry, Refusal> {
        read(&Call::of(form.as_bytes(), ""), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn everything_written_is_escaped() {
        let entry = signed("name=%3Cb%3EEve&message=%3Cscript%3Ealert(1)%3C/script%3E").unwrap();
        let page = String::from_utf8(page(&VecDeque::from([entry])).body).unwrap();
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(page.contains("&lt;b&gt;Eve, 1970-01-01 00:00 UTC"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    }

    #[test]
    fn what_is_missing_or_too_long_is_refused() {
        assert!(
            signed("name=Ada")
                .unwrap_err()
                .sentence
                .contains("message is missing")
        );
        assert!(
            signed("name=+&message=x")
                .unwrap_err()
                .sentence
                .contains("name is missing")
        );
        let long = format!("name=Ada&message={}", "x".repeat(501));
        assert!(signed(&long).unwrap_err().sentence.contains("500 letters"));
    }
}
