//! The log convinces somebody who does not trust us: what `audit checkpoint`, `prove` and `verify` print, checked with a key and
//! by a program in another language.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{
    backends::GitRepository,
    cli::{self, Ended, Home},
};

/// A home with a few calls in its log.
struct Estate {
    home: Home,
    _shop: GitRepository,
    key: String,
}

impl Estate {
    fn new() -> Estate {
        let shop = GitRepository::shop();
        let config = format!("[connections.shop]\nkind = \"git\"\npath = {:?}\n", shop.path());
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config);
        let estate = Estate { home, _shop: shop, key: String::new() };
        estate.call();
        estate.call();
        let report = estate.home.run(["audit", "verify", "--json"]).expect(0).json();
        assert_eq!(report["independent"], false, "{report}");
        Estate { key: report["keys"][0].as_str().expect("a key").to_owned(), ..estate }
    }

    /// One read; what it printed.
    fn call(&self) -> String {
        self.home.run(["call", "code", "list_commits", "window=30d"]).expect(0).stdout
    }

    fn kept(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, text).expect("a temporary folder is writable");
        path
    }

    fn audit(&self, arguments: &[&str]) -> Ended {
        self.home.run(["audit"].iter().chain(arguments))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

/// Runs the verifier in the other language.
fn python(arguments: &[&str]) -> Ended {
    let python = std::env::var("BAILIWICK_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify_log.py");
    cli::run(Command::new(python).arg("-B").arg(script).args(arguments), b"")
}

#[test]
fn a_kept_checkpoint_and_a_receipt_show_a_log_that_was_cut() {
    let estate = Estate::new();
    let receipt = estate.kept("receipt.json", &estate.call());
    let anchor = estate.kept("kept.checkpoint", &estate.audit(&["checkpoint"]).expect(0).stdout);
    let with = ["verify", "--key", &estate.key, "--anchor", text(&anchor), "--receipt", text(&receipt)];
    let said = estate.audit(&with).expect(0).stdout;
    assert!(said.contains("anchored") && said.contains("not seen: unwitnessed"), "{said}");
    fs::remove_dir_all(estate.home.state().join("logs")).expect("it is ours");
    estate.call();
    let said = estate.audit(&with).expect(1).stdout;
    assert!(said.contains("is gone"), "{said}");
    let said = estate.audit(&["verify", "--key", &estate.key]).expect(0).stdout;
    assert!(said.contains("not seen: no anchor"), "what it can not see is said: {said}");
}

#[test]
fn a_key_of_the_configuration_counts_as_kept_elsewhere() {
    let estate = Estate::new();
    let config = fs::read_to_string(estate.home.config_path()).expect("it was written");
    let with = |key: &str| config.replace("[audit]\n", &format!("[audit]\nkeys = [\"{key}\"]\n"));
    fs::write(estate.home.config_path(), with(&estate.key)).expect("a temporary folder is writable");
    assert_eq!(estate.audit(&["verify", "--json"]).expect(0).json()["independent"], true);
    let other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    fs::write(estate.home.config_path(), with(other)).expect("a temporary folder is writable");
    estate.audit(&["verify"]).expect(1);
    fs::write(estate.home.config_path(), with("nonsense")).expect("a temporary folder is writable");
    assert!(estate.audit(&["verify"]).expect(2).stderr.contains("[audit] keys"));
}

#[test]
fn a_proof_holds_without_the_log_and_in_another_language() {
    let estate = Estate::new();
    let anchor = estate.kept("kept.checkpoint", &estate.audit(&["checkpoint"]).expect(0).stdout);
    estate.call();
    let proof = estate.audit(&["prove", "code/0:1", "--from", text(&anchor)]).expect(0).stdout;
    let path = estate.kept("1.tlog-proof", &proof);
    fs::remove_dir_all(estate.home.state()).expect("it is ours");
    let check = ["verify", "--proof", text(&path), "--key", &estate.key, "--anchor", text(&anchor), "--json"];
    let held = estate.audit(&check).expect(0).json();
    assert_eq!(
        (&held["proven"]["record"]["index"], &held["independent"]),
        (&1.into(), &true.into()),
        "{held}"
    );
    assert!(held["proven"]["grown_from"].as_u64().is_some_and(|it| it > 0), "{held}");
    let theirs = python(&[&estate.key, text(&path)]).expect(0).json();
    assert_eq!(theirs["record"], held["proven"]["record"]);
    let spoilt = estate.kept("2.tlog-proof", &proof.replace("\nindex 1\n", "\nindex 2\n"));
    estate.audit(&["verify", "--proof", text(&spoilt), "--key", &estate.key]).expect(1);
    assert!(python(&[&estate.key, text(&spoilt)]).expect(1).stderr.contains("wrong"));
    estate.audit(&["verify", "--proof", text(&anchor), "--key", &estate.key]).expect(2);
}

#[test]
fn what_is_published_verifies_by_itself_and_in_another_language() {
    let estate = Estate::new();
    let tlog = estate.home.state().join("logs/code/0/tlog");
    let ours = estate
        .audit(&["verify", "--published", text(&tlog), "--key", &estate.key, "--json"])
        .expect(0)
        .json();
    let theirs = python(&[&estate.key, text(&tlog)]).expect(0).json();
    assert_eq!(
        (&theirs["origin"], &theirs["size"]),
        (&ours["logs"][0]["origin"], &ours["logs"][0]["records"])
    );
    assert_eq!(theirs["first"][0], "start");
    let bundle = fs::read_dir(tlog.join("tile/entries/000.p")).expect("it was published").flatten().last();
    let size = theirs["size"].as_u64().expect("a size");
    assert!(bundle.is_some());
    let bundle = tlog.join(format!("tile/entries/000.p/{size}"));
    let mut bytes = fs::read(&bundle).expect("it was published");
    bytes[30] ^= 1;
    fs::write(&bundle, bytes).expect("it is ours");
    assert!(python(&[&estate.key, text(&tlog)]).expect(1).stderr.contains("wrong"));
    estate.audit(&["verify", "--published", text(&tlog), "--key", &estate.key]).expect(1);
    estate.audit(&["verify", "--key", &estate.key]).expect(1);
}

#[test]
fn records_are_compared_with_the_policies_that_may_have_decided() {
    let estate = Estate::new();
    let config = estate.home.config_path();
    estate.audit(&["verify", "--key", &estate.key, "--policy", text(&config)]).expect(0);
    let other = estate.home.file(
        "other.cedar",
        "@id(\"team.reads\") @reason(\"fine\") permit (principal, action in Action::\"effect:read\", resource);",
    );
    let said = estate.audit(&["verify", "--key", &estate.key, "--policy", text(&other)]).expect(3).stdout;
    assert!(said.contains("none of those given"), "{said}");
}
