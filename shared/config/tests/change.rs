//! Where change tickets are looked up.

mod estate;

use std::time::Duration;

use config::{Auth, Tickets};
use estate::estate;

const REST: &str = "state = \"/fields/status/name\"\napproved = [\"Implementing\"]\n";

fn change(url: &str, rest: &str) -> Result<Tickets, String> {
    let config = estate().load_text(&format!("[change]\nurl = \"{url}\"\n{rest}"))?;
    Ok(config.change.expect("it is told"))
}

#[test]
fn an_address_is_taken_apart_around_the_id() {
    let jira = change("https://jira.example.com/rest/api/2/issue/{id}?fields=status", REST).unwrap();
    assert_eq!(jira.http.url.as_str(), "https://jira.example.com/");
    assert_eq!(jira.path, ["rest", "api", "2", "issue", "{id}"]);
    assert_eq!(jira.query, [("fields".to_owned(), "status".to_owned())]);
    assert_eq!((jira.state.as_str(), jira.cache), ("/fields/status/name", Duration::from_secs(60)));
    let now = change(
        "https://example.service-now.com/api/now/table/change_request?sysparm_query=number={id}&sysparm_limit=1",
        &format!("{REST}cache = \"5m\"\nbearer = {{ env = \"NOW_TOKEN\" }}\n"),
    )
    .unwrap();
    assert_eq!(now.query[0], ("sysparm_query".to_owned(), "number={id}".to_owned()));
    assert_eq!(now.cache, Duration::from_secs(300));
    assert!(matches!(now.http.auth, Auth::Bearer(_)));
    assert_eq!(
        change("https://a.example/{id}", &format!("{REST}cache = \"0s\"\n")).unwrap().cache,
        Duration::ZERO
    );
}

#[test]
fn what_could_ask_for_something_else_is_refused() {
    for (url, said) in [
        ("https://a.example/issue", "write `{id}`"),
        ("https://a.example/?{id}=1", "write `{id}`"),
        ("https://{id}.example/issue", "belongs into the path"),
        ("https://{id}.example/{id}", "belongs into the path"),
        ("https://a.example/{id}/{key}", "nothing else in braces"),
        ("https://a.example/a%20b/{id}", "without `%`"),
        ("https://a.example/../{id}", "without `%`"),
        ("https://a.example/{id}#x", "without `%`"),
        ("https://u:hunter2@a.example/{id}", "must not hold a user name"),
        ("ftp://a.example/{id}", "begins with https://"),
        ("a.example/{id}", "expected an address"),
    ] {
        let error = change(url, REST).unwrap_err();
        assert!(error.contains(said) && !error.contains("hunter2"), "{url}: {error}");
    }
    for (rest, said) in [
        ("state = \"status\"\napproved = [\"a\"]\n", "expected a JSON pointer"),
        ("state = \"/a\"\napproved = []\n", "expected the states"),
        ("state = \"/a\"\napproved = [\" a\"]\n", "expected the states"),
        ("state = \"/a\"\napproved = [\"a\"]\ncache = \"1h\"\n", "`0s` to `10m`"),
        ("state = \"/a\"\napproved = [\"a\"]\ncache = \"soon\"\n", "`0s` to `10m`"),
        ("state = \"/a\"\n", "approved"),
        ("state = \"/a\"\napproved = [\"a\"]\nbearer = \"hunter2\"\n", "a secret never stands in this file"),
    ] {
        let error = change("https://a.example/{id}", rest).unwrap_err();
        assert!(error.contains(said) && !error.contains("hunter2"), "{rest}: {error}");
    }
}
