//! Plays a status on a lamp, for as long as somebody vouches for it.
//!
//! A thread of its own, since drivers block. It shows nothing on its own account: whoever drives the light sets the
//! status again and again, and when that stops (the program hangs) the light goes dark.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Frame, LightConfig, LightError, LightStatus,
    calm::Calm,
    changes_in, frame,
    lamp::{self, Lamp},
    says::Says,
};

/// A status that nobody confirmed for so long is not shown any more.
const STALE: Duration = Duration::from_millis(1500);
/// After this time a light that failed is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// As long as nobody said anything, there is nothing to do.
const IDLE: Duration = Duration::from_secs(3600);

/// A light that plays what it was told last. Dropping it makes the light dark and gives it back.
#[derive(Debug)]
pub struct Player {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Inbox {
    said: Option<(LightStatus, Instant)>,
    /// Whether anything was said that was not looked at yet: a lamp may be busy when it comes.
    unread: bool,
    stop: bool,
}

/// Opens the lamp, again after it failed; `None` where none is wanted.
type Open = Box<dyn FnMut() -> Result<Option<Box<dyn Lamp>>, LightError> + Send>;

impl Player {
    /// Plays on the light that `config` names, on the machine whose files are below `root`. A light that does not work
    /// is complained of once, tried again every minute, and complained of again only after it worked.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start(
        config: LightConfig,
        root: PathBuf,
        complain: impl Fn(LightError) + Send + 'static,
    ) -> io::Result<Self> {
        Self::playing(Box::new(move || lamp::open(&config, &root)), complain)
    }

