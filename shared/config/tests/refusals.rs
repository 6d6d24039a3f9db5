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
    refused("[connections.prod-eu]\nkind = \"prometheus\"\nurll = \"https://a.example\"\n", &expect![[]]);
    refused("[policy]\n\npermit = [\"hunter2\"]\n", &expect![[]]);
    refused("[connection.x]\nkind = \"git\"\n", &expect![[]]);
    refused("[connections.x]\nkind = \"git\"\npath = \".\"\nmatchers = ['a=\"b\"']\n", &expect![[]]);
    refused("[connections.x]\nkind = \"git\"\npath = \".\"\ntoken = \"hunter2\"\n", &expect![[]]);
    refused("[policy]\napprove = [{ rule = \"a\", approval = 2 }]\n", &expect![[]]);
}

#[test]
fn a_wrong_type_is_refused_without_its_value() {
    refused("[identity]\nteams = \"hunter2\"\n", &expect![[]]);
    refused("[connections.x]\nkind = \"prometheus\"\nurl = 5\n", &expect![[]]);
    refused("[connections]\nx = \"hunter2\"\n", &expect![[]]);
    refused(
        "[connections.x]\nkind = \"prometheus\"\nurl = \"http://a\"\ntimeout_ms = 1.5\n",
        &expect![[]],
    );
    refused(
        "[connections.x]\nkind = \"prometheus\"\nurl = \"http://a\"\ntimeout_ms = -1\n",
        &expect![[]],
    );
    refused("[policy]\ntimezone = 1979-05-27\n", &expect![[]]);
}

#[test]
fn a_kind_must_be_known() {
    refused("[connections.x]\nkind = \"promtheus\"\n", &expect![[]]);
    refused("[connections.x]\nkind = \"loki\"\n", &expect![[]]);
    refused("[connections.x]\nurl = \"http://a\"\n", &expect![[]]);
}

#[test]
fn a_missing_key_is_named() {
    refused("[connections.x]\nkind = \"git\"\n", &expect![[]]);
}

#[test]
fn a_secret_never_stands_in_the_file() {
    let prometheus = "[connections.x]\nkind = \"prometheus\"\nurl = \"http://127.0.0.1\"\n";
    refused(&format!("{prometheus}bearer = \"hunter2\" # was hunter2\n"), &expect![[]]);
    refused(&format!("{prometheus}bearer = {{ value = \"hunter2\" }}\n"), &expect![[]]);
    refused(&format!("{prometheus}bearer = {{ env = \"hunter2-X\" }}\n"), &expect![[]]);
    refused(&format!("{prometheus}bearer = {{ env = \"A\", file = \"hunter2\" }}\n"), &expect![[]]);
    refused(&format!("{prometheus}bearer = {{}}\n"), &expect![[]]);
    refused(&format!("{prometheus}basic = {{ username = \"u\", password = \"hunter2\" }}\n"), &expect![[]]);
    refused(
        &format!("{prometheus}basic = {{ usrname = \"hunter2\", password = \"hunter2\" }}\n"),
        &expect![[]],
    );
    refused(&format!("{prometheus}headers = {{ Authorization = \"Bearer hunter2\" }}\n"), &expect![[]]);
    refused(&format!("{prometheus}headers = {{ X-Auth-Token = \"hunter2\" }}\n"), &expect![[]]);
}

#[test]
fn a_broken_file_is_refused_without_its_values() {
    refused("[connections.x]\nbearer = \"hunter2\n", &expect![[]]);
    refused("[connections.x]\nbearer = hunter2\n", &expect![[]]);
    refused("note = \"\"\"\nhunter2\nhunter2==\n", &expect![[]]);
    refused("[connections.x]\nkind = \"git\"\n[connections.x]\nkind = \"git\"\n", &expect![[]]);
    refused("[policy]\nallow = []\nallow = []\n", &expect![[]]);
}

#[test]
fn an_address_holds_no_secret_and_leads_somewhere() {
    let url = |it: &str| format!("[connections.x]\nkind = \"alertmanager\"\nurl = \"{it}\"\n");
    refused(&url("https://u:hunter2@a.example"), &expect![[]]);
    refused(&url("https://hunter2@a.example"), &expect![[]]);
    refused(&url("https://@a.example"), &expect![[]]);
    refused(&url("ftp://a.example"), &expect![[]]);
    refused(&url("https://a.example?token=hunter2"), &expect![[]]);
    refused(&url("hunter2"), &expect![[]]);
    refused(&url("file:///etc/passwd"), &expect![[]]);
}

