//! The Debian system of an image: made by mmdebstrap, and kept by the hash of its inputs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{
    arch::Arch,
    tools::{self, Tool},
};

/// The one place that says which Debian.
pub const SUITE: &str = "trixie";

/// All times in an image. Not before the newest package's, so that nothing seems to come from the future.
pub const EPOCH: u64 = 1_764_547_200;

const MIRROR: &str = "http://deb.debian.org/debian";
const SECURITY: &str = "http://deb.debian.org/debian-security";

/// Besides what is essential. Each is there for a reason, and brings nothing along that is only recommended.
const PACKAGES: &[&str] = &[
    // the system
    "systemd-sysv",
    "systemd-timesyncd",
    "systemd-resolved",
    "systemd-zram-generator",
    "dbus",
    "udev",
    "kmod",
    "login",
    "procps",
    "tzdata",
    // boot
    "initramfs-tools",
    "zstd",
    "raspi-firmware",
    // network
    "firmware-brcm80211",
    "wireless-regdb",
    "wpasupplicant",
    "iproute2",
    "iputils-ping",
    "ca-certificates",
    "openssh-server",
    // functions
    "docker.io",
    "docker-cli",
    "iptables",
    // the card
    "e2fsprogs",
    "dosfstools",
];

/// Rules for dpkg: mostly files of packages that no Pi reads. Device trees of other makers' boards alone are 55 MB.
const DPKG_RULES: &[&str] = &[
    // Settings that are there before their package are ours, and nobody is there to be asked.
    "force-confold",
    // A build that is cut off begins anew; see AFTER.
    "force-unsafe-io",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/lib/linux-image-*/*",
    "path-include=/usr/lib/linux-image-*/broadcom/*",
    "path-include=/usr/lib/linux-image-*/bcm27*",
    "path-include=/usr/lib/linux-image-*/bcm28*",
    // Names and quirks of devices that are plugged into PCs.
    "path-exclude=/usr/lib/udev/hwdb.d/*",
    // Wi-Fi that is on no Pi.
    "path-exclude=/usr/lib/firmware/brcm/*",
    "path-include=/usr/lib/firmware/brcm/brcmfmac434*",
    "path-exclude=/usr/lib/firmware/cypress/*",
    "path-include=/usr/lib/firmware/cypress/cyfmac434*",
    // Boot files with a camera's or a debugger's needs; with 16 MB of memory for graphics others are used.
    "path-exclude=/usr/lib/raspi-firmware/*_x.*",
    "path-exclude=/usr/lib/raspi-firmware/*4x.*",
    "path-exclude=/usr/lib/raspi-firmware/*db.*",
    // Ways of older containerds to start a container.
    "path-exclude=/usr/bin/containerd-shim",
    "path-exclude=/usr/bin/containerd-shim-runc-v1",
    "path-exclude=/usr/bin/containerd-stress",
];

/// Before the packages: a short initial file system, made once at the end instead of twice. The virtio modules let the
/// same image start in an emulator. With files in their places, no ssh keys are made, which takes minutes under emulation
/// and would be the same ones on all cards. Nor is anybody asked about packages beforehand, which takes a minute under emulation.
const BEFORE: &str = r#"set -e
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/etc/default" "$1/usr/sbin"
printf 'MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=9\n' >"$1/etc/initramfs-tools/conf.d/bramble"
printf '%s\n' ext4 vfat mmc_block bcm2835 bcm2835_dma sdhci_iproc pcie_brcmstb xhci_pci dwc2 usb_storage uas \
  virtio_mmio virtio_pci virtio_blk >"$1/etc/initramfs-tools/modules"
printf '%s\n' "$FIRMWARE" >"$1/etc/default/raspi-firmware"
printf '%s\n' "$FIRMWARE_CUSTOM" >"$1/etc/default/raspi-firmware-custom"
printf '%s\n' "$CMDLINE" >"$1/etc/default/raspi-extra-cmdline"
chroot "$1" dpkg-divert --local --rename --divert /usr/sbin/update-initramfs.real --add /usr/sbin/update-initramfs
ln -s /bin/true "$1/usr/sbin/update-initramfs"
mv "$1/etc/apt/apt.conf.d/70debconf" "$1/etc/apt/70debconf"
mkdir -p "$1/etc/ssh"
touch "$1/etc/ssh/ssh_host_rsa_key" "$1/etc/ssh/ssh_host_ecdsa_key" "$1/etc/ssh/ssh_host_ed25519_key""#;

/// After the packages. Kernel and initial file system were copied to the first partition, from which a Pi starts: their
/// originals would lie in the root for nothing. On a Pi, dpkg writes with care.
const AFTER: &str = r#"set -e
rm "$1/usr/sbin/update-initramfs"
chroot "$1" dpkg-divert --local --rename --remove /usr/sbin/update-initramfs
chroot "$1" update-initramfs -c -k all
mv "$1/etc/apt/70debconf" "$1/etc/apt/apt.conf.d/70debconf"
sed -i /force-unsafe-io/d "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
rm -f "$1"/boot/vmlinuz-* "$1"/boot/initrd.img-* "$1"/boot/System.map-*
rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname" "$1/etc/resolv.conf" "$1"/var/log/*.log "$1"/var/log/apt/*"#;

