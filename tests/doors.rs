//! Six doors through which gates of this kind fail open: no rules, a rule that breaks, nobody to ask, a full log, no
//! identity, a rule that matches nothing. Each is closed, and the backend hears nothing.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::process::Command;

use serde_json::{Value, json};
use testkit::{
    backends::{Behaviour, Recorder},
    cli::{self, Home},
    mcp::{Response, Session, Version},
};

/// A home whose one system of record would do whatever it is asked, and remembers who asked.
fn home(policy: &str) -> (Home, Recorder) {
    let backend = Recorder::alone();
    backend.on("GET", "/", Behaviour::json(200, "[]"));
    backend.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
        "{policy}\n[connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
        backend.url()
    ));
    (home, backend)
}

fn silence() -> Value {
    json!({
        "matchers": ["alertname=\"HighErrorRate\""],
        "duration_minutes": 30,
        "reason": "rolling back checkout, its errors are known",
    })
}

/// Records of calls with this verdict, oldest first.
fn recorded(home: &Home, verdict: &str) -> Vec<Value> {
    let tail = ["audit", "tail", "--json", "-n", "1000", "--verdict", verdict];
    let lines = home.run(tail).expect(0).stdout;
    lines.lines().map(|it| serde_json::from_str(it).expect("a record a line")).collect()
}

#[test]
fn without_rules_nothing_runs() {
    let (home, backend) = home("[policy]\nfiles = [\"empty.cedar\"]");
    home.file("empty.cedar", "// Rules will stand here one day.\n");
    for (tool, arguments) in [("list_alerts", json!({})), ("silence_alert", silence())] {
        let ended = home.call("observability", tool, &arguments).expect(3);
        assert_eq!(ended.json()["error"]["reason"], "no rule permits it", "{tool}");
    }
    assert!(backend.requests().is_empty());
    assert_eq!(recorded(&home, "denied").len(), 2);
}

#[test]
fn where_nobody_wrote_a_policy_reading_is_all_there_is() {
    for policy in ["", "[policy]", "[policy]\nallow = []\nask = []\napprove = []\ndeny = []"] {
        let (home, backend) = home(policy);
        home.call("observability", "silence_alert", &silence()).expect(3);
        assert!(backend.requests().is_empty(), "{policy}");
        assert_eq!(recorded(&home, "denied").len(), 1, "{policy}");
        home.call("observability", "list_alerts", &json!({})).expect(0);
        assert_eq!(backend.requests().len(), 1, "{policy}: a read reaches it");
    }
}

#[test]
fn a_rule_that_breaks_forbids() {
    let (home, backend) =
        home("[policy]\nallow = [\"list_alerts\", \"silence_alert\"]\nfiles = [\"caps.cedar\"]");
    // Type-correct, so they load; the sum overflows whenever they are asked.
    home.file(
        "caps.cedar",
        "@id(\"caps.long\") @reason(\"too long\")\n\
         forbid (principal, action == Action::\"silence_alert\", resource)\n\
         when { context.input.duration_minutes + 9223372036854775807 < 0 };\n\
         @id(\"caps.large\") @reason(\"too large\")\n\
         forbid (principal, action == Action::\"list_alerts\", resource)\n\
         when { context.input.max_tokens + 9223372036854775807 < 0 };",
    );
    home.run(["policy", "check"]).expect(0);
    let cases = [("silence_alert", silence(), "caps.long"), ("list_alerts", json!({}), "caps.large")];
    for (tool, arguments, rule) in &cases {
        let error = home.call("observability", tool, arguments).expect(3).json()["error"].clone();
        assert_eq!(error["policy"], *rule);
        assert!(error["reason"].as_str().is_some_and(|it| it.contains("could not be evaluated")), "{error}");
    }
    assert!(backend.requests().is_empty());
    let records = recorded(&home, "denied");
    let rules: Vec<_> = records.iter().map(|it| &it["payload"]["content"]["refusal"]["policy"]).collect();
    assert_eq!(rules, ["caps.long", "caps.large"]);
}

