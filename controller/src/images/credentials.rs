//! Who registries let in: secrets in the form that `docker login` writes.
//!
//! Looked for in the secrets that the function names, then in the secret [`SECRET`] of its namespace, so that a
//! function's program need not see them.

use api::{
    FunctionName,
    images::{Reference, RegistryCredentials},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cluster::State;
use serde_json::Value;
use zeroize::Zeroizing;

/// Name of the secret with the credentials for all functions of its namespace.
pub(crate) const SECRET: &str = "registry";

/// Gives the value of a secret, if there is one of this namespace and name.
pub(crate) trait OpenSecret: std::fmt::Debug + Send + Sync {
    /// The value.
    fn open(&self, state: &State, namespace: &str, name: &str) -> Option<Zeroizing<Vec<u8>>>;
}

/// The credentials with which the image of `function` is fetched, if somebody gave any.
pub(crate) fn of(
    secrets: &dyn OpenSecret,
    state: &State,
    function: &FunctionName,
    image: &Reference,
) -> Option<RegistryCredentials> {
    let named = state.function(function).map(|function| &function.spec.secrets);
    let names = named.into_iter().flatten().map(String::as_str).chain([SECRET]);
    names
        .filter_map(|name| secrets.open(state, function.namespace(), name))
        .find_map(|found| find(&found, image.registry()))
}

/// What `config`, a `config.json` of Docker's, says of `registry`.
fn find(config: &[u8], registry: &str) -> Option<RegistryCredentials> {
    let config: Value = serde_json::from_slice(config).ok()?;
    let auths = config.get("auths")?.as_object()?;
    let of_registry = auths.iter().find(|(name, _)| host_of(name) == host_of(registry));
    let (_, entry) = of_registry?;
    let text = |name: &str| {
        let text = entry.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Some(RegistryCredentials { username, password });
    }
    let decoded = Zeroizing::new(STANDARD.decode(text("auth")?.trim()).ok()?);
    let decoded = std::str::from_utf8(&decoded).ok()?.trim_end_matches('\0');
    let (username, password) = decoded.split_once(':')?;
    Some(RegistryCredentials {
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

/// The registry that an entry is about: Docker writes Docker Hub as `https://index.docker.io/v1/`.
fn host_of(name: &str) -> &str {
    let name = name.trim_start_matches("https://").trim_start_matches("http://");
    match name.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, registry: &str) -> Option<(String, String)> {
        find(config.as_bytes(), registry).map(|found| (found.username, found.password))
    }

    #[test]
    fn what_docker_login_writes_is_read() {
        let config = r#"{"auths":{"ghcr.io":{"auth":"YWRhOmxvdmU6bGFjZQ=="},
            "https://index.docker.io/v1/":{"username":"bob","password":"s"},
            "localhost:5000":{}},"credsStore":"x"}"#;
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(found(config, "ghcr.io"), pair("ada", "love:lace"));
        assert_eq!(found(config, "docker.io"), pair("bob", "s"));
        assert_eq!(found(config, "localhost:5000"), None);
        assert_eq!(found(config, "quay.io"), None);
    }

    #[test]
    fn what_has_another_form_gives_no_credentials_and_never_a_panic() {
        for config in [
            "",
            "[]",
            r#"{"auths":[]}"#,
            r#"{"auths":{"ghcr.io":{"auth":"!"}}}"#,
            r#"{"auths":{"ghcr.io":{"auth":"YWRh"}}}"#,
        ] {
            assert_eq!(found(config, "ghcr.io"), None, "{config}");
        }
    }
}