/// What a base is made from.
#[derive(Clone, Debug)]
pub struct Base {
    /// For which processor.
    pub arch: Arch,
    /// Contents of `/etc/default/raspi-firmware`, `-custom` and `raspi-extra-cmdline`, which the kernel's installation reads.
    pub firmware: [String; 3],
    /// Whether with what Debian mended since the release.
    pub updates: bool,
}

impl Base {
    /// What mmdebstrap needs here.
    pub fn tools(&self) -> Vec<Tool> {
        vec![
            ("mmdebstrap", "mmdebstrap"),
            (self.arch.emulator(), "qemu-user-static"),
            ("arch-test", "arch-test"),
        ]
    }

    /// The arguments of mmdebstrap, for a result at `out`.
    pub fn arguments(&self, out: &str) -> Vec<String> {
        let mut packages = PACKAGES.to_vec();
        packages.push(self.arch.kernel());
        let mut arguments = vec![
            "--variant=apt".to_owned(),
            "--format=tar".to_owned(),
            format!("--arch={}", self.arch.name()),
            "--components=main,non-free-firmware".to_owned(),
            "--aptopt=APT::Install-Recommends \"false\"".to_owned(),
            format!("--include={}", packages.join(",")),
            format!("--essential-hook={BEFORE}"),
            format!("--customize-hook={AFTER}"),
        ];
        arguments.extend(DPKG_RULES.iter().map(|rule| format!("--dpkgopt={rule}")));
        arguments.extend([SUITE.to_owned(), out.to_owned()]);
        let components = "main non-free-firmware";
        arguments.push(format!("deb {MIRROR} {SUITE} {components}"));
        if self.updates {
            arguments.push(format!("deb {MIRROR} {SUITE}-updates {components}"));
            arguments.push(format!("deb {SECURITY} {SUITE}-security {components}"));
        }
        arguments
    }

    /// Names the base by all that it is made from: equal inputs, equal name. Newer packages of the same suite do not
    /// change it; `--fresh` fetches them.
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        for input in self.arguments("").iter().chain(&self.firmware) {
            hash.update(input.as_bytes());
            hash.update([0]);
        }
        hash.update(EPOCH.to_le_bytes());
        hash.finalize()
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The base as a tar file below `cache`, made unless it is there. `say` is told what mmdebstrap does.
    ///
    /// # Errors
    /// When mmdebstrap fails: with its last words.
    pub fn make(&self, cache: &Path, fresh: bool, mut say: impl FnMut(&str)) -> Result<PathBuf> {
        let file = cache.join(format!("base-{}-{}.tar", self.arch.name(), self.key()));
        if file.exists() && !fresh {
            return Ok(file);
        }
        fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
        // Under another name until it is whole.
        let part = file.with_extension("part.tar");
        let [firmware, custom, cmdline] = &self.firmware;
        let mut command = tools::command("mmdebstrap");
        command
            .args(self.arguments(&part.to_string_lossy()))
            .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
            .env("FIRMWARE", firmware)
            .env("FIRMWARE_CUSTOM", custom)
            .env("CMDLINE", cmdline);
        tools::follow(&mut command, |line| {
            if let Some(step) = line.strip_prefix("I: ") {
                say(step);
            }
        })
        .context(
            "the Debian system cannot be made. If it says that it cannot run programs of another processor, this helps: \
             sudo apt-get install qemu-user-static. If it says that a mirror's files do not fit each other, try again \
             tomorrow, or build Debian as it was released: --without-updates",
        )?;
        fs::rename(&part, &file)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(arch: Arch, firmware: &str) -> Base {
        Base {
            arch,
            firmware: [firmware.to_owned(), String::new(), String::new()],
            updates: true,
        }
    }

    #[test]
    fn a_base_is_kept_by_all_that_it_is_made_from() {
        let one = base(Arch::Arm64, "ROOTPART=a");
        assert_eq!(one.key(), one.key());
        assert_ne!(one.key(), base(Arch::Armhf, "ROOTPART=a").key());
        assert_ne!(one.key(), base(Arch::Arm64, "ROOTPART=b").key());
    }

    #[test]
    fn what_debian_mended_is_left_out_only_when_asked() {
        let with = base(Arch::Armhf, "");
        let without = Base {
            updates: false,
            ..with.clone()
        };
        let sources = |base: &Base| {
            let all = base.arguments("");
            all.iter().filter(|one| one.starts_with("deb ")).count()
        };
        assert_eq!((sources(&with), sources(&without)), (3, 1));
        assert_ne!(with.key(), without.key());
    }

    #[test]
    fn each_processor_has_its_own_kernel() {
        let includes = |arch| {
            let all = base(arch, "").arguments("out.tar");
            all.into_iter()
                .find(|argument| argument.starts_with("--include="))
                .unwrap()
        };
        assert!(includes(Arch::Arm64).ends_with(",linux-image-arm64"));
        assert!(includes(Arch::Armhf).ends_with(",linux-image-armmp"));
    }
}
