//! Which image is for which board, and what Debian calls things there.

use clap::ValueEnum;

/// A kind of processor, and with it an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// 64 bits: Pi 3, 4, 400, Zero 2 W, and 2 B v1.2.
    Arm64,
    /// 32 bits: Pi 2 B v1.1.
    Armhf,
}

impl Arch {
    /// Debian's name, which is also the one on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::Armhf => "armhf",
        }
    }

    /// The folder of `make dist` with the programs for it.
    pub fn dist(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::Armhf => "armv7",
        }
    }

    /// Debian's kernel package.
    pub fn kernel(self) -> &'static str {
        match self {
            Self::Arm64 => "linux-image-arm64",
            Self::Armhf => "linux-image-armmp",
        }
    }

    /// The program that runs this processor's programs on another computer.
    pub fn emulator(self) -> &'static str {
        match self {
            Self::Arm64 => "qemu-aarch64-static",
            Self::Armhf => "qemu-arm-static",
        }
    }

    /// Where Linux has the serial console of the boards.
    pub fn console(self) -> &'static str {
        match self {
            Self::Arm64 => "ttyS1",
            Self::Armhf => "ttyAMA0",
        }
    }

    /// The boards in words.
    pub fn boards(self) -> &'static str {
        match self {
            Self::Arm64 => "Raspberry Pi 3, 4, 400, Zero 2 W and 2 B v1.2",
            Self::Armhf => "Raspberry Pi 2 B v1.1 (mixes with 64-bit boards in one bramble)",
        }
    }

    /// What Raspberry Pi Imager calls the boards, and this processor.
    pub fn imager(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Arm64 => (&["pi4-64bit", "pi3-64bit", "pi2-64bit"], "armv8"),
            Self::Armhf => (&["pi2-32bit"], "armhf"),
        }
    }
}
