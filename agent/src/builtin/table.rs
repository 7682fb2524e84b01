//! Which built-in functions there are, as `functions list --json` tells.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The version of the table that this program reads.
const VERSION: u32 = 1;

/// Everything that `functions list --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Table {
    v: u32,
    /// The functions.
    pub functions: Vec<Function>,
    /// Names under which images link the file `functions`, so that every `fprocess` finds them.
    pub tools: Vec<String>,
}

/// One built-in function.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Function {
    /// Its name: that of its image, after `bramble/`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// What it does, in a sentence.
    pub sentence: String,
    /// What the watchdog runs; absent where the function answers HTTP itself.
    #[serde(default)]
    pub fprocess: Option<String>,
    /// How requests reach it.
    pub mode: Mode,
    /// What runs instead of the watchdog.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Environment of its image.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The variable that chooses its port.
    #[serde(default = "port")]
    pub port_env: String,
}

fn port() -> String {
    "port".to_owned()
}

/// How requests reach a built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The watchdog runs a process per request.
    Serializing,
    /// The watchdog hands requests to a server that it runs.
    Http,
    /// The function answers HTTP itself.
    Direct,
}

impl Mode {
    /// The watchdog's word for it; `None` where there is no watchdog.
    pub fn of_watchdog(self) -> Option<&'static str> {
        match self {
            Self::Serializing => Some("serializing"),
            Self::Http => Some("http"),
            Self::Direct => None,
        }
    }
}

impl Table {
    /// Reads the table.
    ///
    /// # Errors
    /// Where it is damaged, or of a version that this program does not know.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let table: Self = serde_json::from_slice(json)?;
        if table.v == VERSION {
            Ok(table)
        } else {
            let text = format!("version {} of the table, where {VERSION} was expected", table.v);
            Err(serde::de::Error::custom(text))
        }
    }
}

impl Function {
    /// What starts it, and its environment, apart from what a deployment adds.
    pub fn start(&self) -> (Vec<String>, BTreeMap<String, String>) {
        let mut env = self.env.clone();
        if let Some(mode) = self.mode.of_watchdog() {
            env.insert("mode".to_owned(), mode.to_owned());
            env.insert("fprocess".to_owned(), self.fprocess.clone().unwrap_or_default());
            return (vec!["fwatchdog".to_owned()], env);
        }
        (self.entrypoint.clone().unwrap_or_default(), env)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"{"v":1,"functions":[
        {"name":"env","title":"Environment","sentence":"Prints it.","fprocess":"env","mode":"serializing","env":{"a":"b"}},
        {"name":"echo","title":"Echo","sentence":"Says it again.","mode":"direct","entrypoint":["functions","run","echo"]}],
        "tools":["cat","env"]}"#;

    #[test]
    fn a_function_starts_with_the_watchdog_or_by_itself() {
        let table = Table::parse(TABLE.as_bytes()).unwrap();
        let (program, env) = table.functions[0].start();
        assert_eq!(program, ["fwatchdog"]);
        let get = |name: &str| env.get(name).map(String::as_str);
        assert_eq!(
            (get("fprocess"), get("mode"), get("a")),
            (Some("env"), Some("serializing"), Some("b"))
        );
        let (program, env) = table.functions[1].start();
        assert_eq!(program, ["functions", "run", "echo"]);
        assert!(env.is_empty());
    }

    #[test]
    fn a_table_of_the_future_is_refused() {
        let future = TABLE.replace("\"v\":1", "\"v\":2");
        assert!(
            Table::parse(future.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("version 2")
        );
    }
}
