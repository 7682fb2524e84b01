//! `make screenshot`: the portal's pictures in `docs/pictures/`, of a demo with some work to do.

#![expect(clippy::print_stdout, reason = "says where the pictures are")]
use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;
use tests::{
    browser::{Browser, Screen},
    demo::Demo,
};

/// What runs, and in how many replicas.
const FUNCTIONS: [(&str, u32); 6] = [
    ("cows", 4),
    ("figlet", 3),
    ("guestbook", 1),
    ("nodeinfo", 6),
    ("primes", 5),
    ("qrcode", 2),
];

/// What makes the numbers move.
const INVOKED: [&str; 3] = ["cows", "figlet", "nodeinfo"];

/// The whole stack at once.
const TALL: Screen = Screen {
    height: 900,
    ..Screen::projector(false)
};

fn main() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    std::fs::create_dir_all(&pictures).expect("docs/ can be written");
    let demo = Demo::builder().nodes(4).engine("auto").start();
    for (name, _) in FUNCTIONS {
        demo.deploy(json!({
            "service": name, "image": format!("bramble/{name}:latest"), "requests": {"memory": "48Mi"},
        }));
    }
    for (name, replicas) in FUNCTIONS {
        demo.scale(name, replicas);
    }
    for (name, replicas) in FUNCTIONS {
        demo.wait_for_ready(name, replicas as usize);
    }

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let client = demo.client();
            while !done.load(Ordering::Relaxed) {
                for name in INVOKED {
                    client.post(&format!("/function/{name}"), "bramble");
                }
                thread::sleep(Duration::from_millis(60));
            }
        });
        draw(&demo, &pictures);
        done.store(true, Ordering::Relaxed);
    });
    println!(
        "{}: portal.png, portal-dark.png, portal-phone.png",
        pictures.display()
    );
}

fn draw(demo: &Demo, pictures: &Path) {
    let browser = Browser::start();
    browser.screen(TALL);
    browser.open(&format!("{}/ui/", demo.portal));
    browser.fill("input[name=password]", &demo.password);
    browser.click("form button");
    let drawn = "document.querySelectorAll('.dot.ready').length > 20";
    browser.wait("all replicas", drawn);
    // Rates are those of the last seconds.
    thread::sleep(Duration::from_secs(8));
    browser.picture(&pictures.join("portal.png"));
    browser.screen(Screen {
        height: 820,
        ..Screen::projector(true)
    });
    browser.open(&format!("{}/ui/functions/openfaas-fn/cows", demo.portal));
    browser.wait("the example", "document.querySelector('#body')?.value !== ''");
    browser.click("#send");
    browser.wait("the answer", "!!document.querySelector('#answer pre')");
    browser.run("document.activeElement.blur(); scrollTo(0, 0);", Vec::new());
    browser.picture(&pictures.join("portal-dark.png"));
    browser.screen(Screen::phone(false));
    browser.open(&format!("{}/ui/", demo.portal));
    browser.wait("all replicas", drawn);
    thread::sleep(Duration::from_secs(1));
    browser.picture(&pictures.join("portal-phone.png"));
}
