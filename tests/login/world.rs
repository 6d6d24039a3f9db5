//! A machine, an OpenID provider that people on it log in to, and something in production to act on.

use std::{fs, path::PathBuf, rc::Rc};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Behaviour, OpenIdProvider, Recorded, Recorder},
    cli::{Ended, Home},
    mcp::Session,
    wait_until,
};

/// What tokens are for here.
pub(crate) const AUDIENCE: &str = "https://bailiwick.example.com";

/// Everybody reads; the platform's team silences.
const POLICY: &str = "
@id(\"reads\") permit (principal, action in Action::\"effect:read\", resource);
@id(\"rehearsals\") permit (principal, action == Action::\"silence_alert\", resource) when { context.input.dry_run };
@id(\"platform\") permit (principal in Team::\"platform\", action == Action::\"silence_alert\", resource);
";

pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) provider: Rc<OpenIdProvider>,
    alerts: Recorder,
    config: String,
}

impl World {
    pub(crate) fn start() -> World {
        World::with_codes_of(600)
    }

    pub(crate) fn with_codes_of(seconds: u64) -> World {
        let provider = Rc::new(OpenIdProvider::with_codes_of(seconds));
        World::of(provider, &format!("audiences = [\"{AUDIENCE}\"]"), "", "production")
    }

    /// Another machine, with other words under the issuer and its login.
    pub(crate) fn with(&self, issuer: &str, login: &str) -> World {
        World::of(self.provider.clone(), issuer, login, "production")
    }

    /// Another machine, where the alerts are of another environment.
    pub(crate) fn in_environment(&self, environment: &str) -> World {
        World::of(self.provider.clone(), &format!("audiences = [\"{AUDIENCE}\"]"), "", environment)
    }

    /// The same with a part of its configuration replaced.
    pub(crate) fn text(self, from: &str, to: &str) -> World {
        let config = self.config.replacen(from, to, 1);
        assert_ne!(config, self.config, "{from} stands in it");
        World { home: self.home.config(&config), config, ..self }
    }

    /// A home with nothing but a configuration.
    pub(crate) fn plain(&self, config: &str) -> Home {
        Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(config)
    }

    fn of(provider: Rc<OpenIdProvider>, issuer: &str, login: &str, environment: &str) -> World {
        let alerts = Recorder::alone();
        alerts.on("GET", "/", Behaviour::json(200, "[]"));
        alerts.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let login = if login.is_empty() { String::new() } else { format!(", {login}") };
        let config = format!(
            "[identity]\nagent = \"claude-code\"\nperson = \"whoever\"\nteams = [\"platform\"]\n\
             [policy]\nfiles = [\"policy.cedar\"]\n\
             [issuers.company]\nurl = \"{}\"\nalgorithms = [\"RS256\"]\nperson_claim = \"person\"\n\
             teams = {{ sre = \"platform\" }}\n{issuer}\n\
             login = {{ client_id = \"laptop\", resource = \"{AUDIENCE}\"{login} }}\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\nenvironment = \"{environment}\"\n",
            provider.url(),
            alerts.url(),
        );
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config);
        home.file("policy.cedar", POLICY);
        World { home, provider, alerts, config }
    }

    /// Starts `bailiwick login` and gives the code that it tells the person.
    pub(crate) fn login(&self, options: &[&str]) -> (Session, String) {
        let mut login = Session::start(&mut self.home.command(["login"].iter().chain(options)));
        let code = wait_until("the code", DEADLINE, || {
            let told = login.errors();
            assert!(!login.ended(), "it ended by itself: {told}");
            let (_, rest) = told.split_once(" enter the code ")?;
            Some(rest.split_once(' ')?.0.to_owned())
        });
        let told = login.errors();
        assert!(told.contains(&format!("{}/device", self.provider.url())), "{told}");
        (login, code)
    }

    /// Logs a person in.
    pub(crate) fn logged_in(&self, person: &str) {
        let (mut login, code) = self.login(&[]);
        self.provider.browser().approve(&code, person);
        let ended = login.wait();
        let line = login.line(DEADLINE).unwrap_or_default();
        assert!(
            ended.success() && line.starts_with(&format!("logged in as {person} ")),
            "{line}{}",
            login.errors()
        );
    }

    /// Calls what only the platform's team may.
    pub(crate) fn silence(&self) -> Ended {
        self.home.call("observability", "silence_alert", &silence())
    }

    pub(crate) fn explain(&self) -> Ended {
        let arguments = silence().to_string();
        self.home.run(["policy", "explain", "observability", "silence_alert", "--json", &arguments])
    }

    /// What reached the alerts and changes something.
    pub(crate) fn posted(&self) -> Vec<Recorded> {
        self.alerts.requests_to("POST", "/")
    }

    pub(crate) fn tail(&self) -> Vec<Value> {
        let tail = self.home.run(["audit", "tail", "--json", "-n", "200"]).expect(0).stdout;
        tail.lines().map(|it| serde_json::from_str(it).expect("a record")).collect()
    }

    /// Everything that the log holds, as bytes that could be text.
    pub(crate) fn logs(&self) -> String {
        let files = testkit::files(&self.home.state().join("logs"));
        files
            .iter()
            .map(|it| String::from_utf8_lossy(&fs::read(it).expect("readable")).into_owned())
            .collect()
    }

    /// What `doctor` says of one thing.
    pub(crate) fn check(&self, kind: &str) -> Value {
        let checks = self.home.run(["doctor", "--json"]).json()["checks"].clone();
        let found = checks.as_array().expect("checks").iter().find(|it| it["kind"] == kind).cloned();
        found.unwrap_or_else(|| panic!("no {kind}: {checks}"))
    }

    /// Where the login is kept.
    pub(crate) fn kept(&self) -> PathBuf {
        self.home.state().join("login.json")
    }

    pub(crate) fn kept_text(&self) -> String {
        fs::read_to_string(self.kept()).expect("somebody is logged in")
    }
}

pub(crate) fn silence() -> Value {
    json!({ "matchers": ["alertname=\"Noise\""], "duration_minutes": 60, "reason": "the test needs quiet" })
}
