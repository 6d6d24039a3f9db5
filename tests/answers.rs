//! What do callers hear, through the real binary? Little, whole in what matters, and as promised.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::{
    assert_valid,
    backends::{Alert, Alertmanager, GitRepository, History, Prometheus, incident_history},
    cli::Home,
    mcp::{Session, Version},
    tokens,
};

const WINDOW: &str = "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z";

fn home(connections: &str) -> Home {
    Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(connections)
}

fn prometheus(it: &Prometheus) -> String {
    format!("[connections.prod]\nkind = \"prometheus\"\nurl = \"{}\"\n", it.url())
}

fn alertmanager(it: &Alertmanager) -> String {
    format!("[connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n", it.url())
}

fn git(it: &GitRepository) -> String {
    format!("[connections.shop]\nkind = \"git\"\npath = {:?}\n", it.path())
}

fn serve(home: &Home) -> Session {
    home.serve(&["code", "observability"], Version::V2025_11_25)
}

/// Calls a tool that answers, within so many tokens in either form, with the same facts in both.
fn told(session: &mut Session, tool: &str, arguments: Value, most: usize) -> (Value, String) {
    let answer = session.call(tool, arguments.clone());
    assert!(!answer.is_error(), "{tool} {arguments}: {}", answer.text());
    let (structured, text) = (answer.structured(), answer.text());
    for (form, said) in [("text", text.clone()), ("structure", structured.to_string())] {
        let cost = tokens(&said);
        assert!(cost <= most, "{tool} {arguments}: {form} takes {cost} tokens of {most}:\n{said}");
    }
    assert_same(&structured, &text);
    assert_counted(&structured);
    (structured, text)
}

/// Every fact of the structure stands in the text, and every line of the text's head in the structure.
fn assert_same(structured: &Value, text: &str) {
    let facts = structured.as_object().expect("an answer is an object");
    for (name, value) in facts {
        match name.as_str() {
            "columns" | "rows" | "text" => {}
            _ => assert!(
                text.contains(&format!("{name}: {}", plain(value))),
                "{name}: {value} is not in:\n{text}"
            ),
        }
    }
    let head = text.lines().take_while(|it| !it.contains(" | ")).filter_map(|it| it.split_once(": "));
    let is_name = |it: &&str| it.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
    for name in head.map(|it| it.0).filter(is_name) {
        assert!(facts.contains_key(name), "the text alone says `{name}`:\n{text}");
    }
    for row in facts.get("rows").and_then(Value::as_array).into_iter().flatten() {
        let cells = row.as_array().expect("a row is a list").iter();
        let line = cells.map(|it| plain(it).replace(" | ", " \\| ")).collect::<Vec<_>>().join(" | ");
        assert!(text.contains(&line), "`{line}` is not in:\n{text}");
    }
    for line in facts.get("text").and_then(Value::as_str).unwrap_or_default().lines() {
        assert!(text.contains(line), "`{line}` is not in:\n{text}");
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace('\n', "\\n"),
        value => value.to_string(),
    }
}

/// What was seen is what is shown and what was left out; and where something was, `next` says how to have more.
fn assert_counted(structured: &Value) {
    let Some(rows) = structured["rows"].as_array() else { return };
    let count = |name: &str| structured[name].as_u64().unwrap_or_else(|| panic!("{name}: {structured}"));
    assert_eq!(count("shown"), rows.len() as u64, "{structured}");
    match count("seen") - count("shown") {
        0 => assert!(structured.get("next").is_none(), "nothing is left: {structured}"),
        left => {
            let omitted = structured["omitted"].as_str().unwrap_or_default();
            let said = omitted.split("; ").next().unwrap_or_default().split(", ");
            let said: u64 = said.filter_map(|it| it.split(' ').next()?.parse::<u64>().ok()).sum();
            assert_eq!(said, left, "{omitted}");
        }
    }
    let columns = structured["columns"].as_array().map(Vec::len);
    assert!(rows.iter().all(|it| it.as_array().map(Vec::len) == columns), "{structured}");
}

