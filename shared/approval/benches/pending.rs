//! What does an approval cost where 10,000 others wait? Its whole life, asked, approved, reserved and finished, in a store where
//! nothing else waits and in one where they do, in turns, in a file and in PostgreSQL. `cargo bench -p approval --bench pending`;
//! `-- 1000 50` for fewer that wait and fewer lives.

#![expect(clippy::print_stdout, reason = "the table is what stdout is for")]

use std::time::{Duration, Instant};

use approval::*;
use jiff::Timestamp;
use policy::{Assurance, Caller, Channel, Target};
use serde_json::{Map, json};
use testkit::backends::Postgres;

/// Most that are listed at once.
const LISTED: u32 = 200;

/// Copies the one request that is there.
const FILL: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
    INSERT INTO approval (id, call, sealed, policy, approvals, confirm, state, note, asked_at, approve_by, until, \
    execute_within, changed_at) SELECT 'apr-' || i, call || i, sealed, policy, approvals, confirm, state, note, \
    asked_at + i, approve_by, until, execute_within, changed_at FROM approval, n";

#[tokio::main]
async fn main() {
    // `cargo bench` passes a word that means something to the standard harness only.
    let mut numbers = std::env::args().skip(1).filter_map(|it| it.parse::<i64>().ok());
    let waiting = numbers.next().unwrap_or(10_000);
    let lives = usize::try_from(numbers.next().unwrap_or(300)).expect("a number of lives");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| Place::File(folder.path().join(name));
    let shared = || Place::Postgres(Postgres::shared().schema());
    println!("{lives} lives, alone and beside {waiting} that wait; milliseconds");
    println!("{:<12} {:<6} {:>8} {:>8} {:>6}", "", "", "alone", "beside", "ratio");
    for (name, empty, full) in
        [("file", file("empty.sqlite"), file("full.sqlite")), ("postgresql", shared(), shared())]
    {
        let (alone, beside) = (open(&empty).await, open(&full).await);
        fill(&full, &beside, waiting).await;
        let mut taken = [Vec::new(), Vec::new()];
        let mut listed = [Vec::new(), Vec::new()];
        for nth in 0..lives {
            for (store, which) in [(&alone, 0), (&beside, 1)] {
                taken[which].push(live(store, nth).await);
                let begun = Instant::now();
                store.requests(&[State::Pending], LISTED, Timestamp::now()).await.expect("a list");
                listed[which].push(begun.elapsed());
            }
        }
        for (what, mut times) in [("life", taken), ("list", listed)] {
            for (word, per_cent) in [("p50", 50), ("p99", 99)] {
                let [alone, beside] = times.each_mut().map(|it| quantile(it, per_cent));
                let ratio = beside.as_secs_f64() / alone.as_secs_f64();
                let row = format!("{name} {what}");
                println!("{row:<16} {word} {:>8.2} {:>8.2} {ratio:>6.2}", millis(alone), millis(beside));
            }
        }
        let begun = Instant::now();
        let (_, voided) = beside
            .stop(ActionScope::default(), "over", "bob", Timestamp::now())
            .await
            .expect("an order to stop");
        println!(
            "{name}: an order to stop voids {} of them in {:.0} ms",
            voided.len(),
            millis(begun.elapsed())
        );
    }
}

async fn open(place: &Place) -> Store {
    Store::open(place).await.expect("a store")
}

async fn fill(place: &Place, store: &Store, waiting: i64) {
    store.ask(wanted("filling"), Timestamp::now()).await.expect("one");
    let address = match place {
        Place::File(path) => format!("sqlite://{}", path.display()),
        Place::Postgres(url) => url.clone(),
    };
    let pool = sqlx::AnyPool::connect(&address).await.expect("the same database");
    sqlx::query(FILL).bind(waiting - 1).execute(&pool).await.expect("they wait");
    assert_eq!(store.count(State::Pending, Timestamp::now()).await.expect("a count"), waiting as u64);
}

/// One approval from the question to its end.
async fn live(store: &Store, nth: usize) -> Duration {
    let voter = Voter {
        name: format!("bob-{nth}@example.com"),
        issuer: "company".to_owned(),
        subject: nth.to_string(),
        assurance: Assurance::Token,
        channel: Channel::Http,
    };
    let begun = Instant::now();
    let now = Timestamp::now();
    let (request, new) = store.ask(wanted(&format!("life-{nth}")), now).await.expect("asked");
    assert!(new);
    let agreed = store.agree(&request.id, &voter, VoteKind::Approve, "", 30, now).await.expect("approved");
    assert!(agreed.settled);
    store.reserve(&request.id, Duration::from_secs(60), now).await.expect("reserved");
    store.finish(&request.id, Ending::Consumed, now).await.expect("finished");
    begun.elapsed()
}

fn wanted(call: &str) -> Wanted {
    let word = |it: &str| it.to_owned();
    let sealed = Sealed {
        server: word("observability"),
        tool: word("silence_alert"),
        effect: word("mitigate"),
        undo: word("exact"),
        schema: "00".repeat(32),
        arguments: Map::from_iter([("duration_minutes".to_owned(), json!(60))]),
        targets: vec![Target {
            kind: "alerts".into(),
            id: word("alerts"),
            connection: word("alerts"),
            environment: word("production"),
            region: word("unknown"),
            team: word("shop"),
            tier: word("unknown"),
        }],
        before: None,
        caller: Caller {
            agent: word("claude-code"),
            on_behalf_of: Some(word("alice@example.com")),
            teams: vec![word("shop")],
            assurance: Assurance::Token,
        },
        nonce: word("n"),
    };
    Wanted {
        sealed,
        call: call.to_owned(),
        policy: word("p"),
        approvals: 1,
        confirm: false,
        approve_within: Duration::from_secs(3600),
        execute_within: Duration::from_secs(900),
    }
}

fn quantile(times: &mut [Duration], per_cent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * per_cent / 100).min(times.len() - 1)]
}

fn millis(it: Duration) -> f64 {
    it.as_secs_f64() * 1000.0
}
