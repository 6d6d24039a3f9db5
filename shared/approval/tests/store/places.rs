//! Where it is kept, and who may use that.

use std::{collections::BTreeSet, sync::Arc};

use approval::*;
use testkit::backends::Postgres;

use crate::*;

laws!(
    replicas_share_secrets_and_rows,
    whoever_opens_it_at_once_finds_one_set_of_tables,
    tables_of_a_newer_version_are_refused,
    how_the_tables_stand_is_seen_without_making_any,
);

async fn replicas_share_secrets_and_rows(kept: Kept) {
    let (one, two) = (kept.store().await, kept.store().await);
    assert_eq!(one.shared_secret("s").await.unwrap(), two.shared_secret("s").await.unwrap());
    assert_ne!(one.shared_secret("s").await.unwrap(), one.shared_secret("t").await.unwrap());
    let (request, _) = one.ask(wanted("c", 1, false), now()).await.unwrap();
    assert_eq!(two.request(&request.id, now()).await.unwrap(), Some(request));
}

async fn whoever_opens_it_at_once_finds_one_set_of_tables(kept: Kept) {
    let place = Arc::new(kept.place.clone());
    let opened = (0..8).map(|_| {
        let place = place.clone();
        tokio::spawn(async move { Store::open(&place).await.unwrap().shared_secret("s").await.unwrap() })
    });
    let mut secrets = BTreeSet::new();
    for one in opened.collect::<Vec<_>>() {
        secrets.insert(one.await.unwrap());
    }
    assert_eq!(secrets.len(), 1);
}

/// The tables of a store by themselves, once there are some.
async fn tables(kept: &Kept) -> sqlx::AnyPool {
    drop(kept.store().await);
    let address = match &kept.place {
        Place::File(path) => format!("sqlite://{}", path.display()),
        Place::Postgres(url) => url.clone(),
    };
    sqlx::AnyPool::connect(&address).await.unwrap()
}

async fn tables_of_a_newer_version_are_refused(kept: Kept) {
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'newer', TRUE, $1, 0)";
    sqlx::query(newer).bind(vec![0_u8; 48]).execute(&tables(&kept).await).await.unwrap();
    for refused in [Store::open(&kept.place).await.map(drop), Store::tables(&kept.place).await.map(drop)] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("version 999") && refused.contains("newer"), "{refused}");
    }
}

async fn how_the_tables_stand_is_seen_without_making_any(kept: Kept) {
    for _ in 0..2 {
        assert_eq!(Store::tables(&kept.place).await.unwrap(), Tables::None);
    }
    assert!(!matches!(&kept.place, Place::File(path) if path.exists()), "looking makes no file");
    let tables = tables(&kept).await;
    assert_eq!(Store::tables(&kept.place).await.unwrap(), Tables::Current);
    // As the version before the latest left them.
    for step in [
        "DROP TABLE break_glass",
        "DROP INDEX vote_glass",
        "ALTER TABLE vote DROP COLUMN glass",
        "DELETE FROM _sqlx_migrations WHERE version > 2",
    ] {
        sqlx::query(step).execute(&tables).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(Store::tables(&kept.place).await.unwrap(), Tables::Older);
    }
    drop(kept.store().await);
    assert_eq!(Store::tables(&kept.place).await.unwrap(), Tables::Current);
    let changed = "UPDATE _sqlx_migrations SET checksum = $1 WHERE version = 1";
    sqlx::query(changed).bind(vec![0_u8; 48]).execute(&tables).await.unwrap();
    let refused = Store::tables(&kept.place).await.unwrap_err().to_string();
    assert!(refused.contains("version 1 were made by another bailiwick"), "{refused}");
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_named_and_its_password_is_not() {
    let postgres = Postgres::shared();
    let (url, schema) = (postgres.url(), postgres.schema());
    let nobody = testkit::free_address().to_string();
    let wrong = [
        (url.replace(Postgres::PASSWORD, "not-the-password"), "password authentication failed"),
        (url.replace(&postgres.address().to_string(), &nobody), "refused"),
        (format!("{url}ql"), "does not exist"),
        (format!("{schema}%20-c%20default_transaction_read_only%3Don"), "read-only"),
        (url.replace("postgres://", "mysql://"), "postgres://"),
        (format!("host=127.0.0.1 password={}", Postgres::PASSWORD), "postgres://"),
        (url.replace(&postgres.address().to_string(), "127.0.0.1:port"), "its address is none"),
        (
            format!("{schema}&pasword=not-the-password"),
            "unknown parameter `pasword`; known: application_name",
        ),
    ];
    for (address, says) in wrong {
        let place = Place::Postgres(address);
        let refused = Store::open(&place).await.unwrap_err();
        let text = format!("{refused} {refused:?} {place:?}");
        assert!(refused.to_string().contains(says), "{says}: {refused}");
        assert!(!text.contains(Postgres::PASSWORD) && !text.contains("not-the-password"), "{text}");
    }
    // A name that stands in the message says which database it is.
    let refused = Store::open(&Place::Postgres(url.replace(Postgres::PASSWORD, "x"))).await.unwrap_err();
    assert!(refused.to_string().contains(&postgres.address().to_string()), "{refused}");
}

#[tokio::test]
async fn a_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("approvals.sqlite");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Store::open(&Place::File(path)).await.unwrap_err();
    assert!(refused.to_string().contains("expected mode 600"), "{refused}");
}