/// Sends what an answer says to send next.
fn go_on(session: &mut Session, structured: &Value, most: usize) -> Value {
    let next = &structured["next"];
    let tool = next["tool"].as_str().unwrap_or_else(|| panic!("no next: {structured}"));
    told(session, tool, next["arguments"].clone(), most).0
}

fn rows(structured: &Value) -> &[Value] {
    structured["rows"].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn of_seven_thousand_series_the_outlier_and_the_spread_are_told_in_two_thousand_tokens() {
    let end = Prometheus::now();
    let history = (0..7_000).fold(History::new(), |history, at| {
        let labels = format!(r#"job="app",service="s{}",pod="p{}""#, at % 7, at / 7);
        let value = f64::from(at % 7 * 100 + at / 7 % 50) + if at == 4_242 { 99_000.0 } else { 0.0 };
        history.gauge("connections_open", labels, [(end, value)])
    });
    let prod = Prometheus::start(history);
    let home = home(&prometheus(&prod));
    let mut session = serve(&home);
    let query = json!({ "query": "connections_open" });
    let (structured, text) = told(&mut session, "query_metrics", query.clone(), 2_000);
    assert_eq!(structured["seen"], 7_000);
    assert_eq!(rows(&structured)[0], json!(["pod=p606,service=s0", 99_006, "top"]), "the outlier is first");
    assert!(rows(&structured).iter().any(|it| it[2] == "bottom"), "the other end is there too");
    assert!(text.contains("p50 325"), "the spread of all of them:\n{text}");
    assert!(text.contains("by service"), "the label that explains it:\n{text}");
    let more = go_on(&mut session, &structured, 8_000);
    assert_eq!(more["seen"], 7_000);
    assert!(rows(&more).len() > rows(&structured).len(), "more room, more rows");
    for most in [200, 500, 1_000, 3_000, 8_000] {
        let mut asked = query.clone();
        asked["max_tokens"] = json!(most);
        let (structured, _) = told(&mut session, "query_metrics", asked, most);
        assert_eq!(structured["seen"], 7_000, "the count is true in {most} tokens");
        assert_eq!(rows(&structured)[0][1], 99_006, "the outlier is there in {most} tokens");
    }
}

#[test]
fn of_sixty_series_over_six_hours_those_that_moved_are_told_in_two_thousand_tokens() {
    let end = Prometheus::now();
    let history = (0..60).fold(History::new(), |history, at| {
        let value = move |now: i64| match at {
            17 if now > end - 2_400 => 90.0,
            _ => 10.0 + f64::from(at) / 10.0 + ((now / 600 + i64::from(at)) % 3) as f64,
        };
        let points = (end - 21_600..=end).step_by(60).map(|it| (it, value(it)));
        history.gauge("queue_length", format!(r#"job="app",pod="pod-{at}""#), points)
    });
    let prod = Prometheus::start(history);
    let home = home(&prometheus(&prod));
    let mut session = serve(&home);
    let asked = json!({ "query": "queue_length", "window": "6h" });
    let (structured, _) = told(&mut session, "query_metrics", asked, 2_000);
    assert_eq!(structured["seen"], 60);
    assert_eq!(rows(&structured)[0][0], "pod=pod-17", "the one that moved is first");
    assert!(rows(&structured)[0].to_string().contains("90"), "where it stands now: {}", rows(&structured)[0]);
    assert!(rows(&structured).len() >= 8, "{structured}");
    let more = go_on(&mut session, &structured, 8_000);
    assert_eq!(more["seen"], 60);
    assert_eq!(more["time"].as_str().map(|it| it.contains('/')), Some(true), "the window in UTC: {more}");
    assert!(rows(&more).len() > rows(&structured).len());
}

#[test]
fn of_five_hundred_alerts_the_critical_one_is_told_in_two_thousand_tokens() {
    let alerts = Alertmanager::start(Alertmanager::CONFIG);
    let noise = (0..499).map(|at| {
        let alert = Alert::new(&format!("Noise{:02}", at % 49)).label("severity", "warning");
        alert.label("pod", at.to_string()).annotation("summary", "Slower than it was yesterday")
    });
    let critical = Alert::new("PaymentsDown").label("severity", "critical").label("service", "checkout-api");
    let critical = critical.annotation("summary", "No payment goes through").since("2026-01-31T10:00:00Z");
    let mut all: Vec<Alert> = noise.collect();
    all.insert(250, critical);
    alerts.push(&all);
    let home = home(&alertmanager(&alerts));
    let mut session = serve(&home);
    let (structured, text) = told(&mut session, "list_alerts", json!({}), 2_000);
    assert_eq!(structured["seen"], 50, "groups of 500 alerts");
    let first = &rows(&structured)[0];
    assert_eq!((&first[0], &first[1], &first[2]), (&json!("PaymentsDown"), &json!("critical"), &json!(1)));
    for word in ["2026-01-31T10:00:00Z", "No payment goes through", "checkout-api"] {
        assert!(first.to_string().contains(word) && text.contains(word), "{word}: {first}");
    }
    let more = go_on(&mut session, &structured, 8_000);
    assert_eq!((more["seen"].as_u64(), rows(&more).len()), (Some(50), 50), "all of it fits then");
    let counted: u64 = rows(&more).iter().filter_map(|it| it[2].as_u64()).sum();
    assert_eq!(counted, 500, "no alert is lost in its group");
    let (small, _) = told(&mut session, "list_alerts", json!({ "max_tokens": 250 }), 250);
    assert_eq!(rows(&small)[0][0], "PaymentsDown");
}

#[test]
fn what_comes_next_continues_where_the_answer_ended() {
    let mut shop = GitRepository::new();
    let text: String = (1..=900).map(|at| format!("line {at} of many in this file\n")).collect();
    shop.write("long.txt", &text, "Alice <alice@example.com>", "Write it down");
    for at in 1..=120 {
        let content = format!("{at}\n");
        shop.write("count.txt", &content, "Bob <bob@example.com>", &format!("Count to {at}"));
    }
    let home = home(&git(&shop));
    let mut session = serve(&home);
    let mut subjects = Vec::new();
    let (mut page, _) = told(&mut session, "list_commits", json!({ "window": WINDOW }), 2_000);
    loop {
        let column = page["columns"].as_array().and_then(|it| it.iter().position(|it| it == "subject"));
        let column = column.expect("commits have a subject");
        subjects.extend(rows(&page).iter().map(|it| it[column].as_str().expect("text").to_owned()));
        if page.get("next").is_none() {
            break;
        }
        page = go_on(&mut session, &page, 2_000);
    }
    let mut right: Vec<String> = (1..=120).rev().map(|at| format!("Count to {at}")).collect();
    right.push("Write it down".to_owned());
    assert_eq!(subjects, right, "every commit once, newest first");

    let mut lines = String::new();
    let (mut page, _) = told(&mut session, "read_file", json!({ "path": "long.txt" }), 2_000);
    loop {
        let shown = page["text"].as_str().expect("text").lines();
        lines.extend(shown.map(|it| format!("{}\n", it.split_once(' ').expect("a number stands before").1)));
        if page.get("next").is_none() {
            break;
        }
        page = go_on(&mut session, &page, 2_000);
    }
    assert_eq!(lines, text, "every line once, in order");
}

/// Every example of every tool, and calls that answer in every other way.
fn calls(home: &Home) -> Vec<(String, Value)> {
    let mut calls = Vec::new();
    for tool in home.run(["tools", "--json"]).expect(0).json().as_array().expect("a list") {
        let name = tool["name"].as_str().expect("a name");
        let examples = tool["examples"].as_array().expect("every tool has examples");
        assert!(!examples.is_empty(), "{name}");
        calls.extend(examples.iter().map(|it| (name.to_owned(), it.clone())));
    }
    let silence = |dry_run: bool| {
        let matchers = json!(["alertname=\"HighErrorRate\""]);
        json!({ "matchers": matchers, "duration_minutes": 5, "reason": "a rehearsal of it", "dry_run": dry_run })
    };
    let failing = "sum by (service) (rate(http_requests_total{code=\"500\"}[5m]))";
    let others = [
        ("query_metrics", json!({ "query": "up" })),
        ("query_metrics", json!({ "query": "1 + 1" })),
        ("query_metrics", json!({ "query": "nothing_at_all" })),
        ("query_metrics", json!({ "query": "sum(up)", "window": "30m", "step_seconds": 300 })),
        ("query_metrics", json!({ "query": failing, "window": "1h" })),
        ("list_alerts", json!({ "state": "silenced" })),
        ("silence_alert", silence(true)),
        ("silence_alert", silence(false)),
        ("list_alerts", json!({})),
        ("list_commits", json!({ "window": WINDOW })),
        ("list_commits", json!({ "revision": "v1.0.0..HEAD" })),
        ("list_commits", json!({ "window": WINDOW, "author": "nobody" })),
        ("read_file", json!({ "path": "checkout/pay.rs", "lines": "1-2" })),
        ("show_authority", json!({})),
    ];
    calls.extend(others.map(|(tool, arguments)| (tool.to_owned(), arguments)));
    calls
}

#[test]
fn every_answer_of_every_tool_fits_the_schema_that_clients_got() {
    let shop = GitRepository::shop();
    let prod = Prometheus::start(incident_history(Prometheus::now()));
    let alerts = Alertmanager::start(Alertmanager::CONFIG);
    alerts
        .push(&[Alert::new("HighErrorRate").label("severity", "critical").label("service", "checkout-api")]);
    let allow = "[policy]\nallow = [\"*\", \"silence_alert\", \"expire_silence\"]\n";
    let home = home(&[allow, &git(&shop), &prometheus(&prod), &alertmanager(&alerts)].concat());
    let mut session = serve(&home);
    let listed = session.request("tools/list", json!({})).result();
    let tools = listed["tools"].as_array().expect("a list");
    let schema = |tool: &str, form: &str| {
        let listed =
            tools.iter().find(|it| it["name"] == tool).expect("a tool that examples are of is listed");
        listed[form].as_object().cloned().expect("both schemas are published")
    };
    let mut answered = BTreeSet::new();
    // What is outside the profile that is served is not listed.
    let is_listed = |it: &(String, Value)| tools.iter().any(|tool| tool["name"] == it.0);
    for (tool, arguments) in calls(&home).into_iter().filter(is_listed) {
        assert_valid(&format!("{tool} {arguments}"), &schema(&tool, "inputSchema"), &arguments);
        let answer = session.call(&tool, arguments.clone());
        // Examples speak of files that this repository does not have: such an answer is an error with a word for it.
        if answer.is_error() {
            assert_valid("a refusal", &schema(&tool, "outputSchema"), &answer.structured());
            let word = answer.structured()["error"].clone();
            let nothing = ["no file", "no alerting rules"].iter().any(|it| answer.text().contains(it));
            let missing = word == "not_found" || word == "invalid_argument" && nothing;
            assert!(missing, "{tool} {arguments}: {}", answer.text());
            continue;
        }
        let (structured, text) = (answer.structured(), answer.text());
        let mut output = schema(&tool, "outputSchema");
        output.insert("additionalProperties".to_owned(), false.into());
        assert_valid(&format!("the answer to {tool} {arguments}"), &output, &structured);
        assert_same(&structured, text.split("\nreceipt: ").next().expect("what stands before the receipt"));
        answered.insert(tool);
    }
    // Rules, a silence to end and the lines that examples name are not here: tests of their own have them.
    let elsewhere = ["explain_alert", "expire_silence", "trace_lines"];
    let names = tools.iter().filter_map(|it| it["name"].as_str()).filter(|it| !elsewhere.contains(it));
    let silent: Vec<&str> = names.filter(|it| !answered.contains(*it)).collect();
    assert!(silent.is_empty(), "every tool has answered but {silent:?}");
}
