//! Does it answer as a real Alertmanager does, asked the same of the same alerts?

use std::net::SocketAddr;

use jiff::{SignedDuration, ToSpan};
use testkit::{
    backends::{Alert, Alertmanager},
    http,
};

use crate::store::{Labels, NAME, Store};

use super::*;

/// A real one and ours, with the same alerts.
struct Pair {
    real: Alertmanager,
    ours: SocketAddr,
    _running: tokio::runtime::Runtime,
}

impl Pair {
    fn start() -> Pair {
        let running = tokio::runtime::Runtime::new().expect("a runtime");
        let routes = routes(Arc::new(Production::of_samples(samples())));
        let ours = running.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            tokio::spawn(async move { axum::serve(listener, routes).await });
            address
        });
        let real = Alertmanager::start(CONFIG);
        let alerts = json(&http::get(ours, "/api/v2/alerts").expect("answers").body);
        let pushed: Vec<Alert> = alerts.as_array().expect("a list").iter().map(pushed).collect();
        real.push(&pushed);
        Pair { real, ours, _running: running }
    }

    /// Status and body of both, the real one's first.
    fn send(&self, method: &str, path: &str, body: &str) -> [(u16, Value); 2] {
        [self.real.address(), self.ours].map(|address| {
            let answer = http::send(address, method, path, body).expect("answers");
            (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body)))
        })
    }

    /// What both answer once what only one of them can know is taken out.
    fn alike(&self, path: &str) -> [(u16, Value); 2] {
        self.send("GET", path, "").map(|(status, body)| (status, comparable(body)))
    }
}

/// Two services that are down, of which one also has a certificate about to expire.
fn samples() -> Store {
    let mut store = Store::new();
    let now = Timestamp::now();
    for service in ["cart", "search"] {
        let up = Labels::new([(NAME, "up"), ("service", service), ("team", "shop"), ("instance", service)]);
        let up = store.place(&up);
        let expiry =
            Labels::new([(NAME, "probe_ssl_earliest_cert_expiry"), ("service", service), ("team", "shop")]);
        let expiry = store.place(&expiry);
        for minute in (0..20).rev() {
            let at = (now - SignedDuration::from_mins(minute)).as_millisecond();
            store.append(up, at, if service == "cart" { 0.0 } else { 1.0 });
            store.append(expiry, at, now.as_second() as f64 + 86_400.0);
        }
    }
    store
}

fn pushed(alert: &Value) -> Alert {
    let pairs = |it: &Value| -> Vec<(String, String)> {
        let text = |it: &Value| it.as_str().expect("a text").to_owned();
        it.as_object().expect("an object").iter().map(|(name, value)| (name.clone(), text(value))).collect()
    };
    let since = alert["startsAt"].as_str().expect("a time").to_owned();
    Alert { labels: pairs(&alert["labels"]), annotations: pairs(&alert["annotations"]), since: Some(since) }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn comparable(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            // Whoever pushes may leave it out, and the test does.
            map.remove("generatorURL");
            for name in ["endsAt", "updatedAt", "id"] {
                map.entry(name).and_modify(|it| *it = Value::Bool(true));
            }
            if let Some(ids) = map.get_mut("silencedBy").and_then(Value::as_array_mut) {
                ids.iter_mut().for_each(|it| *it = Value::Bool(true));
            }
            map.values_mut().for_each(|it| *it = comparable(it.take()));
            map.sort_keys();
        }
        Value::Array(items) => items.iter_mut().for_each(|it| *it = comparable(it.take())),
        _ => {}
    }
    value
}

fn silence(from_s: i64, to_s: i64, matchers: &str) -> String {
    let now = Timestamp::now();
    let at = |it: i64| now + it.seconds();
    format!(
        r#"{{"matchers":{matchers},"startsAt":"{}","endsAt":"{}","createdBy":"a","comment":"b"}}"#,
        at(from_s),
        at(to_s)
    )
}

const FILTERS: &[&str] = &[
    "",
    "?filter=service=%22cart%22",
    "?filter=service!=%22cart%22",
    "?filter=service=~%22c.*%22",
    "?filter=service!~%22c.*%22",
    "?filter=service=~%22c%22",
    "?filter=service=%22cart%22&filter=severity=%22warning%22",
    "?filter=none=%22%22",
    "?filter=nonsense",
    "?filter=service=~%22(%22",
    "?active=false",
    "?silenced=false",
    "?inhibited=false",
    "?inhibited=false&silenced=false&active=true",
    "?active=maybe",
    "?receiver=on-call",
    "?receiver=on",
    "?receiver=on.*",
];

