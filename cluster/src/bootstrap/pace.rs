//! How long a candidate looks, waits and believes.

use std::time::Duration;

/// How long a candidate looks, waits and believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pace {
    /// How long others are looked for, from the moment the link is up.
    pub discovery: Duration,
    /// How long nobody new must have come into sight before someone founds.
    pub settle: Duration,
    /// How long someone without the votes of the others waits before it founds all the same.
    pub lone: Duration,
    /// Time between two knocks at the same door.
    pub knock: Duration,
    /// Silence after which a candidate that cannot be reached is no longer reckoned with.
    pub deaf: Duration,
    /// The same for a candidate that had our vote: it may have founded on it, just before it was cut off.
    pub promised: Duration,
    /// How long it is not reckoned with.
    pub deaf_again: Duration,
    /// Silence after which a bramble of which nobody can be reached is no longer reckoned with.
    pub forsake: Duration,
    /// Time before knocking again where the answer was no.
    pub again_after_refusal: Duration,
    /// How long someone who did not prove what it says is passed over.
    pub distrust: Duration,
    /// How long a member hears nothing of its bramble before it goes over to another one of the same key. Much longer
    /// than any election, or a master that starts again.
    pub stray: Duration,
    /// How long candidates that never proved anything can hold up a founding, all together.
    pub credulous: Duration,
}

/// What one knock costs the one who is knocked at: a handshake of 10 ms on a Pi 3, and room for work besides. Knocks
/// of many are spread accordingly.
const PER_KNOCKER: Duration = Duration::from_millis(50);

impl Pace {
    /// For networks with multicast, and switches that start on the same power strip.
    pub const fn usual() -> Self {
        Self {
            // mDNS asks at 0, 1, 3 and 7 seconds: whoever can hear has answered by then.
            discovery: Duration::from_secs(10),
            settle: Duration::from_secs(3),
            // A port with spanning tree is up for 30 s before it carries anything, and a switch boots meanwhile.
            lone: Duration::from_secs(60),
            knock: Duration::from_secs(2),
            deaf: Duration::from_secs(10),
            promised: Duration::from_secs(30),
            deaf_again: Duration::from_secs(60),
            forsake: Duration::from_secs(45),
            again_after_refusal: Duration::from_secs(20),
            distrust: Duration::from_secs(600),
            stray: Duration::from_secs(180),
            // Founding takes discovery, patience and discovery again at the worst; this is well beyond.
            credulous: Duration::from_secs(180),
        }
    }

    /// For nodes that were told where the others are, and are all started at once on one machine.
    pub const fn brisk() -> Self {
        Self {
            discovery: Duration::from_millis(1_000),
            settle: Duration::from_millis(300),
            lone: Duration::from_millis(3_000),
            knock: Duration::from_millis(200),
            deaf: Duration::from_millis(2_000),
            promised: Duration::from_millis(5_000),
            deaf_again: Duration::from_secs(10),
            forsake: Duration::from_secs(10),
            again_after_refusal: Duration::from_secs(2),
            distrust: Duration::from_secs(60),
            stray: Duration::from_secs(6),
            credulous: Duration::from_secs(15),
        }
    }

    /// Time between knocks where `others` may knock at the same door.
    pub(super) fn knock_among(&self, others: usize) -> Duration {
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        self.knock.max(PER_KNOCKER.saturating_mul(others))
    }

    /// How long a knock counts as a vote: one may get lost.
    pub(super) fn fresh_among(&self, others: usize) -> Duration {
        self.knock_among(others) * 3
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::usual()
    }
}
