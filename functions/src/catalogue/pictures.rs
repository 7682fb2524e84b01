//! Functions that draw pictures, or change them.

use super::entry::{Function, icon};
use super::example::{Expected, post};

/// Eight by eight pixels, PNG, from black to all colours.
const COLOURS: &str = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAbElEQVR42g3JQQEAMAgDMcQgBjEVcRIQUzEVw2PLN1VFF1Oo2MJFiiuqmm6mUbONmzTXP4YeZtCwg4cMNz9EixESKywiTj+WXmbRsouXLLc/TJsxMmtsYs4/QocJChscEi4/jj7m0LGHjxx3PPMZXwHXVs66AAAAAElFTkSuQmCC";

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::server(
            "qrcode",
            [
                "QR code",
                "Draws a QR code of a text or an address, as PNG or with ?format=svg.",
            ],
            icon!("qrcode"),
            post("http://bramble.local").answers("image/png", Expected::Sha256("40abde9a6e9a4235aec28e2ff6db8ea508aa894fbd0072b69bf14468387179cd")),
        ),
        Function::server(
            "identicon",
            [
                "Identicon",
                "Draws a face for a name, always the same for the same name, as SVG or with ?format=png.",
            ],
            icon!("identicon"),
            post("Bramble").answers("image/svg+xml", Expected::Sha256("ffee340340ae56d952c0db6c9b37524bbc92352d24b52032f5703dc860698c8c")),
        ),
        Function::server(
            "palette",
            [
                "Palette",
                "Shows colours that go with a colour; ?kind= can be analogous, complementary, triad or tetrad.",
            ],
            icon!("palette"),
            post("#e0426f")
                .query("kind=triad")
                .answers("image/svg+xml", Expected::Sha256("2b34aa9c4497654fd92cda343d77e57b38c7b013bf7262f48fb22a294f4cd5d2")),
        ),
        Function::server(
            "resize",
            [
                "Resize a picture",
                "Makes a PNG or JPEG ?width= wide and ?height= high, or keeps its proportions if one is left out.",
            ],
            icon!("resize"),
            post("")
                .of_type("image/png")
                .bytes(COLOURS)
                .query("width=4")
                .answers("image/png", Expected::Sha256("52878e1dd817e6a38672573f1cfe58ad863795e20c874729c7c6013c82afa3d1")),
        )
        .memory("128Mi"),
        Function::server(
            "grayscale",
            ["Grayscale", "Takes the colours out of a PNG or JPEG."],
            icon!("grayscale"),
            post("")
                .of_type("image/png")
                .bytes(COLOURS)
                .answers("image/png", Expected::Sha256("8d58654ec2bbb44b041a721ca2561344877ebe2628ef7f4b1dc44d7a3cd98d91")),
        )
        .memory("128Mi"),
    ]
}
