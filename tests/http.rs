//! MCP over HTTP: every generation of the protocol, who gets in, and what is refused before any tool is reached.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Behaviour, GitRepository, Recorder},
    cli::Home,
    free_address, http,
    mcp::Version,
    remote::{Served, messages},
    wait_until,
};

/// A window that holds commits of the shop.
const WINDOW: &str = "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z";

/// What a Prometheus answers to an instant query.
const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
    {"metric":{"__name__":"up","job":"shop"},"value":[1767225600,"1"]}]}}"#;

fn home() -> (Home, GitRepository) {
    let shop = GitRepository::shop();
    let config = format!("[connections.shop]\nkind = \"git\"\npath = {:?}\n", shop.path());
    (Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config), shop)
}

fn serve(home: &Home) -> Served {
    Served::start(home, &["code"], &["--unproven"])
}

fn rejected(home: &Home) -> String {
    let tail = home.run(["audit", "tail", "-n", "100"]).expect(0).stdout;
    tail.lines().filter(|it| it.contains("rejected")).collect::<Vec<_>>().join("\n")
}

/// What the records say was wrong.
fn problems(home: &Home) -> Vec<String> {
    fn find(value: &Value) -> Option<String> {
        let inside = |it: &Value| find(it);
        match value {
            Value::Object(map) => match map.get("problem").and_then(Value::as_str) {
                Some(problem) => Some(problem.to_owned()),
                None => map.values().find_map(inside),
            },
            Value::Array(items) => items.iter().find_map(inside),
            _ => None,
        }
    }
    let tail = home.run(["audit", "tail", "--json", "-n", "100"]).expect(0).stdout;
    tail.lines().filter_map(|it| find(&serde_json::from_str(it).ok()?)).collect()
}

