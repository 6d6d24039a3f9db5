//! What is refused, and in which words.

mod estate;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use config::{Config, ConfigError};
use estate::estate;
use expect_test::{Expect, expect};
use proptest::prelude::*;

#[track_caller]
fn refused(text: &str, expect: &Expect) {
    let error = estate().load_text(text).unwrap_err();
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
        bailiwick.toml:3:1: policy.permit: unknown key "permit"; known: timezone, files, teams, allow, ask, approve, deny
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
        bailiwick.toml:4:13: connections.x.headers.Authorization: this header holds a secret, and a secret never stands in this file; use bearer or basic
           4 | headers = { Authorization = … }
             |             ^^^^^^^^^^^^^"#]],
    );
    refused(
        &format!("{prometheus}headers = {{ X-Auth-Token = \"hunter2\" }}\n"),
        &expect![[r#"
        bailiwick.toml:4:13: connections.x.headers.X-Auth-Token: this header holds a secret, and a secret never stands in this file; use bearer or basic
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
fn a_policy_file_must_be_there_and_in_its_place() {
    refused("[policy]\nfiles = [\"absent.cedar\"]\n", &expect!["cannot read absent.cedar: no such file"]);
    let it = estate();
    let refused = |text: &str, expect: Expect| expect.assert_eq(&it.load_text(text).unwrap_err());
    it.write("home/.config/bailiwick/a.cedar", "");
    refused(
        "[policy]\nfiles = [\"a.cedar\", \"./a.cedar\"]\n",
        expect!["DIR/home/.config/bailiwick/a.cedar is named twice"],
    );
    it.write("home/.config/bailiwick/teams/stray.cedar", "");
    refused(
        "[policy]\nteams = \"teams\"\n",
        expect!["DIR/home/.config/bailiwick/teams/stray.cedar belongs into the subfolder of a team"],
    );
    fs::remove_file(it.path("home/.config/bailiwick/teams/stray.cedar")).unwrap();
    it.write("home/.config/bailiwick/teams/a team/a.cedar", "");
    refused(
        "[policy]\nteams = \"teams\"\n",
        expect![
            "DIR/home/.config/bailiwick/teams/a team is no team's name: letters, digits, `.`, `_` and `-`"
        ],
    );
    fs::remove_dir_all(it.path("home/.config/bailiwick/teams/a team")).unwrap();
    it.write("home/.config/bailiwick/teams/shop/deep/a.cedar", "");
    refused(
        "[policy]\nteams = \"teams\"\n",
        expect!["DIR/home/.config/bailiwick/teams/shop/deep is a folder within a team's, and none is read"],
    );
}

#[test]
fn what_every_user_may_change_is_not_trusted() {
    let it = estate();
    let path = it.write("home/.config/bailiwick/bailiwick.toml", "");
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&path, 0o666);
    expect!["DIR/home/.config/bailiwick/bailiwick.toml is not trusted: every user may change it; run `chmod o-w` on it"].assert_eq(&it.load().unwrap_err());
    allow(&path, 0o664);
    expect!["DIR/home/.config/bailiwick/bailiwick.toml: its group may change it"]
        .assert_eq(&it.notes(&it.load().unwrap()));
    allow(&path, 0o644);
    allow(path.parent().unwrap(), 0o777);
    expect![
        "DIR/home/.config/bailiwick is not trusted: every user may put files into it; run `chmod o-w` on it"
    ]
    .assert_eq(&it.load().unwrap_err());
    allow(path.parent().unwrap(), 0o755);
    let cedar = it.write("home/.config/bailiwick/a.cedar", "");
    allow(&cedar, 0o646);
    expect![
        "DIR/home/.config/bailiwick/a.cedar is not trusted: every user may change it; run `chmod o-w` on it"
    ]
    .assert_eq(&it.load_text("[policy]\nfiles = [\"a.cedar\"]\n").unwrap_err());
}

#[test]
fn what_is_no_readable_file_is_refused() {
    let it = estate();
    let load = |path: &Path| it.plain(&Config::load(Some(path), &it.surroundings).unwrap_err().to_string());
    expect!["cannot read DIR/absent.toml: no such file"].assert_eq(&load(Path::new("absent.toml")));
    expect!["cannot read DIR/home: it is not a regular file"].assert_eq(&load(Path::new("home")));
    fs::write(it.path("binary.toml"), [0xff]).unwrap();
    expect!["cannot read DIR/binary.toml: it is not UTF-8 text"].assert_eq(&load(Path::new("binary.toml")));
    fs::write(it.path("huge.toml"), " ".repeat(1024 * 1024 + 1)).unwrap();
    expect!["cannot read DIR/huge.toml: it is larger than 1 MiB"].assert_eq(&load(Path::new("huge.toml")));
}

#[test]
fn a_broken_link_is_not_the_absence_of_a_configuration() {
    let it = estate();
    fs::create_dir_all(it.path("home/.config/bailiwick")).unwrap();
    std::os::unix::fs::symlink("nowhere", it.path("home/.config/bailiwick/bailiwick.toml")).unwrap();
    expect!["cannot read DIR/home/.config/bailiwick/bailiwick.toml: no such file"]
        .assert_eq(&it.load().unwrap_err());
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
fn a_deeply_nested_file_is_refused_and_overflows_nothing() {
    let it = estate();
    assert!(it.load_text(&format!("a = {}", "[".repeat(100_000))).is_err());
    assert!(it.load_text(&format!("{} = 1", vec!["a"; 100_000].join("."))).is_err());
    assert!(it.load_text(&format!("[{}]", vec!["a"; 100_000].join("."))).is_err());
}
