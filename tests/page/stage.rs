//! A team's server with the page, the provider that people log in to, an agent that asks, and two ways to come: a browser, and what
//! no browser would send.

use serde_json::{Value, json};
use testkit::{
    backends::{Behaviour, Browser, OpenIdProvider, Recorder},
    browser::Chromium,
    cli::Home,
    http::{self, Response},
    mcp::{Response as Reply, Version},
    remote::{Remote, Served},
};

const ACT: &str = "bailiwick:read bailiwick:act";
const APPROVE: &str = "bailiwick:approve";
pub(crate) const REASON: &str = "the test needs quiet";

/// The platform's team silences once as many of its people agree as the lists say.
const WHO: &str = r#"
@id("who.sre")
@reason("the SREs approve")
permit (principal is User in Team::"platform", action == Action::"approve", resource)
when { context.assurance == "token" };
"#;

pub(crate) struct Stage {
    pub(crate) home: Home,
    pub(crate) provider: OpenIdProvider,
    pub(crate) served: Served,
    alerts: Recorder,
}

/// Somebody who sends what they like, with the cookies that they were given.
pub(crate) struct Visit<'a> {
    stage: &'a Stage,
    at_provider: Browser,
    pub(crate) cookies: Vec<(String, String)>,
}

impl Stage {
    pub(crate) fn start() -> Stage {
        Stage::with(1, "client_id = \"page\"")
    }

    /// The same where so many people have to agree, and with other words about the page.
    pub(crate) fn with(people: u8, page: &str) -> Stage {
        let provider = OpenIdProvider::start();
        let alerts = Recorder::alone();
        alerts.on("GET", "/", Behaviour::json(200, "[]"));
        alerts.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"))
            .config(&format!(
                "[policy]\nallow = [\"list_*\", \"silence_alert\"]\n\
                 approve = [{{ rule = \"silence_alert\", approvals = {people} }}]\nfiles = [\"who.cedar\"]\n\
                 [approvals]\napprovals_per_hour = 3\n[approvals.page]\nissuer = \"company\"\n{page}\n\
                 [issuers.company]\nurl = \"{}\"\nalgorithms = [\"RS256\"]\nperson_claim = \"person\"\n\
                 teams = {{ sre = \"platform\" }}\n\
                 [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\nenvironment = \"production\"\nteam = \"shop\"\n",
                provider.url(),
                alerts.url(),
            ))
            .variable("PAGE_SECRET", "for tests: 100% +");
        home.file("who.cedar", WHO);
        let served = Served::start(&home, &["observability"], &[]);
        Stage { home, provider, served, alerts }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.served.address())
    }

    pub(crate) fn link(&self, id: &str) -> String {
        format!("{}/decide/{id}", self.base())
    }

    pub(crate) fn agent(&self) -> Remote {
        let token = self.provider.token("alices-agent", &self.served.url("observability"), ACT);
        self.served.client("observability", Version::V2026_07_28).bearing(&token)
    }

    /// How a request stands, as the desk tells a program.
    pub(crate) fn shown(&self, id: &str) -> Value {
        let desk = format!("{}/approvals", self.base());
        let bearer = format!("Bearer {}", self.provider.token("carols-phone", &desk, APPROVE));
        let path = format!("/approvals/{id}");
        let answer = http::send_with(self.served.address(), "GET", &path, &[("Authorization", &bearer)], b"");
        serde_json::from_str(&answer.expect("the desk answers").body).expect("JSON")
    }

    /// State and number of votes.
    pub(crate) fn stands(&self, id: &str) -> (String, usize) {
        let shown = self.shown(id);
        let votes = shown["votes"].as_array().map_or(0, Vec::len);
        (shown["state"].as_str().unwrap_or_default().to_owned(), votes)
    }

    /// What the log says of everything that was refused at the page.
    pub(crate) fn refusals(&self) -> String {
        let tail = self.home.run(["audit", "tail", "--json", "-n", "200"]).expect(0).stdout;
        tail.lines().filter(|it| it.contains("page: ")).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn effects(&self) -> usize {
        self.alerts.requests().iter().filter(|it| it.method == "POST").count()
    }

    /// A browser in which somebody has followed the link and logged in.
    pub(crate) fn logged_in(&self, person: &str, id: &str) -> Chromium {
        let browser = Chromium::start();
        browser.open(&self.link(id));
        log_in(&browser, person);
        browser.wait_for(&format!("You are {person}"));
        browser
    }

    /// Somebody without a browser.
    pub(crate) fn visit(&self) -> Visit<'_> {
        Visit { stage: self, at_provider: self.provider.browser(), cookies: Vec::new() }
    }

    /// The same, logged in.
    pub(crate) fn visit_of(&self, person: &str, id: &str) -> Visit<'_> {
        let mut visit = self.visit();
        let callback = visit.until_callback(person, id);
        let entered = visit.get(&callback, &[]);
        assert_eq!(entered.header("location"), Some(format!("/decide/{id}").as_str()), "{entered:?}");
        visit
    }
}

