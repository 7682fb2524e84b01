//! How fast a card writes what must not be lost.
//!
//! A controller waits for its card at every decision, and cards differ a hundredfold. Measured once, at the first
//! start; the caller keeps the result.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::Duration,
};

/// How long small writes took to be safe on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardSpeed {
    /// How many writes were timed.
    pub writes: u32,
    /// Half of them were safe after this time.
    pub p50: Duration,
    /// All but one in a hundred were safe after this time.
    pub p99: Duration,
}

/// Writes that are timed at most.
const WRITES: u32 = 200;
/// Writes that are timed at least, however slow the card is.
const AT_LEAST: u32 = 20;
/// When to stop, once there were enough.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a small entry of a log takes on a card.
const BLOCK: [u8; 4096] = [0x42; 4096];
const FILE: &str = ".card-speed";

/// Times small writes to a file in `directory`, which is removed afterwards: at most 200 of 4 KiB, and about ten
/// seconds unless the card is very slow. `clock` is a time that only grows. Blocks the thread.
///
/// # Errors
///
/// The directory cannot be written to.
pub fn measure(directory: &Path, clock: impl FnMut() -> Duration) -> io::Result<CardSpeed> {
    let path = directory.join(FILE);
    let mut file = File::create(&path)?;
    let timed = timed(clock, || {
        file.write_all(&BLOCK)?;
        file.sync_data()
    });
    drop(file);
    fs::remove_file(&path)?;
    timed
}

fn timed(
    mut clock: impl FnMut() -> Duration,
    mut write: impl FnMut() -> io::Result<()>,
) -> io::Result<CardSpeed> {
    let began = clock();
    let mut times = Vec::new();
    for done in 0..WRITES {
        let before = clock();
        if done >= AT_LEAST && before.saturating_sub(began) > PATIENCE {
            break;
        }
        write()?;
        times.push(clock().saturating_sub(before));
    }
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    Ok(CardSpeed {
        writes: u32::try_from(times.len()).unwrap_or(WRITES),
        p50: at(50),
        p99: at(99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, time::Instant};

    /// Measures a card whose n-th write takes what `time` says, in ms.
    fn card(time: impl Fn(u64) -> u64) -> CardSpeed {
        let (now, count) = (Cell::new(Duration::ZERO), Cell::new(0));
        timed(
            || now.get(),
            || {
                now.set(now.get() + Duration::from_millis(time(count.get())));
                count.set(count.get() + 1);
                Ok(())
            },
        )
        .unwrap()
    }

    #[test]
    fn the_middle_and_the_worst_but_one_in_a_hundred_are_told() {
        let speed = card(|n| n % 100 + 1);
        assert_eq!(speed.writes, 200);
        assert_eq!(
            (speed.p50, speed.p99),
            (Duration::from_millis(50), Duration::from_millis(99))
        );
    }

    #[test]
    fn a_slow_card_is_not_waited_for_longer_than_needed() {
        assert_eq!(card(|_| 200).writes, 51);
        assert_eq!(card(|_| 5000).writes, AT_LEAST);
    }

    #[test]
    fn a_real_directory_is_measured_and_left_clean() {
        let directory = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let speed = measure(directory.path(), || began.elapsed()).unwrap();
        assert!(speed.writes >= AT_LEAST && speed.p50 <= speed.p99 && speed.p99 > Duration::ZERO);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        assert!(measure(Path::new("/nonexistent"), || Duration::ZERO).is_err());
    }
}
