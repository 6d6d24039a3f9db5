//! Against a real Prometheus that scrapes, and one that tells of 2,000 targets.

use config::{Http, System};
use testkit::{
    DEADLINE,
    backends::{Behaviour, History, Prometheus as Backend, Recorder},
    http as plain, wait_until,
};

use super::*;
use crate::fixture::{connection, http, parse, shown, within};

fn now() -> Timestamp {
    Timestamp::from_second(Backend::now()).unwrap()
}

async fn ask_of(all: Vec<(&str, Http)>, arguments: Value) -> Result<Answer<TargetsFacts>, ToolError> {
    let connections: Vec<_> =
        all.into_iter().map(|(name, settings)| connection(name, System::Prometheus(settings))).collect();
    let backends = Backends::new(&connections).unwrap();
    parse::<ListTargets>(arguments).answer(&backends, now(), None).await
}

async fn ask(settings: Http, arguments: Value) -> Value {
    shown(&ask_of(vec![("prod", settings)], arguments).await.unwrap())
}

fn row<'a>(answer: &'a Value, job: &str, state: &str) -> &'a Value {
    let rows = answer["rows"].as_array().unwrap();
    rows.iter().find(|it| it[0] == job && it[1] == state).unwrap_or_else(|| panic!("{job} {state}: {answer}"))
}

/// A Prometheus that scrapes itself and somebody who is not there, and knows of others from an hour ago.
fn scraping() -> Backend {
    let end = Backend::now();
    let mut history = History::new();
    let seen = || (end - 5_400..=end - 2_700).step_by(60).map(|it| (it, 1.0));
    for at in 0..4 {
        history = history.gauge("up", format!("job=\"gone\",instance=\"10.0.0.{at}:9100\""), seen());
    }
    let config = "\
global: { scrape_interval: 1s }
scrape_configs:
  - { job_name: absent, static_configs: [{ targets: ['127.0.0.1:1', '127.0.0.1:2'] }], params: { token: [hunter2] } }
  - { job_name: empty, static_configs: [{ targets: ['127.0.0.1:3'] }], relabel_configs: [{ action: drop, source_labels: [job] }] }
";
    let backend = Backend::configured(history, config, "");
    wait_until("both to be found down", DEADLINE, || {
        let found = plain::get(backend.address(), "/api/v1/targets").ok()?.body;
        let pools = plain::get(backend.address(), "/api/v1/scrape_pools").ok()?.body;
        (found.matches("\"health\":\"down\"").count() == 2 && pools.contains("empty")).then_some(())
    });
    backend
}

#[tokio::test]
async fn what_is_down_gone_or_never_was_comes_with_its_reason() {
    let backend = scraping();
    let answer = ask(http(&backend.url()), json!({})).await;
    let down = row(&answer, "absent", "down");
    assert_eq!((&down[2], &down[3]), (&json!(2), &json!(2)), "{down}");
    assert!(down[5].as_str().unwrap().contains("connection refused"), "{down}");
    assert!(!answer.to_string().contains("hunter2"), "the address that was asked is not repeated");
    assert_eq!(down[6], "127.0.0.1:1, 127.0.0.1:2");
    let gone = row(&answer, "gone", "vanished");
    assert_eq!((&gone[2], &gone[6]), (&json!(4), &json!("10.0.0.0:9100, 10.0.0.1:9100, 10.0.0.2:9100, +1")));
    assert_eq!(row(&answer, "empty", "no targets")[2], 0);
    assert_eq!(answer["rows"][0][0], "absent", "{answer}");
    let one = ask(http(&backend.url()), json!({ "filter": ["instance=\"127.0.0.1:2\""] })).await;
    assert_eq!((one["seen"].clone(), one["rows"][0][6].clone()), (json!(1), json!("127.0.0.1:2")), "{one}");
    let none = ask(http(&backend.url()), json!({ "filter": ["job=\"nobody\""] })).await;
    assert_eq!(none["notes"][0], "no target that meets `filter`: nothing is scraped");
}

fn told(count: usize, health: impl Fn(usize) -> &'static str, scraped: impl Fn(usize) -> i64) -> String {
    let scrape = |at: usize| {
        json!({
            "discoveredLabels": { "__address__": format!("10.0.{}.{}:9100", at / 250, at % 250) },
            "labels": { "job": format!("job-{}", at % 40), "instance": format!("10.0.{}.{}:9100", at / 250, at % 250), "team": if at.is_multiple_of(2) { "cart" } else { "checkout" } },
            "scrapePool": format!("job-{}", at % 40),
            "scrapeUrl": "http://10.0.0.1:9100/metrics?token=hunter2",
            "lastError": if health(at) == "down" { "Get \"http://10.0.0.1:9100/metrics?token=hunter2\": context deadline exceeded" } else { "" },
            "lastScrape": utc(Timestamp::from_second(Backend::now() - scraped(at)).unwrap()),
            "lastScrapeDuration": 0.01,
            "health": health(at),
            "scrapeInterval": "15s",
            "scrapeTimeout": "10s",
        })
    };
    let active: Vec<Value> = (0..count).map(scrape).collect();
    json!({ "status": "success", "data": { "activeTargets": active, "droppedTargets": [] } }).to_string()
}

