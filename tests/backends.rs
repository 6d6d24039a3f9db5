//! Systems of record that are down, slow, wrong, endless or hostile: a clear word, a record, and the server goes on.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Alertmanager, Behaviour, History, Prometheus, Recorder},
    cli::Home,
    free_address,
    mcp::{Session, Version},
    wait_until,
};

/// What the system behind `connections.prod` may take.
const TIMEOUT_MS: u64 = 3_000;
/// A secret that only the configured system may see.
const TOKEN: &str = "a-token-of-the-operator";

fn home(kind: &str, url: &str) -> Home {
    let config = format!(
        "[policy]\nallow = [\"*\", \"silence_alert\"]\n\
         [connections.prod]\nkind = \"{kind}\"\nurl = \"{url}\"\ntimeout_ms = {TIMEOUT_MS}\nbearer = {{ env = \"PROD_TOKEN\" }}\n"
    );
    Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config).variable("PROD_TOKEN", TOKEN)
}

fn serve(home: &Home) -> Session {
    home.serve(&["observability"], Version::V2025_11_25)
}

fn one_series() -> Prometheus {
    Prometheus::start(History::new().gauge("up", r#"job="app""#, [(Prometheus::now(), 1.0)]))
}

/// Calls a tool that fails, and gives what it says; the same stands in the structure.
fn refused(session: &mut Session, tool: &str, arguments: Value) -> (Value, String) {
    let answer = session.call(tool, arguments.clone());
    assert!(answer.is_error(), "{tool} {arguments}: {}", answer.text());
    let (structured, text) = (answer.structured(), answer.text());
    let message = structured["message"].as_str().expect("an error has a message");
    assert!(text.contains(message), "both forms say it: {text}");
    assert!(!answer.0.to_string().contains(TOKEN), "{}", answer.0);
    assert!(answer.receipt()["index"].is_u64(), "it is recorded: {}", answer.0);
    (structured, text)
}

fn answers(session: &mut Session, tool: &str, arguments: Value) {
    let answer = session.call(tool, arguments);
    assert!(!answer.is_error(), "the server goes on: {}", answer.text());
}

/// How many calls the log says have failed.
fn failed(home: &Home) -> usize {
    home.run(["audit", "tail", "-n", "100"]).expect(0).stdout.matches("permitted  tool_failed").count()
}

#[test]
fn every_way_to_fail_has_its_word_is_recorded_and_ends_nothing() {
    let prod = one_series();
    let recorder = Recorder::before(prod.address());
    let home = home("prometheus", &recorder.url());
    let mut session = serve(&home);
    let query = json!({ "query": "up" });
    let json = |status, body: &str| Behaviour::json(status, body);
    let ways = [
        (Behaviour::Slow(DEADLINE), "within 3000 ms"),
        (Behaviour::Drop, "the connection broke before an answer"),
        (Behaviour::Trickle, "within 3000 ms"),
        (Behaviour::html(), "text/html"),
        (json(200, "{}"), "API does not describe"),
        (json(200, "{\"status\": \"succ"), "JSON"),
        (json(401, "{}"), "refused our credentials (HTTP 401)"),
        (json(429, "{}"), "try again later"),
        (json(503, "{\"error\": \"compacting\"}"), "HTTP 503: compacting"),
        (json(422, "{\"error\": \"too many samples\"}"), "too many samples"),
    ];
    let count = ways.len();
    for (behaviour, word) in ways {
        let way = format!("{behaviour:?}");
        recorder.on("*", "/", behaviour);
        let (structured, text) = refused(&mut session, "query_metrics", query.clone());
        assert!(text.contains(word) && text.contains("prod"), "{way}: {text}");
        let code = structured["error"].as_str().expect("a word for programs");
        assert!(["unavailable", "rejected"].contains(&code), "{way}: {code}");
        recorder.behave();
        answers(&mut session, "query_metrics", query.clone());
    }
    assert_eq!(failed(&home), count);
    assert!(!session.errors().contains(TOKEN), "{}", session.errors());
    assert!(session.leave().success());
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn a_system_that_is_down_is_named_and_asked_again_when_it_is_back() {
    let (metrics, alerts) = (one_series(), Alertmanager::start(Alertmanager::CONFIG));
    for (kind, behind, tool, arguments) in [
        ("prometheus", metrics.address(), "query_metrics", json!({ "query": "up" })),
        ("alertmanager", alerts.address(), "list_alerts", json!({})),
    ] {
        let address = free_address();
        let home = home(kind, &format!("http://{address}"));
        let mut session = serve(&home);
        let (structured, text) = refused(&mut session, tool, arguments.clone());
        assert_eq!(structured["error"], "unavailable", "{text}");
        assert!(text.contains("prod") && text.contains("connection refused"), "{text}");
        let ended = home.call("observability", tool, &arguments).expect(1);
        assert!(ended.stderr.contains("connection refused"), "{}", ended.stderr);
        assert_eq!(failed(&home), 2);
        let _back = Recorder::at(address, behind);
        answers(&mut session, tool, arguments);
        assert_eq!(failed(&home), 2);
    }
}

#[test]
fn a_silence_of_a_system_that_fails_is_no_success() {
    let alerts = Alertmanager::start(Alertmanager::CONFIG);
    let recorder = Recorder::before(alerts.address());
    let home = home("alertmanager", &recorder.url());
    let mut session = serve(&home);
    let silence = json!({ "matchers": ["alertname=\"Noise\""], "duration_minutes": 5, "reason": "noise during the move" });
    recorder.on("POST", "/", Behaviour::html());
    let (structured, text) = refused(&mut session, "silence_alert", silence.clone());
    assert_eq!(structured["error"], "outcome_unknown", "an answer that is none leaves it open: {text}");
    recorder.on("POST", "/", Behaviour::json(400, "{\"message\": \"bad matcher\"}"));
    let (structured, text) = refused(&mut session, "silence_alert", silence.clone());
    assert_eq!(
        (structured["error"].as_str(), text.contains("bad matcher")),
        (Some("rejected"), true),
        "{text}"
    );
    assert!(alerts.silences().is_empty(), "nothing came of it");
    recorder.behave();
    answers(&mut session, "silence_alert", silence);
    assert_eq!(alerts.silences().len(), 1);
}

/// Highest memory that a process has taken, in MiB.
fn memory_max_mib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("our own child lives");
    let line = status.lines().find(|it| it.starts_with("VmHWM:")).expect("Linux says it");
    let kib = line.split_whitespace().nth(1).and_then(|it| it.parse::<u64>().ok());
    kib.expect("a number of kB") / 1024
}

#[test]
fn an_answer_of_a_hundred_megabytes_is_refused_without_being_taken_in() {
    let prod = one_series();
    let recorder = Recorder::before(prod.address());
    let home = home("prometheus", &recorder.url());
    let mut session = serve(&home);
    answers(&mut session, "query_metrics", json!({ "query": "up" }));
    let before = memory_max_mib(session.id());
    recorder.on("*", "/", Behaviour::Huge(100_000_000));
    for _ in 0..3 {
        let (structured, text) = refused(&mut session, "query_metrics", json!({ "query": "up" }));
        assert_eq!(structured["error"], "unavailable");
        assert!(text.contains("more than 32 MiB; ask for less"), "{text}");
    }
    let announced = memory_max_mib(session.id()) - before;
    assert!(announced < 5, "{announced} MiB more: what announces its size is not even begun");
    recorder.behave();
    answers(&mut session, "query_metrics", json!({ "query": "up" }));
    assert_eq!(failed(&home), 3);
}

/// Answers each of so many requests with 100 MB that nothing announces.
fn unannounced(requests: usize) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
    let answering = thread::spawn(move || {
        for client in listener.incoming().take(requests) {
            let mut client = client.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).expect("a whole request");
                request.push(byte[0]);
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\"";
            let chunk = [b'x'; 100_000];
            let sent = client.write_all(head.as_bytes());
            // Whoever has had enough closes the connection.
            let _ = (0..1_000).try_fold((), |(), _| client.write_all(&chunk)).and(sent);
        }
    });
    (url, answering)
}

