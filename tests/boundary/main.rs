//! A server on a socket that runs as another user than the agent: what an agent reaches through it, and what it does not reach
//! around it.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

mod machine;
mod unit;

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixListener,
    },
};

use serde_json::json;
use testkit::{
    DEADLINE, cli,
    mcp::{Session, Version},
    wait_until,
};

use machine::{Machine, SERVER, TOKEN, post, told, up};

#[test]
fn a_call_through_the_socket_is_recorded_with_the_user_of_the_process() {
    let machine = Machine::new();
    let served = machine.serve(&[]);
    let name = machine.name(machine.users.map(|it| it.1));
    for version in Version::ALL {
        let mut session = machine.connect(&["observability"]);
        session.greet(version);
        assert!(up(&mut session), "{version:?}");
        let told = session.call("show_authority", json!({})).structured();
        assert_eq!((&told["on_behalf_of"], &told["assurance"]), (&json!(name), &json!("os_user")), "{told}");
        assert!(session.leave().success());
    }
    served.stop();
    assert!(!machine.socket().exists(), "it goes with its server");
    assert_eq!(machine.callers(), vec![(name, "os_user".to_owned()); 3]);
    let asked = machine.metrics.requests();
    assert!(
        !asked.is_empty()
            && asked.iter().all(|it| it.header("authorization") == Some(&format!("Bearer {TOKEN}")))
    );
}

#[test]
fn who_calls_is_the_user_and_not_what_a_client_says() {
    let machine = Machine::new();
    let served = machine.serve(&[]);
    let socket = machine.socket();
    let listed = post(&socket, "/observability/mcp", "localhost", "tools/list");
    assert!(listed.status == 200 && listed.body.contains("query_metrics"), "{listed:?}");
    assert_eq!(post(&socket, "/observability/mcp", "evil.example", "tools/list").status, 403);
    // Two users by turns, where there are two.
    let mut expected = Vec::new();
    for user in [machine.users.map(|it| it.1), None, machine.users.map(|it| it.1)] {
        let arguments = ["connect", socket.to_str().expect("UTF-8")];
        let mut session =
            Session::start(machine.binary(user, &arguments).env("USER", "alice").env("LOGNAME", "alice"));
        session.greet(Version::V2026_07_28);
        assert!(up(&mut session));
        expected.push((machine.name(user), "os_user".to_owned()));
        assert!(session.leave().success());
    }
    served.stop();
    assert_eq!(machine.callers(), expected);
}

/// What an agent could try, each a line of shell.
fn attempts(machine: &Machine, pid: u32) -> Vec<String> {
    let place = |it: &str| machine.at(it).display().to_string();
    let (server, run) = (place("server"), place("run"));
    vec![
        // Credentials, configuration, keys, log: reading.
        format!("cat {server}/token"),
        format!("ls {server}"),
        format!("cat {server}/bailiwick.toml"),
        format!("cat {server}/state/logs/observability/0/journal"),
        format!("ls -R {server}/state"),
        format!("cat {server}/state/policy/history.json"),
        // Policy and log: writing.
        format!("echo x >> {server}/rules.cedar"),
        format!("echo x > {server}/state/logs/observability/0/journal"),
        format!("truncate -s 0 {server}/state/logs/observability/0/journal"),
        format!("mkdir {server}/policies"),
        format!("chmod 777 {server}"),
        format!("mv {server} {server}.old"),
        format!("rm -rf {server}/state"),
        // The socket.
        format!("rm {run}/mcp.sock"),
        format!("mv {run}/mcp.sock {run}/old.sock"),
        format!("ln -s /tmp/other.sock {run}/mcp2.sock"),
        format!("chmod 600 {run}/mcp.sock"),
        format!("touch {run}/.mcp.sock.lock2"),
        format!("cat {run}/.mcp.sock.lock"),
        format!("mv {run} {run}.old"),
        // The process.
        format!("cat /proc/{pid}/environ"),
        format!("ls /proc/{pid}/fd"),
        format!("cat /proc/{pid}/mem"),
        format!("exec 3<>/proc/{pid}/mem"),
        format!("kill -HUP {pid}"),
        format!("kill -KILL {pid}"),
        format!("echo 1000 > /proc/{pid}/oom_score_adj"),
        // The program.
        format!("echo x >> {}", place("bin/bailiwick")),
    ]
}

