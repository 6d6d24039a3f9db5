//! What a person sees: a picture from a real Prometheus, through the whole gate.

use std::sync::{Arc, LazyLock};

use config::{Connection, Http, System};
use observability::{Backends, tools};
use serde_json::{Value, json};
use testkit::{
    Picture, Reply,
    backends::{History, Prometheus},
    call_through,
};

/// When the history ends.
const END: i64 = 1_769_860_800;
const WINDOW: &str = "2026-01-31T06:00:00Z/2026-01-31T12:00:00Z";
/// Assembled, so that no scanner takes this file for a leak.
const TOKEN: &str = concat!("ghp", "_a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6g7H8");
const MASKED: &str = "[secret: github token]";

/// A queue with a peak at 10:30, three quarters into the window; and the same course twice, once under a secret and once
/// under what stands in its place.
static STORE: LazyLock<Prometheus> = LazyLock::new(|| {
    let moments = || (END - 21_600..=END).step_by(60);
    let peak = |it: i64| if (it - (END - 5_400)).abs() < 200 { 90.0 } else { 10.0 };
    let rising = |it: i64| (it - END + 21_600) as f64;
    let mut history = History::new().gauge("queue_length", "pod=\"a\"", moments().map(|it| (it, peak(it))));
    for pod in 0..11 {
        let flat = moments().map(|it| (it, 20.0 + f64::from(pod)));
        history = history.gauge("queue_length", format!("pod=\"flat-{pod}\""), flat);
    }
    for (held, owner) in [("leaked", TOKEN), ("safe", MASKED)] {
        let labels = format!("held=\"{held}\",owner=\"by {owner} since\"");
        history = history.gauge("jobs_waiting", labels, moments().map(|it| (it, rising(it))));
    }
    Prometheus::start(history)
});

async fn plot(query: &str) -> Reply {
    let unknown = || "unknown".to_owned();
    let connection = Connection {
        name: "prod".to_owned(),
        environment: "production".to_owned(),
        region: unknown(),
        team: unknown(),
        tier: unknown(),
        system: System::Prometheus(Http::plain(STORE.url().parse().expect("an address makes a URL"))),
    };
    let backends = Arc::new(Backends::new(&[connection]).expect("the connection is usable"));
    let arguments = json!({ "query": query, "window": WINDOW });
    let reply = call_through(tools::all(), backends, "plot_metrics", arguments).await;
    assert!(reply.refusal.is_none(), "{}", reply.shaped.text);
    reply
}

#[tokio::test]
async fn the_peak_is_drawn_where_it_was_and_the_text_says_the_same() {
    let reply = plot("queue_length").await;
    let image = reply.shaped.image.as_ref().expect("a picture");
    assert!(image.bytes.len() <= 60 * 1024, "{} bytes", image.bytes.len());
    let picture = Picture::of(image);
    let (along, up) = picture.peak(0).expect("the line that moved most is the first");
    assert!((along - 0.75).abs() < 0.02, "at 10:30: {along}");
    assert!((up - 0.9).abs() < 0.02, "90 of 100: {up}");
    assert_eq!(picture.lines(), 8);
    let told = &reply.shaped.structured;
    assert_eq!(told["rows"][0], json!(["pod=a", 10, 90, 10]));
    assert_eq!(
        (&told["seen"], &told["omitted"]),
        (&json!(12), &json!("4 series beyond what one call lists"))
    );
    assert!(reply.shaped.untrusted.contains(&"image".to_owned()), "outsiders write labels");
    assert!(testkit::tokens(&reply.shaped.text) < 400, "{}", reply.shaped.text);
}

#[tokio::test]
async fn a_secret_in_a_label_reaches_no_pixel() {
    let by = |held: &str| format!("max by (owner) (jobs_waiting{{held={held:?}}})");
    let (leaked, safe) = (plot(&by("leaked")).await, plot(&by("safe")).await);
    assert!(!leaked.shaped.text.contains(TOKEN) && leaked.shaped.masked.total() > 0);
    let labels = |it: &Reply| it.shaped.structured["rows"][0][0].clone();
    assert!(labels(&leaked).as_str().is_some_and(|it| it.contains(MASKED)), "{}", labels(&leaked));
    // The titles differ, and the two labels are written alike only when the secret's is masked: compare below the title.
    let both = [&leaked, &safe].map(|it| Picture::of(it.shaped.image.as_ref().expect("a picture")));
    assert_eq!(both[0].below_title(), both[1].below_title());
}

#[tokio::test]
async fn without_series_there_is_no_picture_and_the_text_says_why() {
    let reply = plot("queue_lenght").await;
    assert!(reply.shaped.image.is_none());
    let notes = &reply.shaped.structured["notes"];
    assert!(notes[0].as_str().is_some_and(|it: &str| it.contains("near: queue_length")), "{notes}");
    assert_eq!(reply.shaped.structured["seen"], Value::from(0));
}
