//! Functions that show what a function, and the machine below it, is.

use super::entry::{Function, icon};
use super::example::{Expected, TEXT, get, post};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::process(
            "env",
            [
                "Environment",
                "Prints its environment, in which a function finds the headers of the request.",
            ],
            icon!("env"),
            "env",
            get("")
                .header("X-Lesson", "environment")
                .tells("Http_X_Lesson=environment\n"),
        )
        .text(),
        Function::process(
            "nodeinfo",
            [
                "Node information",
                "Tells about the node it runs on: name, processor, memory, time since start.",
            ],
            icon!("nodeinfo"),
            "functions run nodeinfo",
            get("").tells("Hostname: "),
        )
        .text(),
        Function::process(
            "sleep",
            [
                "Sleep",
                "Answers after a while: two seconds, or what the header X-Sleep says.",
            ],
            icon!("sleep"),
            "functions run sleep",
            get("").header("X-Sleep", "100ms").says("Slept for: 0.100000s"),
        )
        .text()
        .env("exec_timeout", "60s")
        .env("read_timeout", "60s")
        .env("write_timeout", "61s"),
        Function::process(
            "sh",
            [
                "Small tools",
                "Runs any fprocess made of small tools, such as `cat | rev | tr a-z A-Z`.",
            ],
            icon!("sh"),
            "cat",
            post("The fprocess is `cat` until it is changed.\n").answers(
                "application/octet-stream",
                Expected::Exactly("The fprocess is `cat` until it is changed.\n"),
            ),
        ),
        Function::server(
            "echo",
            [
                "Echo",
                "Sends back what it is sent, as fast as a function can be.",
            ],
            icon!("echo"),
            post("Hello, bramble!").answers(TEXT, Expected::Exactly("Hello, bramble!")),
        ),
        Function::server(
            "blink",
            [
                "Blinking light",
                "Blinks an LED on GPIO 17, or on ?pin=…; on Pis whose pins an admin lets functions use.",
            ],
            icon!("blink"),
            // Where it has no pins it says so, and what to do.
            get("pin=17&times=3").tells("GPIO 17 "),
        )
        .asks_for("gpio"),
    ]
}
