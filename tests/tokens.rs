//! Callers over HTTP, proven by the tokens of a real OpenID provider: who gets in, as whom, and how far.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{path::Path, process::Command};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use testkit::{
    backends::{Behaviour, GitRepository, OpenIdProvider, Recorder},
    cli::{self, Home},
    free_address, http,
    mcp::Version,
    node,
    remote::{Remote, Served},
};

const WINDOW: &str = "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z";
const READ: &str = "bailiwick:read";
const ACT: &str = "bailiwick:read bailiwick:act";

/// Everybody with a token reads; the platform's team silences; one file of one team is nobody's business.
const POLICY: &str = r#"
@id("reads")
permit (principal, action in Action::"effect:read", resource);

@id("platform-silences")
permit (principal in Team::"platform", action == Action::"silence_alert", resource);

@id("no-files")
@reason("files are read in the editor")
@instead("open the repository")
forbid (principal, action == Action::"read_file", resource);

@id("long-silences")
@reason("a person confirms a long silence")
forbid (principal, action == Action::"silence_alert", resource)
when { context.input.duration_minutes > 60 } unless { context.confirmed };
"#;

/// A team's server: the provider that proves callers, systems behind, and the binary listening.
struct World {
    home: Home,
    provider: OpenIdProvider,
    alerts: Recorder,
    served: Served,
    _shop: GitRepository,
}

impl World {
    fn start() -> World {
        let shop = GitRepository::shop();
        let alerts = Recorder::alone();
        alerts.on("GET", "/", Behaviour::json(200, "[]"));
        alerts.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let provider = OpenIdProvider::start();
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
            "[policy]\nfiles = [\"policy.cedar\"]\n\
             [issuers.company]\nurl = \"{}\"\nalgorithms = [\"RS256\"]\nperson_claim = \"person\"\n\
             teams = {{ sre = \"platform\" }}\n\
             [connections.shop]\nkind = \"git\"\npath = {:?}\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
            provider.url(),
            shop.path(),
            alerts.url(),
        ));
        home.file("policy.cedar", POLICY);
        let served = Served::start(&home, &["code", "observability"], &[]);
        World { home, provider, alerts, served, _shop: shop }
    }

    /// A token for one of the servers, as the provider gives it to a client.
    fn token(&self, client: &str, server: &str, scope: &str) -> String {
        self.provider.token(client, &self.served.url(server), scope)
    }

    fn client(&self, client: &str, server: &str, scope: &str) -> Remote {
        let token = self.token(client, server, scope);
        self.served.client(server, Version::V2026_07_28).bearing(&token)
    }

    fn tail(&self) -> String {
        self.home.run(["audit", "tail", "--json", "-n", "200"]).expect(0).stdout
    }
}

fn tools(client: &mut Remote) -> Vec<String> {
    let listed = client.request("tools/list", json!({})).result();
    let names = listed["tools"].as_array().expect("a list").iter().filter_map(|it| it["name"].as_str());
    names.map(str::to_owned).collect()
}

fn silence() -> Value {
    json!({ "matchers": ["alertname=\"Noise\""], "duration_minutes": 60, "reason": "the test needs quiet" })
}

#[test]
fn a_caller_is_whom_the_token_names_and_nobody_whom_a_header_names() {
    let world = World::start();
    let mut client = world.client("alices-agent", "code", READ);
    let message = client.message("tools/call", json!({ "name": "show_authority", "arguments": {} }));
    let lies = [
        ("x-forwarded-user", "mallory"),
        ("x-remote-user", "mallory"),
        ("x-bailiwick-agent", "mallory"),
        ("forwarded", "for=127.0.0.1;by=mallory"),
    ];
    let answer = client.post(&message, &lies);
    let said: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
    let who = &said["result"]["structuredContent"];
    assert_eq!(who["agent"], "claude-code", "{said}");
    assert_eq!(who["on_behalf_of"], "alice", "{said}");
    assert_eq!(who["teams"], json!(["platform"]), "groups that are no team do not count: {said}");
    assert_eq!(who["assurance"], "token", "{said}");
    let workload = world.client("deployer", "code", READ).call("show_authority", json!({}));
    assert_eq!(workload.structured()["agent"], "deployer");
    assert_eq!(workload.structured()["on_behalf_of"], Value::Null, "a token without a person is a workload");
    // A letter that merely looks like another names nobody.
    let (impostor, _) = world.client("impostor", "code", READ).exchange("tools/list", json!({}));
    assert_eq!(impostor.status, 401, "{impostor:?}");
    assert!(world.served.stop().success());
    let tail = world.home.run(["audit", "tail", "--json", "-n", "200"]).expect(0).stdout;
    assert!(tail.contains("alice") && !tail.contains("mallory"), "{tail}");
}

