//! Functions that compute.

use super::entry::{Function, icon};
use super::example::post;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::process(
            "shasum",
            ["Checksum", "Answers with the SHA-512 checksum of what it is sent."],
            icon!("shasum"),
            "sha512sum",
            post("bramble").says("0f39c94ac9fbfca3299357464693c0dd13a43bfac78f046ece0840e8f02ab945189042cca5e70c02a064a5ead3ea4faf9f07ca3b15252dbd091ba2d01a0f183e  -\n"),
        )
        .text(),
    ]
}
