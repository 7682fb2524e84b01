//! `palette`: colours that go with a colour.

use super::SVG;
use super::identicon::hex;
use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// The side of a swatch.
const SIDE: usize = 96;

pub(crate) fn answer(call: &Call) -> Reply {
    let kinds: [(&str, &[f64]); 4] = [
        ("complementary", &[0.0, 180.0]),
        ("triad", &[0.0, 120.0, 240.0]),
        ("analogous", &[-60.0, -30.0, 0.0, 30.0, 60.0]),
        ("tetrad", &[0.0, 90.0, 180.0, 270.0]),
    ];
    let turns = call.choice("kind", &kinds, kinds[2].1)?;
    let base = read(call.line("a colour such as #e0426f")?.trim())?;
    let swatches: Vec<String> = turns.iter().map(|degrees| hex(turned(base, *degrees))).collect();
    if call
        .header("accept")
        .is_some_and(|accept| accept.starts_with("application/json"))
    {
        let json = serde_json::to_vec(&swatches).expect("a list of texts");
        return Ok(Answer::new("application/json", json));
    }
    let mut drawing = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"monospace\" font-size=\"14\" \
         text-anchor=\"middle\">\n",
        swatches.len() * SIDE,
        SIDE + 28
    );
    for (index, colour) in swatches.iter().enumerate() {
        let (left, middle) = (index * SIDE, index * SIDE + SIDE / 2);
        drawing += &format!(
            "<rect x=\"{left}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"{colour}\"/>\n\
             <text x=\"{middle}\" y=\"{}\" fill=\"#7d8896\">{colour}</text>\n",
            SIDE + 19
        );
    }
    Ok(Answer::new(SVG, drawing + "</svg>\n"))
}

fn read(text: &str) -> Result<[u8; 3], Refusal> {
    let digits = text.trim_start_matches('#');
    let number = u32::from_str_radix(digits, 16)
        .ok()
        .filter(|_| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let [_, red, green, blue] = number
        .ok_or_else(|| {
            Refusal::new(format!(
                "`{text}` is no colour; write it like #e0426f: red, green and blue."
            ))
        })?
        .to_be_bytes();
    Ok([red, green, blue])
}

/// The colour so many degrees further on the colour wheel, as light and as strong.
fn turned(colour: [u8; 3], degrees: f64) -> [u8; 3] {
    let [red, green, blue] = colour.map(|channel| f64::from(channel) / 255.0);
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let (light, spread) = ((most + least) / 2.0, most - least);
    if spread == 0.0 {
        return colour;
    }
    let strength = spread / (1.0 - (2.0 * light - 1.0).abs());
    let sixth = if most == red {
        (green - blue) / spread
    } else if most == green {
        (blue - red) / spread + 2.0
    } else {
        (red - green) / spread + 4.0
    };
    let hue = (sixth * 60.0 + degrees).rem_euclid(360.0);
    [0.0, 8.0, 4.0].map(|offset| {
        let place = (offset + hue / 30.0) % 12.0;
        let reach = strength * light.min(1.0 - light);
        let channel = light - reach * (place - 3.0).min(9.0 - place).clamp(-1.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share from 0 to 1"
        )]
        let byte = (channel * 255.0).round() as u8;
        byte
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_turn_around_the_wheel() {
        let red = [0xff, 0, 0];
        assert_eq!(turned(red, 120.0), [0, 0xff, 0]);
        assert_eq!(turned(red, 180.0), [0, 0xff, 0xff]);
        assert_eq!(turned([0xe0, 0x42, 0x6f], 360.0), [0xe0, 0x42, 0x6f]);
        assert_eq!(turned([7, 7, 7], 90.0), [7, 7, 7]);
    }

    #[test]
    fn what_is_no_colour_is_refused() {
        for text in ["pink", "#fff", "+12345", "#gggggg"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read("#E0426f").unwrap(), [0xe0, 0x42, 0x6f]);
    }
}