#[test]
fn doctor_says_whether_tokens_could_be_verified() {
    let world = World::start();
    let checks = |home: &Home| home.run(["doctor", "--json"]).json()["checks"].clone();
    let issuer = |checks: &Value| {
        let all = checks.as_array().expect("checks").iter();
        all.clone().find(|it| it["kind"] == "issuer").cloned().expect("a check of the issuer")
    };
    let right = issuer(&checks(&world.home));
    assert!(
        right["broken"] == false && right["found"].as_str().is_some_and(|it| it.starts_with("gives ")),
        "{right}"
    );
    let gone = Home::new(env!("CARGO_BIN_EXE_bailiwick"));
    let gone = gone.config(&format!("[issuers.gone]\nurl = \"http://{}\"\n", free_address()));
    let wrong = issuer(&checks(&gone));
    assert_eq!((&wrong["name"], &wrong["broken"]), (&json!("gone"), &json!(true)), "{wrong}");
}

#[test]
fn whoever_has_no_token_hears_where_tokens_come_from() {
    let world = World::start();
    let mut client = world.served.client("code", Version::V2026_07_28);
    let (answer, _) = client.exchange("tools/list", json!({}));
    let base = format!("http://{}", world.served.address());
    let path = "/.well-known/oauth-protected-resource/code/mcp";
    let right = format!("Bearer resource_metadata=\"{base}{path}\", scope=\"bailiwick:read\"");
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some(right.as_str())), "{answer:?}");
    let metadata = http::get(world.served.address(), path).expect("an answer");
    let metadata: Value = serde_json::from_str(&metadata.body).expect("metadata");
    assert_eq!(metadata["resource"], world.served.url("code"));
    assert_eq!(metadata["authorization_servers"], json!([world.provider.url()]));
    assert_eq!(metadata["scopes_supported"], json!([READ, "bailiwick:act", "bailiwick:approve"]));
    // In a header, once, and nowhere else.
    let token = world.token("alices-agent", "code", READ);
    let message = client.message("tools/list", json!({}));
    for value in [format!("Basic {token}"), token.clone(), "Bearer".to_owned(), "Bearer ".to_owned()] {
        assert_eq!(client.post(&message, &[("authorization", &value)]).status, 401, "{value}");
    }
    let body = message.to_string();
    let headers = client.headers(&message, &[]);
    let mut headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let path = format!("/code/mcp?access_token={token}");
    let answer =
        http::send_with(world.served.address(), "POST", &path, &headers, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 401);
    let (first, second) = (format!("Bearer {token}"), format!("Bearer {token}x"));
    headers.extend([("authorization", first.as_str()), ("authorization", second.as_str())]);
    let answer = http::send_with(world.served.address(), "POST", "/code/mcp", &headers, body.as_bytes());
    assert_eq!(answer.expect("an answer").status, 401, "of two tokens none counts");
}

#[test]
fn a_token_for_another_server_or_one_that_was_forged_is_refused_and_recorded() {
    let world = World::start();
    let token = world.token("alices-agent", "code", READ);
    let parts: Vec<&str> = token.split('.').collect();
    let encoded = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).expect("base64")).expect("claims");
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        format!("{}.{}.{}", parts[0], encoded(claims), parts[2])
    };
    let none = format!("{}.{}.", encoded(json!({ "alg": "none", "typ": "at+jwt" })), parts[1]);
    let confused = format!("{}.{}.{}", encoded(json!({ "alg": "HS256", "kid": "x" })), parts[1], parts[2]);
    for (token, word) in [
        (world.token("alices-agent", "observability", READ), "meant for another server"),
        (none, "algorithm"),
        (confused, "algorithm HS256"),
        (with("person", json!("bob")), "signature"),
        (with("exp", json!(4_000_000_000_u64)), "signature"),
        (with("iss", json!("https://evil.example")), "no issuer that is trusted"),
        (format!("{}.{}", parts[0], parts[1]), "no signed JSON Web Token"),
        ("x".repeat(8000), "no signed JSON Web Token"),
    ] {
        let mut client = world.served.client("code", Version::V2026_07_28).bearing(&token);
        let (answer, _) = client.exchange("tools/list", json!({}));
        assert_eq!(answer.status, 401, "{word}: {answer:?}");
        let told = answer.header("www-authenticate").unwrap_or_default();
        assert!(told.contains("error=\"invalid_token\"") && told.contains(word), "{word}: {told}");
        assert!(!answer.body.contains(&token), "a token is not repeated");
    }
    let tail = world.tail();
    let rejected = tail.lines().filter(|it| it.contains("unauthenticated"));
    assert_eq!(rejected.count(), 8, "{tail}");
    assert!(!tail.contains(parts[2]), "a token is in no record");
}

