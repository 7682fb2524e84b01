//! `tone`: a tone, or a melody, as a WAV file to listen to.

use std::f64::consts::TAU;

use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// Samples per second: enough for what small loudspeakers can do.
const RATE: u32 = 22_050;

/// How loud, of 32767: a classroom has many of them.
const LOUD: f64 = 9_000.0;

/// Length of a melody's notes, in seconds; `:2` makes one twice as long.
const BEAT: f64 = 0.35;

/// The longest file, in seconds.
const LONGEST: f64 = 20.0;

/// Time in which a note swells and dies away, in seconds; without it there is a click.
const FADE: f64 = 0.01;

#[derive(Debug, Clone, Copy)]
enum Wave {
    Sine,
    Square,
    Triangle,
    Sawtooth,
}

/// A frequency in hertz, of which 0 is silence, and a length in seconds.
type Note = (f64, f64);

pub(crate) fn answer(call: &Call) -> Reply {
    let waves = [
        ("sine", Wave::Sine),
        ("square", Wave::Square),
        ("triangle", Wave::Triangle),
        ("sawtooth", Wave::Sawtooth),
    ];
    let wave = call.choice("wave", &waves, Wave::Sine)?;
    let frequency = call.number("frequency", 20.0..=10_000.0, 440.0)?;
    let seconds = call.number("seconds", 0.05..=10.0, 1.0)?;
    let melody = match call.body.is_empty() && call.option("text").is_none() {
        true => vec![(frequency, seconds)],
        false => call
            .text("notes such as C4 E4 G4:2")?
            .split_whitespace()
            .map(note)
            .collect::<Result<_, _>>()?,
    };
    if melody.iter().map(|(_, seconds)| seconds).sum::<f64>() > LONGEST {
        return Err(Refusal::new(format!(
            "That lasts longer than {LONGEST} seconds; send fewer notes."
        )));
    }
    let samples: Vec<u8> = melody
        .into_iter()
        .flat_map(|note| samples(note, wave))
        .flat_map(i16::to_le_bytes)
        .collect();
    Ok(Answer::new("audio/wav", wav(&samples)))
}

/// `A4`, `C#5:2`, `Eb4:0.5`, or `-` for a rest.
fn note(text: &str) -> Result<Note, Refusal> {
    let bad = || {
        Refusal::new(format!(
            "`{text}` is no note; write C4, F#5 or Bb3, - for a rest, and :2 for twice as long."
        ))
    };
    let (name, beats) = text.split_once(':').unwrap_or((text, "1"));
    let beats: f64 = beats.parse().map_err(|_| bad())?;
    if !(0.1..=16.0).contains(&beats) {
        return Err(bad());
    }
    if name == "-" {
        return Ok((0.0, beats * BEAT));
    }
    let mut letters = name.chars();
    let letter = letters.next().ok_or_else(bad)?.to_ascii_uppercase();
    let step = [
        ('C', 0),
        ('D', 2),
        ('E', 4),
        ('F', 5),
        ('G', 7),
        ('A', 9),
        ('B', 11),
        ('H', 11),
    ]
    .into_iter()
    .find(|(known, _)| *known == letter)
    .ok_or_else(bad)?
    .1;
    let rest = letters.as_str();
    let (octave, shift) = match rest.strip_prefix('#') {
        Some(octave) => (octave, 1),
        None => rest.strip_prefix('b').map_or((rest, 0), |octave| (octave, -1)),
    };
    let octave: i32 = if octave.is_empty() {
        4
    } else {
        octave.parse().map_err(|_| bad())?
    };
    if !(1..=8).contains(&octave) {
        return Err(bad());
    }
    // Twelve steps to an octave; A4 has 440 Hz.
    let steps = f64::from((octave - 4) * 12 + step + shift - 9);
    Ok((440.0 * (steps / 12.0).exp2(), beats * BEAT))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths are limited, and samples are within LOUD"
)]
fn samples((frequency, seconds): Note, wave: Wave) -> impl Iterator<Item = i16> {
    let count = (seconds * f64::from(RATE)) as u32;
    (0..count).map(move |index| {
        let (now, left) = (f64::from(index), f64::from(count - index));
        if frequency == 0.0 {
            return 0;
        }
        let turn = (now * frequency / f64::from(RATE)).fract();
        let height = match wave {
            Wave::Sine => (turn * TAU).sin(),
            Wave::Square => {
                if turn < 0.5 {
                    0.6
                } else {
                    -0.6
                }
            }
            Wave::Triangle => 1.0 - 4.0 * (turn - 0.5).abs(),
            Wave::Sawtooth => (2.0 * turn - 1.0) * 0.7,
        };
        let fade = (now.min(left) / (FADE * f64::from(RATE))).min(1.0);
        (height * fade * LOUD).round() as i16
    })
}

/// Sixteen bits, one channel.
fn wav(samples: &[u8]) -> Vec<u8> {
    let length = u32::try_from(samples.len()).expect("at most LONGEST");
    let mut file = Vec::with_capacity(samples.len() + 44);
    file.extend(b"RIFF");
    file.extend((length + 36).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    for half in [1_u16, 1] {
        file.extend(half.to_le_bytes());
    }
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 2).to_le_bytes());
    for half in [2_u16, 16] {
        file.extend(half.to_le_bytes());
    }
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(samples);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_have_their_frequencies() {
        let frequency = |text: &str| note(text).unwrap().0;
        assert!((frequency("A4") - 440.0).abs() < 1e-9);
        assert!((frequency("a5") - 880.0).abs() < 1e-9);
        assert!((frequency("C4") - 261.625_565).abs() < 1e-3);
        assert!((frequency("Bb3") - frequency("A#3")).abs() < 1e-9);
        assert!((note("-:2").unwrap().1 - 2.0 * BEAT).abs() < 1e-9);
        for text in ["X4", "C9", "C4:0", "C4:x", "C4:99", ""] {
            assert!(note(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_is_as_long_as_its_tone() {
        let file = answer(&Call::of(b"", "seconds=2")).unwrap().body;
        assert_eq!(file.len(), 44 + 2 * 2 * 22_050);
        assert_eq!(&file[..4], b"RIFF");
        let long = ["C4:16"; 4].join(" ");
        assert!(answer(&Call::of(long.as_bytes(), "")).is_err());
    }

    #[test]
    fn a_wave_crosses_zero_twice_per_turn() {
        for wave in [Wave::Sine, Wave::Square, Wave::Triangle, Wave::Sawtooth] {
            let samples: Vec<_> = samples((100.0, 1.0), wave).collect();
            let crossings = samples
                .windows(2)
                .filter(|pair| (pair[0] < 0) != (pair[1] < 0))
                .count();
            assert!((197..=201).contains(&crossings), "{wave:?}: {crossings}");
        }
    }
}
