//! Devices that programs use through files below `/dev`: which kinds this machine has, and which files they are.
//!
//! Not here: who may use them (nobody, until an admin says so), and lights, which the agent drives itself
//! ([`crate::light`]).

use std::path::Path;

use crate::files;

/// The kinds there are, by name.
pub const KINDS: [&str; 5] = ["gpio", "i2c", "spi", "camera", "serial"];

/// What the kernel calls video devices that are no cameras: decoders and picture processors, which every Pi has.
const NO_CAMERA: &[&str] = &[
    "bcm2835-codec",
    "bcm2835-isp",
    "rpivid",
    "rpi-hevc-dec",
    "hevc-dec",
    "pispbe",
];

/// The kinds that the machine has whose files are below `root`, in the order of [`KINDS`].
pub fn offered(root: &Path) -> Vec<&'static str> {
    let names = names(root);
    KINDS
        .into_iter()
        .filter(|kind| match *kind {
            "camera" => names.iter().any(|name| is_camera(root, name)),
            kind => names.iter().any(|name| belongs(kind, name)),
        })
        .collect()
}

/// The files of one kind, as names below `/dev`; none where the machine has none of it, or nobody knows the kind.
pub fn names_of(root: &Path, kind: &str) -> Vec<String> {
    let mut names = names(root);
    if kind == "camera" {
        if !names.iter().any(|name| is_camera(root, name)) {
            return Vec::new();
        }
        // Memory that pictures are handed on in.
        let heaps = files::entries(&root.join("dev/dma_heap"));
        names.extend(heaps.into_iter().map(|(name, _)| format!("dma_heap/{name}")));
    }
    names.retain(|name| belongs(kind, name) && (!name.starts_with("video") || is_camera(root, name)));
    names
}

fn names(root: &Path) -> Vec<String> {
    let all = files::entries(&root.join("dev"));
    all.into_iter().map(|(name, _)| name).collect()
}

fn belongs(kind: &str, name: &str) -> bool {
    let numbered = |before: &str| is_numbered(name, before);
    match kind {
        "gpio" => numbered("gpiochip") || name == "gpiomem" || numbered("gpiomem"),
        "i2c" => numbered("i2c-"),
        "spi" => name.starts_with("spidev"),
        "camera" => {
            ["video", "media", "v4l-subdev"].into_iter().any(numbered) || name.starts_with("dma_heap/")
        }
        // `ttyS0` and the like are there without anything behind them.
        "serial" => ["ttyUSB", "ttyACM", "ttyAMA"].into_iter().any(numbered),
        _ => false,
    }
}

fn is_camera(root: &Path, name: &str) -> bool {
    let told = || files::text(&root.join("sys/class/video4linux").join(name).join("name"));
    is_numbered(name, "video") && !told().is_some_and(|told| NO_CAMERA.iter().any(|no| told.starts_with(no)))
}

/// Whether `name` is `before` and a number.
fn is_numbered(name: &str, before: &str) -> bool {
    name.strip_prefix(before)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::tree;

    #[test]
    fn a_pi_with_its_buses_on_offers_pins_and_buses_and_no_camera() {
        let root = tree(&[
            ("dev/gpiochip0", ""),
            ("dev/gpiochip1", ""),
            ("dev/gpiomem", ""),
            ("dev/i2c-1", ""),
            ("dev/spidev0.0", ""),
            ("dev/spidev0.1", ""),
            ("dev/video10", ""),
            ("dev/video13", ""),
            ("dev/media0", ""),
            ("dev/dma_heap/linux,cma", ""),
            ("dev/ttyS0", ""),
            ("dev/tty1", ""),
            ("dev/mem", ""),
            ("sys/class/video4linux/video10/name", "bcm2835-codec-decode\n"),
            ("sys/class/video4linux/video13/name", "bcm2835-isp-capture0\n"),
        ]);
        assert_eq!(offered(root.path()), ["gpio", "i2c", "spi"]);
        assert_eq!(
            names_of(root.path(), "gpio"),
            ["gpiochip0", "gpiochip1", "gpiomem"]
        );
        assert_eq!(names_of(root.path(), "spi"), ["spidev0.0", "spidev0.1"]);
        assert!(names_of(root.path(), "camera").is_empty());
        assert!(names_of(root.path(), "mem").is_empty());
    }

    #[test]
    fn a_camera_is_told_from_what_every_pi_decodes_with() {
        let root = tree(&[
            ("dev/video0", ""),
            ("dev/video10", ""),
            ("dev/media0", ""),
            ("dev/v4l-subdev0", ""),
            ("dev/dma_heap/system", ""),
            ("sys/class/video4linux/video0/name", "HD Webcam C270\n"),
            ("sys/class/video4linux/video10/name", "bcm2835-codec-decode\n"),
        ]);
        assert_eq!(offered(root.path()), ["camera"]);
        assert_eq!(
            names_of(root.path(), "camera"),
            ["media0", "v4l-subdev0", "video0", "dma_heap/system"]
        );
    }

    #[test]
    fn a_microcontroller_on_usb_is_a_serial_port() {
        let root = tree(&[("dev/ttyACM0", ""), ("dev/ttyAMA10", ""), ("dev/ttyUSB", "")]);
        assert_eq!(offered(root.path()), ["serial"]);
        assert_eq!(names_of(root.path(), "serial"), ["ttyACM0", "ttyAMA10"]);
    }

    #[test]
    fn a_machine_without_any_offers_nothing() {
        assert!(offered(tree(&[("dev/null", "")]).path()).is_empty());
        assert!(offered(tree(&[]).path()).is_empty());
    }
}