#[test]
fn a_token_reaches_as_far_as_its_scopes_and_then_as_policy_says() {
    let world = World::start();
    let (answer, _) = world
        .client("alices-agent", "observability", READ)
        .exchange("tools/call", json!({ "name": "silence_alert", "arguments": silence() }));
    let told = answer.header("www-authenticate").unwrap_or_default();
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(
        told.contains("error=\"insufficient_scope\"")
            && told.contains("scope=\"bailiwick:read bailiwick:act\""),
        "{told}"
    );
    let (answer, _) =
        world.client("alices-agent", "code", "bailiwick:approve").exchange("tools/list", json!({}));
    assert_eq!(answer.status, 403, "whoever may only approve reads nothing: {answer:?}");
    assert!(world.alerts.requests_to("POST", "/").is_empty());
    let bob = world.client("bobs-agent", "observability", ACT).call("silence_alert", silence());
    assert_eq!(bob.structured()["error"], "denied", "{}", bob.text());
    assert!(world.alerts.requests_to("POST", "/").is_empty(), "a scope permits nothing by itself");
    let alice = world.client("alices-agent", "observability", ACT).call("silence_alert", silence());
    assert!(!alice.is_error(), "{}", alice.text());
    let posted = world.alerts.requests_to("POST", "/");
    assert_eq!(posted.len(), 1);
    for request in world.alerts.requests() {
        let passed = request.headers.iter().any(|(name, _)| name == "authorization");
        assert!(!passed, "a caller's token goes nowhere else: {request:?}");
    }
}

#[test]
fn a_question_to_one_caller_is_answered_by_nobody_else() {
    let world = World::start();
    let mut long = silence();
    long["duration_minutes"] = json!(90);
    let mut alice =
        world.client("alices-agent", "observability", ACT).declaring(json!({ "elicitation": {} }));
    let asked = alice.call("silence_alert", long.clone()).result();
    let yes = json!({ "confirm": { "action": "accept", "content": { "confirm": true } } });
    let back = json!({
        "name": "silence_alert", "arguments": long, "requestState": asked["requestState"], "inputResponses": yes,
    });
    let bob = world.client("bobs-agent", "observability", ACT).request("tools/call", back.clone());
    assert_eq!(bob.error_code(), Some(-32602), "{}", bob.0);
    let reader = world.client("alices-agent", "observability", READ).exchange("tools/call", back.clone());
    assert_eq!(reader.0.status, 403, "an answer reaches no further than its token: {reader:?}");
    assert!(world.alerts.requests_to("POST", "/").is_empty());
    // A new token of the same caller will do.
    let done = world.client("alices-agent", "observability", ACT).request("tools/call", back);
    assert!(!done.is_error(), "{}", done.text());
    assert_eq!(world.alerts.requests_to("POST", "/").len(), 1);
    let request = world.home.run(["approvals", "list", "--all", "--json"]).expect(0).json()[0].clone();
    let vote = &request["votes"][0];
    assert_eq!((&vote["who"], &vote["assurance"]), (&json!("alice"), &json!("token")), "{request}");
}