    /// Plays on this lamp.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn on(lamp: Box<dyn Lamp>, complain: impl Fn(LightError) + Send + 'static) -> io::Result<Self> {
        let mut lamp = Some(lamp);
        Self::playing(Box::new(move || Ok(lamp.take())), complain)
    }

    fn playing(open: Open, complain: impl Fn(LightError) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new()
            .name("light".to_owned())
            .stack_size(128 * 1024)
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.play(Keeper::new(open), &complain)
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// What to show from now on. Confirm it at least once a second, or the light goes dark.
    pub fn set(&self, status: LightStatus) {
        let mut inbox = self.shared.lock();
        inbox.said = Some((status, Instant::now()));
        inbox.unread = true;
        drop(inbox);
        self.shared.wake.notify_one();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn play(&self, mut keeper: Keeper, complain: &dyn Fn(LightError)) {
        let began = Instant::now();
        let mut show = Show::default();
        let mut inbox = self.lock();
        while !inbox.stop {
            let said = inbox
                .said
                .as_ref()
                .map(|(status, when)| (status, when.saturating_duration_since(began)));
            let now = began.elapsed();
            let (frame, wait) = show.at(said, now);
            inbox.unread = false;
            drop(inbox);
            if let Some(error) = keeper.show(&frame, now) {
                complain(error);
            }
            let took = began.elapsed().saturating_sub(now);
            inbox = self.lock();
            let wait = wait.saturating_sub(took);
            inbox = self
                .wake
                .wait_timeout_while(inbox, wait, |inbox| !inbox.unread && !inbox.stop)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// What is shown when: the rhythm begins with what is said, goes dark when nobody says it any more, and whatever is
/// said how fast after each other, the light flashes no more than three times in a second.
#[derive(Debug, Default)]
struct Show {
    /// What is said, and since when.
    saying: Option<(Says, Duration)>,
    shown: Frame,
    calm: Calm,
}

impl Show {
    /// The frame at `now`, and for how long it is right. `said` is the status and when it was confirmed.
    fn at(&mut self, said: Option<(&LightStatus, Duration)>, now: Duration) -> (Frame, Duration) {
        let Some((status, confirmed)) = said else {
            return (Frame::DARK, IDLE);
        };
        let stale_in = (confirmed + STALE).saturating_sub(now);
        if stale_in.is_zero() {
            (self.saying, self.shown) = (None, Frame::DARK);
            self.calm.note(&self.shown, now);
            return (Frame::DARK, IDLE);
        }
        let since = match self.saying {
            Some((before, since)) if status.says.goes_on_from(before) => since,
            _ => now,
        };
        self.saying = Some((status.says, since));
        let frame = frame(status, now - since);
        let wait = changes_in(status, now - since).min(stale_in);
        if let Some(held) = self.calm.holds_back(&frame, now) {
            return (self.shown, wait.min(held));
        }
        self.calm.note(&frame, now);
        self.shown = frame;
        (frame, wait)
    }
}

/// Keeps a lamp open, and its troubles to itself.
struct Keeper {
    open: Open,
    lamp: Option<Box<dyn Lamp>>,
    shown: Option<Frame>,
    /// When to try again; nothing while all is well.
    retry_at: Option<Duration>,
    complained: bool,
}

impl Keeper {
    fn new(open: Open) -> Self {
        Self {
            open,
            lamp: None,
            shown: None,
            retry_at: Some(Duration::ZERO),
            complained: false,
        }
    }

    /// Shows a frame if it is another one. Returns the trouble that is worth telling.
    fn show(&mut self, frame: &Frame, now: Duration) -> Option<LightError> {
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
            match (self.open)() {
                Ok(lamp) => self.lamp = lamp,
                Err(error) => return self.failed(error, now),
            }
        }
        let lamp = self.lamp.as_mut()?;
        if self.shown == Some(*frame) {
            return None;
        }
        match lamp.show(frame) {
            Ok(()) => {
                self.shown = Some(*frame);
                self.complained = false;
                None
            }
            Err(error) => self.failed(error, now),
        }
    }

    fn failed(&mut self, error: LightError, now: Duration) -> Option<LightError> {
        self.lamp = None;
        self.shown = None;
        self.retry_at = Some(now + RETRY);
        (!std::mem::replace(&mut self.complained, true)).then_some(error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::light::{Glow, ReplicaLight, Rgb, lamp::Memory};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Plays these texts, each set at its time in ms and confirmed all the time, for ten seconds; the frames by 10 ms.
    fn played(said: &[(u64, Says)]) -> Vec<Frame> {
        let said: Vec<_> = said
            .iter()
            .map(|(at, says)| (*at, LightStatus::of(*says)))
            .collect();
        shown(&said)
    }

    fn shown(said: &[(u64, LightStatus)]) -> Vec<Frame> {
        let mut show = Show::default();
        (0..10_000)
            .step_by(10)
            .map(|time| {
                let status = said.iter().rfind(|(at, _)| *at <= time).map(|(_, status)| status);
                show.at(status.map(|status| (status, ms(time))), ms(time)).0
            })
            .collect()
    }

    /// The most flashes in a second of anything that can flash: from a low to a peak that is brighter by a quarter.
    fn flashes_in_worst_second(frames: &[Frame]) -> usize {
        let sum = |frame: &Frame| frame.strip.iter().map(|pixel| pixel.luminance()).sum();
        let led = |frame: &Frame| u32::from(frame.level);
        let colour = |frame: &Frame| frame.colour.luminance();
        let pixels = (0..8).map(|n| flashes_of(frames, |frame| frame.strip[n].luminance()));
        pixels
            .chain([
                flashes_of(frames, sum),
                flashes_of(frames, led),
                flashes_of(frames, colour),
            ])
            .max()
            .unwrap()
    }

    fn flashes_of(frames: &[Frame], part: impl Fn(&Frame) -> u32) -> usize {
        let (mut low, mut peak, mut flashes) = (0, 0, Vec::new());
        for (n, value) in frames.iter().map(part).enumerate() {
            low = low.min(value);
            if value * 4 > low * 5 && peak == 0 {
                flashes.push(n);
                peak = value;
            }
            if peak > 0 {
                peak = peak.max(value);
                if value * 5 < peak * 4 {
                    (low, peak) = (value, 0);
                }
            }
        }
        let within = |from: usize| flashes.iter().filter(|n| (from..from + 100).contains(n)).count();
        flashes.iter().map(|from| within(*from)).max().unwrap_or(0)
    }

    #[test]
    fn a_rhythm_begins_with_what_is_said_and_goes_on_while_it_is() {
        let frames = played(&[(330, Says::Identify)]);
        let lit = |time: usize| frames[time / 10].level > 0;
        assert!(!lit(320) && lit(330) && lit(570) && !lit(580) && lit(830));
    }

    #[test]
    fn more_calls_do_not_begin_the_rhythm_anew() {
        let working = |calls_per_second| Says::Working {
            master: false,
            calls_per_second,
        };
        let frames = played(&[(0, working(1.0)), (500, working(50.0))]);
        assert!(frames[40].level < frames[60].level);
        assert_eq!((frames[84].level > 0, frames[86].level > 0), (true, false));
    }

    #[test]
    fn however_fast_a_node_changes_its_mind_its_light_flashes_three_times_a_second_at_most() {
        for every in [20, 50, 90, 130, 170, 250, 330, 410] {
            for one in Says::ALL {
                for other in Says::ALL {
                    let said: Vec<_> = (0..10_000 / every)
                        .map(|n| (n * every, if n % 2 == 0 { one } else { other }))
                        .collect();
                    assert!(
                        flashes_in_worst_second(&played(&said)) <= 3,
                        "{one:?} {other:?} {every}"
                    );
                }
            }
        }
    }

    #[test]
    fn however_fast_replicas_come_and_go_nothing_on_a_strip_flashes_more_than_that() {
        let with = |says: Says, replicas: usize| LightStatus {
            replicas: vec![
                ReplicaLight {
                    colour: Rgb::of_function("figlet"),
                    glow: Glow::Ready
                };
                replicas
            ],
            ..LightStatus::of(says)
        };
        for every in [40, 90, 130, 160, 250, 330, 410] {
            let said: Vec<_> = (0..10_000 / every)
                .map(|n| match n % 2 {
                    0 => (n * every, with(Says::Joined, 1)),
                    _ => (n * every, with(Says::Starting, 7)),
                })
                .collect();
            let frames = shown(&said);
            assert!(flashes_in_worst_second(&frames) <= 3, "{every}");
            assert!(
                frames.iter().any(|frame| frame.strip[5] != Rgb::OFF),
                "they are seen, though"
            );
        }
    }

    #[test]
    fn a_light_that_nobody_confirms_is_dark_within_two_seconds() {
        let status = LightStatus::of(Says::Joined);
        let mut show = Show::default();
        let mut at = |time| show.at(Some((&status, ms(100))), ms(time)).0;
        assert!(at(100).level > 0 && at(1500).level > 0);
        assert_eq!((at(1700), at(9000)), (Frame::DARK, Frame::DARK));
        assert!(STALE < ms(2000));
    }

    #[test]
    fn the_wait_ends_with_the_frame_or_with_the_trust_in_it() {
        let status = LightStatus::of(Says::Booting);
        let mut show = Show::default();
        assert_eq!(show.at(None, ms(0)).1, IDLE);
        assert_eq!(show.at(Some((&status, ms(0))), ms(0)).1, ms(250));
        assert_eq!(show.at(Some((&status, ms(0))), ms(1400)).1, ms(100));
    }

    /// A lamp that is not always there.
    struct Flaky(mpsc::Sender<Frame>);
    impl Lamp for Flaky {
        fn show(&mut self, frame: &Frame) -> Result<(), LightError> {
            self.0.send(*frame).map_err(|_| LightError::NoPins)
        }
    }

    #[test]
    fn a_light_that_fails_is_complained_of_once_and_tried_again() {
        let (frames, seen) = mpsc::channel();
        let mut is_broken = [true, true, false, true, false].into_iter();
        let mut keeper = Keeper::new(Box::new(move || match is_broken.next() {
            Some(true) => Err(LightError::NoPins),
            Some(false) => Ok(Some(Box::new(Flaky(frames.clone())))),
            None => Ok(None),
        }));
        let minutes = |n: u64| RETRY * u32::try_from(n).unwrap();
        assert!(
            keeper.show(&Frame::DARK, ms(0)).is_some(),
            "the first time it is told"
        );
        assert!(keeper.show(&Frame::DARK, ms(50)).is_none(), "not tried so soon");
        assert!(keeper.show(&Frame::DARK, minutes(1)).is_none(), "not told twice");
        assert!(keeper.show(&Frame::DARK, minutes(2)).is_none(), "works");
        assert_eq!(seen.try_iter().count(), 1);
        assert!(keeper.show(&Frame::DARK, minutes(3)).is_none());
        assert_eq!(seen.try_iter().count(), 0, "shown already");
        drop(seen);
        let lit = Frame {
            level: 1,
            ..Frame::DARK
        };
        assert!(
            keeper.show(&lit, minutes(4)).is_some(),
            "it worked before: told again"
        );
        assert!(keeper.show(&lit, minutes(5)).is_none());
    }

    #[test]
    fn a_player_shows_what_it_is_told_and_is_dark_when_it_is_gone() {
        let memory = Memory::default();
        let player = Player::on(Box::new(memory.clone()), |error| panic!("{error}")).unwrap();
        player.set(LightStatus::of(Says::Identify));
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut seen = Vec::new();
        while !seen.iter().any(|frame: &Frame| frame.level > 0) && Instant::now() < deadline {
            thread::sleep(ms(10));
            seen.extend(memory.taken());
        }
        assert!(seen.iter().any(|frame| frame.level > 0));
        // Nobody confirms it: it goes dark on its own.
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            seen.extend(memory.taken());
            thread::sleep(ms(50));
            if seen.last() == Some(&Frame::DARK) && seen.len() >= 6 {
                break;
            }
        }
        assert_eq!(seen.last(), Some(&Frame::DARK));
        drop(player);
    }

    #[test]
    fn what_is_said_while_the_lamp_is_busy_is_shown_next() {
        /// Shows each frame as slowly as somebody takes it.
        struct Slow(mpsc::SyncSender<Frame>);
        impl Lamp for Slow {
            fn show(&mut self, frame: &Frame) -> Result<(), LightError> {
                self.0.send(*frame).map_err(|_| LightError::NoPins)
            }
        }
        let (frames, shown) = mpsc::sync_channel(0);
        let player = Player::on(Box::new(Slow(frames)), |_| ()).unwrap();
        // The lamp is at its first frame, which is dark, until it is taken.
        thread::sleep(ms(50));
        player.set(LightStatus::of(Says::Joined));
        let next = || shown.recv_timeout(Duration::from_secs(20)).unwrap();
        let first = next();
        assert!(first.level > 0 || next().level > 0);
        drop(shown);
    }

    #[test]
    fn a_light_that_is_not_there_leaves_a_player_that_listens_and_ends() {
        let (complaints, heard) = mpsc::channel();
        let root = crate::board::tests::tree(&[]);
        let player = Player::start(LightConfig::Onboard, root.path().to_owned(), move |error| {
            let _ = complaints.send(error.to_string());
        })
        .unwrap();
        for _ in 0..5 {
            player.set(LightStatus::of(Says::Joined));
        }
        assert!(
            heard
                .recv_timeout(Duration::from_secs(20))
                .unwrap()
                .contains("no LED named")
        );
        drop(player);
        assert_eq!(heard.iter().count(), 0);
    }
}
