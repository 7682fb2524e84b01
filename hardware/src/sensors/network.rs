//! The board's network sockets and radios.

use std::{collections::BTreeMap, fs, path::Path};

use crate::files;

/// A network socket or radio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's name: `eth0`, `wlan0`.
    pub name: String,
    /// Wired or not, and how well.
    pub kind: LinkKind,
    /// Whether it is connected.
    pub up: bool,
    /// Whether the way to the internet, or to the router at least, goes through it.
    pub default_route: bool,
}

/// Wired or not, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A socket for a cable.
    Wired {
        /// Speed that both ends agreed on, in Mbit/s; absent while nothing is plugged in.
        speed_mbit: Option<u32>,
    },
    /// A radio.
    Wifi {
        /// Strength of the signal in dBm: -50 is strong, -80 hardly enough.
        signal_dbm: Option<i32>,
    },
}

pub(super) fn links(root: &Path) -> Vec<Link> {
    let signals = signals(&fs::read_to_string(root.join("proc/net/wireless")).unwrap_or_default());
    let default = default_route(&fs::read_to_string(root.join("proc/net/route")).unwrap_or_default());
    files::entries(&root.join("sys/class/net"))
        .into_iter()
        // Bridges, tunnels and the loopback have no device behind them.
        .filter(|(_, link)| link.join("device").exists())
        .map(|(name, link)| Link {
            kind: if link.join("wireless").exists() || link.join("phy80211").exists() {
                LinkKind::Wifi {
                    signal_dbm: signals.get(&name).copied(),
                }
            } else {
                LinkKind::Wired {
                    // -1 while nothing is plugged in.
                    speed_mbit: files::number::<u32>(&link.join("speed")).filter(|speed| *speed > 0),
                }
            },
            up: files::text(&link.join("operstate")).as_deref() == Some("up"),
            default_route: default.as_deref() == Some(name.as_str()),
            name,
        })
        .collect()
}

/// ` wlan0: 0000   54.  -56.  -256        0 …`: link quality, then level in dBm.
fn signals(text: &str) -> BTreeMap<String, i32> {
    let signal = |line: &str| -> Option<(String, i32)> {
        let (name, rest) = line.split_once(':')?;
        let level = rest.split_whitespace().nth(2)?.trim_end_matches('.');
        let dbm = level.parse().ok().filter(|dbm| (-120..0).contains(dbm))?;
        Some((name.trim().to_owned(), dbm))
    };
    text.lines().filter_map(signal).collect()
}

/// The link with the lowest metric among those that lead everywhere.
fn default_route(text: &str) -> Option<String> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [link, "00000000", _, _, _, _, metric, "00000000", ..] = words[..] else {
                return None;
            };
            Some((metric.parse::<u32>().ok()?, link.to_owned()))
        })
        .min()
        .map(|(_, link)| link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    #[test]
    fn cable_and_radio_are_told_apart_and_made_up_links_left_out() {
        let root = tree(&[
            ("sys/class/net/lo/operstate", "unknown\n"),
            ("sys/class/net/docker0/operstate", "up\n"),
            ("sys/class/net/eth0/device/uevent", ""),
            ("sys/class/net/eth0/operstate", "up\n"),
            ("sys/class/net/eth0/speed", "100\n"),
            ("sys/class/net/wlan0/device/uevent", ""),
            ("sys/class/net/wlan0/wireless/x", ""),
            ("sys/class/net/wlan0/operstate", "up\n"),
            (
                "proc/net/wireless",
                "Inter-| sta-|   Quality        |   Discarded packets\n face | tus | link level noise |  nwid\n wlan0: 0000   54.  -56.  -256        0\n",
            ),
            (
                "proc/net/route",
                "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                 wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                 eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                 eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
            ),
        ]);
        assert_eq!(
            links(root.path()),
            [
                Link {
                    name: "eth0".to_owned(),
                    kind: LinkKind::Wired {
                        speed_mbit: Some(100)
                    },
                    up: true,
                    default_route: true,
                },
                Link {
                    name: "wlan0".to_owned(),
                    kind: LinkKind::Wifi {
                        signal_dbm: Some(-56)
                    },
                    up: true,
                    default_route: false,
                },
            ]
        );
    }

    #[test]
    fn an_empty_socket_has_no_speed() {
        let root = tree(&[
            ("sys/class/net/eth0/device/uevent", ""),
            ("sys/class/net/eth0/operstate", "down\n"),
            ("sys/class/net/eth0/speed", "-1\n"),
        ]);
        let link = &links(root.path())[0];
        assert_eq!(
            (link.kind, link.up),
            (LinkKind::Wired { speed_mbit: None }, false)
        );
    }
}
