//! Against real Alertmanagers, and a Prometheus that stands beside one.

use std::sync::LazyLock;

use config::{Connection, Http, System};
use testkit::{
    DEADLINE,
    backends::{Alert as Fired, Alertmanager as Backend, Behaviour, Recorder},
    http as plain, wait_until,
};

use super::*;
use crate::fixture::{connection, http, parse, shown, within};

const INHIBIT: &str = "\
inhibit_rules: [{ source_matchers: ['alertname=\"ClusterDown\"'], target_matchers: ['severity=\"info\"'] }]
";

/// 500 alerts: most are warnings of 40 names, few are critical; one name is silenced, one inhibited.
static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    let backend = Backend::start(&format!("{}{INHIBIT}", Backend::CONFIG));
    let mut alerts: Vec<Fired> = (0..480)
        .map(|at| {
            let fired = Fired::new(&format!("Noise{:02}", at % 40)).label("severity", "warning");
            let fired =
                fired.label("pod", format!("pod-{at}")).label("team", if at % 2 == 0 { "cart" } else { "x" });
            fired
                .annotation("summary", "Something is a little slower than it was yesterday")
                .since("2026-01-31T10:00:00Z")
        })
        .collect();
    alerts.extend((0..12).map(|at| {
        let fired =
            Fired::new("HighErrorRate").label("severity", "critical").label("service", "checkout-api");
        let fired =
            fired.label("pod", format!("checkout-api-{at}")).annotation("value", format!("0.{}", at + 10));
        fired
            .annotation("summary", "More than 5% of requests fail")
            .since(format!("2026-01-31T11:{:02}:00Z", 20 + at))
    }));
    alerts.push(Fired::new("ClusterDown").label("severity", "critical").since("2026-01-31T09:00:00Z"));
    alerts.extend(
        (0..3).map(|at| Fired::new("PodSlow").label("severity", "info").label("pod", at.to_string())),
    );
    alerts.extend(
        (0..4).map(|at| Fired::new("DiskFull").label("severity", "critical").label("disk", at.to_string())),
    );
    backend.push(&alerts);
    silence(&backend, "DiskFull");
    backend
});

fn silence(backend: &Backend, alert: &str) {
    let body = json!({
        "matchers": [{ "name": "alertname", "value": alert, "isRegex": false, "isEqual": true }],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2100-01-01T00:00:00Z",
        "createdBy": "a person",
        "comment": "known",
    });
    let answer = plain::post(backend.address(), "/api/v2/silences", &body.to_string()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let path = "/api/v2/alerts?active=false&inhibited=false";
    let shows = || plain::get(backend.address(), path).is_ok_and(|it| it.body.contains(alert)).then_some(());
    wait_until("the silence to hold", DEADLINE, shows);
}

async fn ask_of(connections: &[Connection], arguments: Value) -> Result<Answer<AlertsFacts>, ToolError> {
    let backends = Backends::new(connections).unwrap();
    let now = "2026-01-31T12:00:00Z".parse().unwrap();
    parse::<ListAlerts>(arguments).answer(&backends, now, None).await
}

async fn ask(arguments: Value) -> Value {
    let alerts = connection("alerts", System::Alertmanager(http(&BACKEND.url())));
    shown(&ask_of(&[alerts], arguments).await.unwrap())
}

fn row<'a>(answer: &'a Value, alert: &str) -> &'a Value {
    answer["rows"].as_array().unwrap().iter().find(|it| it[0] == alert).expect(alert)
}

#[tokio::test]
async fn five_hundred_alerts_fit_with_the_critical_ones_first() {
    let answer = ask(json!({})).await;
    let told = within(&answer, 2_000);
    assert_eq!(told["seen"], 44);
    let rows = told["rows"].as_array().unwrap();
    assert!(rows.len() >= 20, "{} rows", rows.len());
    assert_eq!((&rows[0][0], &rows[1][0]), (&json!("HighErrorRate"), &json!("ClusterDown")), "{told}");
    assert_eq!(rows[0][2], 12);
    assert_eq!(rows[0][4], "2026-01-31T11:20:00Z", "the oldest of the group");
    assert_eq!(rows[0][5], "0.1..0.21");
    assert!(rows[0][6].as_str().unwrap().contains("service=checkout-api"), "{}", rows[0]);
}

#[tokio::test]
async fn silenced_and_inhibited_alerts_are_shown_as_such() {
    let all = ask(json!({})).await;
    assert_eq!(row(&all, "DiskFull")[3], "silenced");
    assert_eq!(row(&all, "PodSlow")[3], "inhibited");
    for (state, alert, count) in
        [("silenced", "DiskFull", 1), ("inhibited", "PodSlow", 1), ("active", "Noise00", 42)]
    {
        let some = ask(json!({ "state": state })).await;
        assert_eq!(some["seen"], count, "{state}");
        row(&some, alert);
    }
}

