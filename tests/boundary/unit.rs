//! The unit that puts a server under a user of its own: systemd understands all of it, and the server takes its command line.

use std::{fs, path::PathBuf, process::Command};

use testkit::{
    DEADLINE,
    backends::GitRepository,
    cli::{self, Home},
    mcp::Session,
    wait_until,
};

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/systemd").join(name)
}

/// The unit, with the program where it was built.
fn unit() -> String {
    let text = fs::read_to_string(example("bailiwick.service")).expect("it ships");
    text.replace("/usr/local/bin/bailiwick ", concat!(env!("CARGO_BIN_EXE_bailiwick"), " "))
}

/// What systemd says of a text, when it reads it as a unit.
fn verified(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bailiwick.service");
    fs::write(&path, text).expect("ours");
    let ended = cli::run(Command::new("systemd-analyze").arg("verify").arg(&path), b"");
    let ours = ended.stderr.lines().filter(|it| it.contains("bailiwick"));
    ours.map(|it| format!("{it}\n")).collect()
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    assert_eq!(verified(&unit()), "");
    for (right, wrong) in [
        ("ProtectSystem=strict", "ProtectSysten=strict"),
        ("SystemCallFilter=@system-service", "SystemCallFilter=@system-servise"),
        ("LoadCredential=prometheus:", "LoadCredential="),
        (env!("CARGO_BIN_EXE_bailiwick"), "/nowhere/bailiwick"),
    ] {
        assert_ne!(verified(&unit().replacen(right, wrong, 1)), "", "{wrong}: this test would notice");
    }
    let users = example("sysusers.conf");
    let ended = cli::run(Command::new("systemd-sysusers").arg("--dry-run").arg(&users), b"").expect(0);
    for name in ["bailiwick", "bailiwick-agents"] {
        assert!(ended.stdout.contains(name) || ended.stderr.contains(name), "{name}: {ended:?}");
    }
}

#[test]
fn systemd_finds_little_that_the_unit_leaves_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bailiwick.service");
    fs::write(&path, unit()).expect("ours");
    // In tenths: below 2.0 of 10.
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(&path);
    cli::run(&mut command, b"").expect(0);
    fs::write(&path, unit().replace("CapabilityBoundingSet=\n", "").replace("ProtectSystem=strict\n", ""))
        .expect("ours");
    assert_ne!(cli::run(&mut command, b"").code, Some(0), "this test would notice");
}

#[test]
fn the_server_takes_the_command_line_and_the_configuration_of_the_unit() {
    let line = unit();
    let line = line.lines().find_map(|it| it.strip_prefix("ExecStart=")).expect("it starts something");
    let folder = tempfile::tempdir().expect("a folder");
    let config = fs::read_to_string(example("bailiwick.toml")).expect("it ships");
    for place in ["/var/lib/bailiwick", "/run/credentials/bailiwick.service/prometheus"] {
        assert!(config.contains(place), "{place} is of the unit");
    }
    let state = folder.path().join("state").display().to_string();
    let shop = GitRepository::shop();
    let repository = shop.path().display().to_string();
    let here = config.replace("/var/lib/bailiwick", &state).replace("/srv/git/shop", &repository);
    let path = folder.path().join("bailiwick.toml");
    fs::write(&path, here).expect("ours");
    let socket = folder.path().join("mcp.sock");
    let words = line.split_whitespace().skip(1).map(|it| match it {
        "/etc/bailiwick/bailiwick.toml" => path.display().to_string(),
        "/run/bailiwick/mcp.sock" => socket.display().to_string(),
        // The only group of which every machine has one, and whoever runs this may be a member.
        "bailiwick-agents" => own_group(),
        word => word.to_owned(),
    });
    let words: Vec<String> = words.collect();
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"));
    let mut server = Session::start(&mut home.command(&words));
    wait_until("the server to listen", DEADLINE, || {
        assert!(!server.ended(), "{}", server.errors());
        server.errors().contains("code is served at ").then_some(())
    });
    server.signal("HUP");
    wait_until("the policy to be read again", DEADLINE, || {
        assert!(!server.errors().contains("stays in force"), "{}", server.errors());
        server.errors().contains("was read again").then_some(())
    });
    server.signal("TERM");
    assert!(server.wait().success(), "{}", server.errors());
}

/// Name of the group that we are of.
fn own_group() -> String {
    cli::run(Command::new("id").arg("-gn"), b"").expect(0).stdout.trim().to_owned()
}
