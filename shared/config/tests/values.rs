//! Which values are refused, and in which words.

mod estate;

use estate::estate;
use expect_test::{Expect, expect};

#[track_caller]
fn refused(text: &str, expect: &Expect) {
    let error = estate().load_text(text).expect_err("it is wrong");
    expect.assert_eq(&error.replace("DIR/home/.config/bailiwick/", ""));
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn an_address_holds_no_secret_and_leads_somewhere() {
    let url = |it: &str| format!("[connections.x]\nkind = \"alertmanager\"\nurl = \"{it}\"\n");
    refused(
        &url("https://u:hunter2@a.example"),
        &expect![[r#"
        bailiwick.toml:3:7: connections.x.url: an address must not hold a user name or password, which end up in logs; write basic = { username = "NAME", password = { env = "NAME" } } in a configuration file
           3 | url = …
             |       ^"#]],
    );
    refused(
        &url("https://hunter2@a.example"),
        &expect![[r#"
        bailiwick.toml:3:7: connections.x.url: an address must not hold a user name or password, which end up in logs; write basic = { username = "NAME", password = { env = "NAME" } } in a configuration file
           3 | url = …
             |       ^"#]],
    );
    refused(
        &url("https://@a.example"),
        &expect![[r#"
        bailiwick.toml:3:7: connections.x.url: an address must not hold a user name or password, which end up in logs; write basic = { username = "NAME", password = { env = "NAME" } } in a configuration file
           3 | url = …
             |       ^"#]],
    );
    refused(
        &url("ftp://a.example"),
        &expect![[r#"
        bailiwick.toml:3:7: connections.x.url: expected an address that begins with https:// or http://
           3 | url = …
             |       ^"#]],
    );
    refused(
        &url("https://a.example?token=hunter2"),
        &expect![[r#"
        bailiwick.toml:3:7: connections.x.url: a base address has no `?` and no `#`; a token belongs into bearer
           3 | url = …
             |       ^"#]],
    );
    refused(
        &url("hunter2"),
        &expect![[r#"
        bailiwick.toml:3:7: connections.x.url: this is not an address (relative URL without a base); expected something like https://prometheus.example.com
           3 | url = …
             |       ^"#]],
    );
    refused(
        &url("file:///etc/passwd"),
        &expect![[r#"
        bailiwick.toml:3:7: connections.x.url: expected an address that begins with https:// or http://
           3 | url = …
             |       ^"#]],
    );
}

#[test]
fn names_words_and_numbers_are_checked() {
    refused(
        "[connections.\"Prod EU\"]\nkind = \"git\"\npath = \".\"\n",
        &expect![[r#"
        bailiwick.toml:1:14: connections.Prod EU: a connection's name is 1 to 63 of a-z, 0-9 and -
           1 | [connections."Prod EU"]
             |              ^^^^^^^^^"#]],
    );
    refused(
        "[connections.\"x\\u001b[2J\"]\nkind = \"git\"\npath = \".\"\n",
        &expect![[r#"
        bailiwick.toml:1:14: connections.x\u{1b}[2J: a connection's name is 1 to 63 of a-z, 0-9 and -
           1 | [connections."x\u001b[2J"]
             |              ^^^^^^^^^^^^"#]],
    );
    refused(
        "[connections.x]\nkind = \"git\"\npath = \".\"\nenvironment = \"prod EU\"\n",
        &expect![[r#"
        bailiwick.toml:4:15: connections.x.environment: expected 1 to 63 ASCII letters, digits and . _ -
           4 | environment = "prod EU"
             |               ^^^^^^^^^"#]],
    );
    refused(
        "[identity]\nagent = \"a b\"\n",
        &expect![[r#"
        bailiwick.toml:2:9: identity.agent: expected 1 to 128 ASCII letters, digits and . _ - @ +
           2 | agent = "a b"
             |         ^^^^^"#]],
    );
    refused(
        "[vocabulary]\ntiers = [\"1\", \"\"]\n",
        &expect![[r#"
        bailiwick.toml:2:15: vocabulary.tiers.1: expected 1 to 63 ASCII letters, digits and . _ -
           2 | tiers = […, ""]
             |             ^^"#]],
    );
    refused(
        "[policy]\ntimezone = \"Europe/Berlim\"\n",
        &expect![[r#"
        bailiwick.toml:2:12: policy.timezone: no such time zone on this machine; expected a name such as Europe/Berlin or UTC
           2 | timezone = "Europe/Berlim"
             |            ^^^^^^^^^^^^^^^"#]],
    );
    refused(
        "[policy]\napprove = [{ rule = \"a\", approvals = 4 }]\n",
        &expect![[r#"
        bailiwick.toml:2:38: policy.approve.0.approvals: expected 1, 2 or 3
           2 | approve = [{ rule = …, approvals = 4 }]
             |                                    ^"#]],
    );
}

#[test]
fn words_that_only_look_alike_are_refused_since_a_rule_would_miss_one_of_them() {
    refused(
        "[vocabulary]\nenvironments = [\"production\"]\n\
         [connections.x]\nkind = \"git\"\npath = \".\"\nenvironment = \"Production\"\n",
        &expect![[r#"
            bailiwick.toml:6:15: connections.x.environment: "production" and "Production" differ in case only; policies tell them apart: write one
               6 | environment = "Production"
                 |               ^^^^^^^^^^^^"#]],
    );
    refused(
        "[connections.x]\nkind = \"git\"\npath = \".\"\nteam = \"Unknown\"\n",
        &expect![[r#"
            bailiwick.toml:4:8: connections.x.team: "Unknown" and "unknown" differ in case only; policies tell them apart: write one
               4 | team = "Unknown"
                 |        ^^^^^^^^^"#]],
    );
    refused(
        "[vocabulary]\ntiers = [\"a\", \"A\"]\n",
        &expect![[r#"
        bailiwick.toml:2:9: vocabulary.tiers: "a" and "A" differ in case only; policies tell them apart: write one
           2 | tiers = […, …]
             |         ^^^^^^"#]],
    );
}

#[test]
fn what_is_said_about_a_connection_is_checked() {
    let prometheus = "[connections.x]\nkind = \"prometheus\"\nurl = \"http://127.0.0.1\"\n";
    refused(
        &format!("{prometheus}timeout_ms = 60001\n"),
        &expect![[r#"
        bailiwick.toml:4:14: connections.x.timeout_ms: expected 100 to 60000 milliseconds
           4 | timeout_ms = 60001
             |              ^^^^^"#]],
    );
    refused(
        &format!("{prometheus}matchers = ['cluster=\"eu\"}} or up{{']\n"),
        &expect![[r#"
        bailiwick.toml:4:13: connections.x.matchers.0: expected one matcher, such as 'cluster="eu"'
           4 | matchers = ['cluster="eu"} or up{']
             |             ^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    refused(
        &format!("{prometheus}headers = {{ Host = \"b\" }}\n"),
        &expect![[r#"
        bailiwick.toml:4:13: connections.x.headers.Host: this header is set for each request and cannot be configured
           4 | headers = { Host = … }
             |             ^^^^"#]],
    );
    refused(
        &format!("{prometheus}headers = {{ X-A = \"b\\r\\nX-B: c\" }}\n"),
        &expect![[r#"
        bailiwick.toml:4:13: connections.x.headers.X-A: expected a value of at most 4096 printable ASCII characters
           4 | headers = { X-A = … }
             |             ^^^"#]],
    );
    refused(
        &format!(
            "{prometheus}bearer = {{ env = \"A\" }}\nbasic = {{ username = \"u\", password = {{ env = \"B\" }} }}\n"
        ),
        &expect![[r#"
            bailiwick.toml:5:1: connections.x.basic: bearer and basic exclude each other; keep one
               5 | basic = { username = …, password = { env = … } }
                 | ^^^^^"#]],
    );
    refused(
        "[connections.x]\nkind = \"git\"\npath = \"~/shop\"\n",
        &expect![[r#"
        bailiwick.toml:3:8: connections.x.path: `~` is not expanded; write the path in full, or relative to this file
           3 | path = …
             |        ^"#]],
    );
}

#[test]
fn a_log_is_published_into_a_bucket_with_named_secrets_or_into_a_folder() {
    let publish = |it: &str| format!("[audit.publish]\n{it}\n");
    refused(
        &publish("url = \"https://s3.example.com/logs\""),
        &expect![[r#"
        bailiwick.toml:2:7: audit.publish.url: expected s3://bucket/prefix or file:///folder
           2 | url = …
             |       ^"#]],
    );
    refused(
        &publish("url = \"s3://id:hunter2@logs\""),
        &expect![[r#"
        bailiwick.toml:2:7: audit.publish.url: expected s3://bucket/prefix or file:///folder, and nothing else in it
           2 | url = …
             |       ^"#]],
    );
    refused(
        &publish("url = \"s3://logs\"\nsecret_access_key = { env = \"KEY\" }"),
        &expect![[r#"
        bailiwick.toml:1:8: audit.publish: a bucket needs access_key_id and secret_access_key, each { env = … } or { file = … }
           1 | [audit.publish]
             |        ^^^^^^^"#]],
    );
    refused(
        &publish("url = \"file:///srv/logs\"\nregion = \"eu\""),
        &expect![[r#"
        bailiwick.toml:2:7: audit.publish.url: a folder has no endpoint, region or access key
           2 | url = …
             |       ^"#]],
    );
    refused(
        "[audit]\nsegment_mib = 0\n",
        &expect![[r#"
        bailiwick.toml:2:15: audit.segment_mib: expected 1 to 65536 MiB
           2 | segment_mib = 0
             |               ^"#]],
    );
    let config = estate().load_text(&publish("url = \"file:///srv/logs\"")).unwrap();
    assert_eq!(config.recording.publish, Some(config::Shelf::Folder("/srv/logs".into())));
}

#[test]
fn a_collector_is_named_with_a_token_that_is_kept_elsewhere_and_so_are_its_senders() {
    let sent = |it: &str| format!("[audit]\ncollector = {it}\n");
    refused(
        &sent("{ url = \"https://collector.example.com\", token = \"hunter2\" }"),
        &expect![[r#"
        bailiwick.toml:2:62: audit.collector.token: expected { env = "NAME" } or { file = "PATH" } (a secret never stands in this file), found a string
           2 | collector = { url = …, token = … }
             |                                ^"#]],
    );
    refused(
        &sent("{ url = \"https://u:hunter2@collector.example.com\", token = { env = \"T\" } }"),
        &expect![[r#"
            bailiwick.toml:2:21: audit.collector.url: an address must not hold a user name or password, which end up in logs; write basic = { username = "NAME", password = { env = "NAME" } } in a configuration file
               2 | collector = { url = …, token = { env = … } }
                 |                     ^"#]],
    );
    refused(
        "[collector.senders.\"c i\"]\ntoken = { env = \"T\" }\n",
        &expect![[r#"
        bailiwick.toml:1:20: collector.senders.c i: a sender's name is 1 to 63 of a-z, 0-9 and -
           1 | [collector.senders."c i"]
             |                    ^^^^^"#]],
    );
    refused(
        "[collector.senders.ci]\nkeys = []\n",
        &expect![[r#"
        bailiwick.toml:1:1: collector.senders.ci: missing key "token"
           1 | [collector.senders.ci]
             | ^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    let config = estate()
        .load_text(
            &(sent("{ url = \"http://collector.example.com\", token = { env = \"T\" } }")
                + "ephemeral = true\n"),
        )
        .unwrap();
    let collector = config.recording.collector.unwrap();
    assert_eq!(
        (collector.url.as_str(), &collector.token),
        ("http://collector.example.com/", &config::Secret::Env("T".to_owned()))
    );
    assert_eq!(config.recording.ephemeral, Some(true));
    assert!(
        config.notes.iter().any(|it| it.contains("audit.collector") && it.contains("https")),
        "{:?}",
        config.notes
    );
    let config = estate()
        .load_text("[collector.senders.ci]\ntoken = { file = \"/run/secrets/ci\" }\nkeys = [\"k\"]\n")
        .unwrap();
    let [ci] = config.senders.as_slice() else { panic!("{:?}", config.senders) };
    assert_eq!((ci.name.as_str(), ci.keys.as_slice()), ("ci", ["k".to_owned()].as_slice()));
    assert_eq!((config.recording.ephemeral, config.disposable), (None, None));
}
