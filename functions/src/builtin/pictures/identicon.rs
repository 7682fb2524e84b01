//! `identicon`: a face for every name: the same name always gets the same pattern and colour.

use sha2::{Digest, Sha256};

use super::{SVG, two_colours, wants_png};
use crate::builtin::call::{Answer, Call, Reply};

/// Cells on a side, with a margin of one around the five by five.
const CELLS: usize = 7;

const PAPER: [u8; 3] = [0xf2, 0xf2, 0xf2];

pub(crate) fn answer(call: &Call) -> Reply {
    let scale = call.number("scale", 1..=64, 32)?;
    let png = wants_png(call, false)?;
    let digest = Sha256::digest(call.line("a name")?);
    let ink = colour(digest[30], digest[31]);
    let inked = |x: usize, y: usize| {
        if !(1..=5).contains(&x) || !(1..=5).contains(&y) {
            return false;
        }
        // The right half mirrors the left one.
        let column = if x <= 3 { x - 1 } else { 5 - x };
        digest[column * 5 + y - 1] % 2 == 0
    };
    if png {
        return Ok(two_colours(CELLS, scale, [ink, PAPER], inked));
    }
    let mut path = String::new();
    for y in 0..CELLS {
        for x in 0..CELLS {
            if inked(x, y) {
                path += &format!("M{x} {y}h1v1h-1z");
            }
        }
    }
    let side = CELLS * scale;
    Ok(Answer::new(
        SVG,
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{side}\" height=\"{side}\" viewBox=\"0 0 {CELLS} {CELLS}\" \
             shape-rendering=\"crispEdges\">\n<path fill=\"{}\" d=\"M0 0h{CELLS}v{CELLS}H0z\"/>\n<path fill=\"{}\" \
             d=\"{path}\"/>\n</svg>\n",
            hex(PAPER),
            hex(ink)
        ),
    ))
}

/// A strong colour: one channel full, one off, one in between.
fn colour(choice: u8, between: u8) -> [u8; 3] {
    let (full, middle, low) = (0xc8, 0x30 + between / 2, 0x30);
    match choice % 6 {
        0 => [full, middle, low],
        1 => [middle, full, low],
        2 => [low, full, middle],
        3 => [low, middle, full],
        4 => [middle, low, full],
        _ => [full, low, middle],
    }
}

pub(super) fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_gets_the_same_picture_and_another_another() {
        let picture = |name: &str| answer(&Call::of(name.as_bytes(), "")).unwrap().body;
        assert_eq!(picture("Ada"), picture("Ada"));
        assert_ne!(picture("Ada"), picture("Grace"));
    }

    #[test]
    fn a_png_can_be_read_and_has_the_size_asked_for() {
        let png = answer(&Call::of(b"Ada", "format=png&scale=3")).unwrap();
        assert_eq!(png.content_type, "image/png");
        let image = image::load_from_memory(&png.body).unwrap();
        assert_eq!((image.width(), image.height()), (21, 21));
    }
}
