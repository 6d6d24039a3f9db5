//! Against a real Alertmanager. Ending a silence for real takes the whole gate: see `tests/silences.rs`.

use config::{Connection, Http, System};
use testkit::{
    DEADLINE,
    backends::{Alert as Fired, Alertmanager as Backend},
    http as plain, wait_until,
};

use super::*;
use crate::fixture::{connection, http, parse, shown};

fn silence(backend: &Backend, matchers: &[(&str, &str)]) -> String {
    let matchers: Vec<Value> = matchers
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value, "isRegex": false, "isEqual": true }))
        .collect();
    let body = json!({
        "matchers": matchers,
        "startsAt": utc(Timestamp::from_second(testkit::backends::Prometheus::now()).unwrap()),
        "endsAt": utc(Timestamp::from_second(testkit::backends::Prometheus::now() + 7_200).unwrap()),
        "createdBy": "alice",
        "comment": "known since yesterday",
    });
    let answer = plain::post(backend.address(), "/api/v2/silences", &body.to_string()).unwrap();
    let made: Value = serde_json::from_str(&answer.body).unwrap();
    made["silenceID"].as_str().unwrap().to_owned()
}

/// Two services' errors; checkout's are silenced twice over, cart's once. The silence of all of them comes first.
fn backend() -> (Backend, String, String) {
    let backend = Backend::start(Backend::CONFIG);
    let alert = |service: &str, team: &str| {
        Fired::new("HighErrorRate")
            .label("service", service)
            .label("team", team)
            .label("severity", "critical")
    };
    backend.push(&[alert("checkout-api", "checkout"), alert("cart-api", "cart")]);
    let all = silence(&backend, &[("alertname", "HighErrorRate")]);
    let one = silence(&backend, &[("alertname", "HighErrorRate"), ("team", "checkout")]);
    wait_until("both silences to hold", DEADLINE, || {
        let alerts = plain::get(backend.address(), "/api/v2/alerts?active=false").ok()?.body;
        (alerts.contains(&one) && alerts.matches(&all).count() == 2).then_some(())
    });
    (backend, all, one)
}

fn backends(settings: Http) -> Backends {
    let mut all: Vec<Connection> = vec![connection("alerts", System::Alertmanager(settings))];
    for team in ["checkout", "cart"] {
        let mut knows = connection(team, System::Prometheus(http("http://127.0.0.1:9")));
        knows.team = team.to_owned();
        all.push(knows);
    }
    Backends::new(&all).unwrap()
}

fn call(id: &str) -> ExpireSilence {
    parse(json!({ "silence": id, "reason": "healthy again, rolled back" }))
}

fn now() -> Timestamp {
    Timestamp::from_second(testkit::backends::Prometheus::now()).unwrap()
}

#[tokio::test]
async fn what_people_will_hear_of_again_is_told_apart_from_what_stays_hidden() {
    let (backend, all, one) = backend();
    let backends = backends(http(&backend.url()));
    let alertmanager = backends.alertmanager(None).unwrap();
    let told = async |id: &str| {
        let plan = call(id).plan(&backends, alertmanager, None).await.unwrap();
        shown(&plan.told(&backends, alertmanager, "dry run".to_owned(), now()))
    };
    let answer = told(&all).await;
    assert_eq!((&answer["unhides"], &answer["still_hidden"]), (&json!(1), &json!(1)), "{answer}");
    assert_eq!(answer["rows"][0][6], "service=cart-api,team=cart");
    assert_eq!(answer["matchers"], "alertname=\"HighErrorRate\"");
    assert_eq!(answer["origin"], "alice: known since yesterday");
    let undo = &answer["undo"]["arguments"];
    assert_eq!(undo["matchers"], json!(["alertname=\"HighErrorRate\""]));
    assert!((110..=120).contains(&undo["duration_minutes"].as_u64().unwrap()), "{undo}");
    let answer = told(&one).await;
    assert_eq!((&answer["unhides"], &answer["still_hidden"]), (&json!(0), &json!(1)), "{answer}");
}

#[tokio::test]
async fn targets_are_those_of_what_the_silence_may_hide() {
    let (backend, all, one) = backend();
    let trusted = backends(Http { trust_labels: true, ..http(&backend.url()) });
    let targets = async |backends: &Backends, id: &str| {
        let targets = call(id).resolve(backends).await.unwrap().unwrap();
        targets.into_iter().map(|it| (it.id, it.team)).collect::<Vec<_>>()
    };
    let named = |teams: &[&str]| {
        teams.iter().map(|it| ("HighErrorRate".to_owned(), (*it).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(targets(&trusted, &all).await, named(&["platform", "cart", "checkout"]));
    assert_eq!(targets(&trusted, &one).await, named(&["checkout"]));
    assert_eq!(targets(&backends(http(&backend.url())), &all).await, named(&["platform"]));
    let everything = silence(&backend, &[("severity", "critical")]);
    let whole = targets(&backends(http(&backend.url())), &everything).await;
    assert_eq!(whole, [("alerts".to_owned(), "platform".to_owned())], "a silence of no one alert is of all");
}

#[tokio::test]
async fn an_unknown_silence_comes_with_those_there_are_and_a_forced_matcher_hides_the_rest() {
    let (backend, all, one) = backend();
    let offered = async |settings: Http| {
        let Err(ToolError::NotFound { suggestions, .. }) = call("no-such").resolve(&backends(settings)).await
        else {
            panic!("found")
        };
        suggestions
    };
    let both = offered(http(&backend.url())).await;
    assert_eq!(both.len(), 2);
    assert!(
        both.iter().any(|it| it.text.starts_with(&format!("{all} (alertname=\"HighErrorRate\", until ")))
    );
    let forced = |trust_labels| Http {
        matchers: vec!["team=\"checkout\"".to_owned()],
        trust_labels,
        ..http(&backend.url())
    };
    let only = offered(forced(false)).await;
    assert!(only.len() == 1 && only[0].text.starts_with(&one), "{only:?}");
    assert!(call(&all).resolve(&backends(forced(false))).await.is_err(), "it reaches beyond what is forced");
    let trusting = Http { trust_labels: true, ..http(&backend.url()) };
    assert_eq!(offered(trusting).await.len(), 1, "a silence of several teams is offered to nobody");
}
