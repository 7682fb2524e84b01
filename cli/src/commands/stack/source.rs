//! Where a stack file comes from: the disk or the web, and its environment from this process.

use std::{fs, path::Path};

use super::{EnvironmentFile, Stack, Template, Texts};
use crate::commands::{connect::download, failure::Failure, yaml};

/// Names that are looked for where none is given.
const USUAL: [&str; 2] = ["stack.yaml", "stack.yml"];

/// Reads the stack file `wanted` (a path or an address), or the usual one of this folder; `None` where there is none
/// and none was named.
///
/// # Errors
/// [`Failure`] that names file and line.
pub(crate) async fn read(wanted: Option<&str>, envsubst: bool) -> Result<Option<Stack>, Failure> {
    let usual = || USUAL.into_iter().find(|name| Path::new(name).exists());
    let Some(name) = wanted.or_else(usual) else {
        return Ok(None);
    };
    let text = if name.starts_with("http://") || name.starts_with("https://") {
        let body = download(name).await?;
        String::from_utf8(body.to_vec())
            .map_err(|_| Failure::failed(format!("{name} is no stack file: it is no text")))?
    } else {
        read_file(name)?
    };
    let environment = |name: &str| std::env::var(name).unwrap_or_default();
    let environment: Option<&dyn Fn(&str) -> String> = if envsubst { Some(&environment) } else { None };
    let stack = Stack::parse(&text, environment);
    stack
        .map(Some)
        .map_err(|why| Failure::usage(format!("{name}: {why}")))
}

/// The environment in `files`, later ones counting more.
///
/// # Errors
/// [`Failure`] that names file and line.
pub(crate) fn environment(files: &[String]) -> Result<Texts, Failure> {
    let mut all = Texts::new();
    for name in files {
        let file: EnvironmentFile =
            yaml::read(&read_file(name)?).map_err(|why| Failure::usage(format!("{name}: {why}")))?;
        all.extend(file.environment.unwrap_or_default());
    }
    Ok(all)
}

/// What images of the template `lang` run, if the template is here. Where it is not, the image knows it.
pub(crate) fn template_process(lang: &str) -> Option<String> {
    let language = lang.split('@').next().unwrap_or(lang);
    if language.is_empty() || language.eq_ignore_ascii_case("dockerfile") || language.contains(['/', '\\']) {
        return None;
    }
    let text = fs::read_to_string(Path::new("template").join(language).join("template.yml")).ok()?;
    let template: Template = yaml::read(&text).ok()?;
    template.fprocess.filter(|process| !process.is_empty())
}

fn read_file(name: &str) -> Result<String, Failure> {
    fs::read_to_string(name).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::not_found(format!("there is no file {name}")),
        _ => Failure::failed(format!("{name} cannot be read: {error}")),
    })
}
