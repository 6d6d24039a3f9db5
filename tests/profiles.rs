//! Which tools does a process offer, and what becomes of the picture that one of them draws? Through the real binary.

use std::fs;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use testkit::{
    backends::{Prometheus, incident_history},
    cli::Home,
    mcp::{Session, Version},
};

const QUERY: &str = "sum by (service) (rate(http_requests_total{code=\"500\"}[5m]))";

fn home() -> (Home, Prometheus) {
    let prometheus = Prometheus::start(incident_history(Prometheus::now()));
    let config = format!("[connections.prod]\nkind = \"prometheus\"\nurl = \"{}\"\n", prometheus.url());
    (Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config), prometheus)
}

fn names(session: &mut Session) -> Vec<String> {
    let listed = session.request("tools/list", json!({})).result();
    let tools = listed["tools"].as_array().expect("a list").iter();
    tools.map(|it| it["name"].as_str().expect("a tool has a name").to_owned()).collect()
}

/// What the log holds of one call: everything that was kept beside the tree.
fn recorded(home: &Home, receipt: &Value) -> Value {
    let index = receipt["index"].as_u64().expect("a receipt has an index");
    home.run(["audit", "show", &format!("observability/0:{index}")]).expect(0).json()
}

fn sha256(bytes: &[u8]) -> String {
    audit::digest(bytes).iter().map(|it| format!("{it:02x}")).collect()
}

#[test]
fn a_profile_lists_its_tools_and_authority_speaks_of_no_others() {
    let (home, _prometheus) = home();
    let all: Vec<String> = home
        .run(["tools", "--json"])
        .expect(0)
        .json()
        .as_array()
        .expect("a list")
        .iter()
        .filter(|it| it["server"] != "code")
        .map(|it| it["name"].as_str().expect("a tool has a name").to_owned())
        .collect();
    for (profile, offers_plots) in [(None, false), (Some("default"), false), (Some("all"), true)] {
        let arguments: Vec<&str> = ["observability"]
            .into_iter()
            .chain(profile.into_iter().flat_map(|it| ["--profile", it]))
            .collect();
        let mut session = home.serve(&arguments, Version::V2025_11_25);
        let offered = names(&mut session);
        let expected: Vec<String> =
            all.iter().filter(|it| offers_plots || *it != "plot_metrics").cloned().collect();
        // Nothing here asks people, so there is nothing to wait for.
        let expected: Vec<String> =
            expected.into_iter().filter(|it| !["await_approval", "run_approved"].contains(&&**it)).collect();
        assert_eq!(offered, expected, "{profile:?}");
        let authority = session.call("show_authority", json!({})).text();
        assert!(authority.contains("query_metrics"), "{authority}");
        assert_eq!(authority.contains("plot_metrics"), offers_plots, "{profile:?}: {authority}");
        assert!(session.leave().success());
    }
    let wrong = home.run(["serve", "observability", "--profile", "most"]).expect(2);
    assert!(wrong.stderr.contains("default, all"), "{}", wrong.stderr);
}

#[test]
fn a_tool_outside_the_profile_is_unknown_says_what_offers_it_and_is_recorded() {
    let (home, _prometheus) = home();
    let mut session = home.serve(&["observability"], Version::V2025_11_25);
    let answer = session.call("plot_metrics", json!({ "query": QUERY }));
    assert_eq!(answer.error_code(), Some(-32602), "{}", answer.0);
    let error = &answer.0["error"];
    assert!(error["message"].as_str().is_some_and(|it| it.contains("serve --profile all")), "{error}");
    let kept = recorded(&home, &error["data"]["io.bailiwick/receipt"]);
    let text = kept.to_string();
    assert!(text.contains("unknown_tool") && text.contains("plot_metrics"), "{text}");
    assert!(session.leave().success());
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn a_picture_stands_beside_the_text_and_its_digest_is_on_record() {
    let (home, _prometheus) = home();
    let mut session = home.serve(&["observability", "--profile", "all"], Version::V2025_11_25);
    let answer = session.call("plot_metrics", json!({ "query": QUERY }));
    assert!(!answer.is_error(), "{}", answer.text());
    let result = answer.result();
    assert_eq!(
        (&result["content"][0]["type"], &result["content"][1]["type"]),
        (&json!("text"), &json!("image"))
    );
    assert_eq!(result["content"][1]["mimeType"], "image/png");
    let bytes = BASE64_STANDARD.decode(result["content"][1]["data"].as_str().expect("text")).expect("base64");
    assert!(bytes.starts_with(b"\x89PNG\r\n"), "{} bytes", bytes.len());
    let marks = &result["_meta"]["io.bailiwick/untrusted"];
    assert!(marks.as_array().is_some_and(|it| it.contains(&json!("image"))), "{marks}");
    let kept = recorded(&home, &answer.receipt()).to_string();
    assert!(kept.contains(&sha256(&bytes)) && kept.contains("image/png"), "{kept}");
    assert!(!kept.contains("iVBOR"), "a log keeps no pixels");
    assert!(session.leave().success());
}

#[test]
fn a_call_writes_its_picture_where_it_is_told_and_nowhere_else() {
    let (home, _prometheus) = home();
    let path = home.path().join("errors.png");
    let to = path.to_str().expect("a temporary folder has a plain name");
    let call = |more: &[&str]| {
        let query = format!("query={QUERY}");
        let arguments = ["call", "observability", "plot_metrics", query.as_str()];
        home.run(arguments.iter().chain(more))
    };
    let ended = call(&["--image", to]).expect(0);
    let bytes = fs::read(&path).expect("the picture is written");
    assert_eq!(ended.json()["image"], json!({ "mime": "image/png", "bytes": bytes.len() }), "{ended:#?}");
    assert!(ended.stderr.contains(&format!("image: {to}")), "{}", ended.stderr);
    let kept = recorded(&home, &ended.json()["receipt"]).to_string();
    assert!(kept.contains(&sha256(&bytes)), "{kept}");

    fs::remove_file(&path).expect("it is there");
    let ended = call(&[]).expect(0);
    assert!(ended.stderr.contains("--image PATH writes it"), "{}", ended.stderr);
    let ended = home.run(["call", "observability", "query_metrics", "query=up", "--image", to]).expect(0);
    assert!(ended.stderr.contains("nothing was written") && !path.exists(), "{}", ended.stderr);
}
