//! What there is: every built-in function with its words, its icon, how an image of it is made, and an example.
//!
//! One file per category. Others read this as `functions list --json`, so its shape has a version and a golden file
//! (`tests/list.json`); the examples are run by `tests/examples.rs`, against the real programs.
//!
//! Not here: what the functions do (`builtin`).

mod entry;
mod example;
mod list;
mod machine;
mod network;
mod numbers;
mod pages;
mod pictures;
mod text;

pub(crate) use list::{help, list};

use entry::{Category, Function};

/// All functions, in the order in which people should meet them.
fn functions() -> Vec<Function> {
    let of = |category, functions: Vec<Function>| {
        functions
            .into_iter()
            .map(move |function| function.in_category(category))
    };
    of(Category::Text, text::functions())
        .chain(of(Category::Pictures, pictures::functions()))
        .chain(of(Category::Numbers, numbers::functions()))
        .chain(of(Category::Network, network::functions()))
        .chain(of(Category::Machine, machine::functions()))
        .chain(of(Category::Pages, pages::functions()))
        .collect()
}
