//! A browser that nobody here wrote: Debian's Chromium without a window, driven over its DevTools protocol.
//!
//! Clicks and keys are what a person's hands would do: a button that cannot be seen cannot be clicked.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::centre::{PATIENCE, wait_for};

/// A page in a browser of its own; both go when it is dropped.
pub struct Page {
    browser: Child,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    asked: u64,
    /// What the page complained of: exceptions and errors on its console.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Page {
    /// Opens this address, 1280 by 900, in English.
    pub fn open(url: &str) -> Page {
        Page::open_with(url, &[])
    }

    /// The same with further arguments of the browser.
    pub fn open_with(url: &str, more: &[&str]) -> Page {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let mut browser = Command::new("chromium-headless-shell")
            .args(["--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .args(["--window-size=1280,900", "--lang=en", "--no-first-run"])
            .args(more)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .env("LANGUAGE", "en")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium-headless-shell is installed (make test installs it)");
        let socket = connect(&mut browser);
        let mut page = Page {
            browser,
            socket,
            session: None,
            asked: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = page.call("Target.attachToTarget", attach);
        page.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable"] {
            page.call(domain, json!({}));
        }
        page.call("Page.navigate", json!({"url": url}));
        page.wait(
            "the page",
            "document.readyState === 'complete' && location.href !== 'about:blank'",
        );
        page
    }

    /// A command of the DevTools protocol and its result.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let text = Message::text(command.to_string());
        self.socket.send(text).expect("the browser listens");
        loop {
            let Message::Text(text) = self.socket.read().expect("the browser answers") else {
                continue;
            };
            let said: Value = serde_json::from_str(&text).expect("JSON");
            if said["id"] == id {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].clone();
            }
            self.note(&said);
        }
    }

    fn note(&mut self, said: &Value) {
        let params = &said["params"];
        let bad = match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(params["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => {
                Some(params["args"].to_string())
            }
            _ => None,
        };
        self.complaints.extend(bad);
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, what: &str, expression: &str) {
        let expression = format!(
            "(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()"
        );
        let started = std::time::Instant::now();
        while self.evaluate(&expression) != json!(true) {
            if started.elapsed() > PATIENCE {
                let text = self.evaluate("document.body.innerText");
                panic!("{what}: the page shows {text}");
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until an element can be seen and holds this text.
    pub fn wait_text(&mut self, selector: &str, text: &str) {
        let expression = format!("{}.innerText.includes({})", element(selector), json!(text));
        self.wait(&format!("{text:?} in {selector}"), &expression);
    }

    /// Whether an element can be seen.
    pub fn sees(&mut self, selector: &str) -> bool {
        self.evaluate(&format!(
            "Boolean({}?.checkVisibility())",
            element(selector)
        )) == json!(true)
    }

    pub fn wait_seen(&mut self, selector: &str, seen: bool) {
        let expression = format!(
            "Boolean({}?.checkVisibility()) === {seen}",
            element(selector)
        );
        self.wait(&format!("{selector} seen {seen}"), &expression);
    }

    /// Presses and releases the mouse in the middle of an element, which must be on top there.
    pub fn click(&mut self, selector: &str) {
        self.wait_seen(selector, true);
        let place = self.evaluate(&format!(
            "(() => {{ const e = {}; e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect(); \
             const x = r.x + r.width / 2, y = r.y + r.height / 2; const top = document.elementFromPoint(x, y); \
             return e === top || e.contains(top) ? [x, y] : [top?.outerHTML]; }})()",
            element(selector)
        ));
        let (Some(x), Some(y)) = (place[0].as_f64(), place[1].as_f64()) else {
            panic!("{selector} is under {place}");
        };
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// Clicks into a field and writes; what was there goes.
    pub fn write(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.evaluate(&format!("{}.select()", element(selector)));
        self.call("Input.insertText", json!({"text": text}));
    }

    /// A key together with Alt, by its letter.
    pub fn alt(&mut self, letter: char) {
        self.key(
            &letter.to_lowercase().to_string(),
            &format!("Key{letter}"),
            1,
        );
    }

    pub fn key(&mut self, key: &str, code: &str, modifiers: u32) {
        for kind in ["rawKeyDown", "keyUp"] {
            let params = json!({"type": kind, "key": key, "code": code, "modifiers": modifiers});
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// A picture of the whole page, kept under `target/desk`.
    pub fn picture(&mut self, name: &str) {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.call("Page.captureScreenshot", params);
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/desk");
        std::fs::create_dir_all(&directory).expect("a folder");
        let bytes = base64(shot["data"].as_str().expect("a picture"));
        assert!(bytes.starts_with(b"\x89PNG"), "a PNG");
        std::fs::write(directory.join(name).with_extension("png"), bytes).expect("a file");
    }
}

fn element(selector: &str) -> String {
    format!("document.querySelector({})", json!(selector))
}

/// Chromium says on its standard error where it listens.
fn connect(browser: &mut Child) -> WebSocket<MaybeTlsStream<TcpStream>> {
    let errors = browser.stderr.take().expect("it is piped");
    let (found, where_it_listens) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                let _ = found.send(url.to_owned());
            }
        }
    });
    let url = where_it_listens
        .recv_timeout(PATIENCE)
        .expect("Chromium listens");
    wait_for("Chromium's DevTools", || tungstenite::connect(&url).ok()).0
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text
        .bytes()
        .filter_map(|byte| ALPHABET.iter().position(|&known| known == byte));
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for digit in digits {
        bits = bits << 6 | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    bytes
}

impl Drop for Page {
    fn drop(&mut self) {
        // Debian's command is a shell script that waits for the browser: both are one group, as are the browser's helpers.
        let group = format!("-{}", self.browser.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).status();
        let _ = self.browser.wait();
    }
}