/// Greets as a client with these capabilities, and calls as that one.
fn call_as(home: &Home, version: Version, client: &Value, capabilities: &Value) -> Response {
    let mut session = home.start(&["observability"]);
    let mut params = json!({ "name": "silence_alert", "arguments": silence() });
    if let Some(mut meta) = version.meta() {
        meta["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
        meta["io.modelcontextprotocol/clientInfo"] = client.clone();
        session.request("server/discover", json!({ "_meta": meta })).result();
        params["_meta"] = meta;
    } else {
        let hello =
            json!({ "protocolVersion": version.word(), "capabilities": capabilities, "clientInfo": client });
        session.request("initialize", hello).result();
        session.send_json(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }
    let answer = session.request("tools/call", params);
    assert!(session.leave().success());
    answer
}

#[test]
fn where_nobody_can_be_asked_the_answer_is_not_yes() {
    let (home, backend) = home("[policy]\nallow = [\"silence_alert\"]\nask = [\"silence_alert\"]");
    let client = json!({ "name": "testkit", "version": "1" });
    let mut asked = 0;
    for version in Version::ALL {
        // Whoever shows forms is asked: tests/ask.
        for capabilities in
            [json!({}), json!({ "sampling": {}, "roots": {} }), json!({ "elicitation": { "url": {} } })]
        {
            let answer = call_as(&home, version, &client, &capabilities);
            assert!(answer.is_error(), "{version:?} {capabilities}: {}", answer.0);
            assert_eq!(answer.structured()["error"], "approval_required", "{version:?} {capabilities}");
            assert!(answer.text().contains("approval_required"), "{}", answer.text());
            asked += 1;
        }
    }
    home.call("observability", "silence_alert", &silence()).expect(4);
    assert!(backend.requests().is_empty());
    assert_eq!(recorded(&home, "approval_required").len(), asked + 1);
}

/// A served process none of whose files can grow beyond so many blocks of 512 bytes: the end of its disk.
fn serve_on_small_disk(home: &Home, blocks: u64) -> Session {
    let serve = home.command(["serve", "observability"]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("trap '' XFSZ && ulimit -f {blocks} && exec \"$0\" \"$@\"")]);
    command.arg(serve.get_program()).args(serve.get_args()).env_clear().current_dir(home.path());
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut session = Session::start(&mut command);
    session.greet(Version::V2025_11_25);
    session
}

#[test]
fn on_a_full_disk_effects_stop_first_then_reads() {
    const UNUSABLE: Option<i64> = Some(-32603);
    let (home, backend) = home("[policy]\nallow = [\"list_alerts\", \"silence_alert\"]");
    // What is kept in reserve and what one effect may need, and little more.
    let mut session = serve_on_small_disk(&home, 2816);
    // Rejected calls are recorded with what was sent, and ask nobody.
    let filling = json!({ "no_such_argument": "x".repeat(4000) });
    let mut done = 0;
    let refused = loop {
        let answer = session.call("silence_alert", silence());
        if answer.error_code().is_some() {
            break answer;
        }
        assert!(!answer.is_error(), "{}", answer.text());
        done += 1;
        assert!(done < 100, "the disk never fills");
        assert!(session.call("list_alerts", filling.clone()).is_error());
    };
    assert_eq!(refused.error_code(), UNUSABLE);
    assert!(refused.0.to_string().contains("takes no effects"), "{}", refused.0);
    let posts = backend.requests_to("POST", "/").len();
    assert_eq!(posts, done, "each that was done, and not the one refused");
    assert!(done > 0);
    let answer = session.call("list_alerts", json!({}));
    assert!(!answer.is_error(), "reads go on: {}", answer.text());
    assert!(answer.text().contains("warning: "), "with a warning: {}", answer.text());
    let mut reads = 1;
    while session.call("list_alerts", filling.clone()).error_code().is_none() {
        reads += 1;
        assert!(reads < 500, "the disk never fills");
    }
    // Less is said of a call that is right, so there may be room for a few more.
    while session.call("list_alerts", json!({})).error_code().is_none() {
        reads += 1;
        assert!(reads < 500, "the disk never fills");
    }
    for (tool, arguments) in [("list_alerts", json!({})), ("silence_alert", silence())] {
        let answer = session.call(tool, arguments);
        assert_eq!(answer.error_code(), UNUSABLE, "{}", answer.0);
        assert!(answer.0.to_string().contains("full"), "it says what to do: {}", answer.0);
    }
    assert_eq!(backend.requests_to("POST", "/").len(), done);
    assert!(session.leave().success());
    home.run(["audit", "verify"]).expect(0);
    let permitted = recorded(&home, "permitted");
    let not_run: Vec<_> = permitted.iter().filter(|it| it["leaf"]["outcome"] == "not_run").collect();
    assert_eq!(not_run.len(), 1, "the effect that was refused while there was room to say so");
    assert_eq!(not_run[0]["leaf"]["tool"], "silence_alert");
}

/// Runs a program of the system and gives its one line; none when it fails.
fn line_of(program: &str, argument: &str) -> Option<String> {
    let ended = cli::run(Command::new(program).arg(argument), b"");
    (ended.code == Some(0)).then(|| ended.stdout.trim().to_owned())
}

const TEAM: &str = "@id(\"team.sre\") @reason(\"the SREs silence\")\n\
    permit (principal in Team::\"sre\", action == Action::\"silence_alert\", resource);\n\
    @id(\"alice.all\") @reason(\"alice may\")\n\
    permit (principal in User::\"alice\", action == Action::\"silence_alert\", resource);";

#[test]
fn who_proves_nothing_is_the_user_of_the_system_and_in_no_team() {
    let (home, backend) = home("");
    home.file("team.cedar", TEAM);
    let state = home.path().join("elsewhere");
    let config = home.file(
        "given.toml",
        &format!(
            "[policy]\nfiles = [\"team.cedar\"]\n[audit]\nstate = {state:?}\n[vocabulary]\nteams = [\"sre\"]\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
            backend.url()
        ),
    );
    let config = config.to_str().expect("our own path is text").to_owned();
    let text = silence().to_string();
    let call = ["--config", &config, "call", "observability", "silence_alert", "--json", &text];
    for name in [None, Some("alice"), Some("sre"), Some("root")] {
        let mut command = home.command(call);
        for unset in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
            command.env_remove(unset);
        }
        for variable in ["USER", "LOGNAME", "SUDO_USER"] {
            command.envs(name.map(|it| (variable, it)));
        }
        let ended = cli::run(&mut command, b"").expect(3);
        assert_eq!(ended.json()["error"]["reason"], "no rule permits it", "{name:?}");
    }
    assert!(backend.requests().is_empty());
    let tail =
        home.run(["--config", &config, "audit", "tail", "--json", "--verdict", "denied"]).expect(0).stdout;
    let uid = line_of("id", "-u").expect("the system knows");
    let user = line_of("id", "-un").unwrap_or_else(|| format!("uid-{uid}"));
    let records: Vec<Value> = tail.lines().map(|it| serde_json::from_str(it).expect("a record")).collect();
    assert_eq!(records.len(), 4);
    for record in records {
        let caller = &record["payload"]["content"]["caller"];
        assert_eq!(caller["on_behalf_of"], user.as_str(), "{caller}");
        assert_eq!((&caller["teams"], &caller["assurance"]), (&json!([]), &json!("os_user")), "{caller}");
    }
}

