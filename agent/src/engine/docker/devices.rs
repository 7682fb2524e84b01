//! Devices of this node that a container is given: which files, and what lets an ordinary user open them.
//!
//! A container sees a device under the name that it has on the node, may read and write it, and may make no other.
//! It has the device's owner, group and mode in there too, and a replica's user is nobody in particular: so the
//! replica joins the groups of its devices. Never root's group: whoever keeps a device for root has a reason.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use api::{Devices, devices::ANNOTATION};
use bollard::models::{ContainerCreateBody, DeviceMapping};

use crate::engine::EngineError;

/// One file of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Where it is on this node, with no link in between.
    host: PathBuf,
    /// Where the container finds it.
    inside: String,
    /// Who may use it on this node.
    group: u32,
}

/// The files of the devices that a replica asks for and was allowed.
///
/// # Errors
/// Where something that it asks for was not allowed, or is not there.
pub(super) fn find(root: &Path, asked: &Devices, allowed: &Devices) -> Result<Vec<Given>, EngineError> {
    let refused = asked.without(allowed);
    if !refused.is_empty() {
        return Err(EngineError::Refused(format!(
            "the function asks for {refused} by its annotation {ANNOTATION}, and nobody has allowed that on this node; \
             an admin does with `bramble nodes devices`"
        )));
    }
    let mut given = Vec::new();
    for device in asked.iter() {
        let before = given.len();
        for name in hardware::devices::names_of(root, device.name()) {
            match file(root, &name) {
                Ok(file) => given.push(file),
                // It was pulled out a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(EngineError::Failed {
                        doing: format!("look at /dev/{name}"),
                        source: Box::new(error),
                    });
                }
            }
        }
        if given.len() == before {
            return Err(EngineError::Refused(format!(
                "the function asks for {device}, and this node has none at this moment; plug it in, or switch it on in \
                 config.txt"
            )));
        }
    }
    Ok(given)
}

fn file(root: &Path, name: &str) -> io::Result<Given> {
    let host = fs::canonicalize(root.join("dev").join(name))?;
    let group = fs::metadata(&host)?.gid();
    Ok(Given {
        host,
        inside: format!("/dev/{name}"),
        group,
    })
}

/// Has the container find them.
pub(super) fn give(body: &mut ContainerCreateBody, given: &[Given]) {
    if given.is_empty() {
        return;
    }
    let mapping = |given: &Given| DeviceMapping {
        path_on_host: Some(given.host.display().to_string()),
        path_in_container: Some(given.inside.clone()),
        cgroup_permissions: Some("rw".to_owned()),
    };
    let groups: BTreeSet<u32> = given.iter().map(|given| given.group).collect();
    let groups = groups.into_iter().filter(|group| *group != 0);
    let host = body.host_config.get_or_insert_default();
    host.devices = Some(given.iter().map(mapping).collect());
    host.group_add = Some(groups.map(|group| group.to_string()).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dev")).unwrap();
        for name in names {
            fs::write(root.path().join("dev").join(name), "").unwrap();
        }
        root
    }

    fn devices(text: &str) -> Devices {
        text.parse().unwrap()
    }

    fn refusal(root: &Path, asked: &str, allowed: &str) -> String {
        find(root, &devices(asked), &devices(allowed))
            .unwrap_err()
            .in_words()
    }

    #[test]
    fn a_container_is_given_what_was_asked_for_under_its_own_name() {
        let root = tree(&["gpiochip0", "i2c-1", "null"]);
        std::os::unix::fs::symlink("gpiochip0", root.path().join("dev/gpiochip4")).unwrap();
        let given = find(root.path(), &devices("gpio"), &devices("gpio,i2c")).unwrap();
        let mut body = ContainerCreateBody::default();
        give(&mut body, &given);
        let host = body.host_config.unwrap();
        let mapped = host.devices.unwrap();
        let chip = fs::canonicalize(root.path().join("dev/gpiochip0")).unwrap();
        for (mapping, inside) in mapped.iter().zip(["/dev/gpiochip0", "/dev/gpiochip4"]) {
            assert_eq!(
                mapping.path_on_host.as_deref(),
                chip.to_str(),
                "links are followed"
            );
            assert_eq!(mapping.path_in_container.as_deref(), Some(inside));
            assert_eq!(mapping.cgroup_permissions.as_deref(), Some("rw"));
        }
        assert_eq!(mapped.len(), 2);
    }

    #[test]
    fn nothing_is_given_that_was_not_allowed_or_is_not_there() {
        let root = tree(&["gpiochip0"]);
        let words = refusal(root.path(), "gpio,i2c", "i2c");
        assert!(
            words.contains("asks for gpio by its annotation bramble.devices"),
            "{words}"
        );
        let words = refusal(root.path(), "gpio,i2c", "gpio,i2c");
        assert!(words.contains("asks for i2c, and this node has none"), "{words}");
    }

    #[test]
    fn who_asks_for_nothing_is_given_nothing_whatever_is_allowed() {
        let root = tree(&["gpiochip0"]);
        let given = find(root.path(), &Devices::default(), &devices("gpio")).unwrap();
        let mut body = ContainerCreateBody::default();
        give(&mut body, &given);
        assert_eq!(body, ContainerCreateBody::default());
    }

    #[test]
    fn a_replica_joins_the_groups_of_its_devices_each_once_and_never_roots() {
        let of = |name: &str, group| Given {
            host: format!("/dev/{name}").into(),
            inside: format!("/dev/{name}"),
            group,
        };
        let mut body = ContainerCreateBody::default();
        give(
            &mut body,
            &[
                of("gpiochip0", 986),
                of("gpiomem", 986),
                of("i2c-1", 0),
                of("i2c-2", 44),
            ],
        );
        assert_eq!(body.host_config.unwrap().group_add.unwrap(), ["44", "986"]);
    }
}