#[test]
fn names_words_and_numbers_are_checked() {
    refused("[connections.\"Prod EU\"]\nkind = \"git\"\npath = \".\"\n", &expect![[]]);
    refused(
        "[connections.\"x\\u001b[2J\"]\nkind = \"git\"\npath = \".\"\n",
        &expect![[]],
    );
    refused("[connections.x]\nkind = \"git\"\npath = \".\"\nenvironment = \"prod EU\"\n", &expect![[]]);
    refused("[identity]\nagent = \"a b\"\n", &expect![[]]);
    refused("[vocabulary]\ntiers = [\"1\", \"\"]\n", &expect![[]]);
    refused("[policy]\ntimezone = \"Europe/Berlim\"\n", &expect![[]]);
    refused("[policy]\napprove = [{ rule = \"a\", approvals = 4 }]\n", &expect![[]]);
    let prometheus = "[connections.x]\nkind = \"prometheus\"\nurl = \"http://127.0.0.1\"\n";
    refused(&format!("{prometheus}timeout_ms = 60001\n"), &expect![[]]);
    refused(&format!("{prometheus}matchers = ['cluster=\"eu\"} or up{{']\n"), &expect![[]]);
    refused(&format!("{prometheus}headers = {{ Host = \"b\" }}\n"), &expect![[]]);
    refused(&format!("{prometheus}headers = {{ X-A = \"b\\r\\nX-B: c\" }}\n"), &expect![[]]);
    refused(
        &format!("{prometheus}bearer = {{ env = \"A\" }}\nbasic = {{ username = \"u\", password = {{ env = \"B\" }} }}\n"),
        &expect![[]],
    );
    refused("[connections.x]\nkind = \"git\"\npath = \"~/shop\"\n", &expect![[]]);
}

#[test]
fn a_policy_file_must_be_there_and_in_its_place() {
    refused("[policy]\nfiles = [\"absent.cedar\"]\n", &expect![[]]);
    let it = estate();
    let refused = |text: &str, expect: Expect| expect.assert_eq(&it.load_text(text).unwrap_err());
    it.write("home/.config/bailiwick/a.cedar", "");
    refused("[policy]\nfiles = [\"a.cedar\", \"./a.cedar\"]\n", expect![[]]);
    it.write("home/.config/bailiwick/teams/stray.cedar", "");
    refused("[policy]\nteams = \"teams\"\n", expect![[]]);
    fs::remove_file(it.path("home/.config/bailiwick/teams/stray.cedar")).unwrap();
    it.write("home/.config/bailiwick/teams/a team/a.cedar", "");
    refused("[policy]\nteams = \"teams\"\n", expect![[]]);
    fs::remove_dir_all(it.path("home/.config/bailiwick/teams/a team")).unwrap();
    it.write("home/.config/bailiwick/teams/shop/deep/a.cedar", "");
    refused("[policy]\nteams = \"teams\"\n", expect![[]]);
}

#[test]
fn what_every_user_may_change_is_not_trusted() {
    let it = estate();
    let path = it.write("home/.config/bailiwick/bailiwick.toml", "");
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&path, 0o666);
    expect![[]].assert_eq(&it.load().unwrap_err());
    allow(&path, 0o664);
    expect![[]].assert_eq(&it.notes(&it.load().unwrap()));
    allow(&path, 0o644);
    allow(path.parent().unwrap(), 0o777);
    expect![[]].assert_eq(&it.load().unwrap_err());
    allow(path.parent().unwrap(), 0o755);
    let cedar = it.write("home/.config/bailiwick/a.cedar", "");
    allow(&cedar, 0o646);
    expect![[]].assert_eq(&it.load_text("[policy]\nfiles = [\"a.cedar\"]\n").unwrap_err());
}

#[test]
fn what_is_no_readable_file_is_refused() {
    let it = estate();
    let load = |path: &Path| it.plain(&Config::load(Some(path), &it.surroundings).unwrap_err().to_string());
    expect![[]].assert_eq(&load(Path::new("absent.toml")));
    expect![[]].assert_eq(&load(Path::new("home")));
    fs::write(it.path("binary.toml"), [0xff]).unwrap();
    expect![[]].assert_eq(&load(Path::new("binary.toml")));
    fs::write(it.path("huge.toml"), " ".repeat(1024 * 1024 + 1)).unwrap();
    expect![[]].assert_eq(&load(Path::new("huge.toml")));
}

#[test]
fn a_broken_link_is_not_the_absence_of_a_configuration() {
    let it = estate();
    fs::create_dir_all(it.path("home/.config/bailiwick")).unwrap();
    std::os::unix::fs::symlink("nowhere", it.path("home/.config/bailiwick/bailiwick.toml")).unwrap();
    expect![[]].assert_eq(&it.load().unwrap_err());
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
        match it.load_text(&text) {
            Ok(config) => prop_assert!(!format!("{config:?}").contains("hunter2")),
            Err(error) => prop_assert!(!error.contains("hunter2"), "{}", error),
        }
        let path = it.path("home/.config/bailiwick/bailiwick.toml");
        let error = Config::load(Some(&path), &it.surroundings).err();
        prop_assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[test]
fn a_deeply_nested_file_is_refused_and_overflows_nothing() {
    let it = estate();
    assert!(it.load_text(&format!("a = {}", "[".repeat(100_000))).is_err());
    assert!(it.load_text(&format!("{} = 1", vec!["a"; 100_000].join("."))).is_err());
    assert!(it.load_text(&format!("[{}]", vec!["a"; 100_000].join("."))).is_err());
}
