//! `/system/info` and `/system/namespaces`: what this is, for clients that ask before they do anything.

use api::{
    ids::DEFAULT_NAMESPACE,
    openfaas::{GatewayInfo, ProviderInfo, VersionInfo},
};
use axum::{Json, extract::State};

use crate::Controller;

/// GET: versions and provider.
pub(crate) async fn info(State(controller): State<Controller>) -> Json<GatewayInfo> {
    let version = VersionInfo {
        commit_message: String::new(),
        sha: option_env!("BRAMBLE_COMMIT").unwrap_or("unreleased").to_owned(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let engine = controller
        .state()
        .node(controller.id)
        .map(|node| node.facts.engine.to_string());
    Json(GatewayInfo {
        provider: ProviderInfo {
            provider: "bramble".to_owned(),
            version: version.clone(),
            orchestration: engine.unwrap_or_else(|| "docker".to_owned()),
        },
        version,
        arch: go_architecture().to_owned(),
    })
}

/// The architecture of this node in the words of OpenFaaS clients, which are Go's.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// GET: the namespaces; for now the default one.
pub(crate) async fn namespaces() -> Json<[&'static str; 1]> {
    Json([DEFAULT_NAMESPACE])
}
