//! A certified OpenID provider, and a browser in which people log in to it.

use std::{collections::BTreeMap, net::SocketAddr};

use tempfile::TempDir;

use crate::{
    http::{self, Response},
    node,
    process::{Running, start_server},
};

/// `tests/typescript/provider.mjs`, listening on a loopback port of its own. It knows its clients and people.
pub struct OpenIdProvider {
    address: SocketAddr,
    _process: Running,
    _folder: TempDir,
}

/// A browser that fills in forms: cookies, redirects, and nothing else.
pub struct Browser {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
}

/// Longest way from a code to the page that says it is done.
const PAGES_MAX: usize = 10;
/// What the provider's last page says.
const DONE: &str = "Sign-in Success";

impl OpenIdProvider {
    /// Starts it. `BAILIWICK_TEST_NODE` names the folder in which `tests/run` installed its modules.
    pub fn start() -> OpenIdProvider {
        OpenIdProvider::with_codes_of(600)
    }

    /// The same where a device's code lasts so many seconds.
    pub fn with_codes_of(seconds: u64) -> OpenIdProvider {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let command = |address: SocketAddr| {
            let mut command = node::script(folder.path(), "provider.mjs");
            command.args([address.port().to_string(), seconds.to_string()]);
            command
        };
        let ready = |address| {
            http::get(address, "/.well-known/openid-configuration").is_ok_and(|it| it.status == 200)
        };
        let (process, address) = start_server(&folder.path().join("output"), command, ready);
        OpenIdProvider { address, _process: process, _folder: folder }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its tokens hold as `iss`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A token that a client gets for itself, for a server and with scopes.
    pub fn token(&self, client: &str, resource: &str, scope: &str) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", "for-tests-only"),
            ("resource", resource),
            ("scope", scope),
        ];
        let answer = send(self.address, "POST", "/token", &[], &encoded(&form));
        let body: serde_json::Value =
            serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
        body["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    /// Puts its clock back by so many seconds, so that what it gives ends sooner.
    pub fn behind(&self, seconds: u64) {
        send(self.address, "POST", &format!("/clock?behind={seconds}"), &[], "");
    }

    /// The same as it was given an hour ago, and has ended since.
    pub fn token_of_an_hour_ago(&self, client: &str, resource: &str, scope: &str) -> String {
        self.behind(3600);
        let token = self.token(client, resource, scope);
        self.behind(0);
        token
    }

    /// A browser that has been nowhere yet.
    pub fn browser(&self) -> Browser {
        Browser { address: self.address, cookies: BTreeMap::new() }
    }
}

impl Browser {
    /// Enters a device's code, logs in as a person and agrees to what is asked for.
    pub fn approve(&mut self, code: &str, person: &str) {
        let known = [("user_code", code), ("login", person), ("password", "any")];
        let mut page = self.open("/device");
        for _ in 0..PAGES_MAX {
            if page.body.contains(DONE) {
                return;
            }
            page = self.submit(&page, &known, &[]);
        }
        panic!("{PAGES_MAX} pages, and no end: {page:?}");
    }

    /// Enters a device's code and says no.
    pub fn deny(&mut self, code: &str) {
        let page = self.open("/device");
        let page = self.submit(&page, &[("user_code", code)], &[]);
        self.submit(&page, &[], &[("abort", "yes")]);
    }

    /// Logs in as a person where somebody else's page sent them, and gives the address that they are sent back to.
    pub fn log_in(&mut self, place: &str, person: &str) -> String {
        let known = [("login", person), ("password", "any")];
        let mut page = self.open(place);
        for _ in 0..PAGES_MAX {
            match page.header("location").filter(|_| (300..400).contains(&page.status)) {
                Some(elsewhere) => return elsewhere.to_owned(),
                None => page = self.submit(&page, &known, &[]),
            }
        }
        panic!("{PAGES_MAX} pages, and no way back: {page:?}");
    }

    fn open(&mut self, path: &str) -> Response {
        let answer = self.send("GET", path, "");
        self.follow(answer)
    }

    /// Fills in the form of a page, what is hidden as it stands there.
    fn submit(&mut self, page: &Response, known: &[(&str, &str)], more: &[(&str, &str)]) -> Response {
        let (_, form) = page.body.split_once("<form").unwrap_or_else(|| panic!("no form: {page:?}"));
        let form = form.split("</form>").next().unwrap_or_default();
        let action = attribute(form, "action").unwrap_or_else(|| panic!("no action: {form}")).to_owned();
        let mut fields = Vec::new();
        for input in form.split("<input").skip(1).map(|it| it.split('>').next().unwrap_or_default()) {
            let Some(name) = attribute(input, "name") else { continue };
            let value = known.iter().find(|it| it.0 == name).map(|it| it.1);
            fields.push((name, value.or_else(|| attribute(input, "value")).unwrap_or_default()));
        }
        fields.extend(more);
        let answer = self.send("POST", &action, &encoded(&fields));
        self.follow(answer)
    }

    fn follow(&mut self, answer: Response) -> Response {
        let mut answer = answer;
        let ours = format!("http://{}", self.address);
        let is_here = |it: &str| it.starts_with('/') || it.starts_with(&ours);
        for _ in 0..PAGES_MAX {
            match answer.header("location").map(str::to_owned) {
                Some(next) if (300..400).contains(&answer.status) && is_here(&next) => {
                    answer = self.send("GET", &next, "");
                }
                _ => return answer,
            }
        }
        panic!("{PAGES_MAX} redirects: {answer:?}")
    }

    fn send(&mut self, method: &str, place: &str, form: &str) -> Response {
        let path = place.strip_prefix(&format!("http://{}", self.address)).unwrap_or(place);
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let answer = send(self.address, method, path, &[("Cookie", &cookies)], form);
        for (_, cookie) in answer.headers.iter().filter(|it| it.0 == "set-cookie") {
            let (name, value) =
                cookie.split(';').next().and_then(|it| it.split_once('=')).unwrap_or_default();
            match value.is_empty() {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        answer
    }
}

fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], form: &str) -> Response {
    let mut headers = headers.to_vec();
    headers.push(("Content-Type", "application/x-www-form-urlencoded"));
    http::send_with(address, method, path, &headers, form.as_bytes()).expect("the provider answers")
}

/// The value of an attribute in the text of one tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

fn encoded(form: &[(&str, &str)]) -> String {
    let letter = |it: u8| match it {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(it).to_string(),
        other => format!("%{other:02X}"),
    };
    let text = |it: &str| it.bytes().map(letter).collect::<String>();
    let pairs: Vec<String> =
        form.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
    pairs.join("&")
}
