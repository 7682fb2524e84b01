//! The portal's static files, inside the program (`build.rs` packs them): a card needs no further files, and nothing
//! comes from outside.
//!
//! Their address carries a hash over all of them, and their modules import each other by relative paths, so that
//! browsers keep every file until the program changes.

use axum::{
    extract::{Path, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

mod packed {
    use super::File;
    include!(concat!(env!("OUT_DIR"), "/files.rs"));
}

pub(crate) use packed::VERSION;

/// One file.
struct File {
    /// Below `/ui/static/VERSION/`.
    path: &'static str,
    content: &'static [u8],
    gzip: &'static [u8],
}

impl File {
    fn content_type(&self) -> &'static str {
        match self.path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

/// Answers with one of the files.
pub(crate) async fn serve(Path((version, path)): Path<(String, String)>, request: Request) -> Response {
    let Some(file) = packed::FILES.iter().find(|file| file.path == path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let wanted = request.headers();
    // While a bramble is upgraded node by node, a page of one version may ask a node of another: it gets what there
    // is, and must not keep it under the wrong name.
    let keep = match version == VERSION {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let etag = format!("\"{VERSION}\"");
    let zipped = accepts_gzip(wanted) && file.gzip.len() < file.content.len();
    let mut answer = if wanted
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes())
    {
        StatusCode::NOT_MODIFIED.into_response()
    } else if zipped {
        ([(header::CONTENT_ENCODING, "gzip")], file.gzip).into_response()
    } else {
        file.content.into_response()
    };
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(file.content_type()),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    answer
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let is_gzip = |coding: &str| {
        let mut parts = coding.split(';').map(str::trim);
        let refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        parts.next() == Some("gzip") && !parts.any(refused)
    };
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(is_gzip)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most that a first visit may cost, in bytes on the wire; every page draws from the same files.
    const MOST_BYTES: usize = 90_000;

    #[test]
    fn all_files_together_stay_below_what_a_first_visit_may_cost() {
        let sum: usize = packed::FILES
            .iter()
            .map(|file| file.gzip.len().min(file.content.len()))
            .sum();
        println!("all static files, packed: {sum} bytes");
        assert!(sum < MOST_BYTES, "{sum}");
    }

    #[test]
    fn gzip_goes_to_those_who_take_it() {
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            accepts_gzip(&headers)
        };
        assert!(accepts("gzip, deflate, br"));
        assert!(accepts("br;q=1.0, gzip;q=0.8"));
        assert!(!accepts("identity"));
        assert!(!accepts("gzip;q=0, br"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn every_module_imports_files_that_are_there() {
        let import = regex_lite::Regex::new(r#"from "\.{1,2}/([a-z0-9/_-]+\.js)""#).unwrap();
        for file in packed::FILES.iter().filter(|file| file.path.ends_with(".js")) {
            let text = std::str::from_utf8(file.content).unwrap();
            for found in import.captures_iter(text) {
                let name = &found[1];
                let beside = format!("pages/{name}");
                let there = packed::FILES
                    .iter()
                    .any(|other| other.path == name || other.path == beside);
                assert!(there, "{} imports {name}", file.path);
            }
        }
    }

    #[test]
    fn no_file_makes_html_of_data_or_asks_another_origin() {
        for file in packed::FILES.iter().filter(|file| file.path.ends_with(".js")) {
            let text = std::str::from_utf8(file.content).unwrap();
            for bad in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "https://",
            ] {
                assert!(!text.contains(bad), "{} has {bad}", file.path);
            }
        }
    }
}
