//! `mode=static` of the real binary, row by row of section 5 of the OpenFaaS contract and of what a plain file server
//! does.

#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use support::{Watchdog, binary_body, eventually};
use tempfile::TempDir;

/// A watchdog for a small site. The page `secret` lies beside it and not in it.
fn site() -> (Watchdog, TempDir) {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("site");
    fs::create_dir_all(root.join("docs/empty")).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    for (name, text) in [
        ("index.html", "<h1>home</h1>"),
        ("docs/index.html", "docs"),
        ("app.js", "let a"),
        ("LICENSE", "free"),
        ("a b.txt", "spaced"),
        ("digits.txt", "0123456789"),
        ("nothing.css", ""),
    ] {
        fs::write(root.join(name), text).unwrap();
    }
    symlink("digits.txt", root.join("inside.txt")).unwrap();
    symlink("../secret", root.join("outside.txt")).unwrap();
    let date = SystemTime::UNIX_EPOCH + Duration::from_millis(1_783_074_667_500);
    let digits = fs::File::options()
        .write(true)
        .open(root.join("digits.txt"))
        .unwrap();
    digits.set_modified(date).unwrap();
    let watchdog = Watchdog::start(&[("mode", "static"), ("static_path", root.to_str().unwrap())]);
    (watchdog, folder)
}

/// When `digits.txt` was written, as a header says it.
const WRITTEN: &str = "Fri, 03 Jul 2026 10:31:07 GMT";

#[test]
fn files_are_answered_with_their_type_and_length() {
    let (watchdog, _folder) = site();

    for (path, kind, text) in [
        ("/", "text/html; charset=utf-8", "<h1>home</h1>"),
        ("/index.html", "text/html; charset=utf-8", "<h1>home</h1>"),
        ("/docs/", "text/html; charset=utf-8", "docs"),
        ("/app.js?v=2", "text/javascript; charset=utf-8", "let a"),
        ("/LICENSE", "application/octet-stream", "free"),
        ("/a%20b.txt", "text/plain; charset=utf-8", "spaced"),
        ("/inside.txt", "text/plain; charset=utf-8", "0123456789"),
        ("/nothing.css", "text/css; charset=utf-8", ""),
    ] {
        let response = watchdog.get(path);
        assert_eq!((response.status, response.text()), (200, text), "{path}");
        assert_eq!(response.header("content-type"), Some(kind), "{path}");
        let length = text.len().to_string();
        assert_eq!(response.header("content-length"), Some(length.as_str()), "{path}");
        assert!(response.header("last-modified").is_some(), "{path}");
    }
    eventually("it is logged", || {
        let log = watchdog.log();
        log.contains("GET /LICENSE - 200 OK - ContentLength: 4B (0.")
            && log.contains("Watchdog mode: static\tfprocess: \"\"\n")
            && log.contains("Serving files at: ")
    });
}

#[test]
fn what_is_not_there_or_not_inside_is_404() {
    let (watchdog, _folder) = site();

    for path in [
        "/nowhere",
        "/docs/empty/",
        "/app.js/",
        "/../secret",
        "/docs/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/docs/%2e%2e%2f%2e%2e%2fsecret",
        "/outside.txt",
        "/%00",
        "/%ff",
        "//../secret",
    ] {
        let response = watchdog.get(path);
        assert_eq!(response.status, 404, "{path}: {}", response.text());
    }
}

#[test]
fn a_path_that_looks_absolute_stays_inside() {
    let (watchdog, folder) = site();

    let secret = folder.path().join("secret");

    assert_eq!(watchdog.get(&format!("/{}", secret.display())).status, 404);
    assert_eq!(watchdog.get("//digits.txt").text(), "0123456789");
}

#[test]
fn a_folder_without_its_slash_is_a_redirect_that_works_behind_a_gateway() {
    let (watchdog, _folder) = site();

    let response = watchdog.get("/docs?q=1");

    assert_eq!(response.status, 301);
    assert_eq!(response.header("location"), Some("./docs/?q=1"));
}

#[test]
fn every_method_is_answered_because_functions_are_invoked_by_post() {
    let (watchdog, _folder) = site();

    let posted = watchdog.request("POST", "/digits.txt", &[("Range", "bytes=0-1")], &binary_body());
    let head = watchdog.request("HEAD", "/digits.txt", &[], b"");

    assert_eq!((posted.status, posted.text()), (200, "0123456789"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some("10"));
}

#[test]
fn a_part_can_be_asked_for() {
    let (watchdog, _folder) = site();

    for (range, status, text, of) in [
        ("bytes=0-3", 206, "0123", Some("bytes 0-3/10")),
        ("bytes=4-", 206, "456789", Some("bytes 4-9/10")),
        ("bytes=-2", 206, "89", Some("bytes 8-9/10")),
        ("bytes=8-100", 206, "89", Some("bytes 8-9/10")),
        (
            "bytes=10-",
            416,
            "416 Range Not Satisfiable\n",
            Some("bytes */10"),
        ),
        ("bytes=0-1,4-5", 200, "0123456789", None),
        ("nonsense", 200, "0123456789", None),
    ] {
        let response = watchdog.request("GET", "/digits.txt", &[("Range", range)], b"");
        assert_eq!((response.status, response.text()), (status, text), "{range}");
        assert_eq!(response.header("content-range"), of, "{range}");
    }
    assert_eq!(watchdog.get("/digits.txt").header("accept-ranges"), Some("bytes"));
}

#[test]
fn a_part_is_only_of_use_to_who_has_the_rest_of_the_same_file() {
    let (watchdog, _folder) = site();

    for (date, status) in [
        (WRITTEN, 206),
        ("Thu, 02 Jul 2026 10:31:07 GMT", 200),
        ("\"tag\"", 200),
    ] {
        let headers = [("Range", "bytes=0-3"), ("If-Range", date)];
        let response = watchdog.request("GET", "/digits.txt", &headers, b"");
        assert_eq!(response.status, status, "{date}");
    }
}

#[test]
fn who_knows_the_file_is_told_that_there_is_no_news() {
    let (watchdog, _folder) = site();
    assert_eq!(watchdog.get("/digits.txt").header("last-modified"), Some(WRITTEN));

    for (method, date, status) in [
        ("GET", WRITTEN, 304),
        ("HEAD", WRITTEN, 304),
        ("POST", WRITTEN, 200),
        ("GET", "Thu, 02 Jul 2026 10:31:07 GMT", 200),
        ("GET", "soon", 200),
    ] {
        let response = watchdog.request(method, "/digits.txt", &[("If-Modified-Since", date)], b"");
        assert_eq!(response.status, status, "{method} {date}");
        if status == 304 {
            assert_eq!(response.body.len(), 0);
            assert_eq!(response.header("last-modified"), Some(WRITTEN));
        }
    }
}

#[test]
fn large_files_arrive_intact_and_in_little_memory() {
    let (watchdog, folder) = site();
    let body = binary_body();
    fs::write(folder.path().join("site/large.bin"), &body).unwrap();

    assert!(watchdog.get("/large.bin").body == body);
    let part = watchdog.request("GET", "/large.bin", &[("Range", "bytes=1000000-2999999")], b"");
    assert!(part.body == body[1_000_000..3_000_000]);
}

#[test]
fn health_and_limits_are_those_of_every_mode() {
    let (watchdog, _folder) = site();

    assert_eq!(watchdog.get("/_/health").text(), "OK");
    assert_eq!(watchdog.get("/_/ready").status, 200);
}
