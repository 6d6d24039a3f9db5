//! The official conformance suite: against the fixtures that it calls, and against a server of ours where it calls none.
//!
//! Of the fixtures every check has to pass, those of extensions too, which the suite runs and does not score. The fixtures are
//! in builds with the feature `conformance`, which `tests/run` makes for it.

use std::fs;

use testkit::{
    backends::GitRepository,
    cli::{self, Ended, Home},
    node,
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

/// How many checks a whole run makes, by server and revision: a suite that runs less shall not look green. Of 2026-07-28 one looks
/// at answers that are streams; where they are JSON, as ours, it only says so and counts neither as passed nor as failed.
#[cfg(feature = "conformance")]
const CHECKS: [(&str, &str, usize); 4] = [
    ("conformance", "2025-11-25", 83),
    ("conformance", "2026-07-28", 196),
    ("conformance-streamed", "2025-11-25", 83),
    ("conformance-streamed", "2026-07-28", 197),
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
        let expected = self.home.path().join("expected-failures.yaml");
        fs::write(&expected, "server: []\n").expect("a temporary folder is writable");
        let mut command = node::installed("@modelcontextprotocol/conformance/dist/index.js");
        command.args(["server", "--url", &self.served.url(server)]).args(what);
        command.arg("--expected-failures").arg(&expected);
        command.env("HOME", self.home.path()).current_dir(self.home.path());
        cli::run(&mut command, b"")
    }
}

#[cfg(feature = "conformance")]
#[test]
fn every_check_of_each_revision_passes() {
    let suite = Suite::start();
    for (server, revision, checks) in CHECKS {
        let ended = suite.run(server, &["--requirements", revision]);
        // Its summary: `✓ tools-list: 4 passed, 0 failed` of each scenario, and the total.
        let (_, summary) = ended.stdout.split_once("=== SUMMARY ===").unwrap_or(("", &ended.stdout));
        let told = format!("{server}, {revision}:\n{summary}\n{}", ended.stderr);
        assert_eq!(ended.code, Some(0), "{told}");
        let (passed, failed) = total(summary).unwrap_or_else(|| panic!("no total: {told}"));
        assert_eq!(failed, 0, "{told}");
        assert!(passed >= checks, "{passed} checks passed and {checks} are known: {told}");
    }
}

/// How many checks passed and how many failed, as the suite counts.
#[cfg(feature = "conformance")]
fn total(summary: &str) -> Option<(usize, usize)> {
    let total = summary.lines().find_map(|it| it.strip_prefix("Total: "))?;
    let (passed, failed) = total.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.strip_suffix(" failed")?.parse().ok()?))
}

#[test]
fn a_server_of_ours_passes_what_needs_no_fixture() {
    let suite = Suite::start();
    for (revision, scenario) in WITHOUT_FIXTURES {
        let ended = suite.run("code", &["--scenario", scenario, "--spec-version", revision]);
        assert_eq!(ended.code, Some(0), "{scenario}: {}\n{}", ended.stdout, ended.stderr);
    }
}
