//! `csv2json`: a table as comma-separated values becomes a list of JSON objects.

use std::collections::HashSet;

use csv::{ReaderBuilder, StringRecord, Trim};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// One line, under the names of the first.
struct Row<'a> {
    names: &'a StringRecord,
    values: StringRecord,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.values.iter().map(Value)))
    }
}

/// A number where it is written as JSON writes one, else text. It stays as it is written: long numbers, such as those of
/// accounts and telephones, would lose digits if they were read.
struct Value<'a>(&'a str);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_number = serde_json::from_str::<serde_json::Number>(self.0).is_ok();
        match serde_json::from_str::<&RawValue>(self.0) {
            Ok(number) if is_number => number.serialize(serializer),
            _ => serializer.serialize_str(self.0),
        }
    }
}

pub(crate) fn answer(call: &Call) -> Reply {
    let text = call.text("a table whose first line has the names of the columns")?;
    let first = text.lines().next().unwrap_or_default();
    let separators = [("comma", b','), ("semicolon", b';'), ("tab", b'\t')];
    let likely = [b',', b';', b'\t']
        .into_iter()
        .rev()
        .max_by_key(|wanted| first.bytes().filter(|byte| byte == wanted).count());
    let separator = call.choice("separator", &separators, likely.unwrap_or(b','))?;
    let bad = |why: csv::Error| Refusal::new(format!("That is no proper table: {why}."));
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let names = reader.headers().map_err(bad)?.clone();
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(Refusal::new(format!(
            "Two columns are called `{twice}`, and JSON can keep only one of them: give each a name of its own."
        )));
    }
    let rows: Vec<Row<'_>> = reader
        .records()
        .map(|values| {
            Ok(Row {
                names: &names,
                values: values?,
            })
        })
        .collect::<Result<_, _>>()
        .map_err(bad)?;
    let mut json = serde_json::to_vec_pretty(&rows).expect("texts and numbers under text keys");
    json.push(b'\n');
    Ok(Answer::new("application/json", json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(table: &str) -> serde_json::Value {
        serde_json::from_slice(&answer(&Call::of(table.as_bytes(), "")).unwrap().body).unwrap()
    }

    #[test]
    fn the_separator_is_found_and_numbers_are_numbers() {
        let expected = serde_json::json!([{"name": "a, b", "n": 1.5}, {"name": "007", "n": ""}]);
        assert_eq!(converted("name,n\n\"a, b\",1.5\n007,\n"), expected);
        assert_eq!(converted("name;n\na, b;1.5\n007;\n"), expected);
    }

    #[test]
    fn two_columns_of_one_name_are_refused_and_nothing_is_lost() {
        let refusal = answer(&Call::of(b"a,b,a\n1,2,3\n", "")).unwrap_err();
        assert!(
            refusal.to_string().contains("Two columns are called `a`"),
            "{refusal}"
        );
    }

    #[test]
    fn numbers_keep_every_digit() {
        for (written, expected) in [
            ("12345678901234567890123", "12345678901234567890123"),
            ("9007199254740993", "9007199254740993"),
            (
                "0.1000000000000000055511151231257827",
                "0.1000000000000000055511151231257827",
            ),
            ("1.50", "1.50"),
            ("-0", "-0"),
            ("1E5", "1E5"),
            ("007", "\"007\""),
            ("0049 30 1234567", "\"0049 30 1234567\""),
            ("+49301234567", "\"+49301234567\""),
            ("1,5", "\"1,5\""),
            ("1e999999", "\"1e999999\""),
            ("true", "\"true\""),
        ] {
            let table = format!("n;m\n{written};x\n");
            let json = answer(&Call::of(table.as_bytes(), "")).unwrap().body;
            let json = String::from_utf8(json).unwrap();
            assert!(json.contains(&format!("\"n\": {expected},")), "{written}: {json}");
        }
    }

    #[test]
    fn a_line_with_too_many_values_is_refused_by_its_number() {
        let refusal = answer(&Call::of(b"a,b\n1,2\n1,2,3\n", "")).unwrap_err();
        assert!(refusal.sentence.contains("line: 3"), "{refusal}");
    }
}
