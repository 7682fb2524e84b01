//! A real browser, driven as a person would: chromium by its WebDriver, with a profile of its own that goes with it.
//!
//! Blocking, as the other clients of these tests. What went wrong is told with what the browser said and showed.

use std::{
    cell::Cell,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use fantoccini::{
    Client, ClientBuilder, Locator, elements::Element, error::CmdError, wd::WebDriverCompatibleCommand,
};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::http_client::runtime;

/// How long a page may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A name that leads to this computer, and that the browser does not trust as it trusts `localhost`: just as
/// `http://bramble.local` is to the browsers of its users.
pub const UNTRUSTED_HOST: &str = "bramble.test";

/// What is looked at, and in which colours.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// In words.
    pub name: &'static str,
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Whether the device wishes for dark colours.
    pub dark: bool,
}

impl Screen {
    /// A small phone.
    pub const fn phone(dark: bool) -> Self {
        Self {
            name: if dark { "phone, dark" } else { "phone, light" },
            width: 360,
            height: 740,
            dark,
        }
    }

    /// A projector, or a laptop.
    pub const fn projector(dark: bool) -> Self {
        Self {
            name: if dark {
                "projector, dark"
            } else {
                "projector, light"
            },
            width: 1280,
            height: 800,
            dark,
        }
    }

    /// Both sizes in both colours.
    pub const ALL: [Self; 4] = [
        Self::phone(false),
        Self::phone(true),
        Self::projector(false),
        Self::projector(true),
    ];
}

/// A command beyond the standard's, below the session's address.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// One request that the browser made.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Where it went.
    pub url: String,
    /// Bytes of the answer on the wire, head and body, where it came to its end.
    pub bytes: u64,
}

/// A running browser.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    driver: Child,
    clicks: Cell<u32>,
    _profile: tempfile::TempDir,
}

/// Two drivers that start at once may choose the same port; one of them gives up.
const DRIVER_ATTEMPTS: u32 = 5;

/// Starts a driver; answers it with its port.
fn start_driver() -> Option<(Child, u16)> {
    let cure = "On Debian, as root: apt-get install chromium chromium-driver";
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("chromedriver does not start ({error}). {cure}"));
    let mut lines = BufReader::new(driver.stdout.take().expect("piped above")).lines();
    let told = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    let Some(port) = told else {
        _ = driver.kill();
        _ = driver.wait();
        return None;
    };
    thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}