#[test]
fn what_a_client_says_of_itself_grants_nothing() {
    let (home, backend) = home(
        "[policy]\nallow = [\"show_authority\"]\nfiles = [\"team.cedar\"]\n[vocabulary]\nteams = [\"sre\"]",
    );
    home.file("team.cedar", TEAM);
    let client = json!({ "name": "alice", "title": "Team::\"sre\"", "version": "1", "teams": ["sre"] });
    let claims =
        json!({ "experimental": { "io.bailiwick/caller": { "on_behalf_of": "alice", "teams": ["sre"] } } });
    for version in Version::ALL {
        let answer = call_as(&home, version, &client, &claims);
        assert_eq!(answer.structured()["error"], "denied", "{version:?}: {}", answer.0);
    }
    for name in ["team", "teams", "on_behalf_of", "approvals", "confirmed"] {
        let mut arguments = silence();
        arguments[name] = json!("sre");
        let ended = home.call("observability", "silence_alert", &arguments).expect(2);
        assert_eq!(ended.json()["error"]["argument"], name);
    }
    // Asking what a team may do is no way into it.
    let said = home.call("observability", "show_authority", &json!({ "team": "sre" })).expect(0).stdout;
    assert!(!said.contains("team.sre") && !said.contains("alice.all"), "{said}");
    assert!(backend.requests().is_empty());
    assert_eq!(recorded(&home, "denied").len(), Version::ALL.len());
    assert_eq!(recorded(&home, "invalid").len(), 5);
}

