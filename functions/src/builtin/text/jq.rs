//! `jq`: picks and changes JSON with a filter in the language of jq: all of it but regular expressions, dates, formats
//! such as `@base64` and the rarer mathematics, which would make this program a tenth larger.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::write::Pp;
use jaq_json::{Val, read, write};

use crate::builtin::call::{Answer, Call, Refusal, Reply};

/// Definitions of the standard library that need what is left out, or would end the process or write to its log.
const LEFT_OUT: &[&str] = &[
    "stderr",
    "debug",
    "halt",
    "halt_error",
    "logb",
    "significand",
    "pow10",
    "drem",
    "nexttoward",
    "scalb",
    "gamma",
    "capture_of_match",
    "test",
    "scan_",
    "match",
    "capture",
    "splits",
    "sub",
    "gsub",
    "scan",
    "todate",
    "fromdate",
    "@sh",
    "@html",
    "@htmld",
    "@uri",
    "@urid",
    "@base64",
    "@base64d",
];

pub(crate) fn answer(call: &Call) -> Reply {
    let code = call.option("filter").unwrap_or(".");
    let text = call.text("JSON")?;

    let defined = jaq_std::defs().filter(|definition| !is_left_out(definition.name, definition.args.len()));
    let definitions = jaq_core::defs().chain(defined).chain(jaq_json::defs());
    let functions = jaq_core::funs()
        .chain(jaq_std::base_funs())
        .chain(jaq_json::funs());
    let arena = Arena::default();
    let bad_filter = || {
        Refusal::new(format!(
            "The filter `{code}` cannot be understood; try .name or .[0] or map(.name). Regular expressions, dates and \
             formats such as @csv are not part of this jq."
        ))
    };
    let modules = Loader::new(definitions)
        .load(&arena, File { code, path: () })
        .map_err(|_| bad_filter())?;
    let filter = Compiler::default()
        .with_funs(functions)
        .compile(modules)
        .map_err(|_| bad_filter())?;

    let style = Pp {
        indent: Some("  ".to_owned()),
        sep_space: true,
        ..Pp::default()
    };
    let mut output = Vec::new();
    for value in read::parse_many(text.as_bytes()) {
        let value: Val = value.map_err(|why| Refusal::new(format!("That is no JSON: {why}.")))?;
        let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
        for result in filter.id.run((context, value)).map(unwrap_valr) {
            let result = result.map_err(|why| Refusal::new(format!("The filter fails: {why}.")))?;
            write::write(&mut output, &style, 0, &result).expect("a Vec takes everything");
            output.push(b'\n');
        }
    }
    Ok(Answer::new("application/json", output))
}

fn is_left_out(name: &str, arguments: usize) -> bool {
    // With one argument it splits at a text, with two at a regular expression.
    LEFT_OUT.contains(&name) || (name == "split" && arguments == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(json: &str, filter: &str) -> Result<String, String> {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", filter)
            .finish();
        match answer(&Call::of(json.as_bytes(), &query)) {
            Ok(answer) => Ok(String::from_utf8(answer.body).unwrap()),
            Err(refusal) => Err(refusal.sentence),
        }
    }

    #[test]
    fn filters_pick_and_change() {
        let pis = r#"[{"name":"a","ram":512},{"name":"b","ram":1024}]"#;
        assert_eq!(filtered(pis, ".[] | .name").unwrap(), "\"a\"\n\"b\"\n");
        assert_eq!(filtered(pis, "map(.ram) | add").unwrap(), "1536\n");
        assert_eq!(filtered(pis, ".[0].name | ascii_upcase").unwrap(), "\"A\"\n");
        assert_eq!(
            filtered(r#""a-b""#, r#"split("-") | join("+")"#).unwrap(),
            "\"a+b\"\n"
        );
        assert_eq!(
            filtered(pis, "sort_by(-.ram) | map(.name) | join(\" \")").unwrap(),
            "\"b a\"\n"
        );
        assert_eq!(
            filtered(pis, "[.[].ram] | (min, max, length)").unwrap(),
            "512\n1024\n2\n"
        );
        assert_eq!(
            filtered(pis, ".[0] | keys").unwrap(),
            "[\n  \"name\",\n  \"ram\"\n]\n"
        );
    }

    #[test]
    fn what_cannot_be_understood_is_told() {
        assert!(filtered("{", ".").unwrap_err().contains("no JSON"));
        assert!(filtered("{}", ".[").unwrap_err().contains("cannot be understood"));
        assert!(
            filtered("{}", "nonsense")
                .unwrap_err()
                .contains("cannot be understood")
        );
        assert!(filtered("[]", ".a").unwrap_err().contains("fails"));
    }
}
