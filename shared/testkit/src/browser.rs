//! What does a browser show, and what does it refuse? A real Chromium without a window, driven over WebDriver
//! (<https://www.w3.org/TR/webdriver2/>) by its own driver.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{DEADLINE, Running, start_server, wait_until};

/// A Chromium with a profile of its own; ended when dropped.
pub struct Chromium {
    driver: SocketAddr,
    session: String,
    _process: Running,
    _folder: TempDir,
}

/// What WebDriver calls an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// No window; nothing asked of anybody but the addresses of this machine; ended with its driver, however that ends.
const OPTIONS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
    "--window-size=500,900",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

impl Chromium {
    /// Starts one. `tests/run` installs it.
    pub fn start() -> Chromium {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = std::env::var("PATH").unwrap_or_default();
        let command = |address: SocketAddr| {
            let mut command = Command::new("chromedriver");
            command.arg(format!("--port={}", address.port())).env_clear();
            command.env("PATH", &path).env("HOME", folder.path()).env("TMPDIR", folder.path());
            command
        };
        let ready = |address| send(address, "GET", "/status", None)["ready"] == true;
        let (process, driver) = start_server(&folder.path().join("output"), command, ready);
        let phone = json!({ "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 2.0, "mobile": true, "touch": true } });
        let wanted = json!({ "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": OPTIONS, "mobileEmulation": phone },
            "timeouts": { "implicit": 0, "pageLoad": 60_000, "script": 60_000 },
        } });
        let begun = send(driver, "POST", "/session", Some(&json!({ "capabilities": wanted })));
        let session = begun["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {begun}")).to_owned();
        Chromium { driver, session, _process: process, _folder: folder }
    }

    /// Goes to an address, as a person does who types it.
    pub fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.get("url").as_str().unwrap_or_default().to_owned()
    }

    /// What a person reads.
    pub fn text(&self) -> String {
        let told = self.run("return document.body ? document.body.innerText : ''");
        told.as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script in the page, as the person's own console would, and gives what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Whether the page has such an element.
    pub fn has(&self, css: &str) -> bool {
        self.find(css).is_some()
    }

    /// Presses what a selector names, and waits until the page that it leads to has come.
    pub fn press(&self, css: &str) {
        let element = self.find(css).unwrap_or_else(|| panic!("no {css}: {}", self.text()));
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Writes into a field.
    pub fn write(&self, css: &str, text: &str) {
        let element = self.find(css).unwrap_or_else(|| panic!("no {css}: {}", self.text()));
        self.post(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Waits until the page says this.
    pub fn wait_for(&self, text: &str) {
        wait_until(&format!("the page to say `{text}`"), DEADLINE, || {
            self.text().contains(text).then_some(())
        });
    }

    /// What stands in the frame that a selector names.
    pub fn text_in(&self, css: &str) -> String {
        let element = self.find(css).unwrap_or_else(|| panic!("no {css}: {}", self.text()));
        self.post("frame", &json!({ "id": { ELEMENT: element } }));
        let text = self.text();
        self.post("frame", &json!({ "id": null }));
        text
    }

    /// Cookies of the page, by name.
    pub fn cookies(&self) -> Vec<(String, String)> {
        let all = self.get("cookie");
        let text = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
        all.as_array().into_iter().flatten().map(|it| (text(it, "name"), text(it, "value"))).collect()
    }

    /// Takes a picture of what a person sees, as a PNG.
    pub fn picture(&self, path: &Path) {
        let picture = self.get("screenshot");
        let bytes = BASE64_STANDARD.decode(picture.as_str().unwrap_or_default()).expect("a picture");
        fs::write(path, bytes).expect("the folder is writable");
    }

    fn find(&self, css: &str) -> Option<String> {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.post("elements", &wanted);
        found[0][ELEMENT].as_str().map(str::to_owned)
    }

    fn get(&self, what: &str) -> Value {
        send(self.driver, "GET", &format!("/session/{}/{what}", self.session), None)
    }

    fn post(&self, what: &str, body: &Value) -> Value {
        let answer = send(self.driver, "POST", &format!("/session/{}/{what}", self.session), Some(body));
        assert!(answer.get("error").is_none(), "{what} {body}: {answer}");
        answer
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        send(self.driver, "DELETE", &format!("/session/{}", self.session), None);
    }
}

/// The value of an answer; null where there is none. The driver takes HTTP/1.1 only, and closes no connection.
fn send(driver: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Value {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect_timeout(&driver, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(90)))?;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let (mut stream, mut line, mut length) = (BufReader::new(stream), String::new(), 0);
        while stream.read_line(&mut line)? > 2 {
            let told = line.trim().split_once(':').filter(|it| it.0.eq_ignore_ascii_case("content-length"));
            length = told.and_then(|it| it.1.trim().parse().ok()).unwrap_or(length);
            line.clear();
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    let answer: Option<Value> = exchange().ok().and_then(|it| serde_json::from_slice(&it).ok());
    answer.map(|it| it["value"].clone()).unwrap_or_default()
}
