//! Against a real Alertmanager. What is sent is made here and posted by the test: only a recorded intent gives leave to
//! post it, and that takes the whole gate.

use config::{Connection, Http, System};
use policy::Assurance;
use testkit::{
    DEADLINE,
    backends::{Alert as Fired, Alertmanager as Backend, Recorder},
    http as plain, wait_until,
};

use super::*;
use crate::fixture::{connection, http, parse, shown};

fn backend() -> Backend {
    let backend = Backend::start(Backend::CONFIG);
    let alert = |name: &str, service: &str, team: &str| {
        Fired::new(name).label("severity", "critical").label("service", service).label("team", team)
    };
    backend.push(&[
        alert("HighErrorRate", "checkout-api", "checkout"),
        alert("HighErrorRate", "cart-api", "cart"),
        alert("HighErrorRate", "frontend", "nobody"),
        alert("DiskFull", "checkout-api", "checkout"),
    ]);
    backend
}

fn caller(person: Option<&str>) -> Caller {
    Caller {
        agent: "claude-code".to_owned(),
        on_behalf_of: person.map(str::to_owned),
        teams: Vec::new(),
        assurance: Assurance::Declared,
    }
}

fn arguments(matchers: Value) -> Value {
    json!({ "matchers": matchers, "duration_minutes": 30, "reason": "rolling back checkout-api" })
}

fn now() -> Timestamp {
    Timestamp::from_second(testkit::backends::Prometheus::now()).unwrap()
}

fn alerts(settings: Http) -> Connection {
    connection("alerts", System::Alertmanager(settings))
}

#[tokio::test]
async fn a_dry_run_lists_what_would_go_unheard_and_posts_nothing() {
    let backend = backend();
    let recorder = Recorder::before(backend.address());
    let backends = Backends::new(&[alerts(http(&recorder.url()))]).unwrap();
    let call: SilenceAlert = parse(arguments(json!(["alertname=\"HighErrorRate\""])));
    let alertmanager = backends.alertmanager(None).unwrap();
    let plan = call.plan(alertmanager, now(), None).await.unwrap();
    let answer = shown(&call.rehearse(&backends, alertmanager, plan));
    assert_eq!((&answer["hides"], &answer["rows"][0][2]), (&json!(3), &json!(3)), "{answer}");
    assert!(answer["outcome"].as_str().unwrap().starts_with("dry run: would hide"), "{answer}");
    assert_eq!(answer["silence"], Value::Null);
    assert!(recorder.requests().iter().all(|it| it.method == "GET"));
    assert_eq!(backend.silences().len(), 0);
}

#[tokio::test]
async fn what_is_sent_hides_what_was_said_and_is_found_again() {
    let backend = backend();
    let backends = Backends::new(&[alerts(http(&backend.url()))]).unwrap();
    let call: SilenceAlert =
        parse(arguments(json!(["alertname=\"HighErrorRate\"", "service=~\"check.*|cart-.*\""])));
    let alertmanager = backends.alertmanager(None).unwrap();
    let plan = call.plan(alertmanager, now(), None).await.unwrap();
    assert_eq!(plan.hidden.len(), 2);
    let silence = call.silence(&plan, &caller(Some("alice")), "bailiwick/x/0/ab:7", now());
    let body = serde_json::to_string(&silence).unwrap();
    let answer = plain::post(backend.address(), "/api/v2/silences", &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);

    let made = &backend.silences()[0];
    assert_eq!(made["createdBy"], "claude-code for alice");
    assert_eq!(made["comment"], "rolling back checkout-api (bailiwick bailiwick/x/0/ab:7)");
    wait_until("both to be silenced", DEADLINE, || {
        let found = plain::get(backend.address(), "/api/v2/alerts?active=false").unwrap();
        (serde_json::from_str::<Value>(&found.body).unwrap().as_array().unwrap().len() == 2).then_some(())
    });

    // In another order, the same; for longer or of others, not.
    let again: SilenceAlert =
        parse(arguments(json!(["service=~\"check.*|cart-.*\"", "alertname=\"HighErrorRate\""])));
    let plan = again.plan(alertmanager, now(), None).await.unwrap();
    assert!(plan.existing.is_some());
    let answer = shown(&again.rehearse(&backends, alertmanager, plan));
    assert!(answer["outcome"].as_str().unwrap().contains("nothing to do"), "{answer}");
    let mut longer = arguments(json!(["service=~\"check.*|cart-.*\"", "alertname=\"HighErrorRate\""]));
    longer["duration_minutes"] = json!(600);
    assert!(parse::<SilenceAlert>(longer).plan(alertmanager, now(), None).await.unwrap().existing.is_none());
    let other: SilenceAlert = parse(arguments(json!(["alertname=\"HighErrorRate\""])));
    assert!(other.plan(alertmanager, now(), None).await.unwrap().existing.is_none());
}

