//! Which keys, types and secrets are refused, and in which words.

mod estate;

use config::{Config, ConfigError};
use estate::estate;
use expect_test::{Expect, expect};
use proptest::prelude::*;

#[track_caller]
fn refused(text: &str, expect: &Expect) {
    let error = estate().load_text(text).expect_err("it is wrong");
    expect.assert_eq(&error.replace("DIR/home/.config/bailiwick/", ""));
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    refused(
        "[connections.prod-eu]\nkind = \"prometheus\"\nurll = \"https://a.example\"\n",
        &expect![[r#"
        bailiwick.toml:3:1: connections.prod-eu.urll: unknown key "urll"; did you mean "url"?
           3 | urll = …
             | ^^^^"#]],
    );
    refused(
        "[policy]\n\npermit = [\"hunter2\"]\n",
        &expect![[r#"
        bailiwick.toml:3:1: policy.permit: unknown key "permit"; known: timezone, files, development, teams, allow, ask, approve, deny, hide, limits
           3 | permit = […]
             | ^^^^^^"#]],
    );
    refused(
        "[connection.x]\nkind = \"git\"\n",
        &expect![[r#"
        bailiwick.toml:1:2: connection: unknown key "connection"; did you mean "connections"?
           1 | [connection.x]
             |  ^^^^^^^^^^"#]],
    );
    refused(
        "[connections.x]\nkind = \"git\"\npath = \".\"\nmatchers = ['a=\"b\"']\n",
        &expect![[r#"
        bailiwick.toml:4:1: connections.x.matchers: "matchers" belongs to kind "prometheus" or "alertmanager", and this connection is of kind "git"
           4 | matchers = […]
             | ^^^^^^^^"#]],
    );
    refused(
        "[connections.x]\nkind = \"git\"\npath = \".\"\ntoken = \"hunter2\"\n",
        &expect![[r#"
        bailiwick.toml:4:1: connections.x.token: unknown key "token"; known: path, environment, region, team, tier
           4 | token = …
             | ^^^^^"#]],
    );
    refused(
        "[policy]\napprove = [{ rule = \"a\", approval = 2 }]\n",
        &expect![[r#"
        bailiwick.toml:2:11: policy.approve.0: expected a rule, or { rule = "RULE", approvals = 2 }
           2 | approve = [{ rule = …, approval = … }]
             |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
}

#[test]
fn a_wrong_type_is_refused_without_its_value() {
    refused(
        "[identity]\nteams = \"hunter2\"\n",
        &expect![[r#"
        bailiwick.toml:2:9: identity.teams: expected an array, found a string
           2 | teams = …
             |         ^"#]],
    );
    refused(
        "[connections.x]\nkind = \"prometheus\"\nurl = 5\n",
        &expect![[r#"
        bailiwick.toml:3:7: connections.x.url: expected a string, found a number
           3 | url = …
             |       ^"#]],
    );
    refused(
        "[connections]\nx = \"hunter2\"\n",
        &expect![[r#"
        bailiwick.toml:2:5: connections.x: expected a table, found a string
           2 | x = …
             |     ^"#]],
    );
    refused(
        "[connections.x]\nkind = \"prometheus\"\nurl = \"http://a\"\ntimeout_ms = 1.5\n",
        &expect![[r#"
        bailiwick.toml:4:14: connections.x.timeout_ms: expected a whole number, found a number with a fraction
           4 | timeout_ms = …
             |              ^"#]],
    );
    refused(
        "[connections.x]\nkind = \"prometheus\"\nurl = \"http://a\"\ntimeout_ms = -1\n",
        &expect![[r#"
        bailiwick.toml:4:14: connections.x.timeout_ms: expected a whole number
           4 | timeout_ms = …
             |              ^"#]],
    );
    refused(
        "[policy]\ntimezone = 1979-05-27\n",
        &expect![[r#"
        bailiwick.toml:2:12: policy.timezone: a date is not expected here; write it in quotes
           2 | timezone = …
             |            ^"#]],
    );
}

#[test]
fn a_kind_must_be_known() {
    refused(
        "[connections.x]\nkind = \"promtheus\"\n",
        &expect![[r#"
        bailiwick.toml:2:8: connections.x.kind: unknown kind "promtheus"; did you mean "prometheus"?
           2 | kind = …
             |        ^"#]],
    );
    refused(
        "[connections.x]\nkind = \"loki\"\n",
        &expect![[r#"
        bailiwick.toml:2:8: connections.x.kind: unknown kind "loki"; known: prometheus, alertmanager, git
           2 | kind = …
             |        ^"#]],
    );
    refused(
        "[connections.x]\nurl = \"http://a\"\n",
        &expect![[r#"
        bailiwick.toml:1:1: connections.x: missing key "kind"; it is one of prometheus, alertmanager, git
           1 | [connections.x]
             | ^^^^^^^^^^^^^^^"#]],
    );
}

#[test]
fn a_missing_key_is_named() {
    refused(
        "[connections.x]\nkind = \"git\"\n",
        &expect![[r#"
        bailiwick.toml:1:1: connections.x: missing key "path"
           1 | [connections.x]
             | ^^^^^^^^^^^^^^^"#]],
    );
}

#[test]
fn a_secret_never_stands_in_the_file() {
    let prometheus = "[connections.x]\nkind = \"prometheus\"\nurl = \"http://127.0.0.1\"\n";
    refused(
        &format!("{prometheus}bearer = \"hunter2\" # was hunter2\n"),
        &expect![[r#"
            bailiwick.toml:4:10: connections.x.bearer: expected { env = "NAME" } or { file = "PATH" } (a secret never stands in this file), found a string
               4 | bearer = …
                 |          ^"#]],
    );
    refused(
        &format!("{prometheus}bearer = {{ value = \"hunter2\" }}\n"),
        &expect![[r#"
        bailiwick.toml:4:12: connections.x.bearer.value: unknown key "value"; known: env, file
           4 | bearer = { value = … }
             |            ^^^^^"#]],
    );
    refused(
        &format!("{prometheus}bearer = {{ env = \"hunter2-X\" }}\n"),
        &expect![[r#"
        bailiwick.toml:4:18: connections.x.bearer.env: expected the name of an environment variable, such as PROM_TOKEN
           4 | bearer = { env = … }
             |                  ^"#]],
    );
    refused(
        &format!("{prometheus}bearer = {{ env = \"A\", file = \"hunter2\" }}\n"),
        &expect![[r#"
            bailiwick.toml:4:10: connections.x.bearer: expected { env = "NAME" } or { file = "PATH" } (a secret never stands in this file), found 2 keys
               4 | bearer = { env = …, file = … }
                 |          ^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    refused(
        &format!("{prometheus}bearer = {{}}\n"),
        &expect![[r#"
            bailiwick.toml:4:10: connections.x.bearer: expected { env = "NAME" } or { file = "PATH" } (a secret never stands in this file), found 0 keys
               4 | bearer = {}
                 |          ^^"#]],
    );
}

#[test]
fn a_password_or_a_header_never_holds_a_secret() {
    let prometheus = "[connections.x]\nkind = \"prometheus\"\nurl = \"http://127.0.0.1\"\n";
    refused(
        &format!("{prometheus}basic = {{ username = \"u\", password = \"hunter2\" }}\n"),
        &expect![[r#"
            bailiwick.toml:4:38: connections.x.basic.password: expected { env = "NAME" } or { file = "PATH" } (a secret never stands in this file), found a string
               4 | basic = { username = …, password = … }
                 |                                    ^"#]],
    );
    refused(
        &format!("{prometheus}basic = {{ usrname = \"hunter2\", password = \"hunter2\" }}\n"),
        &expect![[r#"
            bailiwick.toml:4:43: connections.x.basic.password: expected { env = "NAME" } or { file = "PATH" } (a secret never stands in this file), found a string
               4 | basic = { usrname = …, password = … }
                 |                                   ^"#]],
    );
    refused(
        &format!("{prometheus}headers = {{ Authorization = \"Bearer hunter2\" }}\n"),
        &expect![[r#"
        bailiwick.toml:4:13: connections.x.headers.Authorization: this header holds a secret, and a secret never stands in this file; write { env = "NAME" } or { file = "PATH" }, or use bearer or basic
           4 | headers = { Authorization = … }
             |             ^^^^^^^^^^^^^"#]],
    );
    refused(
        &format!("{prometheus}headers = {{ X-Auth-Token = \"hunter2\" }}\n"),
        &expect![[r#"
        bailiwick.toml:4:13: connections.x.headers.X-Auth-Token: this header holds a secret, and a secret never stands in this file; write { env = "NAME" } or { file = "PATH" }, or use bearer or basic
           4 | headers = { X-Auth-Token = … }
             |             ^^^^^^^^^^^^"#]],
    );
}

#[test]
fn a_broken_file_is_refused_without_its_values() {
    refused(
        "[connections.x]\nbearer = \"hunter2\n",
        &expect![[r#"
        bailiwick.toml:2:18: this is not TOML: invalid basic string, expected `"`
           2 | bearer = …"#]],
    );
    refused(
        "[connections.x]\nbearer = hunter2\n",
        &expect![[r#"
        bailiwick.toml:2:10: this is not TOML: string values must be quoted, expected literal string
           2 | bearer = …"#]],
    );
    refused(
        "note = \"\"\"\nhunter2\nhunter2==\n",
        &expect![[r#"bailiwick.toml:4:1: this is not TOML: invalid multi-line basic string, expected `"`"#]],
    );
    refused(
        "[connections.x]\nkind = \"git\"\n[connections.x]\nkind = \"git\"\n",
        &expect!["bailiwick.toml:3:14: this is not TOML: duplicate key"],
    );
    refused(
        "[policy]\nallow = []\nallow = []\n",
        &expect![[r#"
        bailiwick.toml:3:1: this is not TOML: duplicate key
           3 | allow = …"#]],
    );
}

#[test]
fn an_error_carries_the_path_of_what_is_wrong() {
    let it = estate();
    let text = "[connections.prod-eu]\nkind = \"prometheus\"\nurl = \"ftp://a\"\n";
    let path = it.write("a.toml", text);
    let ConfigError::Invalid(invalid) = Config::load(Some(&path), &it.surroundings).unwrap_err() else {
        panic!("another error")
    };
    assert_eq!((invalid.path.as_str(), invalid.line, invalid.column), ("connections.prod-eu.url", 3, 7));
}

/// Pieces that make broken and unbroken files around a secret.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[connections.x]\n"),
        Just("kind = \"prometheus\"\n"),
        Just("url = \"https://u:hunter2@a.example\"\n"),
        Just("bearer = \"hunter2\"\n"),
        Just("bearer = hunter2\n"),
        Just("bearer = { env = \"hunter2!\" "),
        Just("basic = { username = 'u', password = 'hunter2' }\n"),
        Just("headers = { Cookie = \"hunter2\" }\n"),
        Just("token = \"\"\"\nhunter2\n\"\"\"\n"),
        Just("\"\"\""),
        Just("'"),
        Just("# hunter2\n"),
        Just("["),
        Just("}\n"),
        Just("= "),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|it| it.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "\\PC{0,200}") {
        let it = estate();
        let _ = it.load_text(&text);
    }

    #[test]
    fn no_error_and_no_debug_shows_a_secret(text in pieces()) {
        let it = estate();
        let path = it.write("bailiwick.toml", &text);
        let shown = match Config::load(Some(&path), &it.surroundings) {
            Ok(config) => format!("{config:?}"),
            Err(error) => format!("{error}\n{error:?}"),
        };
        prop_assert!(!shown.contains("hunter2"), "{}", shown);
    }
}

#[test]
fn a_demand_that_no_witness_could_meet_is_refused() {
    let demand = |more: &str, within: &str| {
        estate().load_text(&format!("[audit]\n{more}effects_need_witness_within = \"{within}\"\n"))
    };
    let witness = "witnesses = [{ url = \"https://w.example.com\", key = \"k\" }]\n";
    assert!(demand("", "10m").expect_err("nobody cosigns").contains("names no witnesses"));
    for within in ["", "10", "9s", "-10m", "8d", "soon"] {
        let error = demand(witness, within).expect_err("no duration that fits");
        assert!(error.contains("10 seconds to 7 days"), "{within}: {error}");
    }
    assert!(demand(witness, "10m").is_ok() && demand(witness, "7 days").is_ok());
    let secret = witness.replace("https://", "https://u:hunter2@");
    assert!(!demand(&secret, "10m").expect_err("a password in an address").contains("hunter2"));
}

#[test]
fn a_deeply_nested_file_is_refused_and_overflows_nothing() {
    let it = estate();
    assert!(it.load_text(&format!("a = {}", "[".repeat(100_000))).is_err());
    assert!(it.load_text(&format!("{} = 1", vec!["a"; 100_000].join("."))).is_err());
    assert!(it.load_text(&format!("[{}]", vec!["a"; 100_000].join("."))).is_err());
}

#[test]
fn a_hold_that_could_hold_nobody_is_refused() {
    for entry in ["", "alice", "person:", "person:alice  agent:a", "user:alice"] {
        let text = format!("[audit]\nhold = [\"person:bob\", \"{entry}\"]\n");
        let error = estate().load_text(&text).expect_err("it holds nobody");
        assert!(error.contains("audit.hold.1") && error.contains("person:NAME"), "{entry}: {error}");
    }
}
