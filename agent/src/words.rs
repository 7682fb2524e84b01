//! What is said of a replica that does not run, in plain sentences with the cure.

use std::time::Duration;

use crate::engine::Ending;

/// A life shorter than this is "right after its start".
const SHORT_LIFE: Duration = Duration::from_secs(10);

/// Why a replica ended that lived for `life`, when it has ended `deaths` times in a row.
pub(crate) fn death(ending: &Ending, life: Duration, deaths: u32) -> String {
    let times = if deaths > 1 {
        format!(" ({deaths} times)")
    } else {
        String::new()
    };
    let when = if life < SHORT_LIFE {
        "right after its start".to_owned()
    } else {
        format!("after {}", how_long(life))
    };
    let what = match (ending.out_of_memory, ending.memory_limit, ending.code) {
        (true, Some(limit), _) => {
            return format!("was killed because it used more than its {limit}{times}; raise limits.memory");
        }
        (true, None, _) => {
            return format!(
                "was killed because the node ran out of memory{times}; set limits.memory, or requests.memory to what it really needs"
            );
        }
        (false, _, 0) => {
            format!("ends by itself {when}{times}; a function has to keep answering HTTP on port 8080")
        }
        (false, _, code @ 129..=192) => format!("was ended by {} {when}{times}", signal(code - 128)),
        (false, _, code) => format!("exits with code {code} {when}{times}"),
    };
    match ending.last_words.trim() {
        "" => what,
        words => format!("{what}; last words: {words}"),
    }
}

/// How a replica is called that has not answered for `time`; `last` is what went wrong the last time.
pub(crate) fn silence(time: Duration, last: &str) -> String {
    format!("has not answered for {}: {last}", how_long(time))
}

fn signal(number: i32) -> String {
    let name = match number {
        2 => "SIGINT",
        4 => "SIGILL, as programs for another processor are",
        6 => "SIGABRT",
        7 => "SIGBUS",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => return format!("signal {number}"),
    };
    format!("signal {number} ({name})")
}

/// A time as people say it: `12 s`, `5 min`, `3 h`, `2 days`.
fn how_long(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Memory;

    #[test]
    fn a_crash_loop_is_told_with_its_last_words() {
        let ending = Ending {
            code: 1,
            last_words: "no such file: handler.py\n".to_owned(),
            ..Ending::default()
        };
        assert_eq!(
            death(&ending, Duration::from_millis(300), 5),
            "exits with code 1 right after its start (5 times); last words: no such file: handler.py"
        );
    }

    #[test]
    fn too_much_memory_is_told_with_the_limit_and_the_cure() {
        let ending = Ending {
            code: 137,
            out_of_memory: true,
            memory_limit: Some(Memory::from_mib(64)),
            last_words: String::new(),
        };
        assert_eq!(
            death(&ending, Duration::from_secs(3), 1),
            "was killed because it used more than its 64 MiB; raise limits.memory"
        );
    }

    #[test]
    fn an_end_without_an_error_is_told_as_what_it_is() {
        let text = death(&Ending::default(), Duration::from_secs(400), 1);
        assert_eq!(
            text,
            "ends by itself after 6 min; a function has to keep answering HTTP on port 8080"
        );
    }

    #[test]
    fn a_signal_is_named() {
        let ending = Ending {
            code: 139,
            ..Ending::default()
        };
        let text = death(&ending, Duration::from_secs(1), 1);
        assert_eq!(text, "was ended by signal 11 (SIGSEGV) right after its start");
    }
}
