//! Who hears of what waits for people: what may be configured, and what is said of what may not.

mod estate;

use config::{Notify, NotifyFormat, Secret};
use estate::estate;

const WORDS: &str = "[vocabulary]\nteams = [\"sre\"]\nenvironments = [\"production\"]\n";

fn load(entry: &str) -> Result<Vec<Notify>, String> {
    let text = format!("[[approvals.notify]]\n{entry}\n{WORDS}");
    estate().load_text(&text).map(|it| it.approving.notify)
}

#[test]
fn what_is_left_out_is_as_people_need_it() {
    let told = load("url = { env = \"SLACK\" }\nformat = \"slack\"").unwrap();
    let [Notify { url, format, events, teams, environments, ca_file: None }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((url, format), (&Secret::Env("SLACK".to_owned()), &NotifyFormat::Slack));
    let of_requests = ["asked", "stopped", "resumed", "denied", "expired", "unknown"];
    let of_break_glass = ["opened", "used", "closed", "unreviewed", "reviewed"];
    assert_eq!(*events, [&of_requests[..], &of_break_glass].concat());
    assert!(teams.is_empty() && environments.is_empty());
    let told = load(
        "url = { env = \"HOOK\" }\nformat = \"json\"\nsecret = { env = \"KEY\" }\nevents = [\"approved\"]\n\
         teams = [\"sre\"]\nenvironments = [\"production\"]",
    );
    assert_eq!(told.unwrap()[0].format, NotifyFormat::Json(Secret::Env("KEY".to_owned())));
}

#[test]
fn what_is_wrong_is_named_with_what_would_be_right() {
    let slack = "url = { env = \"SLACK\" }\nformat = \"slack\"";
    for (entry, key, right) in [
        (
            "url = \"https://hooks.slack.com/hunter2\"\nformat = \"slack\"".to_owned(),
            "notify.0.url",
            "{ env = \"NAME\" }",
        ),
        (
            "url = { env = \"https://hunter2\" }\nformat = \"slack\"".to_owned(),
            "notify.0.url.env",
            "name of an environment",
        ),
        ("format = \"slack\"".to_owned(), "notify.0", "missing key \"url\""),
        ("url = { env = \"A\" }\nformat = \"slak\"".to_owned(), "notify.0.format", "did you mean \"slack\"?"),
        ("url = { env = \"A\" }\nformat = \"json\"".to_owned(), "notify.0.format", "add secret = "),
        (format!("{slack}\nsecret = {{ env = \"B\" }}"), "notify.0.secret", "Slack checks no signature"),
        (format!("{slack}\nevents = [\"aked\"]"), "notify.0.events.0", "did you mean \"asked\"?"),
        (format!("{slack}\nevents = []"), "notify.0.events", "leave it out"),
        (format!("{slack}\nteams = [\"sre\", \"srr\"]"), "notify.0.teams.1", "did you mean \"sre\"?"),
        (format!("{slack}\nenvironments = [\"staging\"]"), "notify.0.environments.0", "known: production"),
        (format!("{slack}\nchannel = \"#ops\""), "notify.0.channel", "unknown key"),
        (format!("{slack}\n[[approvals.notify]]\n{slack}"), "notify.1.url", "join them"),
    ] {
        let error = load(&entry).expect_err(&entry);
        assert!(error.contains(&format!("approvals.{key}: ")) && error.contains(right), "{key}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn an_address_that_is_read_is_checked_and_never_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    let address = |text: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let entry = format!("url = {{ file = \"{}\" }}\nformat = \"slack\"", path.display());
        load(&entry).unwrap()[0].address().map_err(|it| it.to_string())
    };
    for right in ["https://hooks.example.com/T/B/x?y=1\n", "http://127.0.0.1:8080/x", "http://localhost/x"] {
        assert!(address(right).is_ok(), "{right}");
    }
    for (wrong, said) in [
        ("hunter2", "begins with https://"),
        ("ftp://a.example/hunter2", "begins with https://"),
        ("http://a.example/hunter2", "use https"),
        ("https://hunter2@a.example/", "without a user name"),
        ("https://a.example/#hunter2", "without a user name"),
        ("", "it is empty"),
    ] {
        let error = address(wrong).unwrap_err();
        assert!(error.contains(said) && !error.contains("hunter2"), "{wrong}: {error}");
    }
}
