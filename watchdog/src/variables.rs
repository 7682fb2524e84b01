//! The environment as written: names, values, and how each kind of value is read.
//!
//! What the values mean together is [`crate::config`]'s business.

use std::collections::HashMap;
use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use crate::config::ConfigError;
use crate::duration;

/// The variables of one process.
pub(crate) struct Variables(HashMap<String, String>);

impl Variables {
    /// Those that are text; others cannot be any of ours.
    pub(crate) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let texts = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(texts.collect())
    }

    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A duration; one that cannot be read is the default, as upstream has it.
    pub(crate) fn duration(&self, name: &str, default: Duration) -> Duration {
        self.get(name).and_then(duration::setting).unwrap_or(default)
    }

    /// A duration that limits something; 0 is no limit.
    pub(crate) fn limit(&self, name: &str, default: Duration) -> Option<Duration> {
        Some(self.duration(name, default)).filter(|limit| !limit.is_zero())
    }

    /// Off unless it says `true` or `1`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    /// Any word that Go takes for a bool.
    pub(crate) fn go_bool(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        }
    }

    /// A value that has to make sense where it is set.
    pub(crate) fn parsed<T: FromStr>(
        &self,
        name: &'static str,
        kind: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let bad = |_| ConfigError::BadValue {
            name,
            value: value.to_owned(),
            kind,
        };
        value.parse().map(Some).map_err(bad)
    }
}
