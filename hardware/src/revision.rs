//! The revision code: 32 bits that say which board this is.
//!
//! Pure. Codes are decoded field by field and never looked up as a whole, so that boards made after this program
//! still tell their memory and processor. Where the code is found: [`crate::board`].

/// What a revision code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The code as the machine gave it.
    pub code: u32,
    /// The kind of board; `None` where it is newer than this program.
    pub model: Option<&'static Model>,
    /// Version of the board, `(1, 3)` for 1.3.
    pub version: (u8, u8),
    /// Memory that was fitted, in MiB; `None` where the code does not say.
    pub memory_mib: Option<u32>,
    /// The system on a chip.
    pub processor: Processor,
    /// Who made the board.
    pub maker: Maker,
}

/// A kind of board.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// Type field of new-style revision codes.
    pub type_code: u8,
    /// In people's words: `Raspberry Pi 3 Model B Plus`.
    pub words: &'static str,
    /// Short, for node names: `pi-3b-plus`.
    pub short: &'static str,
    /// First entry of the device tree's `compatible` list.
    pub compatible: &'static str,
    /// The processor of the earliest board of this kind, where the device tree is all that is known.
    pub processor: Processor,
}

/// The system on a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// One ARMv6 core.
    Bcm2835,
    /// Four ARMv7 cores.
    Bcm2836,
    /// Four 64-bit cores (Cortex-A53).
    Bcm2837,
    /// Four 64-bit cores (Cortex-A72).
    Bcm2711,
    /// Four 64-bit cores (Cortex-A76).
    Bcm2712,
    /// Newer than this program.
    Unknown,
}

impl Processor {
    /// What is printed on it; absent where this program is older.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Bcm2835 => Some("BCM2835"),
            Self::Bcm2836 => Some("BCM2836"),
            Self::Bcm2837 => Some("BCM2837"),
            Self::Bcm2711 => Some("BCM2711"),
            Self::Bcm2712 => Some("BCM2712"),
            Self::Unknown => None,
        }
    }

    /// Platforms whose programs the cores can run, the best first.
    pub fn platforms(self) -> &'static [&'static str] {
        match self {
            Self::Bcm2835 => &["linux/arm/v6"],
            Self::Bcm2836 => &["linux/arm/v7", "linux/arm/v6"],
            Self::Bcm2837 | Self::Bcm2711 | Self::Bcm2712 => &["linux/arm64", "linux/arm/v7", "linux/arm/v6"],
            // All since 2016 are 64-bit; that the next one still runs 32-bit programs is not known.
            Self::Unknown => &["linux/arm64"],
        }
    }
}

/// Who made a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Sony in Wales.
    SonyUk,
    /// Egoman.
    Egoman,
    /// Embest.
    Embest,
    /// Sony in Japan.
    SonyJapan,
    /// Stadium.
    Stadium,
    /// Qisda.
    Qisda,
    /// Newer than this program.
    Unknown,
}

macro_rules! models {
    ($($type_code:literal $short:literal $words:literal $compatible:literal $processor:ident)*) => {
        &[$(Model {
            type_code: $type_code,
            words: concat!("Raspberry Pi ", $words),
            short: concat!("pi-", $short),
            compatible: concat!("raspberrypi,", $compatible),
            processor: Processor::$processor,
        }),*]
    };
}

/// Every kind of board that has a type code of its own.
pub static MODELS: &[Model] = models![
    0x00 "a" "Model A" "model-a" Bcm2835
    0x01 "b" "Model B" "model-b" Bcm2835
    0x02 "a-plus" "Model A Plus" "model-a-plus" Bcm2835
    0x03 "b-plus" "Model B Plus" "model-b-plus" Bcm2835
    0x04 "2b" "2 Model B" "2-model-b" Bcm2836
    0x06 "cm1" "Compute Module" "compute-module" Bcm2835
    0x08 "3b" "3 Model B" "3-model-b" Bcm2837
    0x09 "zero" "Zero" "model-zero" Bcm2835
    0x0a "cm3" "Compute Module 3" "3-compute-module" Bcm2837
    0x0c "zero-w" "Zero W" "model-zero-w" Bcm2835
    0x0d "3b-plus" "3 Model B Plus" "3-model-b-plus" Bcm2837
    0x0e "3a-plus" "3 Model A Plus" "3-model-a-plus" Bcm2837
    0x10 "cm3-plus" "Compute Module 3 Plus" "3-plus-compute-module" Bcm2837
    0x11 "4b" "4 Model B" "4-model-b" Bcm2711
    0x12 "zero-2w" "Zero 2 W" "model-zero-2-w" Bcm2837
    0x13 "400" "400" "400" Bcm2711
    0x14 "cm4" "Compute Module 4" "4-compute-module" Bcm2711
    0x15 "cm4s" "Compute Module 4S" "4s-compute-module" Bcm2711
    0x17 "5" "5 Model B" "5-model-b" Bcm2712
    0x18 "cm5" "Compute Module 5" "5-compute-module" Bcm2712
    0x19 "500" "500" "500" Bcm2712
    0x1a "cm5-lite" "Compute Module 5 Lite" "5-compute-module" Bcm2712
    0x1b "cm0" "Compute Module 0" "compute-module-0" Bcm2837
];