impl Browser {
    /// Starts one, with nothing remembered.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder can be made");
        let (driver, port) = (0..DRIVER_ATTEMPTS)
            .find_map(|_| start_driver())
            .expect("chromedriver finds a port");

        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--force-prefers-reduced-motion",
            "--window-size=1280,800",
        ];
        let mut args: Vec<String> = args.map(str::to_owned).into();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        args.push(format!("--host-resolver-rules=MAP {UNTRUSTED_HOST} 127.0.0.1"));
        let wishes = json!({
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        });
        let wishes = wishes.as_object().expect("written so").clone();
        let client = runtime()
            .block_on(
                ClientBuilder::new(HttpConnector::new())
                    .capabilities(wishes)
                    .connect(&format!("http://127.0.0.1:{port}")),
            )
            .expect("chromium starts");
        let browser = Self {
            client,
            driver,
            clicks: Cell::new(0),
            _profile: profile,
        };
        browser.cdp("Network.setCacheDisabled", json!({"cacheDisabled": false}));
        browser
    }

    fn extension(&self, path: &'static str, body: Value) -> Value {
        runtime()
            .block_on(self.client.issue_cmd(Extension { path, body }))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A command of the Chrome DevTools Protocol.
    pub fn cdp(&self, command: &str, params: Value) -> Value {
        self.extension("goog/cdp/execute", json!({"cmd": command, "params": params}))
    }

    /// Looks through this screen from now on.
    pub fn screen(&self, screen: Screen) {
        let phone = screen.width < 600;
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": phone}),
        );
        let scheme = if screen.dark { "dark" } else { "light" };
        self.cdp(
            "Emulation.setEmulatedMedia",
            json!({"features": [
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ]}),
        );
    }

    /// Goes to an address and waits until it is loaded.
    pub fn open(&self, url: &str) {
        runtime()
            .block_on(self.client.goto(url))
            .unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Opens another tab and looks at that one from now on; those before are hidden.
    pub fn new_tab(&self) {
        runtime()
            .block_on(async {
                let tab = self.client.new_window(true).await?;
                self.client.switch_to_window(tab.handle).await
            })
            .unwrap_or_else(|error| panic!("another tab: {error}"));
    }

    /// Where it is.
    pub fn address(&self) -> String {
        let url = runtime()
            .block_on(self.client.current_url())
            .expect("it is somewhere");
        url.to_string()
    }

    /// Runs `script` in the page and answers what it returns; `arguments` are its arguments.
    pub fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        runtime()
            .block_on(self.client.execute(script, arguments))
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The value of an expression in the page.
    pub fn value(&self, expression: &str) -> Value {
        self.run(&format!("return {expression};"), Vec::new())
    }

    /// Waits until an expression in the page is true.
    pub fn wait(&self, for_what: &str, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let script = format!("return {expression};");
        loop {
            // While a page is left for another there is nothing to ask.
            let now = runtime().block_on(self.client.execute(&script, Vec::new()));
            match now {
                Ok(value) if !matches!(value, Value::Null | Value::Bool(false)) => return value,
                last => assert!(
                    Instant::now() < deadline,
                    "waited in vain for {for_what} ({last:?})\n{}",
                    self.story()
                ),
            }
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Where the browser is, what it shows and what it said.
    fn story(&self) -> String {
        let shown = self.value("document.body.innerText");
        format!(
            "at {}\n{}\nconsole: {:#?}",
            self.address(),
            shown.as_str().unwrap_or_default(),
            self.console()
        )
    }

    /// The first visible element of a CSS selector, waiting for it.
    fn find(&self, selector: &str) -> Element {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = runtime().block_on(async {
                for element in self.client.find_all(Locator::Css(selector)).await? {
                    if element.is_displayed().await? {
                        return Ok::<_, CmdError>(Some(element));
                    }
                }
                Ok(None)
            });
            if let Ok(Some(element)) = found {
                return element;
            }
            assert!(
                Instant::now() < deadline,
                "no {selector} is seen\n{}",
                self.story()
            );
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Clicks on what a person would see.
    pub fn click(&self, selector: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let element = self.find(selector);
            // Bars stay at the edges of the screen: what is below them is brought to the middle first, as a person does.
            let script = "arguments[0].scrollIntoView({ block: 'center', inline: 'center' });";
            let argument = serde_json::to_value(&element).expect("elements are values");
            let click = async {
                self.client.execute(script, vec![argument]).await?;
                element.click().await
            };
            match runtime().block_on(click) {
                Ok(()) => break,
                // It was replaced or covered between the look and the click.
                Err(error) => assert!(Instant::now() < deadline, "{selector}: {error}\n{}", self.story()),
            }
            thread::sleep(Duration::from_millis(30));
        }
        self.clicks.set(self.clicks.get() + 1);
    }

    /// Clicks so far.
    pub fn clicks(&self) -> u32 {
        self.clicks.get()
    }

    /// Types into a field after what is in it. `\n` is the Enter key.
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        runtime()
            .block_on(element.send_keys(&text.replace('\n', "\u{e007}")))
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Types into a field in place of what is in it.
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        runtime()
            .block_on(async {
                element.clear().await?;
                element.send_keys(text).await
            })
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Chooses an entry of a list by its words.
    pub fn choose(&self, selector: &str, words: &str) {
        let element = self.find(selector);
        runtime()
            .block_on(element.select_by_label(words))
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// The words of an element, as they are seen.
    pub fn text(&self, selector: &str) -> String {
        runtime()
            .block_on(self.find(selector).text())
            .unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// What a field holds.
    pub fn typed(&self, selector: &str) -> String {
        let value = self.run(
            "return document.querySelector(arguments[0]).value;",
            vec![json!(selector)],
        );
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Loads the page again.
    pub fn reload(&self) {
        runtime()
            .block_on(self.client.refresh())
            .expect("a page loads again");
    }

    /// What the browser said since it was last asked: errors and warnings, policies broken among them.
    pub fn console(&self) -> Vec<String> {
        let entries = self.extension("se/log", json!({"type": "browser"}));
        let said = entries.as_array().into_iter().flatten();
        said.map(|entry| format!("{} {}", entry["level"], entry["message"]))
            .collect()
    }

    /// The requests that were made since it was last asked.
    pub fn requests(&self) -> Vec<Sent> {
        let entries = self.extension("se/log", json!({"type": "performance"}));
        let mut sent: Vec<(String, Sent)> = Vec::new();
        for entry in entries.as_array().into_iter().flatten() {
            let text = entry["message"].as_str().unwrap_or_default();
            let message: Value = serde_json::from_str(text).unwrap_or_default();
            let message = &message["message"];
            let params = &message["params"];
            let id = params["requestId"].as_str().unwrap_or_default();
            match message["method"].as_str() {
                Some("Network.requestWillBeSent") => {
                    let url = params["request"]["url"].as_str().unwrap_or_default().to_owned();
                    sent.push((id.to_owned(), Sent { url, bytes: 0 }));
                }
                Some("Network.loadingFinished") => {
                    if let Some((_, request)) = sent.iter_mut().rev().find(|(known, _)| known == id) {
                        let length = &params["encodedDataLength"];
                        #[expect(
                            clippy::cast_possible_truncation,
                            reason = "a whole number, written as a float"
                        )]
                        let as_float = || length.as_f64().map(|bytes| bytes as u64);
                        request.bytes = length.as_u64().or_else(as_float).unwrap_or(0);
                    }
                }
                _ => {}
            }
        }
        sent.into_iter().map(|(_, request)| request).collect()
    }

    /// Keeps a picture of the screen.
    pub fn picture(&self, path: &Path) {
        let picture = runtime()
            .block_on(self.client.screenshot())
            .expect("a page can be drawn");
        std::fs::write(path, picture).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ending the session ends chromium; the driver is ours alone.
        _ = runtime().block_on(self.client.clone().close());
        _ = self.driver.kill();
        _ = self.driver.wait();
    }
}