#[test]
fn an_agent_that_is_another_user_gets_past_nothing() {
    let machine = Machine::new();
    if machine.users.is_none() {
        return; // said so above: there is nobody to keep out
    }
    let served = machine.serve(&[]);
    let mut session = machine.connect(&[]);
    session.greet(Version::V2026_07_28);
    assert!(up(&mut session), "through the socket it works");
    let (before, pid) = (machine.relied_on(), served.0.id());
    for attempt in attempts(&machine, pid) {
        let ended = machine.agent(&attempt);
        assert_ne!(ended.code, Some(0), "{attempt}: {ended:?}");
        let why = ["Permission denied", "Operation not permitted"];
        assert!(why.iter().any(|it| ended.stderr.contains(it)), "{attempt}: {ended:?}");
        assert!(!ended.stdout.contains(TOKEN) && !ended.stderr.contains(TOKEN), "{attempt}");
    }
    let traced = machine.agent(&format!(
        "python3 -c 'import ctypes; c = ctypes.CDLL(None, use_errno=True); r = c.ptrace(16, {pid}, 0, 0); \
         print(r, ctypes.get_errno())'"
    ));
    assert_eq!(traced.clone().expect(0).stdout.trim(), "-1 1", "PTRACE_ATTACH gets EPERM: {traced:?}");
    assert_eq!(machine.relied_on(), before, "nothing that the server relies on has changed");
    assert!(up(&mut session), "and it serves as before");
    assert!(session.leave().success());
    served.stop();
    let config = machine.at("server/bailiwick.toml").display().to_string();
    let verified =
        cli::run(&mut machine.binary(Some(SERVER), &["audit", "verify", "--config", &config]), b"");
    verified.expect(0);
}

#[test]
fn the_command_line_of_the_agent_reaches_no_state_of_the_server() {
    let machine = Machine::new();
    let Some((_, agent)) = machine.users else { return };
    let _served = machine.serve(&[]);
    let config = machine.at("server/bailiwick.toml").display().to_string();
    for arguments in [
        &["audit", "tail", "--config", &config][..],
        &["audit", "erase", "--subject", "agent:local", "--config", &config],
        &["call", "observability", "query_metrics", "query=up", "--config", &config],
        &["serve", "observability", "--config", &config],
        &["policy", "check", "--config", &config],
        &["approvals", "list", "--config", &config],
        &["approvals", "approve", "a1b2c3d4", "--config", &config],
    ] {
        let ended = cli::run(&mut machine.binary(Some(agent), arguments), b"");
        assert!(ended.code.is_some_and(|it| it != 0), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("permission denied"), "{arguments:?}: {ended:?}");
        assert!(!ended.stdout.contains(TOKEN) && !ended.stderr.contains(TOKEN), "{arguments:?}");
    }
    assert!(machine.metrics.requests().is_empty(), "nobody was asked in the server's name");
}

