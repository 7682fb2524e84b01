//! `qrcode`: a text, such as an address, as a square to be scanned.

use qrcode::{Color, EcLevel, QrCode};

use super::{SVG, two_colours, wants_png};
use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// Light cells around the code, without which scanners do not find it.
const QUIET: usize = 4;

pub(crate) fn answer(call: &Call) -> Reply {
    let scale = call.number("scale", 1..=32, 8)?;
    let levels = [
        ("low", EcLevel::L),
        ("medium", EcLevel::M),
        ("quartile", EcLevel::Q),
        ("high", EcLevel::H),
    ];
    let level = call.choice("level", &levels, EcLevel::M)?;
    let png = wants_png(call, true)?;
    let text = call.line("a text or an address")?;
    let code = QrCode::with_error_correction_level(text, level).map_err(|_| {
        Refusal::new("That is too long for a QR code, which holds some two thousand letters.".to_owned())
    })?;
    let width = code.width();
    let cells = width + 2 * QUIET;
    let colours = code.to_colors();
    let dark = |x: usize, y: usize| {
        let inside = (QUIET..QUIET + width).contains(&x) && (QUIET..QUIET + width).contains(&y);
        inside && colours[(y - QUIET) * width + x - QUIET] == Color::Dark
    };
    if png {
        return Ok(two_colours(cells, scale, [[0; 3], [0xff; 3]], dark));
    }
    let mut path = String::new();
    for y in 0..cells {
        for x in 0..cells {
            if dark(x, y) {
                path += &format!("M{x} {y}h1v1h-1z");
            }
        }
    }
    let side = cells * scale;
    Ok(Answer::new(
        SVG,
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{side}\" height=\"{side}\" viewBox=\"0 0 {cells} {cells}\" \
             shape-rendering=\"crispEdges\">\n<path fill=\"#fff\" d=\"M0 0h{cells}v{cells}H0z\"/>\n<path d=\"{path}\"/>\n\
             </svg>\n"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_code_is_drawn_and_one_more_letter_refused() {
        let longest = vec![b'a'; 2331];
        let png = answer(&Call::of(&longest, "")).unwrap();
        let image = image::load_from_memory(&png.body).unwrap();
        assert_eq!(image.width(), (177 + 8) * 8);
        assert!(answer(&Call::of(&[b'a'; 2332], "")).is_err());
    }
}
