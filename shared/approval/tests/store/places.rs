//! Where it is kept, and who may use that.

use std::{collections::BTreeSet, sync::Arc};

use approval::*;
use testkit::backends::Postgres;

use crate::*;

laws!(
    replicas_share_secrets_and_rows,
    whoever_opens_it_at_once_finds_one_set_of_tables,
    tables_of_a_newer_version_are_refused,
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

async fn tables_of_a_newer_version_are_refused(kept: Kept) {
    drop(kept.store().await);
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'newer', TRUE, $1, 0)";
    let address = match &kept.place {
        Place::File(path) => format!("sqlite://{}", path.display()),
        Place::Postgres(url) => url.clone(),
    };
    let pool = sqlx::AnyPool::connect(&address).await.unwrap();
    sqlx::query(newer).bind(vec![0_u8; 48]).execute(&pool).await.unwrap();
    let refused = Store::open(&kept.place).await.unwrap_err().to_string();
    assert!(refused.contains("version 999") && refused.contains("newer"), "{refused}");
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
        (format!("{schema}&pasword=not-the-password"), "unknown parameter `pasword`; known: application_name"),
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