#[test]
fn nobody_but_the_owner_connects_unless_somebody_says_so() {
    let machine = Machine::new();
    let (socket, config) = (machine.socket(), machine.at("server/bailiwick.toml"));
    let arguments = [
        "serve",
        "observability",
        "--config",
        config.to_str().expect("UTF-8"),
        "--socket",
        socket.to_str().expect("UTF-8"),
    ];
    let mut served = Session::start(&mut machine.binary(machine.users.map(|it| it.0), &arguments));
    wait_until("the server to listen", DEADLINE, || {
        assert!(!served.ended(), "{}", served.errors());
        served.errors().contains(" is served at ").then_some(())
    });
    let mode = fs::metadata(&socket).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "nobody but its owner, unless told");
    if machine.users.is_some() {
        let mut session = machine.connect(&[]);
        assert_eq!(session.wait().code(), Some(5));
        told(&session, "ermission denied");
    }
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_that_is_listened_on_is_not() {
    let machine = Machine::new();
    let mut served = machine.serve(&[]);
    let config = machine.at("server/bailiwick.toml").display().to_string();
    let socket = machine.socket().display().to_string();
    let second = ["serve", "observability", "--config", &config, "--socket", &socket];
    let user = machine.users.map(|it| it.0);
    let ended = cli::run(&mut machine.binary(user, &second), b"").expect(5);
    assert!(ended.stderr.contains("another server listens"), "{ended:?}");
    served.0.kill();
    assert!(machine.socket().exists(), "nobody was left to remove it");
    let served = machine.serve(&[]);
    let mut session = machine.connect(&[]);
    session.greet(Version::V2025_11_25);
    assert!(up(&mut session));
    // A client that is connected hears that the server leaves.
    served.stop();
    assert_eq!(session.wait().code(), Some(5));
    told(&session, "has left");
}

#[test]
fn a_folder_that_others_write_to_holds_no_socket() {
    let machine = Machine::new();
    let config = machine.at("server/bailiwick.toml").display().to_string();
    let folder = machine.at("shared");
    fs::create_dir(&folder).expect("ours");
    machine.give(&folder);
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).expect("ours");
    let socket = folder.join("mcp.sock").display().to_string();
    let arguments = ["serve", "observability", "--config", &config, "--socket", &socket];
    let ended = cli::run(&mut machine.binary(machine.users.map(|it| it.0), &arguments), b"").expect(5);
    assert!(ended.stderr.contains("chmod go-w"), "{ended:?}");
    // Nor does one of somebody else's.
    if let Some((server, agent)) = machine.users {
        chown(&folder, Some(agent), None).expect("root may");
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("ours");
        let ended = cli::run(&mut machine.binary(Some(server), &arguments), b"").expect(5);
        assert!(ended.stderr.contains("belongs to another user"), "{ended:?}");
    }
}

#[test]
fn a_bridge_says_why_it_reaches_nobody() {
    let machine = Machine::of(None);
    let mut session = machine.connect(&[]);
    assert_eq!(session.wait().code(), Some(5));
    told(&session, "is `bailiwick serve --socket` running there?");
    let served = machine.serve(&["code"]);
    let mut session = machine.connect(&[]);
    assert_eq!(session.wait().code(), Some(5));
    told(&session, "name one: observability, code");
    let answer = post(&machine.socket(), "/nothing/lines", "localhost", "tools/list");
    assert_eq!(answer.status, 404);
    served.stop();
    // Something else that listens is not taken for a server.
    let other = UnixListener::bind(machine.socket()).expect("ours");
    let speaking = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().expect("the bridge");
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").expect("it reads");
    });
    let mut session = machine.connect(&[]);
    assert_eq!(session.wait().code(), Some(5));
    speaking.join().expect("no panic");
    told(&session, "no server of ours");
}

#[test]
fn doctor_lists_for_the_agent_what_the_agent_can_read_and_nothing_else() {
    let machine = Machine::new();
    let Some((_, agent)) = machine.users else { return };
    let home = machine.at("home");
    for (file, owner) in [(".kube/config", SERVER), (".aws/credentials", agent)] {
        let path = home.join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("ours");
        fs::write(&path, "hunter2").expect("ours");
        chown(&path, Some(owner), Some(owner)).expect("root may");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
    }
    for folder in ["home", "home/.kube", "home/.aws"] {
        fs::set_permissions(machine.at(folder), Permissions::from_mode(0o755)).expect("ours");
    }
    let mut doctor = machine.binary(Some(agent), &["doctor", "--json"]);
    let said = cli::run(doctor.env("HOME", &home), b"").json();
    let names: Vec<_> =
        said["around"].as_array().expect("a list").iter().map(|it| it["name"].clone()).collect();
    assert!(names.contains(&json!("AWS")) && !names.contains(&json!("kubeconfig")), "{names:?}");
}
