//! `dice`: rolls dice, as `2d6+1` says: two of six sides, and one more.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::builtin::call::{Answer, Call, Refusal, Reply};

pub(crate) fn answer(call: &Call) -> Reply {
    let asked = if call.body.is_empty() && call.option("text").is_none() {
        "1d6"
    } else {
        call.line("dice such as 2d6+1")?.trim()
    };
    let roll = Roll::read(asked).ok_or_else(|| {
        Refusal::new(format!(
            "`{asked}` are no dice; write 2d6+1 for two with six sides and one more, up to 100 with 1000 sides."
        ))
    })?;
    let seed = call.option("seed").map_or_else(now, |text| {
        // Any text is a seed.
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
    });
    Ok(Answer::text(roll.told(&mut Chance(seed))))
}

/// Chance enough for games.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) << 32 ^ now.as_secs() ^ u64::from(std::process::id()) << 16
}

/// What is rolled.
#[derive(Debug, PartialEq, Eq)]
struct Roll {
    dice: u32,
    sides: u32,
    more: i32,
}

impl Roll {
    fn read(text: &str) -> Option<Self> {
        let (dice, rest) = text.split_once(['d', 'D', 'w', 'W'])?;
        let (sides, more) = match rest.find(['+', '-']) {
            Some(sign) => (&rest[..sign], rest[sign..].parse().ok()?),
            None => (rest, 0),
        };
        let dice = if dice.is_empty() { 1 } else { dice.parse().ok()? };
        let sides = sides.parse().ok()?;
        let fair = (1..=100).contains(&dice) && (2..=1000).contains(&sides) && (-1000..=1000).contains(&more);
        fair.then_some(Self { dice, sides, more })
    }

    fn told(&self, chance: &mut Chance) -> String {
        let eyes: Vec<u32> = (0..self.dice).map(|_| chance.up_to(self.sides)).collect();
        let sum = i64::from(eyes.iter().sum::<u32>()) + i64::from(self.more);
        let mut told = eyes.iter().map(u32::to_string).collect::<Vec<_>>().join(" + ");
        match self.more {
            0 => {}
            more if more > 0 => told += &format!(" + {more}"),
            more => told += &format!(" - {}", -more),
        }
        if self.dice > 1 || self.more != 0 {
            told += &format!(" = {sum}");
        }
        told + "\n"
    }
}

/// Numbers by chance from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn up_to(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper half, spread over the sides.
        u32::try_from(((mixed >> 32) * u64::from(sides)) >> 32).unwrap_or_default() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_are_read_as_players_write_them() {
        let roll = |dice, sides, more| Some(Roll { dice, sides, more });
        assert_eq!(Roll::read("d6"), roll(1, 6, 0));
        assert_eq!(Roll::read("3D20-2"), roll(3, 20, -2));
        for text in ["", "6", "0d6", "2d1", "101d6", "2d6+", "2d6+1+1"] {
            assert_eq!(Roll::read(text), None, "{text}");
        }
    }

    #[test]
    fn every_side_comes_up_about_equally_often() {
        let mut counts = [0_u32; 6];
        let mut chance = Chance(1);
        for _ in 0..60_000 {
            counts[usize::try_from(chance.up_to(6) - 1).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
    }
}