#[test]
fn alerts_are_filtered_silenced_and_inhibited_as_by_the_original() {
    let pair = Pair::start();
    let compare = |round: &str| {
        for filter in FILTERS {
            let [real, ours] = pair.alike(&format!("/api/v2/alerts{filter}"));
            assert_eq!(real.0, ours.0, "{round} {filter}: {} {}", real.1, ours.1);
            if real.0 == 200 {
                assert_eq!(real.1, ours.1, "{round} {filter}");
            }
        }
    };
    compare("before");
    let all = pair.send("GET", "/api/v2/alerts", "")[1].1.clone();
    assert_eq!(all.as_array().map(Vec::len), Some(3), "{all}");
    let one = r#"[{"name":"service","value":"sea.*","isRegex":true,"isEqual":true}]"#;
    let made = pair.send("POST", "/api/v2/silences", &silence(0, 3_600, one));
    assert!(made.iter().all(|it| it.0 == 200 && it.1["silenceID"].is_string()), "{made:?}");
    compare("silenced");
    for (address, (_, made)) in [pair.real.address(), pair.ours].into_iter().zip(made) {
        let id = made["silenceID"].as_str().expect("an id");
        let ended = http::send(address, "DELETE", &format!("/api/v2/silence/{id}"), "").expect("answers");
        assert_eq!(ended.status, 200);
        let found = http::get(address, &format!("/api/v2/silence/{id}")).expect("answers");
        assert_eq!(json(&found.body)["status"]["state"], "expired");
    }
    compare("after");
}

#[test]
fn silences_are_taken_and_refused_as_by_the_original() {
    let pair = Pair::start();
    let good = r#"[{"name":"service","value":"cart","isRegex":false}]"#;
    for body in [
        silence(0, 3_600, good),
        silence(600, 3_600, good),
        silence(3_600, 600, good),
        silence(-3_600, -600, good),
        silence(0, 3_600, "[]"),
        silence(0, 3_600, r#"[{"name":"service","value":".*","isRegex":true}]"#),
        silence(0, 3_600, r#"[{"name":"service","value":"(","isRegex":true}]"#),
        silence(0, 3_600, r#"[{"name":"service","value":"","isRegex":false}]"#),
        silence(0, 3_600, r#"[{"name":"1bad","value":"x","isRegex":false}]"#),
        silence(0, 3_600, r#"[{"value":"x","isRegex":false}]"#),
        silence(0, 3_600, good).replace(r#","comment":"b""#, ""),
        silence(0, 3_600, good)
            .replace(r#"{"matchers""#, r#"{"id":"00000000-0000-4000-8000-000000000000","matchers""#),
        "{".to_owned(),
    ] {
        let [real, ours] = pair.send("POST", "/api/v2/silences", &body);
        assert_eq!(real.0, ours.0, "{body}\n{} {}", real.1, ours.1);
    }
    for path in ["/api/v2/silence/00000000-0000-4000-8000-000000000000", "/api/v2/silence/nonsense"] {
        let [real, ours] = pair.send("GET", path, "");
        assert_eq!(real.0, ours.0, "{path}: {} {}", real.1, ours.1);
    }
    for filter in ["", "?filter=service=%22cart%22", "?filter=service=%22other%22", "?filter=x"] {
        let states = |answer: &(u16, Value)| -> Vec<String> {
            let all = answer.1.as_array().into_iter().flatten();
            all.map(|it| format!("{} {}", it["status"]["state"], it["matchers"][0]["value"])).collect()
        };
        let [real, ours] = pair.send("GET", &format!("/api/v2/silences{filter}"), "");
        assert_eq!((real.0, states(&real)), (ours.0, states(&ours)), "{filter}");
    }
}

#[test]
fn groups_status_and_receivers_have_the_shape_of_the_original() {
    let pair = Pair::start();
    let [real, ours] = pair.alike("/api/v2/receivers");
    assert_eq!(real, ours);
    let [real, ours] = pair.send("GET", "/api/v2/status", "");
    let keys =
        |it: &Value| it.as_object().map(|it| it.keys().cloned().collect::<std::collections::BTreeSet<_>>());
    assert_eq!(keys(&real.1), keys(&ours.1));
    assert_eq!(keys(&real.1["versionInfo"]), keys(&ours.1["versionInfo"]));
    let ours = pair.send("GET", "/api/v2/alerts/groups", "")[1].1.clone();
    assert_eq!(ours.as_array().map(Vec::len), Some(3), "{ours}");
    assert_eq!(ours[0]["receiver"]["name"], RECEIVER);
    assert!(ours[0]["labels"]["service"].is_string(), "{ours}");
}
