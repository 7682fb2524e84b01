//! Lights on pins of the header, by the GPIO character device: the real program with a `/dev` of its own, in which
//! `fake/gpio.c` stands in for the kernel's side of the chips.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use hardware::light::{
    Frame,
    lamp::{END_CLOCKS, encode},
};
use tests::demo::program;

/// A machine with these chips, each with its label, its number of lines and what else its file says.
struct Machine {
    folder: tempfile::TempDir,
    fake: PathBuf,
}

impl Machine {
    fn with(chips: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fake = folder.path().join("gpio.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/fake/gpio.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
            .args([&fake, &source])
            .status()
            .unwrap();
        assert!(built.success());
        fs::create_dir(folder.path().join("dev")).unwrap();
        let machine = Self { folder, fake };
        for (chip, text) in chips {
            fs::write(machine.dev(chip), text).unwrap();
        }
        machine
    }

    fn dev(&self, file: &str) -> PathBuf {
        self.folder.path().join("dev").join(file)
    }

    /// Plays every message on this light; what the machine's `/dev` holds is what the program sees there.
    fn plays(&self, light: &str) -> Output {
        Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg(r#"mount --bind "$1" /dev && shift && LD_PRELOAD="$1" && export LD_PRELOAD && shift && exec "$@""#)
            .arg("sh")
            .args([&self.dev(""), &self.fake, &program()])
            .args(["lights", "--demo", "--light", light, "--each", "0.6"])
            .output()
            .unwrap()
    }

    /// Who asked `chip` for which pins, and all levels since then.
    fn asked_of(&self, chip: &str) -> (String, Vec<Vec<bool>>) {
        let text = fs::read_to_string(self.dev(&format!("{chip}.log"))).unwrap();
        let (request, rest) = text.split_once('\n').unwrap();
        let level = |line: &str| {
            let levels = line.strip_prefix("set ").unwrap_or_else(|| panic!("{line}"));
            levels.split(' ').map(|level| level == "1").collect()
        };
        (request.to_owned(), rest.lines().map(level).collect())
    }
}

fn succeeded(played: &Output) {
    assert!(played.status.success(), "{played:?}");
    assert!(played.stderr.is_empty(), "{played:?}");
}

const HEADER: &str = "pinctrl-bcm2835 54\n";

#[test]
fn an_led_on_a_pin_blinks_by_the_chip_of_the_header_whatever_its_number() {
    let machine = Machine::with(&[
        ("gpiochip0", "raspberrypi-exp-gpio 8\n"),
        ("gpiochip4", "pinctrl-rp1 54\n"),
    ]);
    succeeded(&machine.plays("gpio:17"));
    assert!(!machine.dev("gpiochip0.log").exists());
    let (request, levels) = machine.asked_of("gpiochip4");
    assert_eq!(request, "request bramble 17");
    assert!(levels.iter().all(|levels| levels.len() == 1));
    let changes = levels.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // Fourteen messages of 0.6 s; each but the slowest goes dark within that.
    assert!(changes > 14, "{changes}");
    assert_eq!(levels.last().unwrap(), &[false], "dark in the end");
}

#[test]
fn three_pins_make_colours_together() {
    let machine = Machine::with(&[("gpiochip0", HEADER)]);
    succeeded(&machine.plays("rgb:27,17,22"));
    let (request, levels) = machine.asked_of("gpiochip0");
    assert_eq!(request, "request bramble 17 22 27");
    // By number: green, blue, red. Blue for a node of the bramble, white for one that starts, dark in the end.
    for colour in [[false, true, false], [true, true, true]] {
        assert!(levels.contains(&colour.to_vec()), "{colour:?}");
    }
    assert_eq!(levels.last().unwrap(), &[false; 3]);
}

#[test]
fn lights_that_are_lit_by_low_pins_end_dark_as_well() {
    let machine = Machine::with(&[("gpiochip0", HEADER)]);
    succeeded(&machine.plays("gpio:17,inverted"));
    let (_, levels) = machine.asked_of("gpiochip0");
    assert_eq!(levels[0], [true], "dark from the beginning");
    assert!(levels.contains(&vec![false]), "lit at times");
    assert_eq!(levels.last().unwrap(), &[true]);
    fs::remove_file(machine.dev("gpiochip0.log")).unwrap();

    succeeded(&machine.plays("rgb:17,27,22,inverted"));
    let (_, levels) = machine.asked_of("gpiochip0");
    assert_eq!(levels.last().unwrap(), &[true; 3]);
}

#[test]
fn the_pixels_of_a_strip_get_whole_frames_bit_by_bit() {
    let machine = Machine::with(&[("gpiochip0", HEADER)]);
    succeeded(&machine.plays("blinkt"));
    let (request, levels) = machine.asked_of("gpiochip0");
    assert_eq!(request, "request bramble 23 24");
    let bits: Vec<bool> = levels
        .windows(2)
        .filter(|pair| !pair[0][1] && pair[1][1])
        .map(|pair| pair[1][0])
        .collect();
    let dark = encode(&Frame::DARK.strip, 7);
    let frame_bits = dark.len() * 8 + END_CLOCKS;
    assert_eq!(bits.len() % frame_bits, 0, "only whole frames");
    let frames: Vec<Vec<u8>> = bits.chunks(frame_bits).map(bytes).collect();
    assert!(frames.len() > 14, "{}", frames.len());
    for frame in &frames {
        assert_eq!(frame[..4], [0; 4], "a frame begins with zeros");
        let (pixels, end) = frame[4..].split_at(32);
        assert!(pixels.chunks(4).all(|pixel| pixel[0] == 0xe7), "{frame:02x?}");
        assert!(end.iter().all(|byte| *byte == 0), "{frame:02x?}");
    }
    let lit = |frame: &&Vec<u8>| frame[4..36].chunks(4).any(|pixel| pixel[1..] != [0; 3]);
    assert!(frames.iter().filter(lit).count() > 7);
    assert_eq!(frames.last().unwrap()[..36], dark, "dark in the end");
}

/// Bits as bytes, the highest first; what is left over fills no byte and is padded with zeros.
fn bytes(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8)
        .map(|bits| {
            let byte = bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
            byte << (8 - bits.len())
        })
        .collect()
}

#[test]
fn a_pin_that_another_program_has_is_named_with_what_to_do() {
    let machine = Machine::with(&[("gpiochip0", "pinctrl-bcm2711 58\n22\n")]);
    let played = machine.plays("rgb:17,27,22");
    assert!(!played.status.success());
    let said = String::from_utf8(played.stderr).unwrap();
    assert!(
        said.contains("GPIO 17,27,22 is in use by another program or overlay: stop that, or use other pins"),
        "{said}"
    );
}

#[test]
fn a_machine_whose_only_chip_is_not_the_headers_has_no_pins() {
    let machine = Machine::with(&[("gpiochip0", "gpio-mockup-A 32\n")]);
    let played = machine.plays("gpio:17");
    assert!(!played.status.success());
    let said = String::from_utf8(played.stderr).unwrap();
    assert!(said.contains("no GPIO pins that programs can use"), "{said}");
}
