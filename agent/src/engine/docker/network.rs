//! This node's own Docker network: replicas are reached on it by their addresses, and reach the gateway through it.

use std::{collections::HashMap, net::IpAddr};

use api::NodeId;
use bollard::{Docker, errors::Error, models::NetworkCreateRequest, query_parameters::InspectNetworkOptions};

use super::{client::status, labels};

/// Name of the node's network.
pub(super) fn name(node: NodeId) -> String {
    format!("bramble-{}", node.tail())
}

/// Makes the network if it is not there; returns the bridge's own address on it.
pub(super) async fn ensure(docker: &Docker, node: NodeId, bramble: &str) -> Result<Option<IpAddr>, Error> {
    let name = name(node);
    if let Some(gateway) = gateway(docker, &name).await? {
        return Ok(Some(gateway));
    }
    let labels = [
        (labels::NODE, node.to_string()),
        (labels::BRAMBLE, bramble.to_owned()),
    ];
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        labels: Some(labels.map(|(key, text)| (key.to_owned(), text)).into()),
        options: Some(HashMap::new()),
        ..NetworkCreateRequest::default()
    };
    match docker.create_network(request).await {
        // 409: made at the same moment, or there without an address of its own.
        Err(error) if status(&error) != Some(409) => return Err(error),
        _ => {}
    }
    gateway(docker, &name).await
}

async fn gateway(docker: &Docker, name: &str) -> Result<Option<IpAddr>, Error> {
    match docker.inspect_network(name, None::<InspectNetworkOptions>).await {
        Ok(network) => Ok(network
            .ipam
            .and_then(|ipam| ipam.config)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|config| config.gateway?.split('/').next()?.parse().ok())
            .find(IpAddr::is_ipv4)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}
