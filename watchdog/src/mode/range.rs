//! The `Range` header of RFC 9110, 14.2: which part of a file is asked for. Pure.

/// A part of something with a known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Also for what we do not understand, and for several parts at once: the whole is always a right answer.
    Whole,
    /// From the first to the last byte, both included.
    Part { first: u64, last: u64 },
    /// It begins behind the end.
    Outside,
}

impl Range {
    /// Reads `bytes=0-99`, `bytes=100-` or `bytes=-50` of something `length` bytes long.
    pub(super) fn parse(text: &str, length: u64) -> Self {
        Self::single(text, length).unwrap_or(Self::Whole)
    }

    fn single(text: &str, length: u64) -> Option<Self> {
        let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
        if length == 0 {
            return None;
        }
        let last_byte = length - 1;
        if first.is_empty() {
            let count: u64 = last.parse().ok()?;
            return Some(match count {
                0 => Self::Outside,
                count => Self::Part {
                    first: length.saturating_sub(count),
                    last: last_byte,
                },
            });
        }
        let first: u64 = first.parse().ok()?;
        let last = match last {
            "" => u64::MAX,
            last => last.parse().ok()?,
        };
        if last < first {
            return None;
        }
        Some(if first > last_byte {
            Self::Outside
        } else {
            Self::Part {
                first,
                last: last.min(last_byte),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_was_asked_for_as_far_as_there_is_any() {
        let part = |first, last| Range::Part { first, last };
        for (text, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=10-19", part(10, 19)),
            ("bytes=10-", part(10, 99)),
            ("bytes=10-1000", part(10, 99)),
            ("bytes=-10", part(90, 99)),
            ("bytes=-1000", part(0, 99)),
            ("bytes=100-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=0-1,5-6", Range::Whole),
            ("bytes=5-4", Range::Whole),
            ("bytes=x-", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("", Range::Whole),
        ] {
            assert_eq!(Range::parse(text, 100), expected, "{text}");
        }
    }

    #[test]
    fn of_nothing_there_is_only_the_whole() {
        assert_eq!(Range::parse("bytes=0-", 0), Range::Whole);
    }
}
