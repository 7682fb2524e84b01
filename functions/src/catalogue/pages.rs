//! Functions that are pages.

use super::entry::{Function, icon};
use super::example::{Expected, get};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::server(
            "guestbook",
            [
                "Guestbook",
                "A page to sign; every replica keeps a book of its own, in its memory.",
            ],
            icon!("guestbook"),
            get("").answers(
                "text/html; charset=utf-8",
                Expected::Contains("Every replica keeps a book of its own, in its memory"),
            ),
        ),
        Function::server(
            "load-page",
            [
                "Load page",
                "A page whose browser keeps this function or another one busy, with start, stop and counters.",
            ],
            icon!("load-page"),
            get("").answers(
                "text/html; charset=utf-8",
                Expected::Contains("<h1>Load from this browser</h1>"),
            ),
        ),
    ]
}
