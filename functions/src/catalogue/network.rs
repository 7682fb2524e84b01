//! Functions that ask others.

use super::entry::{Function, icon};
use super::example::post;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::server(
            "curl",
            [
                "curl",
                "Fetches a page, with the options -i -I -L -k -X -H -d before its address.",
            ],
            icon!("curl"),
            post("-i http://gateway:8080/healthz").tells("HTTP/1.1 200 OK"),
        ),
        Function::server(
            "hey",
            [
                "Load generator",
                "Sends many requests (-n 200 -c 10, or -z 5 seconds) to an address, and reports how fast they were.",
            ],
            icon!("hey"),
            post("-n 50 -c 5 http://gateway:8080/healthz").tells("[200] 50 responses"),
        ),
        Function::server(
            "certinfo",
            [
                "Certificate",
                "Tells who a server says it is, until when, and whether browsers would believe it.",
            ],
            icon!("certinfo"),
            post("example.com:443").tells("Valid until:"),
        ),
        Function::server(
            "nslookup",
            [
                "Name lookup",
                "Asks the name servers about a name; a kind of record and a server may follow it.",
            ],
            icon!("nslookup"),
            post("localhost").says(
                "localhost\n  A      127.0.0.1\n  AAAA   ::1\nanswered by /etc/hosts of this replica\n",
            ),
        ),
    ]
}