#[test]
fn a_session_of_another_caller_is_refused() {
    let world = World::start();
    let token = |client: &str| world.token(client, "code", READ);
    let mut alice = world.served.client("code", Version::V2025_11_25).bearing(&token("alices-agent"));
    alice.greet();
    let session = alice.session().expect("a session").to_owned();
    let mut bob = world.served.client("code", Version::V2025_11_25).bearing(&token("bobs-agent"));
    let message = bob.message("tools/list", json!({}));
    let (stolen, other) = ([("mcp-session-id", session.as_str())], format!("Bearer {}", token("bobs-agent")));
    assert_eq!(bob.post(&message, &stolen).status, 404);
    let headers = [
        ("mcp-session-id", session.as_str()),
        ("authorization", other.as_str()),
        ("accept", "text/event-stream"),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    for method in ["GET", "DELETE"] {
        assert_eq!(bob.send(method, &headers, b"").status, 404, "{method}");
    }
    // A new token of the same caller goes on with it; none at all does not.
    let again = format!("Bearer {}", token("alices-agent"));
    let message = alice.message("tools/list", json!({}));
    assert_eq!(alice.post(&message, &[("authorization", &again)]).status, 200);
    assert_eq!(alice.post(&message, &[("authorization", "")]).status, 401);
}

#[test]
fn a_caller_is_shown_what_some_call_of_theirs_may_be_permitted() {
    let world = World::start();
    let alice = tools(&mut world.client("alices-agent", "observability", READ));
    let bob = tools(&mut world.client("bobs-agent", "observability", READ));
    assert!(alice.contains(&"silence_alert".to_owned()) && !bob.contains(&"silence_alert".to_owned()));
    assert!(bob.contains(&"query_metrics".to_owned()));
    let mut code = world.client("alices-agent", "code", READ);
    assert!(!tools(&mut code).contains(&"read_file".to_owned()), "nobody may, whatever the arguments");
    let listed = code.request("tools/list", json!({})).result();
    assert_eq!(listed["cacheScope"], "private", "{listed}");
    // Whoever calls what was not shown hears why not, and it is on record.
    let denied = code.call("read_file", json!({ "path": "checkout/pay.rs" }));
    assert_eq!(denied.structured()["policy"], "no-files", "{}", denied.text());
    assert!(denied.text().contains("open the repository"), "{}", denied.text());
    assert!(denied.receipt()["index"].is_u64());
    assert!(world.tail().contains("no-files"));
}

#[test]
fn a_flood_of_strangers_does_not_fill_the_log() {
    let world = World::start();
    for _ in 0..300 {
        let (answer, _) = world.served.client("code", Version::V2026_07_28).exchange("tools/list", json!({}));
        assert_eq!(answer.status, 401);
    }
    let recorded = world.home.run(["audit", "tail", "--json", "-n", "1000"]).expect(0).stdout;
    let recorded = recorded.lines().filter(|it| it.contains("unauthenticated")).count();
    assert!((60..200).contains(&recorded), "{recorded}");
    let mut alice = world.client("alices-agent", "code", READ);
    assert!(!alice.call("list_commits", json!({ "window": WINDOW })).is_error());
}

#[test]
fn official_clients_list_and_call_over_http() {
    let world = World::start();
    let token = world.token("alices-agent", "code", READ);
    let url = world.served.url("code");
    for (script, pin) in [("v1.ts", None), ("v2.ts", None), ("v2.ts", Some("2026-07-28"))] {
        let mut command = node::script(world.home.path(), script);
        command.env("URL", &url).env("TOKEN", &token).env("CALLS", "done,denied,wrong");
        command.envs(pin.map(|it| ("PIN", it)));
        let said = cli::run(&mut command, b"").expect(0).json();
        assert_eq!(said["version"], pin.unwrap_or("2025-11-25"), "{script}: {said}");
        assert!(said["done"]["structuredContent"]["rows"].is_array(), "{script}: {said}");
        assert!(said["done"]["_meta"]["io.bailiwick/receipt"].is_object(), "{script}: {said}");
        assert_eq!(said["denied"]["structuredContent"]["policy"], "no-files", "{script}: {said}");
        assert_eq!(said["wrong"]["structuredContent"]["argument"], "windw", "{script}: {said}");
    }
    let python = std::env::var("BAILIWICK_TEST_PYTHON").expect("tests/run installs it");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_client.py");
    let mut command = Command::new(python);
    command.arg(script).env_clear().env("URL", &url).env("TOKEN", &token).env("CALLS", "done,denied");
    let said = cli::run(&mut command, b"").expect(0).json();
    assert_eq!(said["done"]["isError"], false, "{said}");
    assert_eq!(said["denied"]["structuredContent"]["policy"], "no-files", "{said}");
}