#[test]
fn an_answer_that_hides_its_size_is_left_as_soon_as_it_is_too_much() {
    const CALLS: usize = 3;
    let (url, answering) = unannounced(CALLS);
    let home = home("prometheus", &url);
    let mut session = serve(&home);
    for _ in 0..CALLS {
        let (_, text) = refused(&mut session, "query_metrics", json!({ "query": "up" }));
        assert!(text.contains("more than 32 MiB; ask for less"), "{text}");
    }
    let most = memory_max_mib(session.id());
    // The program, two answers of 32 MiB, and what the allocator has not given back yet: far from three of 100 MB.
    assert!(most < 140, "{most} MiB, after three times 100 MB");
    answering.join().expect("it answered each");
}

#[test]
fn a_redirect_takes_no_secret_anywhere() {
    let elsewhere = Recorder::alone();
    let prod = one_series();
    let recorder = Recorder::before(prod.address());
    let home = home("prometheus", &recorder.url());
    let mut session = serve(&home);
    recorder.on("*", "/", Behaviour::Redirect(format!("{}/api/v1/query?token=x", elsewhere.url())));
    let (_, text) = refused(&mut session, "query_metrics", json!({ "query": "up" }));
    assert!(text.contains(&elsewhere.url()) && text.contains("configure the final address"), "{text}");
    assert!(!text.contains("token=x"), "{text}");
    let asked = recorder.requests();
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(
        asked[0].header("authorization"),
        Some(bearer.as_str()),
        "the configured system is told who asks"
    );
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
}