#[test]
fn every_generation_of_the_protocol_lists_and_calls_on_one_endpoint() {
    let (home, _shop) = home();
    let served = serve(&home);
    for version in Version::ALL {
        let mut client = served.greeted("code", version);
        let tools = client.request("tools/list", json!({})).result();
        let names: Vec<&str> =
            tools["tools"].as_array().expect("a list").iter().filter_map(|it| it["name"].as_str()).collect();
        assert!(names.contains(&"list_commits") && names.contains(&"show_authority"), "{names:?}");
        let answer = client.call("list_commits", json!({ "window": WINDOW }));
        assert!(!answer.is_error(), "{}", answer.text());
        assert!(answer.receipt()["index"].is_u64(), "{answer:?}");
        assert_eq!(client.call("no_such", json!({})).error_code(), Some(-32602));
    }
    assert!(served.stop().success());
    let tail = home.run(["audit", "tail", "--json"]).expect(0).stdout;
    assert!(tail.contains("\"http\"") && tail.contains("declared"), "{tail}");
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn the_newest_revision_is_answered_as_json_and_older_ones_as_events() {
    let (home, _shop) = home();
    let served = serve(&home);
    let kind = |version| {
        let (answer, _) = served.greeted("code", version).exchange("tools/list", json!({}));
        answer.header("content-type").unwrap_or_default().to_owned()
    };
    assert_eq!(kind(Version::V2026_07_28), "application/json");
    assert!(kind(Version::V2025_11_25).starts_with("text/event-stream"));
}

#[test]
fn each_server_has_a_path_and_reaches_nothing_of_another() {
    let (home, _shop) = home();
    let served = Served::start(&home, &["code", "observability"], &["--unproven"]);
    let mut code = served.greeted("code", Version::V2026_07_28);
    assert_eq!(code.call("query_metrics", json!({ "query": "up" })).error_code(), Some(-32602));
    let mut observability = served.greeted("observability", Version::V2026_07_28);
    assert_eq!(observability.call("list_commits", json!({})).error_code(), Some(-32602));
    assert_eq!(http::get(served.address(), "/mcp").expect("an answer").status, 404);
    // A session of one path is none of another.
    let session = served.greeted("code", Version::V2025_11_25).session().expect("a session").to_owned();
    let mut other = served.client("observability", Version::V2025_11_25);
    let message = other.message("tools/list", json!({}));
    assert_eq!(other.post(&message, &[("mcp-session-id", &session)]).status, 404);
    assert!(served.stop().success());
    assert!(home.state().join("logs/code").exists() && home.state().join("logs/observability").exists());
}

#[test]
fn a_page_that_rebinds_a_name_to_this_machine_is_refused() {
    let (home, _shop) = home();
    let served = serve(&home);
    let mut client = served.client("code", Version::V2026_07_28);
    let message = client.message("tools/list", json!({}));
    let port = served.address().port();
    for (name, value) in [
        ("host", "evil.example"),
        ("host", "127.0.0.1.evil.example"),
        ("host", "localhost@evil.example"),
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.1.evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:80@evil.example"),
    ] {
        let answer = client.post(&message, &[(name, value)]);
        assert!(matches!(answer.status, 400 | 403), "{name}: {value}: {answer:?}");
    }
    let local = format!("http://localhost:{port}");
    assert_eq!(client.post(&message, &[("origin", &local)]).status, 200);
    let headers = [("Origin", "https://evil.example")];
    let answer = http::send_with(served.address(), "GET", "/metrics", &headers, b"").expect("an answer");
    assert_eq!(answer.status, 403, "/metrics");
    assert!(served.stop().success());
    assert_eq!(rejected(&home).lines().count(), 7, "{}", rejected(&home));
}

#[test]
fn headers_that_disagree_with_the_body_are_refused_and_recorded() {
    let (home, _shop) = home();
    let served = serve(&home);
    let mut client = served.client("code", Version::V2026_07_28);
    let message =
        client.message("tools/call", json!({ "name": "list_commits", "arguments": { "window": WINDOW } }));
    assert_eq!(client.post(&message, &[]).status, 200);
    for (name, value) in [
        ("mcp-name", "read_file"),
        ("mcp-name", ""),
        ("mcp-method", "tools/list"),
        ("mcp-method", ""),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-protocol-version", "2099-01-01"),
        ("mcp-protocol-version", ""),
    ] {
        let answer = client.post(&message, &[(name, value)]);
        assert_eq!(answer.status, 400, "{name}: {value}: {answer:?}");
    }
    assert!(served.stop().success());
    assert_eq!(rejected(&home).lines().count(), 7, "{}", rejected(&home));
}

#[test]
fn what_is_no_message_is_answered_and_recorded() {
    let (home, _shop) = home();
    let served = serve(&home);
    let client = served.client("code", Version::V2026_07_28);
    let headers = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    for (body, code) in [
        (&b"not json"[..], -32700),
        (b"", -32700),
        (b"\xff\xfe", -32700),
        (b"[]", -32600),
        (b"42", -32600),
        (b"{\"method\": 5}", -32600),
        (
            b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"tools/list\", \"method\": \"tools/call\"}",
            -32600,
        ),
    ] {
        let answer = client.send("POST", &headers, body);
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert_eq!(messages(&answer)[0]["error"]["code"], code, "{answer:?}");
    }
    let plain = [("Content-Type", "text/plain"), ("Accept", "application/json, text/event-stream")];
    assert_eq!(client.send("POST", &plain, b"{}").status, 415);
    assert_eq!(client.send("POST", &headers[..1], b"{}").status, 406);
    assert!(served.stop().success());
    assert_eq!(rejected(&home).lines().count(), 9, "{}", rejected(&home));
}

#[test]
fn an_oversized_body_is_refused_without_being_kept() {
    let (home, _shop) = home();
    let served = serve(&home);
    let client = served.client("code", Version::V2026_07_28);
    let headers = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    assert_eq!(client.send("POST", &headers, &vec![b' '; (1 << 20) + 1]).status, 413);
    // The same without saying so in front.
    let mut stream = TcpStream::connect(served.address()).expect("it listens");
    let head = format!(
        "POST /code/mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        served.address()
    );
    stream.write_all(head.as_bytes()).expect("it listens");
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    // It stops listening once it has heard enough.
    while stream.write_all(piece.as_bytes()).is_ok() {}
    assert!(served.stop().success());
    let found = problems(&home);
    assert_eq!(
        found.iter().filter(|it| it.contains("body longer than 1048576 bytes")).count(),
        2,
        "{found:?}"
    );
}

#[test]
fn whoever_speaks_slowly_is_cut_off_and_nobody_else_waits() {
    let (home, _shop) = home();
    let served = serve(&home);
    let begun = Instant::now();
    let slow = |head: String| {
        let mut stream = TcpStream::connect(served.address()).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(40))).expect("a time");
        stream.write_all(head.as_bytes()).expect("it listens");
        thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            (String::from_utf8_lossy(&said).into_owned(), begun.elapsed())
        })
    };
    // Half a head, a whole head without its body, and a body that never ends.
    let address = served.address();
    let mut waiting: Vec<_> =
        (0..50).map(|_| slow(format!("POST /code/mcp HTTP/1.1\r\nHost: {address}\r\nX-Slow: "))).collect();
    waiting.push(slow(format!(
        "POST /code/mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    )));
    let mut client = served.greeted("code", Version::V2026_07_28);
    assert!(!client.call("list_commits", json!({ "window": WINDOW })).is_error());
    assert!(begun.elapsed() < Duration::from_secs(9), "nobody waits for the slow ones");
    let ended: Vec<_> = waiting.into_iter().map(|it| it.join().expect("reading does not panic")).collect();
    assert!(ended.iter().all(|(_, took)| *took < Duration::from_secs(30)), "{ended:?}");
    assert!(ended.last().is_some_and(|(said, _)| said.starts_with("HTTP/1.1 408")), "{ended:?}");
}

#[test]
fn a_session_that_nobody_began_is_refused_and_one_that_ended_too() {
    let (home, _shop) = home();
    let served = serve(&home);
    let mut client = served.greeted("code", Version::V2025_11_25);
    let message = client.message("tools/list", json!({}));
    for session in ["00000000-0000-4000-8000-000000000000", "x", "../.."] {
        assert_eq!(client.post(&message, &[("mcp-session-id", session)]).status, 404, "{session}");
    }
    assert_eq!(client.post(&message, &[("mcp-session-id", "")]).status, 400, "a request without its session");
    let own = client.session().expect("a session").to_owned();
    let end = [("mcp-session-id", own.as_str()), ("mcp-protocol-version", "2025-11-25")];
    assert_eq!(client.send("DELETE", &end, b"").status, 202);
    assert_eq!(client.post(&message, &[]).status, 404, "it has ended");
}

#[test]
fn a_server_that_stops_ends_what_is_in_flight_and_refuses_what_is_new() {
    let (home, _shop) = home();
    let backend = Recorder::alone();
    backend.on("*", "/", Behaviour::json(200, VECTOR));
    let front = Recorder::before(backend.address());
    let home =
        home.config(&format!("[connections.held]\nkind = \"prometheus\"\nurl = \"{}\"\n", front.url()));
    for version in [Version::V2025_11_25, Version::V2026_07_28] {
        let hold = front.hold("*", "/api/v1/query");
        let mut served = Served::start(&home, &["observability"], &["--unproven"]);
        let mut held = served.greeted("observability", version);
        let mut late = served.greeted("observability", version);
        let waiting = thread::spawn(move || held.call("query_metrics", json!({ "query": "up" })));
        hold.wait_arrived(DEADLINE);
        served.terminate();
        let refused = wait_until("new calls to be refused", DEADLINE, || {
            let message = late.message("tools/list", json!({}));
            let answer = late.post(&message, &[]);
            (answer.status != 200).then_some(answer)
        });
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{refused:?}");
        let ready = http::get(served.address(), "/readyz").expect("it still answers");
        assert_eq!(ready.status, 503, "{ready:?}");
        hold.release();
        let answer = waiting.join().expect("calling does not panic");
        assert!(!answer.is_error(), "what was in flight is answered: {}", answer.text());
        assert!(served.wait().success());
    }
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn health_says_whether_calls_would_be_carried_out() {
    let (home, shop) = home();
    let config = format!(
        "[connections.shop]\nkind = \"git\"\npath = {:?}\n[connections.down]\nkind = \"prometheus\"\nurl = \"http://{}\"\n",
        shop.path(),
        free_address(),
    );
    let home = home.config(&config);
    let served = serve(&home);
    let get = |path: &str| http::get(served.address(), path).expect("an answer");
    assert_eq!(get("/healthz").status, 200);
    let ready = get("/readyz");
    assert_eq!(ready.status, 200, "{ready:?}");
    for line in ["serving: yes", "log of code: open", "policy: loaded", "backends: 1 of 2 answer"] {
        assert!(ready.body.lines().any(|it| it == line), "{line}: {}", ready.body);
    }
    assert!(!ready.body.contains("down"), "it names no connection: {}", ready.body);
    served.greeted("code", Version::V2026_07_28).call("list_commits", json!({ "window": WINDOW }));
    let metrics = get("/metrics").body;
    assert!(
        metrics.contains("bailiwick_calls_total{server=\"code\",tool=\"list_commits\",ended=\"ok\"} 1"),
        "{metrics}"
    );
}

#[test]
fn nothing_beyond_this_machine_is_let_in_by_default() {
    let (home, _shop) = home();
    for (arguments, told) in [
        (&["serve", "code", "--http", "127.0.0.1:0"][..], "--unproven"),
        (&["serve", "code", "--http", "0.0.0.0:0", "--unproven"], "plain HTTP can be overheard"),
        (&["serve", "code", "--http", "[::]:0", "--unproven"], "plain HTTP can be overheard"),
    ] {
        let ended = home.run(arguments).expect(5);
        assert!(ended.stderr.contains(told), "{ended:?}");
    }
    let plain = home.config("[http]\nplain = true\nunproven = true\n");
    let ended = plain.run(["serve", "code", "--http", "0.0.0.0:0"]).expect(5);
    assert!(ended.stderr.contains("unproven callers are let in from this machine only"), "{ended:?}");
}
