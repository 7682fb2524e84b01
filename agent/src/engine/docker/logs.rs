//! What a container wrote, as Docker keeps it.

use bollard::{Docker, container::LogOutput, query_parameters::LogsOptionsBuilder};
use futures_util::{StreamExt, stream::BoxStream};

use crate::engine::{LogsWanted, Written};

/// The lines of container `id`.
pub(super) fn of(docker: &Docker, id: &str, wanted: LogsWanted) -> BoxStream<'static, Written> {
    let since = wanted.since.map_or(0, |since| since.millis() / 1000);
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .follow(wanted.follow)
        .since(i32::try_from(since).unwrap_or(i32::MAX))
        .tail(
            &wanted
                .tail
                .map_or_else(|| "all".to_owned(), |tail| tail.to_string()),
        )
        .build();
    let lines = docker.logs(id, Some(options));
    // An error ends the lines: the container is gone, or Docker is. Whoever follows looks again.
    let lines = lines.take_while(|line| std::future::ready(line.is_ok()));
    lines
        .filter_map(|line| std::future::ready(line.ok().map(|line| read(&line))))
        .boxed()
}

/// `2026-11-21T10:20:30.123456789Z what was written`.
fn read(line: &LogOutput) -> Written {
    let bytes = match line {
        LogOutput::StdErr { message }
        | LogOutput::StdOut { message }
        | LogOutput::StdIn { message }
        | LogOutput::Console { message } => message,
    };
    let line = String::from_utf8_lossy(bytes);
    let line = line.trim_end_matches(['\r', '\n']);
    let (time, text) = line.split_once(' ').unwrap_or((line, ""));
    Written {
        time: time.to_owned(),
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_into_time_and_text() {
        let line = LogOutput::StdOut {
            message: "2026-11-21T10:20:30.5Z two  words \r\n".into(),
        };
        let written = read(&line);
        assert_eq!(written.time, "2026-11-21T10:20:30.5Z");
        assert_eq!(written.text, "two  words ");
        let empty = LogOutput::StdErr {
            message: "2026-11-21T10:20:30.5Z \n".into(),
        };
        assert_eq!(read(&empty).text, "");
    }
}
