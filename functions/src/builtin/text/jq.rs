//! `jq`: picks and changes JSON with a filter in the language of jq.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::write::Pp;
use jaq_json::{Val, read, write};

use crate::builtin::call::{Answer, Call, Refusal, Reply};

pub(crate) fn answer(call: &Call) -> Reply {
    let code = call.option("filter").unwrap_or(".");
    let text = call.text("JSON")?;

    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let bad_filter = || {
        Refusal::new(format!(
            "The filter `{code}` cannot be understood; try .name or .[0] or map(.name)."
        ))
    };
    let modules = Loader::new(definitions)
        .load(&arena, File { code, path: () })
        .map_err(|_| bad_filter())?;
    let filter = Compiler::default()
        .with_funs(functions)
        .compile(modules)
        .map_err(|_| bad_filter())?;

    let mut output = Vec::new();
    for value in read::parse_many(text.as_bytes()) {
        let value: Val = value.map_err(|why| Refusal::new(format!("That is no JSON: {why}.")))?;
        let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
        for result in filter.id.run((context, value)).map(unwrap_valr) {
            let result = result.map_err(|why| Refusal::new(format!("The filter fails: {why}.")))?;
            write::write(&mut output, &Pp::default(), 0, &result).expect("a Vec takes everything");
            output.push(b'\n');
        }
    }
    Ok(Answer::new("application/json", output))
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
        assert_eq!(filtered(r#""a-b""#, r#"sub("-"; "+")"#).unwrap(), "\"a+b\"\n");
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
