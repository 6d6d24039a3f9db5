//! What a real OpenTelemetry receiver hears of what is served: which spans and metrics, nothing that is anybody's secret, and
//! what becomes of calls when it does not listen.

mod stage;
mod unheard;

use serde_json::{Value, json};
use testkit::{
    backends::{OtlpCollector, OtlpTap, Recorder, Span},
    mcp::Version,
};

use stage::{Client, Stage, WINDOW};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ABOVE: &str = "00f067aa0ba902b7";

fn to(url: &str) -> String {
    format!("[telemetry]\notlp = {url:?}\n")
}

/// `_meta` of a request that is part of somebody's trace.
fn traced(version: Version) -> Value {
    let mut meta = version.meta().unwrap_or_else(|| json!({}));
    meta["traceparent"] = json!(format!("00-{TRACE}-{ABOVE}-01"));
    meta["tracestate"] = json!("vendor=opaque");
    meta["baggage"] = json!("userId=hunter2");
    meta
}

fn called(tap: &OtlpTap, tool: &str) -> Span {
    tap.span(tool, |it| it.name() == format!("tools/call {tool}"))
}

/// Attributes of the call that runs, whichever way it came in.
fn says(span: &Span, told: &[(&str, Value)]) {
    for (name, value) in told {
        assert_eq!(&span.attribute(name), value, "{name} of {span:?}");
    }
}

#[test]
fn a_call_is_a_span_below_its_callers_with_the_decision_and_where_its_record_stands() {
    let tap = OtlpTap::start();
    let stage = Stage::new(&to(&tap.url()));
    let mut client = stage.lines(Version::V2026_07_28);
    let meta = traced(Version::V2026_07_28);
    let answer = client.call("list_commits", json!({ "window": WINDOW }), Some(&meta));
    assert!(!answer.is_error(), "{}", answer.text());
    let span = called(&tap, "list_commits");
    assert!(span.is_server() && !span.failed(), "{span:?}");
    assert_eq!((span.trace(), span.parent(), span.state()), (TRACE, ABOVE, "vendor=opaque"));
    let receipt = answer.receipt();
    says(
        &span,
        &[
            ("mcp.method.name", json!("tools/call")),
            ("gen_ai.tool.name", json!("list_commits")),
            ("gen_ai.operation.name", json!("execute_tool")),
            ("mcp.protocol.version", json!("2026-07-28")),
            ("network.transport", json!("pipe")),
            ("network.protocol.name", json!(null)),
            ("error.type", json!(null)),
            ("bailiwick.server", json!("code")),
            ("bailiwick.effect", json!("read")),
            ("bailiwick.decision", json!("allow")),
            ("bailiwick.ended", json!("ok")),
            ("bailiwick.agent", json!("claude-code")),
            ("bailiwick.record.log", receipt["log"].clone()),
            ("bailiwick.record.index", receipt["index"].clone()),
        ],
    );
    assert!(span.attribute("jsonrpc.request.id").is_string(), "{span:?}");
    let policies = span.attribute("bailiwick.policy");
    assert!(policies[0].as_str().is_some_and(|it| it.contains("list_")), "{policies}");
    client.leave();
}

#[test]
fn a_refusal_is_a_span_that_says_by_which_rule() {
    let tap = OtlpTap::start();
    let stage = Stage::new(&to(&tap.url()));
    let mut client = stage.lines(Version::V2025_11_25);
    client.call("read_file", json!({ "path": "checkout/pay.rs" }), None);
    let denied = called(&tap, "read_file");
    assert!(denied.failed() && denied.parent().is_empty(), "{denied:?}");
    let told = [("bailiwick.decision", json!("deny")), ("bailiwick.policy", json!(["deny:read_file"]))];
    says(&denied, &told);
    says(&denied, &[("error.type", json!("tool_error")), ("bailiwick.ended", json!("denied"))]);
    let silence = json!({
        "matchers": ["alertname=\"A\""], "duration_minutes": 5, "reason": "rolling back hunter2, its errors are known"
    });
    client.call("silence_alert", silence, None);
    let waits = called(&tap, "silence_alert");
    says(&waits, &[("bailiwick.decision", json!("approve")), ("bailiwick.effect", json!("mitigate"))]);
    assert_eq!(client.call("hunter2", json!({}), None).error_code(), Some(-32602));
    let unknown = called(&tap, "(unknown)");
    let told = [("error.type", json!("-32602")), ("rpc.response.status_code", json!("-32602"))];
    says(&unknown, &told);
    says(&unknown, &[("bailiwick.decision", json!("none"))]);
    client.leave();
}

