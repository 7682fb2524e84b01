//! Frames: `[length u32][crc32 u32][payload]`, little-endian; the checksum covers length and payload.
//!
//! The log writes one frame per batch, and begins a frame only when all before it are safe on the disk. Its files
//! are zeros where nothing was written yet. A power cut can therefore spoil the last frame, and no other: a bad
//! frame with a good one behind it is damage, a bad one with none behind it is a write that was cut short.
//!
//! Pure: bytes in, places out.

use api::versioned::{self, Versioned};

/// Length and checksum.
pub(crate) const HEADER_BYTES: usize = 8;

/// How every payload begins (the envelope of `api::versioned`); spares the search for a frame at every byte.
const PAYLOAD_BEGINS: &[u8] = b"{\"v\":";

/// The frame around the versioned form of `value`.
///
/// # Panics
/// Where the value's form has 4 GiB or more.
pub(crate) fn encode<T: Versioned>(value: &T) -> Vec<u8> {
    let payload = versioned::encode(value);
    let length = u32::try_from(payload.len())
        .expect("commands and states are far below 4 GiB")
        .to_le_bytes();
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&checksum(length, &payload).to_le_bytes());
    frame.extend_from_slice(&payload);
    frame
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// What is at some offset of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole frame; the next one would begin at `next`.
    Frame {
        /// What was framed.
        payload: &'a [u8],
        /// Offset behind the frame.
        next: usize,
    },
    /// Nothing: zeros, or the end of the file.
    End,
    /// Neither, and no whole frame behind it: a write that was cut short.
    Torn,
    /// Neither, though a whole frame follows: what was there was safe once, and is lost.
    Damaged,
}

/// Looks at `offset` of a file's content.
pub(crate) fn look(file: &[u8], offset: usize) -> Found<'_> {
    if let Some((payload, next)) = whole(file, offset) {
        return Found::Frame { payload, next };
    }
    if file[offset..].iter().all(|&byte| byte == 0) {
        return Found::End;
    }
    let behind = offset + 1..file.len();
    if behind.into_iter().any(|offset| whole(file, offset).is_some()) {
        Found::Damaged
    } else {
        Found::Torn
    }
}

/// The payload of the whole frame at `offset`, if there is one, and the offset behind it.
fn whole(file: &[u8], offset: usize) -> Option<(&[u8], usize)> {
    let (header, rest) = file.get(offset..)?.split_at_checked(HEADER_BYTES)?;
    if !rest.starts_with(PAYLOAD_BEGINS) {
        return None;
    }
    let length: [u8; 4] = header[..4].try_into().expect("four bytes");
    let sum: [u8; 4] = header[4..].try_into().expect("four bytes");
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(length)).ok()?)?;
    (checksum(length, payload) == u32::from_le_bytes(sum))
        .then_some((payload, offset + HEADER_BYTES + payload.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Text(String);

    impl Versioned for Text {
        const NAME: &'static str = "text";
        const VERSION: u32 = 1;
    }

    fn frame(text: &str) -> Vec<u8> {
        encode(&Text(text.to_owned()))
    }

    #[test]
    fn a_frame_is_found_whole_and_then_the_end() {
        let mut file = frame("hello");
        let next = file.len();
        file.extend([0; 100]);
        let Found::Frame {
            payload,
            next: behind,
        } = look(&file, 0)
        else {
            panic!("no frame")
        };
        assert_eq!(payload, br#"{"v":1,"body":"hello"}"#);
        assert_eq!(behind, next);
        assert_eq!(look(&file, next), Found::End);
        assert_eq!(look(&file[..next], next), Found::End);
    }

    #[test]
    fn a_flipped_byte_is_damage_with_a_frame_behind_it_and_a_cut_without() {
        let (first, second) = (frame("first"), frame("second"));
        for at in 0..first.len() {
            let mut file = [first.clone(), second.clone(), vec![0; 64]].concat();
            file[at] ^= 0x5a;
            assert_eq!(look(&file, 0), Found::Damaged, "byte {at}");

            let mut file = [first.clone(), vec![0; 64]].concat();
            file[at] ^= 0x5a;
            assert_eq!(look(&file, 0), Found::Torn, "byte {at}");
        }
    }

    #[test]
    fn a_frame_cut_anywhere_is_torn_or_was_never_there() {
        let whole = frame("hello");
        for cut in 0..whole.len() {
            let expected = if cut == 0 { Found::End } else { Found::Torn };
            assert_eq!(look(&whole[..cut], 0), expected, "cut at {cut}");
        }
    }

    #[test]
    fn zeros_before_a_whole_frame_are_damage() {
        let file = [vec![0; 20], frame("hello")].concat();
        assert_eq!(look(&file, 0), Found::Damaged);
    }
}
