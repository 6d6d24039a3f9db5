//! The page on which people decide: what may be configured, and what is said of what may not.

mod estate;

use config::{Page, Secret};
use estate::estate;

const ISSUERS: &str = "[issuers.company]\nurl = \"https://login.example.com\"\nca_file = \"ca.pem\"\n\
     [issuers.cluster]\nurl = \"https://kubernetes.example.com\"\nworkloads = true\nprefix = \"k8s:\"\n";

fn load(entry: &str, issuers: &str) -> Result<Option<Page>, String> {
    let page = format!("[approvals.page]\n{entry}\n{issuers}");
    estate().load_text(&page).map(|it| it.approving.page)
}

#[test]
fn what_is_left_out_is_as_an_issuer_needs_it() {
    assert!(estate().load_text("").unwrap().approving.page.is_none());
    let page = load("issuer = \"company\"\nclient_id = \"page\"", ISSUERS).unwrap().expect("a page");
    assert_eq!(page.scopes, ["openid", "bailiwick:approve"]);
    assert_eq!((page.client_secret, page.resource), (None, None));
    assert_eq!(page.http.url.as_str(), "https://login.example.com/");
    assert!(page.http.ca_file.is_some_and(|it| it.ends_with("ca.pem")), "it is asked as its keys are");
    let more = "client_secret = { env = \"PAGE\" }\nscopes = [\"openid\", \"api://x/approve\"]\nresource = \"https://b.example\"";
    let page = load(&format!("issuer = \"company\"\nclient_id = \"page\"\n{more}"), ISSUERS)
        .unwrap()
        .expect("a page");
    assert_eq!(page.client_secret, Some(Secret::Env("PAGE".to_owned())));
    assert_eq!(
        (page.scopes[1].as_str(), page.resource.as_deref()),
        ("api://x/approve", Some("https://b.example"))
    );
}

#[test]
fn what_is_wrong_is_named_with_what_would_be_right() {
    let page = |more: &str| format!("issuer = \"company\"\nclient_id = \"page\"\n{more}");
    for (entry, issuers, key, right) in [
        (
            "issuer = \"compny\"\nclient_id = \"page\"".to_owned(),
            ISSUERS,
            "page.issuer",
            "did you mean \"company\"?",
        ),
        (
            "issuer = \"cluster\"\nclient_id = \"page\"".to_owned(),
            ISSUERS,
            "page.issuer",
            "act for no person",
        ),
        (page(""), "", "page.issuer", "no [issuers.NAME] is configured"),
        ("issuer = \"company\"".to_owned(), ISSUERS, "page", "missing key \"client_id\""),
        ("issuer = \"company\"\nclient_id = \"a b\"".to_owned(), ISSUERS, "page.client_id", "without spaces"),
        (page("client_secret = \"hunter2\""), ISSUERS, "page.client_secret", "{ env = \"NAME\" }"),
        (page("scopes = [\"bailiwick:approve\"]"), ISSUERS, "page.scopes", "`openid`"),
        (page("scopes = [\"openid\", \"a b\"]"), ISSUERS, "page.scopes", "without spaces"),
        (page("resource = \"approvals\""), ISSUERS, "page.resource", "absolute address"),
        (page("secret = { env = \"A\" }"), ISSUERS, "page.secret", "unknown key"),
    ] {
        let error = load(&entry, issuers).expect_err(&entry);
        assert!(error.contains(&format!("approvals.{key}: ")) && error.contains(right), "{key}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