/// The kind of board with this type code.
fn model(type_code: u8) -> Option<&'static Model> {
    MODELS.iter().find(|m| m.type_code == type_code)
}

/// The kind of board that the first of these `compatible` entries names.
pub(crate) fn model_of_compatible(compatible: &str) -> Option<&'static Model> {
    let known = |name: &str| match name {
        "raspberrypi,model-b-rev2" => Some("raspberrypi,model-b"),
        "raspberrypi,3-compute-module-plus" => Some("raspberrypi,3-plus-compute-module"),
        name => MODELS.iter().map(|m| m.compatible).find(|known| *known == name),
    };
    let name = compatible.split('\0').find_map(known)?;
    MODELS.iter().find(|m| m.compatible == name)
}

/// One old-style code: code, type, version, MiB (zero where boards with the same code differ), maker.
type Old = (u32, u8, (u8, u8), u32, Maker);

/// Boards from before type codes.
const OLD: &[Old] = &[
    (0x02, 0x01, (1, 0), 256, Maker::Egoman),
    (0x03, 0x01, (1, 0), 256, Maker::Egoman),
    (0x04, 0x01, (2, 0), 256, Maker::SonyUk),
    (0x05, 0x01, (2, 0), 256, Maker::Qisda),
    (0x06, 0x01, (2, 0), 256, Maker::Egoman),
    (0x07, 0x00, (2, 0), 256, Maker::Egoman),
    (0x08, 0x00, (2, 0), 256, Maker::SonyUk),
    (0x09, 0x00, (2, 0), 256, Maker::Qisda),
    (0x0d, 0x01, (2, 0), 512, Maker::Egoman),
    (0x0e, 0x01, (2, 0), 512, Maker::SonyUk),
    (0x0f, 0x01, (2, 0), 512, Maker::Egoman),
    (0x10, 0x03, (1, 2), 512, Maker::SonyUk),
    (0x11, 0x06, (1, 0), 512, Maker::SonyUk),
    (0x12, 0x02, (1, 1), 256, Maker::SonyUk),
    (0x13, 0x03, (1, 2), 512, Maker::Embest),
    (0x14, 0x06, (1, 0), 512, Maker::Embest),
    (0x15, 0x02, (1, 1), 0, Maker::Embest),
];

const NEW_STYLE: u32 = 1 << 23;

impl Revision {
    /// Reads `text`, hexadecimal without `0x`; `None` where it is no code that any Pi has.
    pub fn parse(text: &str) -> Option<Self> {
        Self::decode(u32::from_str_radix(text.trim(), 16).ok()?)
    }

