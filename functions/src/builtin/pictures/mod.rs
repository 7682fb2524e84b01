//! Functions that draw pictures, or change them.

pub(super) mod identicon;
pub(super) mod palette;
pub(super) mod photo;
pub(super) mod qrcode;

use png::{BitDepth, ColorType, Compression, Encoder};

use super::call::{Answer, Call, Refusal};

const PNG: &str = "image/png";
const SVG: &str = "image/svg+xml";

/// Whether the caller wants PNG: by `?format=`, or by what it accepts; SVG is what `otherwise` says.
fn wants_png(call: &Call, otherwise: bool) -> Result<bool, Refusal> {
    let accepts = call.header("accept").unwrap_or_default();
    let usual = match (accepts.starts_with(PNG), accepts.starts_with(SVG)) {
        (true, _) => true,
        (_, true) => false,
        _ => otherwise,
    };
    call.choice("format", &[("png", true), ("svg", false)], usual)
}

/// A square picture of two colours as PNG. `inked` says where the first colour is; `scale` is a cell's side in pixels.
fn two_colours(
    cells: usize,
    scale: usize,
    colours: [[u8; 3]; 2],
    inked: impl Fn(usize, usize) -> bool,
) -> Answer {
    let side = cells * scale;
    let mut file = Vec::new();
    let length = u32::try_from(side).expect("the callers' limits are far below");
    let mut encoder = Encoder::new(&mut file, length, length);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::One);
    encoder.set_palette(colours.concat());
    encoder.set_compression(Compression::High);
    let row_bytes = side.div_ceil(8);
    let mut data = vec![0; row_bytes * side];
    for y in 0..side {
        for x in 0..side {
            if !inked(x / scale, y / scale) {
                data[y * row_bytes + x / 8] |= 0x80 >> (x % 8);
            }
        }
    }
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&data))
        .expect("a Vec takes everything, and the data are as long as the header says");
    Answer::new(PNG, file)
}
