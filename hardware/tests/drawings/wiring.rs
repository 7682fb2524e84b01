//! Drawings of the header: where each wire goes, and which pins to leave alone.

use std::fmt::Write;

use hardware::light::LightConfig;

/// What each pin of the header is, in order: GPIO numbers, or power and ground.
const HEADER: [&str; 40] = [
    "3V3", "5V", "2", "5V", "3", "GND", "4", "14", "GND", "15", "17", "18", "27", "GND", "22", "23", "3V3",
    "24", "10", "GND", "9", "25", "11", "8", "GND", "7", "0", "1", "5", "GND", "6", "12", "13", "GND", "19",
    "16", "26", "20", "GND", "21",
];

/// A wire to a pin of the header.
struct Wire {
    pin: usize,
    what: &'static str,
    colour: &'static str,
}

const fn wire(pin: usize, what: &'static str, colour: &'static str) -> Wire {
    Wire { pin, what, colour }
}

const BLACK: &str = "#6b7280";
const RED: &str = "#d55e00";
const GREEN: &str = "#009e73";
const BLUE: &str = "#0072b2";
const YELLOW: &str = "#e69f00";

pub(crate) fn drawings() -> Vec<(&'static str, String)> {
    let led = [
        wire(11, "330 Ω to 1 kΩ, then the LED's long leg", YELLOW),
        wire(9, "the LED's short leg", BLACK),
    ];
    let rgb = [
        wire(11, "1 kΩ, then red", RED),
        wire(13, "330 Ω, then green", GREEN),
        wire(15, "330 Ω, then blue", BLUE),
        wire(9, "the longest leg (common cathode)", BLACK),
    ];
    let blinkt = [
        wire(2, "power", RED),
        wire(4, "power", RED),
        wire(6, "ground", BLACK),
        wire(16, "data", YELLOW),
        wire(18, "clock", BLUE),
    ];
    assert_pins("gpio:17", &led[..1]);
    assert_pins("rgb:17,27,22", &rgb[..3]);
    vec![
        ("led", header("One LED", "gpio:17", &led)),
        ("rgb", header("A colour LED", "rgb:17,27,22", &rgb)),
        ("blinkt", header("Blinkt!", "blinkt", &blinkt)),
    ]
}

/// The wires go where this line of configuration says.
fn assert_pins(line: &str, wires: &[Wire]) {
    let pins: Vec<u8> = wires
        .iter()
        .map(|wire| HEADER[wire.pin - 1].parse().unwrap())
        .collect();
    let said = match line.parse().unwrap() {
        LightConfig::Gpio { pin, .. } => vec![pin],
        LightConfig::Rgb { pins, .. } => pins.to_vec(),
        other => panic!("{other} has no pins of its own choice"),
    };
    assert_eq!(pins, said);
}

/// Rows are this far apart.
const ROW: usize = 22;
const WIDTH: usize = 720;
const MIDDLE: usize = WIDTH / 2;

fn header(title: &str, line: &str, wires: &[Wire]) -> String {
    let height = 20 * ROW + 96;
    let mut shapes = String::new();
    for pin in 1..=40 {
        let is_left = pin % 2 == 1;
        let x = if is_left { MIDDLE - 12 } else { MIDDLE + 12 };
        let y = 72 + (pin - 1) / 2 * ROW;
        let what = HEADER[pin - 1];
        let leave = matches!(what, "0" | "1" | "2" | "3" | "14" | "15");
        let name = if what.parse::<u8>().is_ok() {
            format!("GPIO {what}")
        } else {
            what.to_owned()
        };
        let wire = wires.iter().find(|wire| wire.pin == pin);
        let fill = wire.map_or(if leave { "#ffffff" } else { "#d1d5db" }, |wire| wire.colour);
        writeln!(
            shapes,
            r##"<circle cx="{x}" cy="{y}" r="9" fill="{fill}" stroke="#4b5563"/>"##
        )
        .unwrap();
        let number = if wire.is_some() { "#ffffff" } else { "#4b5563" };
        writeln!(
            shapes,
            r#"<text x="{x}" y="{}" text-anchor="middle" font-size="9" fill="{number}">{pin}</text>"#,
            y + 3
        )
        .unwrap();
        let (text_x, anchor) = if is_left {
            (x - 16, "end")
        } else {
            (x + 16, "start")
        };
        let label = match (leave, is_left) {
            (true, true) => format!("✕ {name}"),
            (true, false) => format!("{name} ✕"),
            _ => name,
        };
        let weight = if wire.is_some() { "bold" } else { "normal" };
        writeln!(
            shapes,
            r#"<text x="{text_x}" y="{}" text-anchor="{anchor}" font-weight="{weight}">{label}</text>"#,
            y + 4
        )
        .unwrap();
        if let Some(wire) = wire {
            let (from, to, text) = if is_left {
                (x - 84, x - 104, x - 110)
            } else {
                (x + 84, x + 104, x + 110)
            };
            writeln!(
                shapes,
                r#"<path d="M{from} {y}H{to}" stroke="{}" stroke-width="4"/><text x="{text}" y="{}" text-anchor="{anchor}" font-weight="bold">{}</text>"#,
                wire.colour,
                y + 4,
                wire.what
            )
            .unwrap();
        }
    }
    let (box_x, box_height, foot) = (MIDDLE - 26, 20 * ROW + 6, height - 10);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{title}: wires to the header" font-family="sans-serif" font-size="12" fill="#1f2937">
<title>{title}: wires to the header</title>
<rect width="{WIDTH}" height="{height}" rx="8" fill="#f9fafb"/>
<text x="16" y="26" font-size="16" font-weight="bold">{title}</text>
<text x="16" y="44" font-family="monospace">light = "{line}"</text>
<text x="{MIDDLE}" y="50" text-anchor="middle">this end is where the card is</text>
<rect x="{box_x}" y="58" width="52" height="{box_height}" rx="4" fill="#e5e7eb"/>
{shapes}<text x="{MIDDLE}" y="{foot}" text-anchor="middle">this end is where the USB sockets are; ✕ is not for lights</text>
</svg>
"##
    )
}
