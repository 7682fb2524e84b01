//! A demo, and somebody in front of its portal.

use std::cell::RefCell;

use serde_json::{Value, json};
use tests::{
    browser::{Browser, UNTRUSTED_HOST},
    demo::Demo,
};

/// Somebody who looks at a demo.
pub(crate) struct Visit {
    pub(crate) browser: Browser,
    pub(crate) demo: Demo,
    /// The portal's origin as the browser knows it.
    pub(crate) origin: String,
    /// What the browser complained about so far.
    complaints: RefCell<Vec<String>>,
}

/// The browser drops what it is loading when the machine gets another network, as it does when Docker makes one.
pub(crate) const NETWORK_CHANGED: &str = "ERR_NETWORK_CHANGED";

/// Goes to an address until all of it is there, and says what the browser complained about.
pub(crate) fn open_whole(browser: &Browser, url: &str) -> Vec<String> {
    loop {
        browser.open(url);
        let complaints = browser.console();
        if !complaints.iter().any(|line| line.contains(NETWORK_CHANGED)) {
            return complaints;
        }
    }
}

impl Visit {
    /// In front of a demo, on nothing yet.
    pub(crate) fn start() -> Self {
        Self::of(Demo::start())
    }

    /// In front of this demo, on nothing yet.
    pub(crate) fn of(demo: Demo) -> Self {
        let origin = demo.portal.clone();
        let browser = Browser::start();
        Self {
            browser,
            demo,
            origin,
            complaints: RefCell::default(),
        }
    }

    /// The same by a name that the browser does not trust, as on a real network.
    pub(crate) fn from_the_network() -> Self {
        let visit = Self::start();
        let origin = visit.origin.replace("127.0.0.1", UNTRUSTED_HOST);
        Self { origin, ..visit }
    }

    /// Signed in, on the overview.
    pub(crate) fn signed_in() -> Self {
        let visit = Self::start();
        visit.open("/ui/");
        visit.sign_in();
        visit
    }

    pub(crate) fn open(&self, path: &str) {
        let complaints = open_whole(&self.browser, &format!("{}{path}", self.origin));
        self.complaints.borrow_mut().extend(complaints);
    }

    /// Presses *Invoke* until the call has ended with an answer, and says how often that was too much. A browser gives
    /// up all it asked for when its machine gets a network interface, as this one does with every container: people
    /// elsewhere do not see that.
    pub(crate) fn invoke(&self) -> u32 {
        let browser = &self.browser;
        for again in 0.. {
            browser.click("#send");
            browser.wait(
                "the call's end",
                "!document.querySelector('#send').hasAttribute('aria-busy')",
            );
            if browser.value("document.body.innerText.includes('No answer came')") != json!(true) {
                return again;
            }
            let complaints = browser.console();
            let excused = complaints.iter().any(|line| line.contains(NETWORK_CHANGED));
            self.complaints.borrow_mut().extend(complaints);
            assert!(excused && again < 5, "no answer came");
        }
        unreachable!("it ends by itself")
    }

    /// Signs in on the sign-in page; the page that was asked for comes.
    pub(crate) fn sign_in(&self) {
        self.browser.fill("input[name=password]", &self.demo.password);
        self.browser.click("form button");
        self.browser
            .wait("the page behind the door", "!!document.querySelector('nav.main')");
    }

    /// Deploys by the API and waits for a replica.
    pub(crate) fn deploy(&self, name: &str, image: &str) {
        self.demo
            .deploy(json!({"service": name, "image": format!("bramble/{image}:latest")}));
    }

    /// Fails where the browser complained: an error, or a policy that was broken. `allowed` are words of the
    /// complaints that belong to the test.
    pub(crate) fn no_complaints(&self, when: &str, allowed: &[&str]) {
        let complaints = self.complaints.take().into_iter().chain(self.browser.console());
        let complaints: Vec<String> = complaints
            .filter(|line| !line.contains(NETWORK_CHANGED))
            .filter(|line| !allowed.iter().any(|words| line.contains(words)))
            .collect();
        assert!(complaints.is_empty(), "{when}: {complaints:#?}");
    }

    /// A function as the API tells of it.
    pub(crate) fn function(&self, name: &str) -> Value {
        self.demo.function(name)
    }
}