#[test]
fn a_query_that_is_none_is_refused_before_anything_is_sent() {
    let prod = one_series();
    let recorder = Recorder::before(prod.address());
    let home = home("prometheus", &recorder.url());
    let mut session = serve(&home);
    for (query, word) in [
        ("sum(", "not closed"),
        ("up{job=}", "column"),
        ("rate(up)", "rate"),
        ("rate(up[5m", "column"),
        ("sum by (service (up)", "column"),
        ("up up", "column"),
        ("nosuchfunction(up)", "nosuchfunction"),
    ] {
        let (structured, text) = refused(&mut session, "query_metrics", json!({ "query": query }));
        assert!(text.contains("query:") && text.contains(word), "{query}: {text}");
        assert_eq!(structured["error"], "invalid_argument", "{query}: {text}");
        home.call("observability", "query_metrics", &json!({ "query": query })).expect(2);
    }
    for window in ["yesterday", "1h/2h/3h", "2026-13-01T00:00:00Z", "-5m"] {
        refused(&mut session, "query_metrics", json!({ "query": "up", "window": window }));
    }
    assert!(recorder.requests().is_empty(), "{:?}", recorder.requests());
    let tail = home.run(["audit", "tail", "-n", "100"]).expect(0).stdout;
    assert!(tail.matches("query_metrics").count() >= 18, "each is recorded: {tail}");
    answers(&mut session, "query_metrics", json!({ "query": "up" }));
}

#[test]
fn a_query_that_selects_everything_is_refused_with_how_much_and_with_what_to_send_instead() {
    let end = Prometheus::now();
    let history = (0..1_500).fold(History::new(), |history, at| {
        let name = if at % 3 == 0 { "queue_length" } else { "connections_open" };
        history.gauge(name, format!(r#"pod="p{at}""#), [(end, f64::from(at))])
    });
    let prod = Prometheus::start(history);
    let recorder = Recorder::before(prod.address());
    let home = home("prometheus", &recorder.url());
    let mut session = serve(&home);
    let everything = json!({ "query": "{__name__=~\".+\"}" });
    let (structured, text) = refused(&mut session, "query_metrics", everything.clone());
    assert_eq!(structured["error"], "too_costly", "{text}");
    assert!(text.contains("selects 1500 series") && text.contains("at most 1000"), "{text}");
    assert!(recorder.requests().iter().all(|it| it.path.contains("count")), "it was counted, not fetched");
    let next = &structured["next"];
    assert!(text.contains(&next.to_string()), "both forms carry it: {text}");
    let answer = session.call(next["tool"].as_str().expect("a tool"), next["arguments"].clone());
    assert!(!answer.is_error(), "what is offered works: {}", answer.text());
    let said = answer.structured()["rows"].to_string();
    assert!(said.contains("connections_open") && said.contains("1000"), "{said}");
    assert!(said.contains("queue_length") && said.contains("500"), "{said}");
    let over = json!({ "query": "{__name__=~\".+\"}", "window": "6h" });
    let (structured, _) = refused(&mut session, "query_metrics", over);
    let next = &structured["next"];
    let answer = session.call(next["tool"].as_str().expect("a tool"), next["arguments"].clone());
    assert!(!answer.is_error(), "{}", answer.text());
    let ended = home.call("observability", "query_metrics", &everything).expect(1);
    assert_eq!(ended.json()["error"]["next"]["tool"], "query_metrics", "{}", ended.stdout);
}

/// A call that waits for a slow system does not keep others from being answered.
#[test]
fn a_slow_system_holds_up_only_those_who_ask_it() {
    let prod = one_series();
    let recorder = Recorder::before(prod.address());
    let home = home("prometheus", &recorder.url());
    let mut session = serve(&home);
    let hold = recorder.hold("*", "/");
    let waiting = session.start_call("query_metrics", json!({ "query": "up" }));
    hold.wait_arrived(DEADLINE);
    answers(&mut session, "show_authority", json!({}));
    hold.release();
    // Released in time or given up in time: answered either way.
    let answer = session.answer(waiting);
    assert!(!answer.is_error() || answer.text().contains("within 3000 ms"), "{}", answer.text());
    let cancelled = recorder.hold("*", "/api");
    let id = session.start_call("query_metrics", json!({ "query": "up" }));
    cancelled.wait_arrived(DEADLINE);
    session.cancel(id);
    wait_until("the cancelled call to be recorded", DEADLINE, || {
        let tail = home.run(["audit", "tail", "-n", "100"]).expect(0).stdout;
        tail.contains("permitted  cancelled").then_some(())
    });
}