    /// Reads a code; `None` where no Pi has it.
    pub fn decode(code: u32) -> Option<Self> {
        if code & NEW_STYLE == 0 {
            // Leading digits tell that the warranty is void, not which board it is.
            let (_, type_code, version, mib, maker) =
                OLD.iter().find(|(old, ..)| *old == code & 0xffff).copied()?;
            return Some(Self {
                code,
                model: model(type_code),
                version,
                memory_mib: Some(mib).filter(|mib| *mib > 0),
                processor: Processor::Bcm2835,
                maker,
            });
        }
        let field = |shift: u32, mask: u8| u8::try_from((code >> shift) & u32::from(mask)).unwrap_or(mask);
        Some(Self {
            code,
            model: model(field(4, 0xff)),
            version: (1, field(0, 0xf)),
            memory_mib: match field(20, 0x7) {
                7 => None,
                steps => Some(256 << steps),
            },
            processor: match field(12, 0xf) {
                0 => Processor::Bcm2835,
                1 => Processor::Bcm2836,
                2 => Processor::Bcm2837,
                3 => Processor::Bcm2711,
                4 => Processor::Bcm2712,
                _ => Processor::Unknown,
            },
            maker: match field(16, 0xf) {
                0 => Maker::SonyUk,
                1 => Maker::Egoman,
                2 | 4 => Maker::Embest,
                3 => Maker::SonyJapan,
                5 => Maker::Stadium,
                _ => Maker::Unknown,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code, short name, version, MiB, maker, processor.
    type Vector<'a> = (&'a str, &'static str, (u8, u8), Option<u32>, Maker, Processor);

    #[test]
    fn new_codes_mean_what_the_official_table_says() {
        use Maker::{Egoman, Embest, SonyJapan, SonyUk, Stadium};
        use Processor::{Bcm2711, Bcm2712, Bcm2835, Bcm2836, Bcm2837};
        let vectors: &[Vector<'_>] = &[
            ("a01041", "pi-2b", (1, 1), Some(1024), SonyUk, Bcm2836),
            ("a21041", "pi-2b", (1, 1), Some(1024), Embest, Bcm2836),
            ("a01040", "pi-2b", (1, 0), Some(1024), SonyUk, Bcm2836),
            ("a02042", "pi-2b", (1, 2), Some(1024), SonyUk, Bcm2837),
            ("a22042", "pi-2b", (1, 2), Some(1024), Embest, Bcm2837),
            ("a02082", "pi-3b", (1, 2), Some(1024), SonyUk, Bcm2837),
            ("a22082", "pi-3b", (1, 2), Some(1024), Embest, Bcm2837),
            ("a32082", "pi-3b", (1, 2), Some(1024), SonyJapan, Bcm2837),
            ("a52082", "pi-3b", (1, 2), Some(1024), Stadium, Bcm2837),
            ("a22083", "pi-3b", (1, 3), Some(1024), Embest, Bcm2837),
            ("a020d3", "pi-3b-plus", (1, 3), Some(1024), SonyUk, Bcm2837),
            ("a020d4", "pi-3b-plus", (1, 4), Some(1024), SonyUk, Bcm2837),
            ("9020e0", "pi-3a-plus", (1, 0), Some(512), SonyUk, Bcm2837),
            ("9020e1", "pi-3a-plus", (1, 1), Some(512), SonyUk, Bcm2837),
            ("a03111", "pi-4b", (1, 1), Some(1024), SonyUk, Bcm2711),
            ("b03111", "pi-4b", (1, 1), Some(2048), SonyUk, Bcm2711),
            ("c03111", "pi-4b", (1, 1), Some(4096), SonyUk, Bcm2711),
            ("b03112", "pi-4b", (1, 2), Some(2048), SonyUk, Bcm2711),
            ("c03112", "pi-4b", (1, 2), Some(4096), SonyUk, Bcm2711),
            ("b03114", "pi-4b", (1, 4), Some(2048), SonyUk, Bcm2711),
            ("c03114", "pi-4b", (1, 4), Some(4096), SonyUk, Bcm2711),
            ("d03114", "pi-4b", (1, 4), Some(8192), SonyUk, Bcm2711),
            ("b03115", "pi-4b", (1, 5), Some(2048), SonyUk, Bcm2711),
            ("c03115", "pi-4b", (1, 5), Some(4096), SonyUk, Bcm2711),
            ("d03115", "pi-4b", (1, 5), Some(8192), SonyUk, Bcm2711),
            ("902120", "pi-zero-2w", (1, 0), Some(512), SonyUk, Bcm2837),
            ("c03130", "pi-400", (1, 0), Some(4096), SonyUk, Bcm2711),
            ("c03131", "pi-400", (1, 1), Some(4096), SonyUk, Bcm2711),
            ("a03140", "pi-cm4", (1, 0), Some(1024), SonyUk, Bcm2711),
            ("b04170", "pi-5", (1, 0), Some(2048), SonyUk, Bcm2712),
            ("c04170", "pi-5", (1, 0), Some(4096), SonyUk, Bcm2712),
            ("d04170", "pi-5", (1, 0), Some(8192), SonyUk, Bcm2712),
            ("a04171", "pi-5", (1, 1), Some(1024), SonyUk, Bcm2712),
            ("b04171", "pi-5", (1, 1), Some(2048), SonyUk, Bcm2712),
            ("c04171", "pi-5", (1, 1), Some(4096), SonyUk, Bcm2712),
            ("d04171", "pi-5", (1, 1), Some(8192), SonyUk, Bcm2712),
            ("e04171", "pi-5", (1, 1), Some(16_384), SonyUk, Bcm2712),
            ("d04180", "pi-cm5", (1, 0), Some(8192), SonyUk, Bcm2712),
            ("d04190", "pi-500", (1, 0), Some(8192), SonyUk, Bcm2712),
            ("e04190", "pi-500", (1, 0), Some(16_384), SonyUk, Bcm2712),
            ("b041a0", "pi-cm5-lite", (1, 0), Some(2048), SonyUk, Bcm2712),
            ("900021", "pi-a-plus", (1, 1), Some(512), SonyUk, Bcm2835),
            ("900032", "pi-b-plus", (1, 2), Some(512), SonyUk, Bcm2835),
            ("900061", "pi-cm1", (1, 1), Some(512), SonyUk, Bcm2835),
            ("900092", "pi-zero", (1, 2), Some(512), SonyUk, Bcm2835),
            ("920093", "pi-zero", (1, 3), Some(512), Embest, Bcm2835),
            ("9000c1", "pi-zero-w", (1, 1), Some(512), SonyUk, Bcm2835),
            ("a020a0", "pi-cm3", (1, 0), Some(1024), SonyUk, Bcm2837),
            ("a02100", "pi-cm3-plus", (1, 0), Some(1024), SonyUk, Bcm2837),
            ("2a02082", "pi-3b", (1, 2), Some(1024), SonyUk, Bcm2837),
            ("80a02082", "pi-3b", (1, 2), Some(1024), SonyUk, Bcm2837),
            ("f03111", "pi-4b", (1, 1), None, SonyUk, Bcm2711),
            ("000e", "pi-b", (2, 0), Some(512), SonyUk, Bcm2835),
            ("1000003", "pi-b", (1, 0), Some(256), Egoman, Bcm2835),
        ];
        for vector in vectors {
            assert_vector(vector);
        }
    }

    #[test]
    fn old_codes_mean_what_the_official_table_says() {
        use Maker::{Egoman, Embest, Qisda, SonyUk};
        use Processor::Bcm2835;
        let vectors: &[Vector<'_>] = &[
            ("0002", "pi-b", (1, 0), Some(256), Egoman, Bcm2835),
            ("0003", "pi-b", (1, 0), Some(256), Egoman, Bcm2835),
            ("0004", "pi-b", (2, 0), Some(256), SonyUk, Bcm2835),
            ("0005", "pi-b", (2, 0), Some(256), Qisda, Bcm2835),
            ("0006", "pi-b", (2, 0), Some(256), Egoman, Bcm2835),
            ("0007", "pi-a", (2, 0), Some(256), Egoman, Bcm2835),
            ("0008", "pi-a", (2, 0), Some(256), SonyUk, Bcm2835),
            ("0009", "pi-a", (2, 0), Some(256), Qisda, Bcm2835),
            ("000d", "pi-b", (2, 0), Some(512), Egoman, Bcm2835),
            ("000e", "pi-b", (2, 0), Some(512), SonyUk, Bcm2835),
            ("000f", "pi-b", (2, 0), Some(512), Egoman, Bcm2835),
            ("0010", "pi-b-plus", (1, 2), Some(512), SonyUk, Bcm2835),
            ("0011", "pi-cm1", (1, 0), Some(512), SonyUk, Bcm2835),
            ("0012", "pi-a-plus", (1, 1), Some(256), SonyUk, Bcm2835),
            ("0013", "pi-b-plus", (1, 2), Some(512), Embest, Bcm2835),
            ("0014", "pi-cm1", (1, 0), Some(512), Embest, Bcm2835),
            ("0015", "pi-a-plus", (1, 1), None, Embest, Bcm2835),
        ];
        for vector in vectors {
            assert_vector(vector);
            // Over-volted boards show further digits in front.
            assert_vector(&(
                &format!("100{}", vector.0),
                vector.1,
                vector.2,
                vector.3,
                vector.4,
                vector.5,
            ));
        }
    }

    fn assert_vector((text, short, version, mib, maker, processor): &Vector<'_>) {
        let revision = Revision::parse(text).unwrap();
        assert_eq!(revision.model.unwrap().short, *short, "{text}");
        assert_eq!(
            (
                revision.version,
                revision.memory_mib,
                revision.maker,
                revision.processor
            ),
            (*version, *mib, *maker, *processor),
            "{text}"
        );
    }

    #[test]
    fn overclocking_marks_do_not_change_which_board_it_is() {
        let plain = Revision::parse("a02082").unwrap();
        for marked in ["2a02082", "80a02082"] {
            let marked = Revision::parse(marked).unwrap();
            assert_eq!(
                Revision {
                    code: plain.code,
                    ..marked
                },
                plain
            );
        }
    }

    #[test]
    fn memory_that_the_code_does_not_name_is_absent() {
        assert_eq!(Revision::parse("f03111").unwrap().memory_mib, None);
    }

    #[test]
    fn a_board_of_the_future_still_tells_its_memory() {
        let future = Revision::parse("d06250").unwrap();
        assert_eq!((future.model, future.memory_mib), (None, Some(8192)));
        assert_eq!(future.processor, Processor::Unknown);
    }

    #[test]
    fn what_is_no_code_is_unknown_and_no_error() {
        for text in ["", "zz", "0000"] {
            assert_eq!(Revision::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_two_boards_named_2_b_are_told_apart_by_their_processor() {
        let platforms = |text| Revision::parse(text).unwrap().processor.platforms();
        assert!(!platforms("a01041").contains(&"linux/arm64"));
        assert!(platforms("a02042").contains(&"linux/arm64"));
    }
}
