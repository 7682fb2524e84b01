//! `temperature`: one temperature in all three units.

use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// 0 K in degrees Celsius.
const ABSOLUTE_ZERO: f64 = -273.15;

pub(crate) fn answer(call: &Call) -> Reply {
    let text = call.line("a temperature such as 20 C, 68 F or 293.15 K")?.trim();
    let celsius = read(text).ok_or_else(|| {
        Refusal::new(format!(
            "`{text}` is no temperature; write 20 C, 68 F or 293.15 K."
        ))
    })?;
    if celsius < ABSOLUTE_ZERO - 1e-9 {
        return Err(Refusal::new(format!(
            "Nothing is that cold: the lowest temperature there can be is {ABSOLUTE_ZERO} °C."
        )));
    }
    Ok(Answer::text(format!(
        "{} °C = {} °F = {} K\n",
        short(celsius),
        short(celsius * 1.8 + 32.0),
        short(celsius - ABSOLUTE_ZERO)
    )))
}

/// In degrees Celsius, the unit when none is given.
fn read(text: &str) -> Option<f64> {
    let text = text.replace(',', ".");
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic() || c == '°' || c == ' ');
    let number: f64 = digits
        .trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.abs() < 1e9)?;
    match text[digits.len()..]
        .trim()
        .trim_start_matches('°')
        .to_ascii_uppercase()
        .as_str()
    {
        "" | "C" => Some(number),
        "F" => Some((number - 32.0) / 1.8),
        "K" => Some(number + ABSOLUTE_ZERO),
        _ => None,
    }
}

/// With two digits after the point at the most.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<String, String> {
        match answer(&Call::of(text.as_bytes(), "")) {
            Ok(answer) => Ok(String::from_utf8(answer.body).unwrap()),
            Err(refusal) => Err(refusal.sentence),
        }
    }

    #[test]
    fn units_convert_both_ways() {
        assert_eq!(told("100 °C").unwrap(), "100 °C = 212 °F = 373.15 K\n");
        assert_eq!(told("32F\n").unwrap(), "0 °C = 32 °F = 273.15 K\n");
        assert_eq!(told("0 K").unwrap(), "-273.15 °C = -459.67 °F = 0 K\n");
        assert_eq!(told("36,6").unwrap(), "36.6 °C = 97.88 °F = 309.75 K\n");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(told("-300 C").unwrap_err().contains("cold"));
        assert!(told("warm").unwrap_err().contains("no temperature"));
        assert!(told("20 X").unwrap_err().contains("no temperature"));
    }
}
