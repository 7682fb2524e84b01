//! The API that OpenFaaS clients use, exactly as the contract says (sections 1.4 to 1.8 and its recommendations).

pub(super) mod functions;
pub(super) mod info;
pub(super) mod logs;
pub(super) mod scale;
pub(super) mod secrets;

use api::{FunctionName, ids::DEFAULT_NAMESPACE};
use serde::{Deserialize, de::DeserializeOwned};

use super::error::ApiError;

/// The query parameter that names a namespace.
#[derive(Debug, Default, Deserialize)]
pub(super) struct NamespaceQuery {
    #[serde(default)]
    namespace: String,
}

/// The namespace that is meant when clients may name it in the body, in the query, in both or in none.
fn namespace<'a>(in_body: &'a str, in_query: &'a str) -> Result<&'a str, ApiError> {
    let namespace = match (in_body, in_query) {
        ("", "") => DEFAULT_NAMESPACE,
        ("", query) => query,
        (body, "") => body,
        (body, query) if body == query => body,
        (body, query) => {
            return Err(ApiError::bad_request(format!(
                "the body names the namespace {body}, the query {query}: name it once, or the same twice"
            )));
        }
    };
    if namespace != DEFAULT_NAMESPACE {
        return Err(ApiError::bad_request(format!(
            "namespace must be: {DEFAULT_NAMESPACE}"
        )));
    }
    Ok(namespace)
}

/// Reads a body as JSON whatever its content type says, because clients do not agree on one.
fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("failed to unmarshal request: {error}")))
}

/// The function of this name; a name that no function could have is one that does not exist.
fn existing_name(name: &str, namespace: &str) -> Result<FunctionName, ApiError> {
    FunctionName::new(name, namespace).map_err(|_| no_such_function(name, namespace))
}

fn no_such_function(name: &str, namespace: &str) -> ApiError {
    ApiError::not_found(format!("function {name}.{namespace} not found"))
}
