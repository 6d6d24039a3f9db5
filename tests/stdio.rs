//! MCP over standard input and output, byte for byte: every generation of the protocol, and what is no message at all.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    backends::GitRepository,
    cli::Home,
    mcp::{Session, Version},
};

const WAIT: Duration = Duration::from_secs(30);

fn home() -> (Home, GitRepository) {
    let shop = GitRepository::shop();
    let config = format!("[connections.shop]\nkind = \"git\"\npath = {:?}\n", shop.path());
    (Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config), shop)
}

fn reply(session: &mut Session, line: &[u8]) -> Value {
    session.send(line).expect("the server listens");
    session.message(WAIT).expect("an answer")
}

#[test]
fn every_generation_of_the_protocol_lists_and_calls() {
    for version in Version::ALL {
        let (home, _shop) = home();
        let mut session = home.serve(&["code"], version);
        let tools = session.request("tools/list", json!({})).result();
        let names: Vec<&str> =
            tools["tools"].as_array().expect("a list").iter().filter_map(|it| it["name"].as_str()).collect();
        let code =
            ["list_commits", "read_file", "search_code", "compare_revisions", "trace_lines", "find_owners"];
        assert_eq!(names, [code.as_slice(), &["show_authority"]].concat(), "{version:?}");
        let answer =
            session.call("list_commits", json!({ "window": "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z" }));
        assert!(!answer.is_error(), "{}", answer.text());
        let meta = answer.result()["_meta"].clone();
        assert_eq!(meta["io.bailiwick/receipt"]["index"], 1, "{meta}");
        assert!(meta["io.bailiwick/untrusted"].as_array().expect("marks").contains(&json!("subject")));
        assert!(session.leave().success());
        home.run(["audit", "verify"]).expect(0);
    }
}

#[test]
fn a_line_that_is_no_message_is_answered_and_recorded() {
    let (home, _shop) = home();
    let mut session = home.serve(&["code"], Version::V2025_11_25);
    for (line, code, id) in [
        (&b"{\"jsonrpc\": \"2.0\", \"id\": 7, \n"[..], -32700, json!(null)),
        (b"not json\n", -32700, json!(null)),
        (b"\xff\xfe\n", -32700, json!(null)),
        (b"[]\n", -32600, json!(null)),
        (b"42\n", -32600, json!(null)),
        (b"{\"id\": 7}\n", -32600, json!(7)),
        (b"{\"jsonrpc\": \"1.0\", \"id\": \"a\", \"method\": \"tools/list\"}\n", -32600, json!("a")),
    ] {
        let answer = reply(&mut session, line);
        assert_eq!(answer["error"]["code"], code, "{}: {answer}", String::from_utf8_lossy(line));
        assert_eq!(answer["id"], id, "{answer}");
    }
    assert!(session.request("tools/list", json!({})).error_code().is_none(), "the server goes on");
    assert!(session.leave().success());
    let tail = home.run(["audit", "tail"]).expect(0).stdout;
    assert_eq!(tail.matches("rejected  invalid").count(), 7, "{tail}");
}

#[test]
fn a_last_line_without_an_end_is_answered_and_recorded_too() {
    let (home, _shop) = home();
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } },
    });
    let input = format!("{hello}\n{{\"jsonrpc\": \"2.0\", \"id\": 2, \"meth");
    let ended = testkit::cli::run(&mut home.command(["serve", "code"]), input.as_bytes()).expect(0);
    assert!(ended.stdout.contains("-32700"), "{ended:?}");
    let tail = home.run(["audit", "tail"]).expect(0).stdout;
    assert!(tail.contains("rejected  invalid  by local for "), "{tail}");
}

#[test]
fn a_line_that_is_too_long_is_refused_without_being_kept() {
    let (home, _shop) = home();
    let mut session = home.serve(&["code"], Version::V2025_11_25);
    let mut line = vec![b' '; 3 << 20];
    line.push(b'\n');
    let answer = reply(&mut session, &line);
    assert_eq!(answer["error"]["code"], -32600);
    assert!(answer["error"]["message"].as_str().expect("text").contains("1048576 bytes"), "{answer}");
    assert!(session.request("tools/list", json!({})).error_code().is_none(), "the server goes on");
}

#[test]
fn what_comes_before_the_first_request_does_not_end_the_server() {
    let (home, _shop) = home();
    let mut session = home.start(&["code"]);
    let early = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    session.send_json(&early);
    let answer = reply(&mut session, b"garbage\n");
    assert_eq!(answer["error"]["code"], -32700);
    session.greet(Version::V2025_06_18);
    assert!(session.request("tools/list", json!({})).error_code().is_none());
}

#[test]
fn an_unknown_tool_is_a_protocol_error_and_bad_arguments_are_a_result() {
    let (home, _shop) = home();
    let mut session = home.serve(&["code"], Version::V2025_11_25);
    assert_eq!(session.call("drop_database", json!({})).error_code(), Some(-32602));
    assert_eq!(session.request("tools/call", json!({ "arguments": {} })).error_code(), Some(-32602));
    assert_eq!(
        session.request("tools/call", json!({ "name": "read_file", "arguments": [] })).error_code(),
        Some(-32602)
    );
    assert_eq!(session.request("prompts/list", json!({})).error_code(), Some(-32601));
    assert_eq!(session.request("no/such", json!({})).error_code(), Some(-32601));
    for (arguments, word) in [
        (json!({ "path": "a", "lnies": "1" }), "did you mean `lines`?"),
        (json!({}), "path: missing"),
        (json!({ "path": "a", "max_tokens": 100_000 }), "200 to 8000"),
        (json!({ "path": 5 }), "path"),
        (json!({ "path": "../../etc/passwd" }), "path"),
    ] {
        let answer = session.call("read_file", arguments);
        assert!(answer.is_error());
        assert!(answer.text().contains(word), "{}", answer.text());
        assert_eq!(answer.structured()["error"], "invalid_arguments");
    }
    assert!(session.leave().success());
    let tail = home.run(["audit", "tail", "-n", "50"]).expect(0).stdout;
    assert_eq!(tail.matches("rejected").count(), 8, "{tail}");
}

#[test]
fn a_policy_that_does_not_load_answers_every_call_with_why() {
    let (home, _shop) = home();
    let config = std::fs::read_to_string(home.config_path()).expect("readable");
    let home = home.config(&format!("[policy]\nallow = [\"quary_metrics\"]\n{config}"));
    let mut session = home.serve(&["code"], Version::V2025_11_25);
    let answer = session.call("list_commits", json!({}));
    assert_eq!(answer.error_code(), Some(-32603));
    assert!(answer.0.to_string().contains("query_metrics"), "it says what would be right: {}", answer.0);
}

#[test]
fn two_servers_in_one_process_share_one_log() {
    let (home, _shop) = home();
    let mut session = home.serve(&["code", "observability"], Version::V2026_07_28);
    assert!(
        !session
            .call("list_commits", json!({ "window": "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z" }))
            .is_error()
    );
    let answer = session.call("query_metrics", json!({ "query": "up" }));
    assert!(answer.text().contains("none is configured"), "{}", answer.text());
    assert!(session.leave().success());
    assert!(home.run(["audit", "tail"]).expect(0).stdout.contains("code_observability/0:1"));
}