/// Says that it has these targets, and knows nothing else.
fn saying(backend: &Backend, targets: &str) -> Recorder {
    let recorder = Recorder::before(backend.address());
    recorder.on("GET", "/api/v1/targets", Behaviour::json(200, targets));
    recorder.on("GET", "/api/v1/scrape_pools", Behaviour::json(404, "{}"));
    recorder
}

#[tokio::test]
async fn of_two_thousand_targets_the_one_that_is_down() {
    let empty = Backend::start(History::new().gauge("a", "b=\"c\"", [(Backend::now(), 1.0)]));
    let health = |at| if at == 1_234 { "down" } else { "up" };
    let recorder = saying(&empty, &told(2_000, health, |at| if at == 77 { 600 } else { 5 }));
    let answer = ask(http(&recorder.url()), json!({})).await;
    let kept = within(&answer, 2_000);
    assert_eq!(kept["rows"][0][6], "10.0.4.234:9100", "{kept}");
    assert_eq!(
        (&kept["rows"][0][1], &kept["rows"][0][2], &kept["rows"][0][3]),
        (&json!("down"), &json!(1), &json!(50))
    );
    assert_eq!(kept["rows"][0][5], "context deadline exceeded");
    assert_eq!((&kept["rows"][1][1], &kept["rows"][1][4]), (&json!("stale"), &json!("10m ago")));
    assert_eq!(answer["seen"], 42);
    assert!(kept["rows"].as_array().unwrap().len() > 30, "{kept}");
}

#[tokio::test]
async fn a_job_of_which_all_are_down_comes_before_one_of_which_some_are() {
    let empty = Backend::start(History::new().gauge("a", "b=\"c\"", [(Backend::now(), 1.0)]));
    let health = |at| if at % 40 == 7 || (at % 40 == 3 && at > 100) { "down" } else { "up" };
    let recorder = saying(&empty, &told(400, health, |_| 1));
    let answer = ask(http(&recorder.url()), json!({})).await;
    assert_eq!([&answer["rows"][0][0], &answer["rows"][1][0]], ["job-7", "job-3"]);
    let forced = Http { matchers: vec!["team=\"cart\"".to_owned()], ..http(&recorder.url()) };
    let answer = ask(forced, json!({})).await;
    assert_eq!(answer["seen"], 20, "only even jobs are within: {answer}");
    assert!(answer["notes"][0].as_str().unwrap().contains("kept within {team=\"cart\"}"));
}

#[tokio::test]
async fn a_store_that_scrapes_nothing_is_read_by_the_series_it_was_sent() {
    let end = Backend::now();
    let mut history = History::new();
    for at in 0..3 {
        let up = if at == 1 { 0.0 } else { 1.0 };
        history = history.gauge("up", format!("job=\"pushed\",instance=\"i{at}\""), [(end - 10, up)]);
    }
    let backend = Backend::start(history);
    let answer = ask(http(&backend.url()), json!({})).await;
    assert_eq!(row(&answer, "pushed", "down")[6], "i1");
    assert_eq!(row(&answer, "pushed", "up")[2], 2);
    assert!(answer["notes"][0].as_str().unwrap().contains("it scrapes nothing itself"), "{answer}");
}

#[tokio::test]
async fn of_several_connections_the_one_that_fails_is_named() {
    let backend = Backend::start(History::new().gauge("up", "job=\"a\"", [(Backend::now(), 1.0)]));
    let gone = Recorder::before(backend.address());
    gone.on("*", "/", Behaviour::Drop);
    let both = vec![("prod-eu", http(&backend.url())), ("prod-us", http(&gone.url()))];
    let answer = ask_of(both, json!({})).await.unwrap();
    assert_eq!(answer.facts.connections, ["prod-eu"]);
    assert!(answer.not_looked_at[0].starts_with("connection prod-us: prod-us is unavailable"));
    assert_eq!(shown(&answer)["rows"][0][7], "prod-eu");
    let failed = ask_of(vec![("prod-us", http(&gone.url()))], json!({})).await;
    assert_eq!(failed.err().unwrap().code(), "unavailable");
}

#[tokio::test]
async fn nothing_is_said_only_of_systems_that_answered() {
    let backend = Backend::start(History::new().gauge("a", "b=\"c\"", [(Backend::now(), 1.0)]));
    let gone = Recorder::before(backend.address());
    gone.on("*", "/", Behaviour::Drop);
    let both = || vec![("prod-eu", http(&backend.url())), ("prod-us", http(&gone.url()))];
    let answer = ask_of(both(), json!({})).await.unwrap();
    assert_eq!(answer.facts.notes.last().unwrap(), "no target of prod-eu: nothing is scraped");

    let recorder = saying(&backend, &told(4, |_| "up", |_| 1));
    let targets = told(4, |_| "up", |_| 1).replacen('{', r#"{"warnings":["one of two did not answer"],"#, 1);
    recorder.on("GET", "/api/v1/targets", Behaviour::json(200, targets));
    let answer = ask_of(vec![("prod", http(&recorder.url()))], json!({})).await.unwrap();
    let missing = &answer.not_looked_at;
    assert!(missing[0].starts_with("jobs without targets of prod: "), "{missing:?}");
    assert_eq!(missing[1], "prod: its answers may lack something: one of two did not answer");
}