#[test]
fn a_silence_that_is_too_broad_or_too_long_is_refused() {
    let backends = Backends::new(&[alerts(http("http://127.0.0.1:9"))]).unwrap();
    for broad in [
        json!(["severity=\"critical\""]),
        json!(["alertname=~\".*\""]),
        json!(["alertname=~\"HighErrorRate\""]),
        json!(["alertname!=\"X\""]),
        json!(["alertname=\"\""]),
    ] {
        let call: SilenceAlert = parse(arguments(broad.clone()));
        let Err(ToolError::Invalid { argument, problem }) = call.targets(&backends) else {
            panic!("{broad}")
        };
        assert_eq!(argument, "matchers");
        assert!(problem.contains("alertname=\"HighErrorRate\""), "{problem}");
    }
    let fits = arguments(json!(["alertname=\"X\""]));
    let with = |name: &str, value: Value| {
        let mut arguments = fits.clone();
        arguments[name] = value;
        serde_json::from_value::<SilenceAlert>(arguments).is_ok()
    };
    assert!(with("duration_minutes", json!(1440)));
    assert!(!with("duration_minutes", json!(1441)) && !with("duration_minutes", json!(0)));
    assert!(!with("reason", json!("because")));
    assert!(!with("matchers", json!([])) && !with("matchers", json!(vec!["a=\"b\""; 9])));
    assert!(!with("matchers", json!(["alertname=\"X\"", "alertname=\"X\""])));
}

#[tokio::test]
async fn targets_are_the_alert_and_every_known_team_whose_alerts_match() {
    let backend = backend();
    let trusted = Http { trust_labels: true, ..http(&backend.url()) };
    let mut all = vec![alerts(trusted)];
    for team in ["checkout", "cart"] {
        let mut knows = connection(team, System::Prometheus(http("http://127.0.0.1:9")));
        knows.team = team.to_owned();
        all.push(knows);
    }
    let backends = Backends::new(&all).unwrap();
    let teams = async |matchers: Value| {
        let call: SilenceAlert = parse(arguments(matchers));
        let targets = call.resolve(&backends).await.unwrap().unwrap();
        assert!(targets.iter().all(|it| it.id == "HighErrorRate" && it.connection == "alerts"));
        let mut teams: Vec<String> = targets.into_iter().map(|it| it.team).collect();
        teams.sort();
        teams
    };
    let all = teams(json!(["alertname=\"HighErrorRate\""])).await;
    assert_eq!(all, ["cart", "checkout", "platform"], "and the connection's, for those yet to fire");
    let one = teams(json!(["alertname=\"HighErrorRate\"", "team=\"cart\""])).await;
    assert_eq!(one, ["cart"]);
}

#[test]
fn a_silence_is_of_every_team_it_may_reach_though_none_of_their_alerts_fires() {
    let teams = |matchers: Value, forced: &[&str], trust_labels: bool| {
        let forced = forced.iter().map(|it| (*it).to_owned()).collect();
        let settings = Http { trust_labels, matchers: forced, ..http("http://127.0.0.1:9") };
        let words = ["checkout".to_owned(), "cart".to_owned()];
        let backends = Backends::new(&[alerts(settings)]).unwrap().knowing_teams(&words);
        let call: SilenceAlert = parse(arguments(matchers));
        call.targets(&backends).unwrap().into_iter().map(|it| it.team).collect::<Vec<_>>()
    };
    let down = "alertname=\"Down\"";
    assert_eq!(teams(json!([down]), &[], true), ["platform", "cart", "checkout"]);
    assert_eq!(teams(json!([down, "team=\"cart\""]), &[], true), ["cart"]);
    assert_eq!(teams(json!([down, "team!=\"cart\""]), &[], true), ["platform", "checkout"]);
    assert_eq!(teams(json!([down, "team=~\"[a-z&&x]art\""]), &[], true), ["platform", "cart", "checkout"]);
    assert_eq!(teams(json!([down]), &["team=\"cart\""], true), ["platform", "cart"]);
    assert_eq!(teams(json!([down]), &[], false), ["platform"], "labels that are not trusted say nothing");
}

#[test]
fn a_silence_that_reaches_more_teams_than_policy_is_asked_about_says_whose() {
    let settings = Http { trust_labels: true, ..http("http://127.0.0.1:9") };
    let words: Vec<String> = (0..Target::MAX).map(|it| format!("team-{it}")).collect();
    let backends = Backends::new(&[alerts(settings)]).unwrap().knowing_teams(&words);
    let call: SilenceAlert = parse(arguments(json!(["alertname=\"Down\""])));
    assert_eq!(call.targets(&backends).expect_err("too many").code(), "invalid_argument");
    let call: SilenceAlert = parse(arguments(json!(["alertname=\"Down\"", "team=\"team-7\""])));
    assert_eq!(call.targets(&backends).unwrap().len(), 1);
}

#[tokio::test]
async fn forced_matchers_bind_a_silence_too() {
    let backend = backend();
    let forced = Http { matchers: vec!["team=\"cart\"".to_owned()], ..http(&backend.url()) };
    let backends = Backends::new(&[alerts(forced)]).unwrap();
    let call: SilenceAlert = parse(arguments(json!(["alertname=\"HighErrorRate\""])));
    let plan = call.plan(backends.alertmanager(None).unwrap(), now(), None).await.unwrap();
    assert_eq!(plan.forced, ["team=\"cart\""]);
    assert_eq!(plan.hidden.len(), 1);
    let sent = serde_json::to_value(call.silence(&plan, &caller(None), "r", now())).unwrap();
    assert_eq!(sent["matchers"][1]["name"], "team");
    assert_eq!(sent["createdBy"], "claude-code");
}
