//! What a client brings back with an answer is believed of the caller and the call that it was given for, and of nothing else.

use serde_json::{Value, json};
use testkit::mcp::Version;

use crate::{
    OVER_HTTP,
    stage::{ASK, Stage, silence, yes},
};

/// Why messages were rejected, as the log has it.
fn rejected(stage: &Stage) -> String {
    let records = stage.records();
    let rejected = records.iter().map(Value::to_string).filter(|it| it.contains("requestState"));
    rejected.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_state_that_was_changed_made_up_or_given_for_another_call_is_refused_and_recorded() {
    for over_http in OVER_HTTP {
        let stage = Stage::new(ASK);
        let mut client = stage.client(over_http, Version::V2026_07_28);
        let asked = client.call("silence_alert", silence(30)).result();
        let state = asked["requestState"].as_str().expect("a state").to_owned();
        let with = |state: &str| json!({ "requestState": state });
        let turned = |at: usize| {
            let mut bytes = state.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            with(std::str::from_utf8(&bytes).expect("letters"))
        };
        let id = stage.only_request()["approval"].as_str().expect("an id").to_owned();
        let refused = [
            (silence(30), turned(0)),
            (silence(30), turned(state.len() / 2)),
            (silence(30), turned(state.len() - 2)),
            (silence(30), with(&state[..state.len() - 4])),
            (silence(30), with(&format!("{state}AAAA"))),
            (silence(30), with(&id)),
            (silence(30), with("")),
            (silence(31), with(&state)),
            (silence(240), with(&state)),
            (json!({}), with(&state)),
        ];
        let count = refused.len();
        for (arguments, state) in refused {
            let told = client.come_back("silence_alert", arguments, &state, yes());
            assert_eq!(told.error_code(), Some(-32602), "{state}: {}", told.0);
            let message = told.0["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains("send the call again without one"), "{message}");
        }
        // Another tool with the same arguments, one that would run without being asked, and none at all.
        for tool in ["list_alerts", "run_approved", "no_such_tool"] {
            let told = client.come_back(tool, silence(30), &asked, yes());
            assert_eq!(told.error_code(), Some(-32602), "{tool}: {}", told.0);
        }
        assert_eq!(stage.effects(), 0);
        // None of it spoilt the right one.
        let done = client.come_back("silence_alert", silence(30), &asked, yes());
        assert!(!done.is_error(), "{}", done.text());
        assert_eq!(stage.effects(), 1);
        drop(client);
        assert_eq!(rejected(&stage).lines().count(), count + 3, "{}", rejected(&stage));
    }
}

#[test]
fn a_state_of_another_caller_is_refused_and_recorded() {
    let stage = Stage::new(ASK);
    let asked = stage.client(false, Version::V2026_07_28).call("silence_alert", silence(30)).result();
    let others = [
        "agent = \"claude-code\"\nperson = \"bob\"",
        "agent = \"other\"\nperson = \"alice\"",
        "agent = \"claude-code\"\nperson = \"Alice\"",
        "agent = \"claude-code\"",
    ];
    let mut stage = stage;
    for other in others {
        stage = stage.called_by(other, ASK);
        let mut client = stage.client(false, Version::V2026_07_28);
        let told = client.come_back("silence_alert", silence(30), &asked, yes());
        assert_eq!(told.error_code(), Some(-32602), "{other}: {}", told.0);
        assert!(told.0.to_string().contains("of another caller"), "{}", told.0);
    }
    assert_eq!(stage.effects(), 0);
    assert_eq!(rejected(&stage).lines().count(), others.len(), "{}", rejected(&stage));
    assert_eq!(stage.only_request()["state"], "pending");
    let stage = stage.called_by("agent = \"claude-code\"\nperson = \"alice\"", ASK);
    let done =
        stage.client(false, Version::V2026_07_28).come_back("silence_alert", silence(30), &asked, yes());
    assert!(!done.is_error(), "{}", done.text());
}

#[test]
fn a_state_of_another_store_opens_nothing() {
    let (one, other) = (Stage::new(ASK), Stage::new(ASK));
    let asked = one.client(false, Version::V2026_07_28).call("silence_alert", silence(30)).result();
    let told =
        other.client(false, Version::V2026_07_28).come_back("silence_alert", silence(30), &asked, yes());
    assert_eq!(told.error_code(), Some(-32602), "{}", told.0);
    assert_eq!((one.effects(), other.effects()), (0, 0));
}
