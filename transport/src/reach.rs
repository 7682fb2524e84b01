//! Where an address leads to from here. An address of IPv6 that is good on one link only names no interface when another
//! node told it, since a number that means something there means nothing here: then it is tried on each.

use std::{
    fs, io,
    net::{SocketAddr, SocketAddrV6},
    path::Path,
};

use futures_util::future::select_ok;
use tokio::net::TcpStream;

/// Interfaces on which an address is tried at most.
const MOST_INTERFACES: usize = 16;

/// Where the kernel lists interfaces.
const INTERFACES: &str = "/sys/class/net";

/// Connects to `address`. Who answers has to prove who it is, so the first that answers will do.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    match address {
        SocketAddr::V6(v6) if is_without_interface(&v6) => {
            let each = on_each_interface(v6, &interfaces(Path::new(INTERFACES)));
            if each.is_empty() {
                return TcpStream::connect(address).await;
            }
            let attempts = each
                .into_iter()
                .map(|address| Box::pin(TcpStream::connect(address)));
            select_ok(attempts).await.map(|(stream, _)| stream)
        }
        address => TcpStream::connect(address).await,
    }
}

fn is_without_interface(address: &SocketAddrV6) -> bool {
    address.ip().is_unicast_link_local() && address.scope_id() == 0
}

fn on_each_interface(address: SocketAddrV6, indices: &[u32]) -> Vec<SocketAddr> {
    let on = |index: &u32| SocketAddrV6::new(*address.ip(), address.port(), 0, *index);
    indices.iter().map(on).map(SocketAddr::V6).collect()
}

/// Indices of the interfaces that carry something at the moment, without the loopback.
fn interfaces(root: &Path) -> Vec<u32> {
    let listed = fs::read_dir(root).into_iter().flatten().flatten();
    let up = listed.filter_map(|entry| {
        let said = |file: &str| fs::read_to_string(entry.path().join(file)).ok();
        let carries = said("operstate").is_some_and(|state| matches!(state.trim(), "up" | "unknown"));
        let index = said("ifindex")?.trim().parse().ok()?;
        (carries && entry.file_name() != "lo").then_some(index)
    });
    let mut up: Vec<u32> = up.collect();
    up.sort_unstable();
    up.truncate(MOST_INTERFACES);
    up
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(text: &str) -> SocketAddrV6 {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_of_one_link_is_tried_on_each_interface_and_others_are_taken_as_they_are() {
        assert!(is_without_interface(&v6("[fe80::1]:7443")));
        for whole in ["[fe80::1%3]:7443", "[2001:db8::1]:7443", "[::1]:7443"] {
            assert!(!is_without_interface(&v6(whole)), "{whole}");
        }
        let each = on_each_interface(v6("[fe80::1]:7443"), &[2, 5]);
        let shown: Vec<_> = each.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["[fe80::1%2]:7443", "[fe80::1%5]:7443"]);
    }

    #[test]
    fn interfaces_that_carry_nothing_and_the_loopback_are_not_tried() {
        let root = tempfile::tempdir().unwrap();
        for (name, index, state) in [
            ("lo", "1", "unknown"),
            ("eth0", "2", "up"),
            ("wlan0", "3", "down"),
            ("usb0", "5", "unknown"),
        ] {
            let folder = root.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("ifindex"), format!("{index}\n")).unwrap();
            fs::write(folder.join("operstate"), format!("{state}\n")).unwrap();
        }
        assert_eq!(interfaces(root.path()), [2, 5]);
        assert_eq!(interfaces(&root.path().join("none")), [] as [u32; 0]);
    }
}
