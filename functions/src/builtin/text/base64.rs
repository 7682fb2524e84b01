//! `base64`: to base64, and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::builtin::call::{Answer, Call, Refusal, Reply};

pub(crate) fn answer(call: &Call) -> Reply {
    let back = call.choice("mode", &[("encode", false), ("decode", true)], false)?;
    let sent = match call.body.is_empty() {
        true => call.text("a text")?.as_bytes(),
        false => &call.body,
    };
    if !back {
        return Ok(Answer::text(STANDARD.encode(sent) + "\n"));
    }
    let letters: Vec<u8> = sent
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let bytes = STANDARD
        .decode(letters)
        .map_err(|why| Refusal::new(format!("That is no base64: {why}.")))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Answer::text(text),
        Err(error) => Answer::new("application/octet-stream", error.into_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let encoded = answer(&Call::of(b"\x00\xffbramble", "")).unwrap().body;
        assert_eq!(encoded, b"AP9icmFtYmxl\n");
        let decoded = answer(&Call::of(&encoded, "mode=decode")).unwrap();
        assert_eq!(decoded.body, b"\x00\xffbramble");
        assert_eq!(decoded.content_type, "application/octet-stream");
        assert!(answer(&Call::of(b"!", "mode=decode")).is_err());
    }
}
