//! What virtual Pis are given before they start: keys, names, addresses, a join key, an admin password. The bramble
//! they make of it themselves.
//!
//! All of it is made once and found again in the demo's folder; only addresses are chosen anew where somebody else
//! has taken one in between.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Context, Result};
use api::{NodeId, node::EngineKind};
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use tokio::net::TcpSocket;
use transport::NodeKey;

use super::{boards, layout::Layout, supervisor::VirtualPi};
use crate::node::VirtualBoard;

/// Where a virtual Pi is reached, kept from start to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Addresses {
    http: SocketAddr,
    node_port: SocketAddr,
}

/// The admin's password: what `BRAMBLE_ADMIN_PASSWORD` says, else what this folder's bramble had, else a random one.
pub(super) fn password(layout: &Layout) -> Result<String> {
    if let Ok(chosen) = std::env::var("BRAMBLE_ADMIN_PASSWORD")
        && !chosen.is_empty()
    {
        layout.write_private("password", &chosen)?;
        return Ok(chosen);
    }
    if let Ok(kept) = fs::read_to_string(layout.file("password")) {
        return Ok(kept);
    }
    let password = random()?;
    layout.write_private("password", &password)?;
    Ok(password)
}

/// The join key, as it would be on all cards of a class.
fn join_key(layout: &Layout) -> Result<String> {
    if let Ok(kept) = fs::read_to_string(layout.file("join-key")) {
        return Ok(kept);
    }
    let key = random()?;
    layout.write_private("join-key", &key)?;
    Ok(key)
}

fn random() -> Result<String> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("failed to draw a password: {error}"))?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// Makes what is missing of `count` nodes, and writes the settings that all their cards have. Nodes beyond `count` from an earlier start
/// stay in the folder and are not started. Their addresses stay theirs while what is answered with them is held.
pub(super) fn nodes(
    layout: &Layout,
    count: usize,
    engine: EngineKind,
    docker: Option<&str>,
) -> Result<(Vec<VirtualPi>, Vec<Reserved>)> {
    let mut names = layout.node_names()?;
    while names.len() < count {
        names.push(mint_node(layout, names.len())?);
    }
    layout.set_node_names(&names)?;
    names.truncate(count);

    let (mut given, mut reserved) = (Vec::new(), Vec::new());
    for name in names {
        let folder = layout.node(&name);
        let key =
            NodeKey::load(&folder.file("identity")).with_context(|| format!("{name} has lost its key"))?;
        let kept: Option<Addresses> = fs::read_to_string(folder.file("addresses.toml"))
            .ok()
            .and_then(|text| toml::from_str(&text).ok());
        let (http, http_held) = Reserved::address(kept.map(|kept| kept.http))?;
        let (node_port, node_port_held) = Reserved::address(kept.map(|kept| kept.node_port))?;
        reserved.extend([http_held, node_port_held]);
        let addresses = Addresses { http, node_port };
        let text = toml::to_string(&addresses).context("failed to write addresses as TOML")?;
        fs::write(folder.file("addresses.toml"), text).context("failed to keep a node's addresses")?;
        given.push((name, key.id(), folder, addresses));
    }

    let peers: Vec<String> = given
        .iter()
        .map(|(.., addresses)| addresses.node_port.to_string())
        .collect();
    let settings = Card {
        join_key: join_key(layout)?,
        peers,
        engine,
        docker: docker.map(str::to_owned),
    };
    let settings = toml::to_string(&settings).context("failed to write settings as TOML")?;
    layout.write_private(api::settings::FILE_NAME, &settings)?;
    let virtual_pi = |(index, (name, id, folder, addresses)): (usize, (String, NodeId, _, Addresses))| {
        let board = boards::lent_to(index);
        VirtualPi {
            name,
            id,
            http: addresses.http,
            node_port: addresses.node_port,
            settings: layout.file(api::settings::FILE_NAME),
            board: VirtualBoard {
                short: board.short.to_owned(),
                model: board.model.to_owned(),
                memory_bytes: board.memory.bytes(),
                cores: board.cores,
                serial: None,
            },
            folder,
        }
    };
    Ok((given.into_iter().enumerate().map(virtual_pi).collect(), reserved))
}

/// What is on every card of the demo, as bramble.toml.
#[derive(Serialize)]
struct Card {
    join_key: String,
    peers: Vec<String>,
    engine: EngineKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker: Option<String>,
}

/// Makes a node's key; answers its name: board and end of its id.
fn mint_node(layout: &Layout, index: usize) -> Result<String> {
    let key = NodeKey::generate().context("failed to make a node's key")?;
    let name = name_of(index, key.id());
    key.save(&layout.node(&name).file("identity"))
        .context("failed to keep a node's key")?;
    Ok(name)
}

fn name_of(index: usize, id: NodeId) -> String {
    format!("{}-{}", boards::lent_to(index).short, id.tail())
}

/// An address that nobody else is given as long as this is held: bound, but listening to nobody. The node binds it, too,
/// and listens.
pub(super) struct Reserved(#[expect(dead_code, reason = "held, and never used")] TcpSocket);

impl Reserved {
    /// `kept`, if nobody has taken it; else an address on loopback that is free.
    fn address(kept: Option<SocketAddr>) -> Result<(SocketAddr, Self)> {
        let bind = |address| {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok::<_, io::Error>((socket.local_addr()?, Self(socket)))
        };
        if let Some(kept) = kept
            && let Ok(reserved) = bind(kept)
        {
            return Ok(reserved);
        }
        bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("failed to find a free port on loopback")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_start_gives_the_same_names_keys_and_password() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let start = |count| {
            let (nodes, _) = nodes(&layout, count, EngineKind::Process, None).unwrap();
            nodes
                .into_iter()
                .map(|node| (node.name, node.id))
                .collect::<Vec<_>>()
        };
        let first = start(4);
        assert!(
            first[0].0.starts_with("pi-3b-plus-") && first[3].0.starts_with("pi-2b-"),
            "{first:?}"
        );
        assert!(first.iter().all(|(name, id)| name.ends_with(&id.tail())));
        assert_eq!(start(4), first);
        assert_eq!(start(2), first[..2]);
        assert_eq!(start(6)[..4], first);
        assert_eq!(password(&layout).unwrap(), password(&layout).unwrap());
    }

    #[tokio::test]
    async fn all_cards_say_the_same_and_are_read_without_complaint() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let (nodes, _) = nodes(&layout, 3, EngineKind::Process, None).unwrap();
        let (settings, complaints) = api::settings::read(&fs::read_to_string(&nodes[0].settings).unwrap());
        assert_eq!(complaints, []);
        assert_eq!(settings.peers.len(), 3);
        assert!(settings.join_key.unwrap().len() >= 16);
        assert!(nodes.iter().all(|node| node.settings == nodes[0].settings));
    }
}
