//! What a bramble of virtual Pis is given before it starts: a CA, keys, names, addresses, an admin password.
//!
//! All of it is made once and found again in the demo's folder; only addresses are chosen anew where somebody else
//! has taken one in between.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use anyhow::{Context, Result};
use api::{NodeId, node::EngineKind};
use base64::Engine as _;
use transport::{Authority, Identity};

use super::{boards, layout::Layout, supervisor::VirtualPi};
use crate::node::config::{NodeConfig, Peer, VirtualBoard};

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
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("failed to draw a password: {error}"))?;
    let password = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    layout.write_private("password", &password)?;
    Ok(password)
}

/// Makes what is missing of `count` nodes, and writes the settings of each. Nodes beyond `count` from an earlier start
/// stay in the folder and are not started.
pub(super) fn nodes(
    layout: &Layout,
    count: usize,
    engine: EngineKind,
    docker: Option<&str>,
) -> Result<Vec<VirtualPi>> {
    let mut names = layout.node_names()?;
    let authority = authority(layout)?;
    while names.len() < count {
        names.push(mint_node(layout, &authority, names.len())?);
    }
    layout.set_node_names(&names)?;
    names.truncate(count);

    let mut minted = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let folder = layout.node(&name);
        let identity = Identity::load(&folder.file("identity"))
            .with_context(|| format!("{name} has lost its identity"))?;
        let kept = NodeConfig::load_if_there(folder.path())?;
        let board = boards::lent_to(index);
        let config = NodeConfig {
            name,
            http: free_address(kept.as_ref().map(|kept| kept.http))?,
            node_port: free_address(kept.as_ref().map(|kept| kept.node_port))?,
            engine,
            docker: docker.map(str::to_owned),
            controller: index == 0,
            controllers: Vec::new(),
            virtual_board: Some(VirtualBoard {
                model: board.model.to_owned(),
                memory_bytes: board.memory.bytes(),
                cores: board.cores,
            }),
        };
        minted.push((identity.id(), config, folder));
    }

    let controllers: Vec<Peer> = minted
        .iter()
        .filter(|(_, config, _)| config.controller)
        .map(|(id, config, _)| Peer {
            id: *id,
            address: config.node_port,
        })
        .collect();
    minted
        .into_iter()
        .map(|(id, mut config, folder)| {
            config.controllers.clone_from(&controllers);
            config.save(folder.path())?;
            Ok(VirtualPi {
                name: config.name,
                id,
                http: config.http,
                folder,
                controller: config.controller,
            })
        })
        .collect()
}

fn authority(layout: &Layout) -> Result<Authority> {
    let (certificate, key) = ("authority.pem", "authority-key.pem");
    match (
        fs::read_to_string(layout.file(certificate)),
        fs::read_to_string(layout.file(key)),
    ) {
        (Ok(certificate), Ok(key)) => {
            Authority::from_pem(&certificate, &key).context("the demo's authority is damaged")
        }
        _ => {
            let authority = Authority::create().context("failed to make an authority")?;
            layout.write_private(key, &authority.key_pem())?;
            layout.write_private(certificate, authority.certificate_pem())?;
            Ok(authority)
        }
    }
}

/// Makes a node's key and certificate; answers its name: board and end of its id.
fn mint_node(layout: &Layout, authority: &Authority, index: usize) -> Result<String> {
    let identity = Identity::issued_by(authority).context("failed to make a node's key")?;
    let name = name_of(index, identity.id());
    let directory = layout.node(&name).file("identity");
    make_folder(&directory)?;
    identity.save(&directory).context("failed to keep a node's key")?;
    Ok(name)
}

fn name_of(index: usize, id: NodeId) -> String {
    format!("{}-{}", boards::lent_to(index).short, id.tail())
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to make the folder {}", path.display()))
}

/// `kept`, if nobody has taken it; else an address on loopback that is free at this moment.
fn free_address(kept: Option<SocketAddr>) -> Result<SocketAddr> {
    if let Some(kept) = kept
        && TcpListener::bind(kept).is_ok()
    {
        return Ok(kept);
    }
    let any =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port on loopback")?;
    any.local_addr().context("failed to read an address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_gives_the_same_names_keys_and_password() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let start = |count| {
            let nodes = nodes(&layout, count, EngineKind::Process, None).unwrap();
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

    #[test]
    fn the_first_node_runs_the_controller_and_all_know_it() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let nodes = nodes(&layout, 3, EngineKind::Process, None).unwrap();
        assert_eq!(
            nodes.iter().map(|node| node.controller).collect::<Vec<_>>(),
            [true, false, false]
        );
        for node in &nodes {
            let config = NodeConfig::load(node.folder.path()).unwrap();
            assert_eq!(
                config.controllers.iter().map(|peer| peer.id).collect::<Vec<_>>(),
                [nodes[0].id]
            );
        }
    }
}