impl Visit<'_> {
    /// Follows the link and logs in, up to where the provider sends the browser back.
    pub(crate) fn until_callback(&mut self, person: &str, id: &str) -> String {
        let sent = self.get(&format!("/decide/{id}"), &NAVIGATES);
        let place = sent.header("location").unwrap_or_else(|| panic!("{sent:?}")).to_owned();
        let back = self.at_provider.log_in(&place, person);
        let path = back.strip_prefix(&self.stage.base());
        path.unwrap_or_else(|| panic!("{back}")).to_owned()
    }

    pub(crate) fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send("GET", path, headers, "")
    }

    /// Sends what the form of the page would send, from there.
    pub(crate) fn says(&mut self, id: &str, word: &str) -> Response {
        let token = self.token(id);
        self.posts(id, &[("token", &token), ("word", word), ("comment", "seen")], &[])
    }

    /// Sends fields from the page itself; of headers with an empty value none are sent.
    pub(crate) fn posts(&mut self, id: &str, form: &[(&str, &str)], replaced: &[(&str, &str)]) -> Response {
        let base = self.stage.base();
        let mut headers = vec![
            ("Origin", base.as_str()),
            ("Sec-Fetch-Site", "same-origin"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        headers.retain(|(name, _)| !replaced.iter().any(|it| it.0 == *name));
        headers.extend(replaced.iter().filter(|it| !it.1.is_empty()));
        self.send("POST", &format!("/decide/{id}"), &headers, &encoded(form))
    }

    /// What the form of a request holds to prove that it is ours.
    pub(crate) fn token(&mut self, id: &str) -> String {
        let page = self.get(&format!("/decide/{id}"), &[]);
        let (_, rest) = page.body.split_once("name=\"token\" value=\"").unwrap_or_else(|| panic!("{page:?}"));
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = headers.to_vec();
        headers.extend((!cookies.is_empty()).then_some(("Cookie", cookies.as_str())));
        let answer = http::send_with(self.stage.served.address(), method, path, &headers, body.as_bytes());
        let answer = answer.expect("the page answers");
        for (_, cookie) in answer.headers.iter().filter(|it| it.0 == "set-cookie") {
            let (name, value) = cookie.split(';').next().and_then(|it| it.split_once('=')).expect("a cookie");
            self.cookies.retain(|it| it.0 != name);
            self.cookies.extend((!value.is_empty()).then(|| (name.to_owned(), value.to_owned())));
        }
        answer
    }
}

/// What a browser says when a person goes somewhere.
pub(crate) const NAVIGATES: [(&str, &str); 2] =
    [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];

/// Logs in where the provider asks, and agrees to what the page asks it for.
pub(crate) fn log_in(browser: &Chromium, person: &str) {
    browser.wait_for("Sign-in");
    browser.write("input[name=login]", person);
    browser.write("input[name=password]", "any");
    browser.press("button[type=submit]");
    browser.wait_for("Authorize");
    browser.press("button[type=submit]");
}

pub(crate) fn silence(reason: &str) -> Value {
    json!({ "matchers": ["alertname=\"Noise\""], "duration_minutes": 60, "reason": reason })
}

/// Asks, and says under which id it waits.
pub(crate) fn asked(agent: &mut Remote, reason: &str) -> String {
    let asked = agent.call("silence_alert", silence(reason));
    asked.structured()["approval"].as_str().unwrap_or_else(|| panic!("{}", asked.0)).to_owned()
}

pub(crate) fn run(agent: &mut Remote, id: &str) -> Reply {
    agent.call("run_approved", json!({ "approval": id }))
}

fn encoded(form: &[(&str, &str)]) -> String {
    let letter = |it: u8| match it {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(it).to_string(),
        other => format!("%{other:02X}"),
    };
    let text = |it: &str| it.bytes().map(letter).collect::<String>();
    form.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join("&")
}
