//! Tools that tell about the system or only wait: date, env, printenv, hostname, uname, sleep, true, false.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lexopt::prelude::{Long, Short, Value};

use super::{Failure, Streams};
use crate::args;

pub(super) fn yes_of_course(_: Vec<OsString>, _: Streams) -> Result<u8, Failure> {
    Ok(0)
}

pub(super) fn no(_: Vec<OsString>, _: Streams) -> Result<u8, Failure> {
    Ok(1)
}

pub(super) fn date(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let (mut format, mut moment) = ("%a %b %e %H:%M:%S UTC %Y".to_owned(), Timestamp::now());
    while let Some(argument) = parser.next()? {
        match argument {
            Value(word) => {
                let word = args::utf8(word)?;
                let wanted = word.strip_prefix('+');
                format = wanted
                    .ok_or_else(|| Failure::Usage(format!("`{word}`: a format begins with +")))?
                    .to_owned();
            }
            Short('u') | Long("utc") => {}
            Short('R') => format = "%a, %d %b %Y %H:%M:%S +0000".to_owned(),
            Short('I') => {
                format = match parser.optional_value().map(args::utf8).transpose()?.as_deref() {
                    None | Some("date") => "%Y-%m-%d".to_owned(),
                    Some(_) => "%Y-%m-%dT%H:%M:%S+00:00".to_owned(),
                };
            }
            Short('d') | Long("date") => {
                let text = args::text(&mut parser)?;
                let seconds = text
                    .strip_prefix('@')
                    .ok_or_else(|| Failure::Usage("-d takes @SECONDS".to_owned()))?;
                let out_of_range = |_| Failure::Usage(format!("`{text}` is beyond the calendar"));
                moment = Timestamp::from_second(args::parse(seconds)?).map_err(out_of_range)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let moment = moment.to_zoned(TimeZone::UTC);
    let text = jiff::fmt::strtime::format(&format, &moment).map_err(|why| Failure::Usage(why.to_string()))?;
    writeln!(streams.output, "{text}")?;
    streams.output.flush()?;
    Ok(0)
}

pub(super) fn env(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut words = arguments.into_iter().peekable();
    let (mut empty, mut null, mut removed) = (false, false, Vec::new());
    let mut set: Vec<(OsString, OsString)> = Vec::new();
    while let Some(word) = words.next_if(|word| word.as_bytes().starts_with(b"-")) {
        match word.to_str() {
            Some("-" | "-i") => empty = true,
            Some("-0") => null = true,
            Some("-u") => removed.extend(words.next()),
            Some("--") => break,
            _ => {
                return Err(Failure::Usage(format!(
                    "there is no option `{}`",
                    word.to_string_lossy()
                )));
            }
        }
    }
    while let Some(word) = words.next_if(|word| word.as_bytes().contains(&b'=')) {
        let bytes = word.as_bytes();
        let at = bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len());
        let (name, value) = (
            OsStr::from_bytes(&bytes[..at]).to_owned(),
            OsStr::from_bytes(&bytes[at + 1..]).to_owned(),
        );
        set.retain(|(known, _)| *known != name);
        set.push((name, value));
    }
    if let Some(program) = words.next() {
        let mut command = Command::new(&program);
        if empty {
            command.env_clear();
        }
        removed.iter().for_each(|name| _ = command.env_remove(name));
        command.envs(set).args(words);
        // Returns only if it failed.
        return Err(Failure::not_started(
            program.to_string_lossy().into_owned(),
            command.exec(),
        ));
    }
    let inherited = std::env::vars_os().filter(|(name, _)| {
        !empty && !removed.contains(name) && !set.iter().any(|(replaced, _)| replaced == name)
    });
    for (name, value) in inherited.chain(set.iter().cloned()) {
        streams.output.write_all(name.as_bytes())?;
        streams.output.write_all(b"=")?;
        streams.output.write_all(value.as_bytes())?;
        streams.output.write_all(if null { b"\0" } else { b"\n" })?;
    }
    streams.output.flush()?;
    Ok(0)
}

pub(super) fn printenv(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    if arguments.is_empty() {
        return env(arguments, streams);
    }
    let mut status = 0;
    for name in arguments {
        match std::env::var_os(&name) {
            Some(value) => {
                streams.output.write_all(value.as_bytes())?;
                streams.output.write_all(b"\n")?;
            }
            None => status = 1,
        }
    }
    streams.output.flush()?;
    Ok(status)
}

pub(super) fn hostname(_: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    writeln!(
        streams.output,
        "{}",
        rustix::system::uname().nodename().to_string_lossy()
    )?;
    streams.output.flush()?;
    Ok(0)
}

pub(super) fn uname(arguments: Vec<OsString>, mut streams: Streams) -> Result<u8, Failure> {
    let mut parser = args::parser(arguments);
    let mut wanted = String::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('a') => wanted.push_str("snrvm"),
            Short(what @ ('s' | 'n' | 'r' | 'v' | 'm')) => wanted.push(what),
            other => return Err(other.unexpected().into()),
        }
    }
    if wanted.is_empty() {
        wanted.push('s');
    }
    let uname = rustix::system::uname();
    let facts = [
        ('s', uname.sysname()),
        ('n', uname.nodename()),
        ('r', uname.release()),
        ('v', uname.version()),
        ('m', uname.machine()),
    ];
    let chosen = facts.iter().filter(|(what, _)| wanted.contains(*what));
    let texts: Vec<_> = chosen.map(|(_, fact)| fact.to_string_lossy()).collect();
    writeln!(streams.output, "{}", texts.join(" "))?;
    streams.output.flush()?;
    Ok(0)
}

pub(super) fn sleep(arguments: Vec<OsString>, _: Streams) -> Result<u8, Failure> {
    let words = args::all_utf8(arguments)?;
    if words.is_empty() {
        return Err(Failure::Usage("say how many seconds".to_owned()));
    }
    let mut seconds = 0.0;
    for word in &words {
        let (number, scale) = match word.char_indices().last() {
            Some((at, 's')) => (&word[..at], 1.0),
            Some((at, 'm')) => (&word[..at], 60.0),
            Some((at, 'h')) => (&word[..at], 3600.0),
            Some((at, 'd')) => (&word[..at], 86_400.0),
            _ => (word.as_str(), 1.0),
        };
        seconds += args::parse::<f64>(number)? * scale;
    }
    let wait = Duration::try_from_secs_f64(seconds);
    std::thread::sleep(
        wait.map_err(|_| Failure::Usage(format!("`{}` is no time to wait", words.join(" "))))?,
    );
    Ok(0)
}