#[test]
fn what_goes_out_for_a_call_is_a_span_below_it_and_the_system_behind_is_told_of_it() {
    let tap = OtlpTap::start();
    let stage = Stage::new(&to(&tap.url()));
    let mut client = stage.lines(Version::V2025_11_25);
    let meta = traced(Version::V2025_11_25);
    let failed = client.call("query_metrics", json!({ "query": "up{job=\"hunter2\"}" }), Some(&meta));
    assert!(failed.is_error(), "{}", failed.text());
    let above = called(&tap, "query_metrics");
    assert!(above.failed(), "{above:?}");
    says(&above, &[("bailiwick.decision", json!("allow")), ("error.type", json!("tool_error"))]);
    let below = tap.span("of what goes out", |it| !it.is_server());
    assert_eq!((below.trace(), below.parent()), (TRACE, above.id()));
    assert!(below.failed(), "{below:?}");
    says(
        &below,
        &[
            ("http.response.status_code", json!(500)),
            ("error.type", json!("500")),
            ("server.address", json!("127.0.0.1")),
            ("server.port", json!(stage.prometheus.address().port())),
            ("bailiwick.connection", json!("prom")),
            ("url.full", json!(null)),
        ],
    );
    assert_eq!(below.attribute("http.request.method"), below.name());
    let sent = stage.prometheus.requests();
    let told = sent.iter().filter_map(|it| it.header("traceparent"));
    let below: Vec<String> =
        tap.spans().iter().filter(|it| !it.is_server()).map(|it| it.id().to_owned()).collect();
    for traceparent in told {
        let parts: Vec<&str> = traceparent.split('-').collect();
        assert_eq!((parts[0], parts[1], parts[3]), ("00", TRACE, "01"));
        assert!(below.iter().any(|it| it == parts[2]), "{traceparent}: {below:?}");
    }
    let names = |name: &str| sent.iter().filter(|it| it.header(name).is_some()).count();
    assert_eq!((names("traceparent"), names("tracestate"), names("baggage")), (sent.len(), 0, 0));
    client.leave();
}

#[test]
fn over_http_sessions_and_calls_are_measured_as_the_page_for_prometheus_counts_them() {
    let tap = OtlpTap::start();
    let stage = Stage::new(&to(&tap.url()));
    let served = stage.served();
    let mut older = served.greeted("code", Version::V2025_11_25);
    let session = older.session().expect("a session").to_owned();
    older.call("list_commits", json!({ "window": WINDOW }));
    older.call("read_file", json!({ "path": "checkout/pay.rs" }));
    let span = called(&tap, "list_commits");
    let told = [
        ("network.transport", json!("tcp")),
        ("network.protocol.name", json!("http")),
        ("mcp.session.id", json!(session)),
    ];
    says(&span, &told);
    let mut newer = Client::Http(served.client("code", Version::V2026_07_28));
    let meta = traced(Version::V2026_07_28);
    newer.call("list_commits", json!({ "window": WINDOW }), Some(&meta));
    let span = tap.span("of the newer client", |it| it.parent() == ABOVE);
    says(&span, &[("mcp.session.id", json!(null)), ("mcp.protocol.version", json!("2026-07-28"))]);
    newer.request("tools/list", json!({}));
    tap.span("of the list", |it| it.name() == "tools/list");
    assert_eq!(older.send("DELETE", &[("mcp-session-id", &session)], b"").status, 202);
    let page = testkit::http::get(served.address(), "/metrics").expect("an answer").body;
    assert!(served.stop().success());

    let durations = tap.points("mcp.server.operation.duration");
    let of = |tool: &str, version: &str| {
        let found = durations.iter().find(|it| {
            it.attribute("gen_ai.tool.name") == tool && it.attribute("mcp.protocol.version") == version
        });
        found.unwrap_or_else(|| panic!("{tool} {version}: {durations:?}")).clone()
    };
    let (listed, denied) = (of("list_commits", "2025-11-25"), of("read_file", "2025-11-25"));
    assert_eq!((listed.count, listed.attribute("error.type")), (1, json!(null)));
    assert_eq!((denied.count, denied.attribute("error.type")), (1, json!("tool_error")));
    assert_eq!(of("list_commits", "2026-07-28").count, 1);
    let advised = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
    assert_eq!(listed.bounds, advised);
    assert_eq!(
        listed.attribute("bailiwick.record.index"),
        json!(null),
        "one series a call would be too many"
    );
    let calls = tap.points("bailiwick.calls");
    for (tool, decision, ended, count) in
        [("list_commits", "allow", "ok", 2), ("read_file", "deny", "denied", 1)]
    {
        let found = calls.iter().find(|it| it.attribute("gen_ai.tool.name") == tool).expect("it was called");
        let words = ["bailiwick.decision", "bailiwick.ended"].map(|it| found.attribute(it));
        assert_eq!((found.count, words), (count, [json!(decision), json!(ended)]), "{tool}");
        let line =
            format!("bailiwick_calls_total{{server=\"code\",tool=\"{tool}\",ended=\"{ended}\"}} {count}");
        assert!(page.lines().any(|it| it == line), "{line}\n{page}");
    }
    assert_eq!(tap.points("mcp.server.session.duration").iter().map(|it| it.count).sum::<u64>(), 1);
}

