//! What happens when a function is asked for too much, or by mistake.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/programs.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses its own part of this")]
mod programs;

use std::io::Cursor;
use std::time::{Duration, Instant};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use programs::Programs;

#[test]
fn a_body_that_is_too_large_is_refused_in_words() {
    let programs = Programs::find();
    let answer = programs.start_named("figlet").post("", &[b'x'; 2000]);
    assert_eq!(answer.status, 413);
    assert_eq!(
        answer.text(),
        "That is too large: this function takes up to 1 KiB.\n"
    );
}

#[test]
fn a_mistake_is_the_callers_and_told_in_words() {
    let programs = Programs::find();
    let resize = programs.start_named("resize");
    let answer = resize.post("", b"GIF89a");
    assert_eq!(
        (answer.status, answer.headers["content-type"].as_str()),
        (400, "text/plain; charset=utf-8")
    );
    assert_eq!(
        answer.text(),
        "That is no picture this function knows: send PNG or JPEG.\n"
    );
    assert_eq!(resize.get("").status, 400);
}

#[test]
fn an_endless_filter_is_ended_and_the_next_one_answered() {
    let programs = Programs::find();
    let jq = programs.start_named("jq");
    let started = Instant::now();
    let answer = jq.post("?filter=%5Brange(1e15)%5D%7Clength", b"1");
    assert!([422, 504].contains(&answer.status), "{}", answer.text());
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(jq.post("?filter=.", b"[1]").status, 200);
}

#[test]
fn a_picture_of_twenty_million_pixels_fits_into_the_memory_asked_for() {
    let programs = Programs::find();
    // Noise, which packs worst.
    let mut seed = 1_u32;
    let picture = RgbImage::from_fn(5000, 4000, |_, _| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, red, green, blue] = (seed & 0x3f3f_3f3f).to_be_bytes();
        Rgb([red, green, blue])
    });
    let mut file = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture)
        .write_to(&mut file, ImageFormat::Jpeg)
        .unwrap();
    let file = file.into_inner();
    assert!((4_000_000..16_000_000).contains(&file.len()), "{}", file.len());

    for (function, address, size) in [
        ("resize", "?width=500", (500, 400)),
        ("grayscale", "", (5000, 4000)),
    ] {
        let running = programs.start_named(function);
        let answer = running.post(address, &file);
        assert_eq!(
            answer.status,
            200,
            "{function}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        let made = image::load_from_memory(&answer.body).unwrap();
        assert_eq!((made.width(), made.height()), size);
        // The process that did it is gone with its memory.
        assert!(running.memory_kib() < 32 * 1024, "{} KiB", running.memory_kib());
    }
}

#[test]
fn a_guestbook_is_signed_and_read() {
    let programs = Programs::find();
    let book = programs.start_named("guestbook");
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = book.ask("POST", "", &form, b"name=Ada&message=%3Ci%3EHello%3C/i%3E");
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "?"));

    let page = book.get("").text();
    assert!(
        page.contains("&lt;i&gt;Hello&lt;/i&gt;") && page.contains("Ada, "),
        "{page}"
    );
    assert_eq!(book.ask("DELETE", "", &[], b"").status, 405);
}

#[test]
fn work_for_the_load_page_may_be_fetched_from_every_origin() {
    let programs = Programs::find();
    let answer = programs.start_named("load-page").get("/?work=100");
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert!(answer.text().contains("\"primes\":25"), "{}", answer.text());
}

#[test]
fn who_sends_far_too_much_reads_why_it_was_refused() {
    let programs = Programs::find();
    for function in ["figlet", "resize"] {
        let answer = programs.start_named(function).post("", &vec![b'x'; 40 << 20]);
        assert_eq!(answer.status, 413, "{function}: {}", answer.text());
    }
}
