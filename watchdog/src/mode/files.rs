//! `mode=static`: no process, the files of one folder.
//!
//! A path leads to a file inside the folder or to 404: `..` is refused, and so are links that lead out. A folder is
//! its `index.html`; there are no listings. Every method is answered, as upstream does, but only `GET` and `HEAD` can
//! ask for a part or for news.
//!
//! Files are read in pieces on the one thread there is. That is a copy from the page cache; where it is not, a card
//! delivers a piece in less time than a thread of its own would cost in memory.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};

use super::range::Range;
use super::{failed_with, media};
use crate::answer::Content;
use crate::cgi;
use crate::log::log;
use crate::upload::Upload;

/// The file that stands for its folder.
const INDEX: &str = "index.html";

/// Dates from here on (the year 10000) cannot be written in a header.
const UNWRITABLE_DATE: Duration = Duration::from_secs(253_402_300_800);

/// A file inside the folder, with what its answer has to tell.
struct OpenFile {
    file: File,
    length: u64,
    /// In whole seconds; `None` where no header can say it.
    modified: Option<SystemTime>,
    kind: &'static str,
}

pub(crate) struct Files {
    /// Without links, so that what is inside can be told by its path.
    root: PathBuf,
}

/// What a path leads to.
enum Found {
    File(OpenFile),
    /// A folder asked for without its final slash; relative links on its page would lead astray.
    Folder,
}

impl Files {
    /// # Errors
    /// When there is no such folder.
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let explained = |error: io::Error| {
            io::Error::new(error.kind(), format!("`static_path` {}: {error}", root.display()))
        };
        let canonical = fs::canonicalize(root).map_err(explained)?;
        fs::read_dir(&canonical).map_err(explained)?;
        log!("Serving files at: {}", root.display());
        Ok(Self { root: canonical })
    }

    pub(crate) fn call(&self, request: Request<Upload>) -> Response<Content> {
        let (head, _) = request.into_parts();
        let answered = match self.find(head.uri.path()) {
            Ok(Found::File(file)) => file.answer(&head.method, &head.headers),
            Ok(Found::Folder) => Ok(to_folder(&head.uri)),
            Err(error) => Err(error),
        };
        answered.unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => failed_with(StatusCode::FORBIDDEN, "403 Forbidden"),
            _ => failed_with(StatusCode::NOT_FOUND, "404 page not found"),
        })
    }

    fn find(&self, path: &str) -> io::Result<Found> {
        let inner = inner_path(path).ok_or(io::ErrorKind::NotFound)?;
        let mut full = self.resolve(&inner)?;
        let mut facts = fs::metadata(&full)?;
        if facts.is_dir() {
            if !path.ends_with('/') {
                return Ok(Found::Folder);
            }
            full = self.resolve(&inner.join(INDEX))?;
            facts = fs::metadata(&full)?;
        } else if path.ends_with('/') {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Pipes and devices are no files, and would block.
        if !facts.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Found::File(OpenFile {
            file: File::open(&full)?,
            length: facts.len(),
            modified: facts.modified().ok().and_then(whole_seconds),
            kind: media::of(&full),
        }))
    }

    /// Follows links, as long as they do not lead out.
    fn resolve(&self, inner: &Path) -> io::Result<PathBuf> {
        let full = fs::canonicalize(self.root.join(inner))?;
        if full.starts_with(&self.root) {
            Ok(full)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// The path below the folder that a request asks for; `None` when it tries to leave it.
fn inner_path(path: &str) -> Option<PathBuf> {
    let decoded = String::from_utf8(cgi::decoded(path)).ok()?;
    let mut inner = PathBuf::new();
    for name in decoded.split('/').filter(|name| !matches!(*name, "" | ".")) {
        if name == ".." {
            return None;
        }
        inner.push(name);
    }
    Some(inner)
}

/// Relative, because the caller knows the function by another path than we do.
fn to_folder(uri: &Uri) -> Response<Content> {
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Content::empty());
    if let Ok(location) = HeaderValue::try_from(format!("./{name}/{query}")) {
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

impl OpenFile {
    /// The answer to someone who may want only a part, or only news.
    fn answer(mut self, method: &Method, asked: &HeaderMap) -> io::Result<Response<Content>> {
        let reads = matches!(*method, Method::GET | Method::HEAD);

        let mut response = Response::new(Content::empty());
        let headers = response.headers_mut();
        if let Some(modified) = self.modified {
            let date = HeaderValue::try_from(httpdate::fmt_http_date(modified)).map_err(io::Error::other)?;
            headers.insert(header::LAST_MODIFIED, date);
            let is_old_news =
                date_in(asked, &header::IF_MODIFIED_SINCE).is_some_and(|known| modified <= known);
            if reads && is_old_news {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return Ok(response);
            }
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));

        // A part of the file as it was is no use to someone who has the rest of another.
        let is_same = !asked.contains_key(header::IF_RANGE)
            || self
                .modified
                .is_some_and(|modified| date_in(asked, &header::IF_RANGE) == Some(modified));
        let range = asked.get(header::RANGE).and_then(|value| value.to_str().ok());
        let range = match range.filter(|_| reads && is_same) {
            Some(text) => Range::parse(text, self.length),
            None => Range::Whole,
        };
        let left = match range {
            Range::Whole => self.length,
            Range::Part { first, last } => {
                self.file.seek(SeekFrom::Start(first))?;
                let part = HeaderValue::try_from(format!("bytes {first}-{last}/{}", self.length));
                headers.insert(header::CONTENT_RANGE, part.map_err(io::Error::other)?);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                last - first + 1
            }
            Range::Outside => {
                let mut refused = failed_with(StatusCode::RANGE_NOT_SATISFIABLE, "416 Range Not Satisfiable");
                let whole =
                    HeaderValue::try_from(format!("bytes */{}", self.length)).map_err(io::Error::other)?;
                refused.headers_mut().insert(header::CONTENT_RANGE, whole);
                return Ok(refused);
            }
        };
        *response.body_mut() = Content::File {
            file: self.file,
            left,
        };
        Ok(response)
    }
}

fn date_in(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// What a header can say about a file's date; `None` where it cannot say it.
fn whole_seconds(modified: SystemTime) -> Option<SystemTime> {
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    let can_be_said = !since.is_zero() && since < UNWRITABLE_DATE;
    can_be_said.then(|| UNIX_EPOCH + Duration::from_secs(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (path, inner) in [
            ("/", Some("")),
            ("/a/b.txt", Some("a/b.txt")),
            ("/a//./b", Some("a/b")),
            ("/a%20b", Some("a b")),
            ("/%2Fetc/passwd", Some("etc/passwd")),
            ("/../etc/passwd", None),
            ("/a/../../etc", None),
            ("/%2e%2e/etc", None),
            ("/..%2fetc", None),
            ("/...", Some("...")),
        ] {
            assert_eq!(inner_path(path), inner.map(PathBuf::from), "{path}");
        }
    }
}
