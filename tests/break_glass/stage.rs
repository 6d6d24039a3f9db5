//! People with tokens of a real OpenID provider, at a real server that tells a webhook.

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Behaviour, OpenIdProvider, Recorder},
    cli::{Ended, Home},
    http,
    mcp::{Response, Version},
    remote::{Remote, Served},
    wait_until,
};

const ACT: &str = "bailiwick:read bailiwick:act";
const APPROVE: &str = "bailiwick:approve";
const KEY: &str = "whsec_c2l4dGVlbiBieXRlcyBhcmUgdG9vIGZldyBoZXJl";

/// The platform's people approve, and break the glass for three quarters of an hour; never for what bob has done. Nobody silences
/// anything for long.
const WHO: &str = r#"
@id("who.sre")
@reason("the SREs approve")
permit (principal is User in Team::"platform", action == Action::"approve", resource)
when { context.assurance == "token" };
@id("glass.sre")
permit (principal is User in Team::"platform", action == Action::"break_glass", resource)
when { context.assurance == "token" && context.minutes <= 45 };
@id("glass.never")
@reason("what bob has done takes others, at any hour")
@instead("ask two of the SREs")
forbid (principal, action == Action::"break_glass", resource)
when { context has on_behalf_of && context.on_behalf_of == User::"bob" };
@id("never.long")
@reason("nothing is silent for so long")
forbid (principal, action == Action::"silence_alert", resource) when { context.input.duration_minutes > 240 };
"#;

pub(crate) const NOTIFY: &str = "[[approvals.notify]]\nurl = { env = \"HOOK_URL\" }\nformat = \"json\"\nsecret = { env = \"HOOK_KEY\" }\n";

pub(crate) struct Stage {
    pub(crate) home: Home,
    pub(crate) served: Served,
    provider: OpenIdProvider,
    alerts: Recorder,
    hook: Recorder,
}

impl Stage {
    /// Two people have to approve a silence.
    pub(crate) fn start(notify: &str) -> Stage {
        let alerts = Recorder::alone();
        alerts.on("GET", "/", Behaviour::json(200, "[]"));
        alerts.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let (provider, hook) = (OpenIdProvider::start(), Recorder::alone());
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"))
            .config(&format!(
                "[policy]\nallow = [\"list_*\", \"silence_alert\"]\n\
                 approve = [{{ rule = \"silence_alert\", approvals = 2 }}]\n\
                 files = [\"who.cedar\"]\n{notify}\
                 [agents.deployer]\nowner = \"dave\"\n\
                 [issuers.company]\nurl = \"{}\"\nalgorithms = [\"RS256\"]\nperson_claim = \"person\"\n\
                 teams = {{ sre = \"platform\" }}\n\
                 [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
                provider.url(),
                alerts.url(),
            ))
            .variable("HOOK_URL", hook.url())
            .variable("HOOK_KEY", KEY);
        home.file("who.cedar", WHO);
        let served = Served::start(&home, &["observability"], &[]);
        Stage { home, served, provider, alerts, hook }
    }

    pub(crate) fn agent(&self, client: &str) -> Remote {
        let token = self.provider.token(client, &self.served.url("observability"), ACT);
        self.served.client("observability", Version::V2026_07_28).bearing(&token)
    }

    fn desk_token(&self, client: &str) -> String {
        self.provider.token(client, &format!("http://{}/approvals", self.served.address()), APPROVE)
    }

    /// What comes of what somebody sends to the desk.
    pub(crate) fn post(&self, client: &str, path: &str, body: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.desk_token(client));
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
        let answer =
            http::send_with(self.served.address(), "POST", path, &headers, body.to_string().as_bytes());
        let answer = answer.expect("the desk answers");
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}")))
    }

    /// What comes of somebody's word on a request.
    pub(crate) fn says(&self, client: &str, word: &str, id: &str) -> (u16, Value) {
        self.post(client, &format!("/approvals/{id}/{word}"), &json!({ "comment": "seen" }))
    }

    /// Somebody breaks the glass for half an hour.
    pub(crate) fn opened(&self, client: &str) -> String {
        let (status, said) = self.post(client, "/break-glass", &json!({ "reason": "INC-7", "for": "30m" }));
        assert_eq!(status, 201, "{said}");
        said["break_glass"].as_str().expect("an id").to_owned()
    }

    /// Runs the command line as whoever a client's token names.
    pub(crate) fn run_as(&self, client: &str, arguments: &[&str]) -> Ended {
        let mut command = self.home.command(arguments);
        command.args(["--server", &format!("http://{}", self.served.address())]);
        command.env("BAILIWICK_TOKEN", self.desk_token(client));
        testkit::cli::run(&mut command, b"")
    }

    /// Waits until the webhook has heard of so many steps of a break-glass, and gives them.
    pub(crate) fn heard(&self, count: usize) -> Vec<Value> {
        wait_until(&format!("{count} steps"), DEADLINE, || {
            let told = self.hook.requests().into_iter();
            let told = told.filter_map(|it| serde_json::from_str::<Value>(&it.body).ok());
            let of_glass = |it: &Value| it["type"].as_str().is_some_and(|it| it.starts_with("break_glass."));
            let steps: Vec<Value> = told.filter(of_glass).collect();
            (steps.len() >= count).then_some(steps)
        })
    }

    /// What the server counts of those that nobody has reviewed.
    pub(crate) fn unreviewed(&self) -> String {
        let page = http::get(self.served.address(), "/metrics").expect("it answers").body;
        let line = page.lines().find_map(|it| it.strip_prefix("bailiwick_break_glass_unreviewed "));
        line.unwrap_or_else(|| panic!("{page}")).to_owned()
    }

    pub(crate) fn effects(&self) -> usize {
        self.alerts.requests().iter().filter(|it| it.method == "POST").count()
    }
}

pub(crate) fn silence(minutes: u64) -> Value {
    json!({ "matchers": ["alertname=\"Noise\""], "duration_minutes": minutes, "reason": "the test needs quiet" })
}

/// Asks for a silence that two people have to approve.
pub(crate) fn asked(agent: &mut Remote, minutes: u64) -> String {
    let asked = agent.call("silence_alert", silence(minutes));
    asked.structured()["approval"].as_str().unwrap_or_else(|| panic!("{}", asked.0)).to_owned()
}

pub(crate) fn run(agent: &mut Remote, id: &str) -> Response {
    agent.call("run_approved", json!({ "approval": id }))
}