#[test]
fn where_nothing_says_where_to_record_nothing_runs() {
    let (home, backend) = home("");
    let mut command = home.command(["call", "observability", "list_alerts"]);
    command.env("ALERTMANAGER_URL", backend.url());
    for unset in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        command.env_remove(unset);
    }
    let ended = cli::run(&mut command, b"").expect(5);
    assert!(ended.stderr.contains("state"), "{}", ended.stderr);
    assert!(backend.requests().is_empty());
}

#[test]
fn a_rule_that_matches_nothing_does_not_load() {
    let cases = [
        ("allow = [\"silence_alert\"]\ndeny = [\"silence_alerts\"]", "silence_alert"),
        ("allow = [\"silence_alert\"]\napprove = [\"mute_*\"]", "mute_*"),
        ("allow = [\"silence_alert\"]\nask = [\"effect:mutate\"]", "mitigate"),
        ("allow = [\"silence_alert\"]\ndeny = [\"silence_alert environment:prodution\"]", "production"),
        ("allow = [\"silence_alert\"]\nfiles = [\"typo.cedar\"]", "silence_alarm"),
        ("allow = [\"silence_alert\"]\nfiles = [\"word.cedar\"]", "prodution"),
        ("allow = [\"silence_alert\"]\nfiles = [\"input.cedar\"]", "duration"),
    ];
    for (policy, hint) in cases {
        let (home, backend) =
            home(&format!("[policy]\n{policy}\n[vocabulary]\nenvironments = [\"production\"]"));
        let rule = |id: &str, action: &str, rest: &str| {
            let text = format!(
                "@id(\"{id}\") @reason(\"no\") forbid (principal, action == Action::\"{action}\", {rest};"
            );
            home.file(&format!("{id}.cedar"), &text);
        };
        rule("typo", "silence_alarm", "resource)");
        rule("word", "silence_alert", "resource in Environment::\"prodution\")");
        rule(
            "input",
            "silence_alert",
            "resource) when { context.input has duration && context.input.duration > 60 }",
        );
        let ended = home.call("observability", "silence_alert", &silence()).expect(5);
        assert!(ended.stderr.contains(hint), "{policy}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{policy}");
        assert_ne!(home.run(["policy", "check"]).code, Some(0), "{policy}");
        let mut session = home.serve(&["observability"], Version::V2025_11_25);
        let answer = session.call("silence_alert", silence());
        assert_eq!(answer.error_code(), Some(-32603), "{policy}: {}", answer.0);
        assert!(answer.0.to_string().contains(hint), "{policy}: {}", answer.0);
        assert!(backend.requests().is_empty(), "{policy}");
    }
}
