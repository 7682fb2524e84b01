//! What is wrong with a machine, in sentences that name the cure.
//!
//! Pure: from [`Readings`], what is known besides, and the time, to a list. Each warning has a code that never
//! changes, for programs to go by; the sentences may be worded better at any time.

use std::{fmt, time::Duration};

use crate::{Board, CardSpeed, History, Readings, System, light::Trouble};

mod rules;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it is, for programs.
    pub code: Code,
    /// What is the matter, in one sentence that speaks of "this Pi".
    pub sentence: String,
    /// What to do about it.
    pub cure: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Notice,
    /// Should be seen to.
    Warning,
    /// Something breaks, or is about to.
    Serious,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $code:literal $severity:ident $trouble:expr;)*) => {
        /// What a warning is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name),* }

        impl Code {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as a word that never changes.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),* }
            }

            /// What a light shows for it; nothing for what no one needs to see from afar.
            pub const fn trouble(self) -> Option<Trouble> {
                match self { $(Self::$name => $trouble),* }
            }
        }
    };
}

codes! {
    /// The voltage is too low.
    PowerLow "power-low" Serious Some(Trouble::Power);
    /// The voltage was too low.
    PowerDipped "power-dipped" Warning Some(Trouble::Power);
    /// So hot that the firmware slows everything.
    TooHot "too-hot" Serious Some(Trouble::Heat);
    /// Hot.
    Hot "hot" Warning Some(Trouble::Heat);
    /// Slower than it could be.
    Slowed "slowed" Notice None;
    /// No file can be written.
    ReadOnly "card-read-only" Serious Some(Trouble::Card);
    /// No file of the system can be written, though it should.
    RootReadOnly "root-read-only" Serious Some(Trouble::Card);
    /// The file system met errors.
    CardErrors "card-errors" Serious Some(Trouble::Card);
    /// No space is left.
    DiskFull "disk-full" Serious Some(Trouble::Card);
    /// Hardly any space is left.
    DiskNearlyFull "disk-nearly-full" Warning Some(Trouble::Card);
    /// The card is worn out.
    CardWorn "card-worn" Warning Some(Trouble::Card);
    /// The card is slow.
    CardSlow "card-slow" Notice None;
    /// More is written to the card than it can bear for long.
    CardBusy "card-busy" Notice None;
    /// Hardly any memory is left.
    MemoryLow "memory-low" Warning None;
    /// Programs wait for memory.
    MemoryPressure "memory-pressure" Warning None;
    /// There is more to do than the cores can.
    Overloaded "overloaded" Notice None;
    /// Memory limits are not kept.
    MemoryLimitsOff "memory-limits-off" Warning None;
    /// The cable carries little.
    NetworkSlow "network-slow" Warning None;
    /// The signal is weak.
    WifiWeak "wifi-weak" Notice None;
    /// The time of day is not known.
    ClockNotSet "clock-not-set" Notice None;
    /// Memory pages that some programs cannot do with.
    LargePages "large-pages" Notice None;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The whole of it in people's words: the sentence, then the cure.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sentence, self.cure)
    }
}

/// What is known of a machine besides its readings.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Which board it is.
    pub board: &'a Board,
    /// The system that runs on it.
    pub system: &'a System,
    /// What happened while it was watched.
    pub history: &'a History,
    /// How fast its card is, once that was measured.
    pub card_speed: Option<&'a CardSpeed>,
    /// The time, of the origin that the history has.
    pub now: Duration,
}

/// Says what is wrong, the worst first.
pub fn warnings(readings: &Readings, known: &Known<'_>) -> Vec<Warning> {
    let mut found: Vec<Warning> = rules::ALL
        .iter()
        .filter_map(|rule| {
            let (code, sentence, cure) = rule(readings, known)?;
            Some(Warning {
                code,
                sentence,
                cure: cure.to_owned(),
            })
        })
        .collect();
    found.sort_by_key(|warning| (std::cmp::Reverse(warning.code.severity()), warning.code));
    found
}
