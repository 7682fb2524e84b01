//! Functions that compute.

use super::entry::{Function, icon};
use super::example::{Expected, get, post};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::server(
            "primes",
            [
                "Prime numbers",
                "Counts the prime numbers below a number, the slow way, to keep a processor busy.",
            ],
            icon!("primes"),
            post("1000000").says("There are 78498 prime numbers below 1000000. The largest is 999983.\n"),
        )
        .memory("32Mi"),
        Function::server(
            "dice",
            [
                "Dice",
                "Rolls dice such as 2d6+1; with the same ?seed= always the same.",
            ],
            icon!("dice"),
            post("3d6").query("seed=bramble").says("4 + 1 + 6 = 11\n"),
        ),
        Function::server(
            "temperature",
            [
                "Temperature",
                "Tells a temperature in degrees Celsius and Fahrenheit, and in kelvin.",
            ],
            icon!("temperature"),
            post("68 F").says("20 °C = 68 °F = 293.15 K\n"),
        ),
        Function::server(
            "moon",
            [
                "Moon",
                "Tells how the moon looks today, or on the day that ?date= names.",
            ],
            icon!("moon"),
            get("date=1969-07-20").says("1969-07-20: waxing crescent 🌒, 33% lit, 5.8 days after new moon\n"),
        ),
        Function::server(
            "tone",
            [
                "Tones",
                "Plays notes such as C4 E4 G4, or a tone of ?frequency= hertz, as a WAV file.",
            ],
            icon!("tone"),
            post("C4 E4 G4:2").answers(
                "audio/wav",
                Expected::Sha256("ac47eb6d1a947a1491de3ad0509127b61803dce1c5c82787b39cc474de799dfb"),
            ),
        ),
        Function::process(
            "shasum",
            [
                "Checksum",
                "Answers with the SHA-512 checksum of what it is sent.",
            ],
            icon!("shasum"),
            "sha512sum",
            post("bramble").says(
                "0f39c94ac9fbfca3299357464693c0dd13a43bfac78f046ece0840e8f02ab945\
                 189042cca5e70c02a064a5ead3ea4faf9f07ca3b15252dbd091ba2d01a0f183e  -\n",
            ),
        )
        .text(),
    ]
}
