//! Functions from text to text.

use super::entry::{Function, icon};
use super::example::{Expected, post};

/// What `figlet` makes of a word.
const LETTERS: &str = r" ____                      _     _
| __ ) _ __ __ _ _ __ ___ | |__ | | ___
|  _ \| '__/ _` | '_ ` _ \| '_ \| |/ _ \
| |_) | | | (_| | | | | | | |_) | |  __/
|____/|_|  \__,_|_| |_| |_|_.__/|_|\___|

";

/// What a cow says.
const COW: &str = r" __________________
< Every Pi counts. >
 ------------------
        \    ^__^
         \   (oo)\_________
             (__)\  (_)    )\/\
                  ||-----w|
                  ||     ||
";

/// What `wordcount` reports.
const REPORT: &str = "lines       1
words       7
different   5
characters  35
reading     under a minute
     3  the
     1  merrier
";

/// What `csv2json` makes of a table.
const TABLE: &str = r#"[
  {
    "name": "pi-3b",
    "ram": 1024
  },
  {
    "name": "pi-4b",
    "ram": 4096
  }
]
"#;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::server(
            "figlet",
            ["Big letters", "Draws a text in big letters, in the font that ?font= names."],
            icon!("figlet"),
            post("Bramble").says(LETTERS),
        ),
        Function::server(
            "cows",
            [
                "Talking animals",
                "Lets a cow say it, or the cat, penguin, dragon or raspberry that ?animal= names.",
            ],
            icon!("cows"),
            post("Every Pi counts.").says(COW),
        ),
        Function::server(
            "left-pad",
            [
                "Left-pad",
                "Fills every line on its left up to ?width= characters, with what ?with= says.",
            ],
            icon!("left-pad"),
            post("7\n42\n1024\n")
                .query("width=6&with=0")
                .says("000007\n000042\n001024\n"),
        ),
        Function::server(
            "markdown",
            ["Markdown", "Turns Markdown into HTML."],
            icon!("markdown"),
            post("# Bramble\n\nMany *small* computers, **one** big one.\n")
                .of_type("text/markdown")
                .answers(
                    "text/html; charset=utf-8",
                    Expected::Exactly(
                        "<h1>Bramble</h1>\n<p>Many <em>small</em> computers, <strong>one</strong> big one.</p>\n",
                    ),
                ),
        ),
        Function::server(
            "wordcount",
            [
                "Word count",
                "Counts lines, words and characters, and names the words that are there most.",
            ],
            icon!("wordcount"),
            post("The more the merrier, said the Pi.\n").query("top=2").says(REPORT),
        ),
        Function::server(
            "morse",
            ["Morse code", "Turns a text into Morse code, and Morse code into a text."],
            icon!("morse"),
            post("SOS Pi").says("... --- ... / .--. ..\n"),
        ),
        Function::server(
            "caesar",
            [
                "Caesar cipher",
                "Moves every letter ?shift= places along the alphabet; a negative number moves it back.",
            ],
            icon!("caesar"),
            post("Meet me at the Pi").query("shift=3").says("Phhw ph dw wkh Sl"),
        ),
        Function::server(
            "base64",
            ["Base64", "Encodes in base64, or decodes with ?mode=decode."],
            icon!("base64"),
            post("Hello, bramble!").says("SGVsbG8sIGJyYW1ibGUh\n"),
        ),
        Function::server(
            "jq",
            [
                "JSON query",
                "Picks and changes JSON with the filter in ?filter= or X-Filter, in the language of jq.",
            ],
            icon!("jq"),
            post(r#"{"pis": [{"name": "pi-3b", "ram": 1024}, {"name": "pi-4b", "ram": 4096}]}"#)
                .of_type("application/json")
                .header("X-Filter", ".pis | map(select(.ram > 2000)) | .[].name")
                .answers("application/json", Expected::Exactly("\"pi-4b\"\n")),
        )
        .memory("64Mi"),
        Function::server(
            "csv2json",
            ["Table to JSON", "Turns a table as comma-separated values into JSON."],
            icon!("csv2json"),
            post("name,ram\npi-3b,1024\npi-4b,4096\n")
                .of_type("text/csv")
                .answers("application/json", Expected::Exactly(TABLE)),
        ),
    ]
}