/// Writes what nobody else is to read wherever a client can write something.
fn plant(code: &mut Client, observability: &mut Client) {
    let meta = traced(Version::V2026_07_28);
    code.call("read_file", json!({ "path": "hunter2/secret.rs" }), Some(&meta));
    code.call("list_commits", json!({ "window": WINDOW, "path": "hunter2" }), Some(&meta));
    // Of what lies there, and what is told of it, nothing leaves either.
    let answer = code.call("list_commits", json!({ "window": WINDOW }), Some(&meta));
    assert!(answer.text().contains("Retry"), "{}", answer.text());
    code.call("list_commits", json!({ "hunter2": "hunter2" }), Some(&meta));
    code.call("hunter2", json!({}), Some(&meta));
    code.request("tools/call", json!({ "name": 5, "hunter2": 1, "_meta": meta }));
    let silence = json!({
        "matchers": ["alertname=\"hunter2\""], "duration_minutes": 5, "reason": "rolling back, as hunter2 said"
    });
    observability.call("silence_alert", silence, Some(&meta));
    observability.call("query_metrics", json!({ "query": "hunter2" }), Some(&meta));
}

#[test]
fn no_argument_no_answer_no_reason_no_person_and_no_token_leaves() {
    let tap = OtlpTap::start();
    let between = Recorder::before(tap.address());
    let stage = Stage::new(&format!(
        "{}headers = {{ x-tenant = \"shop\", x-api-key = {{ env = \"OTLP_KEY\" }} }}\n\
         attributes = {{ \"deployment.environment.name\" = \"staging\" }}\n",
        to(&between.url())
    ));
    let stage = stage.variable("OTLP_KEY", "key-hunter2");
    for over_http in [false, true] {
        let served = over_http.then(|| stage.served());
        let client = |server: &str| match &served {
            None => stage.lines(Version::V2026_07_28),
            Some(served) => {
                Client::Http(served.client(server, Version::V2026_07_28).bearing("token-hunter2"))
            }
        };
        let before = tap.spans().len();
        let (mut code, mut observability) = (client("code"), client("observability"));
        plant(&mut code, &mut observability);
        [code, observability].into_iter().for_each(Client::leave);
        if let Some(served) = served {
            assert!(served.stop().success());
        }
        // Eight calls, one of them with a request to a system behind.
        assert!(tap.spans().len() >= before + 9, "the last leave with the server: {:?}", tap.spans());
    }
    let received = between.requests();
    assert!(
        received.iter().any(|it| it.path == "/v1/traces")
            && received.iter().any(|it| it.path == "/v1/metrics")
    );
    let mut told = String::new();
    for request in &received {
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(
            (request.header("x-tenant"), request.header("x-api-key")),
            (Some("shop"), Some("key-hunter2"))
        );
        told.push_str(&request.body);
    }
    for text in
        ["service.name", "bailiwick", "service.instance.id", "staging", "deny:read_file", "claude-code"]
    {
        assert!(told.contains(text), "{text} is told");
    }
    for secret in
        ["hunter2", "Retry", "alice", "Alice", "example.com", "pay.rs", "alertname", "userId", "2026-01-01"]
    {
        assert!(!told.contains(secret), "{secret} leaves");
    }
}

#[test]
fn a_caller_who_does_not_trace_is_not_traced() {
    let tap = OtlpTap::start();
    let stage = Stage::new(&to(&tap.url()));
    let mut client = stage.lines(Version::V2025_11_25);
    let unsampled = json!({ "traceparent": format!("00-{TRACE}-{ABOVE}-00") });
    client.call("list_commits", json!({ "window": WINDOW }), Some(&unsampled));
    let malformed = json!({ "traceparent": format!("00-{TRACE}-hunter2-01") });
    client.call("find_owners", json!({ "path": "checkout/pay.rs" }), Some(&malformed));
    let own = called(&tap, "find_owners");
    assert!(own.trace() != TRACE && own.parent().is_empty(), "{own:?}");
    client.leave();
    assert!(tap.spans().iter().all(|it| it.trace() != TRACE), "{:?}", tap.spans());
    let measured = tap.points("mcp.server.operation.duration");
    assert!(measured.iter().any(|it| it.attribute("gen_ai.tool.name") == "list_commits"), "{measured:?}");
}

#[test]
fn a_collector_takes_it_too() {
    let collector = OtlpCollector::start();
    let stage = Stage::new(&to(&collector.url()));
    let mut client = stage.lines(Version::V2025_11_25);
    client.call("list_commits", json!({ "window": WINDOW }), None);
    client.leave();
    for text in
        ["tools/call list_commits", "SPAN_KIND_SERVER", "mcp.server.operation.duration", "bailiwick.calls"]
    {
        collector.wait_for(text);
    }
}
