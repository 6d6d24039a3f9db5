//! What holds of every store, whatever database is behind it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use approval::{Agreed, Place, Sealed, Store, VoteKind, VoteRefused, Voter, Wanted};
use jiff::{SignedDuration, Timestamp};
use policy::{Assurance, Caller, Channel, Target};
use serde_json::{Map, json};
use testkit::backends::Postgres;

const MINUTE: Duration = Duration::from_secs(60);

/// Somewhere to keep things, empty at first and gone with the test.
struct Kept {
    place: Place,
    _folder: Option<tempfile::TempDir>,
}

impl Kept {
    fn in_a_file() -> Kept {
        let folder = tempfile::tempdir().expect("a folder");
        Kept { place: Place::File(folder.path().join("approvals.sqlite")), _folder: Some(folder) }
    }

    fn in_postgresql() -> Kept {
        Kept { place: Place::Postgres(Postgres::shared().schema()), _folder: None }
    }

    /// What another process would open.
    async fn store(&self) -> Store {
        Store::open(&self.place).await.expect("a store")
    }
}

/// Each of them holds of both databases.
macro_rules! laws {
    ($($law:ident),* $(,)?) => {
        mod in_a_file {
            $(#[tokio::test(flavor = "multi_thread")] async fn $law() { super::$law(crate::Kept::in_a_file()).await })*
        }
        mod in_postgresql {
            $(#[tokio::test(flavor = "multi_thread")] async fn $law() { super::$law(crate::Kept::in_postgresql()).await })*
        }
    };
}

mod at_once;
mod glass;
mod life;
mod outbox;
mod places;

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().expect("a time")
}

fn after(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

fn sealed() -> Sealed {
    let word = |it: &str| it.to_owned();
    Sealed {
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
    }
}

fn wanted(call: &str, approvals: u8, confirm: bool) -> Wanted {
    Wanted {
        sealed: sealed(),
        call: call.to_owned(),
        policy: "p".to_owned(),
        approvals,
        confirm,
        approve_within: 60 * MINUTE,
        execute_within: 15 * MINUTE,
    }
}

fn voter(name: &str) -> Voter {
    Voter {
        name: name.to_owned(),
        issuer: "company".to_owned(),
        subject: name.to_owned(),
        assurance: Assurance::Token,
        channel: Channel::Http,
    }
}

async fn approve(store: &Store, id: &str, name: &str, at: Timestamp) -> Result<Agreed, VoteRefused> {
    store.agree(id, &voter(name), VoteKind::Approve, "", 30, at).await
}