#[tokio::test]
async fn a_filter_is_applied_and_one_that_is_none_is_refused() {
    let answer = ask(json!({ "filter": ["severity=critical", "service=~\"check.*\""] })).await;
    assert_eq!((&answer["seen"], &answer["rows"][0][0]), (&json!(1), &json!("HighErrorRate")));
    let answer = ask(json!({ "filter": ["severity=\"nobody\""] })).await;
    assert_eq!(answer["notes"][0], "nothing fires that meets `filter` and `state`");
    for wrong in
        [json!({ "filter": ["a=\"b\",c=\"d\""] }), json!({ "state": "loud" }), json!({ "filter": "a=b" })]
    {
        assert!(serde_json::from_value::<ListAlerts>(wrong).is_err());
    }
    let forced = Http { matchers: vec!["team=\"cart\"".to_owned()], ..http(&BACKEND.url()) };
    let answer = ask_of(&[connection("alerts", System::Alertmanager(forced))], json!({})).await.unwrap();
    let answer = shown(&answer);
    assert_eq!((&answer["seen"], row(&answer, "Noise00")[2].as_u64()), (&json!(20), Some(12)));
    assert_eq!(answer["notes"], json!(["alerts: only alerts within {team=\"cart\"}"]));
}

#[tokio::test]
async fn every_alertmanager_is_asked_and_one_that_fails_is_named() {
    let recorder = Recorder::before(BACKEND.address());
    recorder.on("*", "/", Behaviour::html());
    let alerts = |name: &str, url: &str| connection(name, System::Alertmanager(http(url)));
    let both = [alerts("eu", &BACKEND.url()), alerts("us", &recorder.url())];
    let answer = ask_of(&both, json!({ "filter": ["alertname=\"ClusterDown\""] })).await.unwrap();
    assert_eq!(answer.not_looked_at.len(), 1);
    assert!(answer.not_looked_at[0].starts_with("connection us: us is unavailable: answered text/html"));
    let answer = shown(&answer);
    assert_eq!((&answer["connections"], &answer["rows"][0][8]), (&json!(["eu"]), &json!("eu")));
    let none = ask_of(&both, json!({ "filter": ["alertname=\"Nobody\""] })).await.unwrap();
    assert_eq!(
        none.facts.notes,
        ["nothing fires in eu that meets `filter` and `state`"],
        "of us nothing is known"
    );
    let error = ask_of(&both, json!({ "connection": "us" })).await.err().unwrap();
    assert_eq!(error.code(), "unavailable");
    let error = ask_of(&both, json!({ "connection": "uk" })).await.err().unwrap();
    assert_eq!(error.code(), "not_found");
    assert_eq!(ask_of(&[], json!({})).await.err().unwrap().code(), "invalid_argument");
}

#[tokio::test]
async fn values_come_from_the_prometheus_beside_it() {
    let rules = |alert: &str| {
        let alerts = json!([{ "labels": { "alertname": alert, "severity": "critical" }, "annotations": {},
            "state": "firing", "activeAt": "2026-01-31T09:00:00Z", "value": "4.2e+01" }]);
        json!({ "status": "success", "data": { "alerts": alerts } }).to_string()
    };
    let recorder = Recorder::alone();
    recorder.on("GET", "/api/v1/alerts", Behaviour::json(200, rules("ClusterDown")));
    let alerts = connection("alerts", System::Alertmanager(http(&BACKEND.url())));
    let metrics = connection("metrics", System::Prometheus(http(&recorder.url())));
    let both = [alerts.clone(), metrics];
    let filter = json!({ "filter": ["alertname=\"ClusterDown\""] });
    let answer = shown(&ask_of(&both, filter.clone()).await.unwrap());
    assert_eq!(answer["rows"][0][5], 42);
    let call: ListAlerts = parse(filter.clone());
    let targets = call.targets(&Backends::new(&both).unwrap()).unwrap();
    assert_eq!(targets.len(), 2, "what is read is what is asked for: {targets:?}");

    recorder.on("*", "/", Behaviour::Drop);
    let answer = ask_of(&both, filter.clone()).await.unwrap();
    assert!(answer.not_looked_at[0].starts_with("values of alerts's alerts: metrics is unavailable"));

    let forced = Http { matchers: vec!["team=\"cart\"".to_owned()], ..http(&recorder.url()) };
    recorder.on("GET", "/api/v1/alerts", Behaviour::json(200, rules("ClusterDown")));
    let both = [alerts, connection("metrics", System::Prometheus(forced))];
    let answer = shown(&ask_of(&both, filter).await.unwrap());
    assert_eq!(answer["rows"][0][5], Value::Null, "a value out of the bounds of that connection");
}

#[tokio::test]
async fn a_row_carries_what_it_shows_and_a_trusted_team() {
    let trusted = Http { trust_labels: true, ..http(&BACKEND.url()) };
    let mut knows_cart = connection("metrics", System::Prometheus(http("http://127.0.0.1:9")));
    knows_cart.team = "cart".to_owned();
    let both = [connection("alerts", System::Alertmanager(trusted)), knows_cart];
    let answer = ask_of(&both, json!({ "filter": ["alertname=\"Noise02\""] })).await.unwrap();
    let tool::Body::Table(table) = answer.body else { panic!("rows") };
    let targets: Vec<_> = table.rows.into_iter().map(|it| it.target.unwrap()).collect();
    assert_eq!(targets.len(), 1, "{targets:?}");
    assert_eq!(
        (targets[0].id.as_str(), targets[0].team.as_str(), &*targets[0].kind),
        ("Noise02", "cart", "alerts")
    );
    let answer = ask_of(&both, json!({ "filter": ["alertname=\"Noise01\""] })).await.unwrap();
    let tool::Body::Table(table) = answer.body else { panic!("rows") };
    assert_eq!(table.rows[0].target.as_ref().unwrap().team, "platform", "`x` is no known team");
}
