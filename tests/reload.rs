//! A policy that changes while a server runs: taken whole or not at all, never an older one unasked, and on the record.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::GitRepository,
    cli::Home,
    http,
    mcp::{Session, Version},
    remote::Served,
    wait_until,
};

/// A repository, and a configuration that a test rewrites while a server runs.
struct Shop {
    home: Home,
    repository: GitRepository,
}

/// What is said when a policy is taken, and when it is not.
const TAKEN: &str = "is in force from here on, in place of";
const KEPT: &str = "stays in force; what was to replace it";
const OLDER: &str = "a later one replaced it";

impl Shop {
    fn new(policy: &str) -> Shop {
        let shop =
            Shop { home: Home::new(env!("CARGO_BIN_EXE_bailiwick")), repository: GitRepository::shop() };
        shop.say(policy);
        shop
    }

    /// Writes what the configuration says under `[policy]`, and what follows it.
    fn say(&self, policy: &str) {
        let path = self.repository.path();
        let text = format!(
            "[audit]\nephemeral = false\n[connections.shop]\nkind = \"git\"\npath = {path:?}\n[policy]\n{policy}\n"
        );
        self.home.file("bailiwick.toml", &text);
    }

    /// A server that has read what the configuration says: it does so only once the handshake is taken up, and a list waits.
    fn stdio(&self) -> Session {
        let mut session = self.home.start(&["code"]);
        greet(&mut session);
        session
    }

    /// Every record, oldest first.
    fn records(&self) -> Vec<Value> {
        let tail = self.home.run(["audit", "tail", "--json", "-n", "1000"]).expect(0).stdout;
        tail.lines().map(|it| serde_json::from_str(it).expect("a record a line")).collect()
    }

    /// Each step of a policy, oldest first.
    fn steps(&self) -> Vec<String> {
        let steps = self.records().into_iter().filter(|it| it["leaf"]["what"] == "policy");
        steps.map(|it| it["leaf"]["step"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// How many records say something.
    fn saying(&self, words: &str) -> usize {
        self.records().iter().filter(|it| it["payload"].to_string().contains(words)).count()
    }
}

/// Greets a server, and waits until it has opened: configuration and policy load beside the handshake.
fn greet(session: &mut Session) {
    session.greet(Version::V2026_07_28);
    session.request("tools/list", json!({}));
}

/// Asks a server to read its policy again, and waits until it has said so once more than before.
fn reread(signal: impl Fn(), errors: impl Fn() -> String, words: &str) {
    let said = || errors().matches(words).count();
    let before = said();
    signal();
    wait_until(&format!("“{words}”"), DEADLINE, || (said() > before).then_some(()));
}

fn hang_up(session: &Session, words: &str) {
    reread(|| session.signal("HUP"), || session.errors(), words);
}

/// What becomes of each of the two tools that the tests speak of.
fn open(session: &mut Session) -> [bool; 2] {
    let window = json!({ "window": "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z" });
    let commits = !session.call("list_commits", window).is_error();
    [commits, !session.call("read_file", json!({ "path": "checkout/pay.rs" })).is_error()]
}

const COMMITS: &str = "allow = [\"list_commits\", \"show_authority\"]";
const FILES: &str = "allow = [\"read_file\", \"show_authority\"]";
const NEITHER: &str = "allow = [\"show_authority\"]";

#[test]
fn a_changed_policy_holds_for_what_is_asked_from_then_on() {
    let shop = Shop::new(COMMITS);
    let mut session = shop.stdio();
    assert_eq!(open(&mut session), [true, false]);
    shop.say(FILES);
    assert_eq!(open(&mut session), [true, false], "nothing changes before somebody asks for it");
    let doctor = || shop.home.run(["doctor"]).expect(0).stdout;
    assert!(doctor().contains("no server has taken it yet"), "{}", doctor());
    hang_up(&session, TAKEN);
    assert!(!doctor().contains("taken"), "{}", doctor());
    assert_eq!(open(&mut session), [false, true]);
    let standings = session.call("show_authority", json!({})).structured()["rows"].clone();
    let denied =
        standings.as_array().expect("rows").iter().find(|it| it[2] == "denied").expect("some").clone();
    assert!(denied[3].to_string().contains("list_commits"), "{standings}");
    let listed = session.request("tools/list", json!({})).result()["tools"].to_string();
    assert!(listed.contains("\"read_file\"") && !listed.contains("\"list_commits\""), "{listed}");
    assert!(session.leave().success());
    let policies = |tool: &str| -> Vec<String> {
        let records = shop.records().into_iter().filter(|it| it["leaf"]["tool"] == tool);
        records.map(|it| it["leaf"]["policy"].to_string()).collect()
    };
    for tool in ["list_commits", "read_file"] {
        let [first, second, third] = policies(tool).try_into().expect("three calls");
        assert!(first == second && second != third, "{tool}: each record names the policy that decided it");
    }
    assert_eq!((shop.saying(TAKEN), shop.steps()), (1, vec!["taken".to_owned()]));
    shop.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn files_of_a_policy_are_read_again_too() {
    let shop = Shop::new("files = [\"rules.cedar\"]");
    let rule = |tool: &str| {
        let rule = format!("@id(\"{tool}\") permit (principal, action == Action::\"{tool}\", resource);");
        shop.home.file("rules.cedar", &rule)
    };
    rule("list_commits");
    let mut session = shop.stdio();
    assert_eq!(open(&mut session), [true, false]);
    let path = rule("read_file");
    hang_up(&session, TAKEN);
    assert_eq!(open(&mut session), [false, true]);
    fs::remove_file(path).expect("ours");
    hang_up(&session, KEPT);
    assert_eq!(
        open(&mut session),
        [false, true],
        "a file that is gone is not taken for one that says nothing"
    );
}

#[test]
fn a_policy_that_does_not_load_leaves_the_one_before_in_force_and_shows() {
    let shop = Shop::new(COMMITS);
    let served = Served::start(&shop.home, &["code", "observability"], &["--unproven"]);
    let page = |path: &str| http::get(served.address(), path).expect("an answer");
    let mut client = served.greeted("code", Version::V2026_07_28);
    let mut open = || !client.call("list_commits", json!({})).is_error();
    assert!(open());
    let mut refused = 0;
    for wrong in [
        "allow = [\"lost_commits\"]",
        "alow = []",
        "allow = [",
        "files = [\"nowhere.cedar\"]",
        "[vocabulary]\nenvironments = [\"moon\"]\n[policy.more]",
    ] {
        shop.say(wrong);
        reread(|| served.signal("HUP"), || served.errors(), KEPT);
        refused += 1;
        assert!(open(), "{wrong}");
        let ready = page("/readyz");
        assert_eq!(ready.status, 200, "what holds is in force: {}", ready.body);
        assert!(ready.body.contains("the last change of it was refused"), "{}", ready.body);
        assert!(page("/metrics").body.contains("bailiwick_policy_change_refused 1"), "{wrong}");
    }
    assert!(served.errors().contains("list_commits"), "it says what would be right: {}", served.errors());
    shop.say(COMMITS);
    reread(|| served.signal("HUP"), || served.errors(), "was read again and is as it was");
    assert!(open() && !page("/readyz").body.contains("refused"), "{}", page("/readyz").body);
    assert!(page("/metrics").body.contains("bailiwick_policy_change_refused 0"));
    assert_eq!(shop.saying(KEPT), 2 * refused, "each log says each");
    shop.say(NEITHER);
    reread(|| served.signal("HUP"), || served.errors(), TAKEN);
    assert!(!open());
    assert!(served.stop().success());
    shop.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn an_older_policy_does_not_come_back_unasked() {
    let shop = Shop::new(COMMITS);
    let mut session = shop.stdio();
    shop.say(FILES);
    hang_up(&session, TAKEN);
    shop.say(COMMITS);
    hang_up(&session, KEPT);
    assert!(session.errors().contains(OLDER) && session.errors().contains("--allow-rollback"));
    assert_eq!(open(&mut session), [false, true]);
    assert!(session.leave().success());
    assert_eq!(shop.saying(OLDER), 1);
    let doctor = shop.home.run(["doctor"]).expect(0).stdout;
    assert!(
        doctor.contains("a later one has replaced it") && doctor.contains("--allow-rollback"),
        "{doctor}"
    );

    // Nor does another process begin with it, which says so to whoever calls.
    let mut session = shop.stdio();
    let told = session.call("list_commits", json!({})).0["error"]["message"].to_string();
    assert!(told.contains(OLDER) && told.contains("--allow-rollback"), "{told}");
    assert_eq!(session.leave().code(), Some(5));
    let ended = shop.home.run(["serve", "code", "--http", "127.0.0.1:0", "--unproven"]).expect(5);
    assert!(ended.stderr.contains(OLDER), "{}", ended.stderr);
    assert_eq!(shop.saying(OLDER), 3);
    assert_eq!(shop.steps(), ["taken", "refused", "refused", "refused"]);
    shop.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn an_older_policy_comes_back_where_it_is_allowed_and_the_record_says_so() {
    let shop = Shop::new(COMMITS);
    let serve = |options: &[&str]| {
        let mut session = Session::start(&mut shop.home.command([&["serve", "code"], options].concat()));
        greet(&mut session);
        session
    };
    let mut session = serve(&["--allow-rollback"]);
    assert_eq!(open(&mut session), [true, false]);
    for (policy, right) in [(FILES, [false, true]), (COMMITS, [true, false])] {
        shop.say(policy);
        hang_up(&session, TAKEN);
        assert_eq!(open(&mut session), right);
    }
    assert!(session.leave().success());
    assert_eq!(shop.saying("an older one, as --allow-rollback says"), 1);
    // What it replaced is older in its turn.
    shop.say(FILES);
    assert_eq!(serve(&[]).leave().code(), Some(5));
    let mut session = serve(&["--allow-rollback"]);
    assert_eq!(open(&mut session), [false, true]);
    assert!(session.leave().success());
    assert_eq!(shop.saying("is in force from the start, an older one"), 1);
    assert_eq!(shop.steps(), ["taken", "rolled_back", "refused", "rolled_back"]);
    let mut session = serve(&[]);
    assert_eq!(open(&mut session), [false, true], "it is the last one now");
}

#[test]
fn what_was_in_force_is_kept_for_the_owner_alone_and_nothing_else_starts() {
    let shop = Shop::new(COMMITS);
    assert!(shop.stdio().leave().success());
    let path = shop.home.state().join("policy/history.json");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(&path, &text[..text.len() / 2]).expect("ours");
    let mut session = shop.stdio();
    let told = session.call("list_commits", json!({})).0["error"]["message"].to_string();
    assert!(told.contains("history.json") && told.contains("put it back"), "{told}");
    fs::write(&path, text).expect("ours");
    assert_eq!(open(&mut shop.stdio()), [true, false]);
}

#[test]
fn two_configurations_in_one_state_folder_do_not_take_each_other_for_older() {
    let shop = Shop::new(COMMITS);
    let other = shop.home.file("other.toml", &{
        let path = shop.repository.path();
        format!("[audit]\nephemeral = false\n[connections.shop]\nkind = \"git\"\npath = {path:?}\n[policy]\n{FILES}\n")
    });
    let other = ["serve", "code", "--config", other.to_str().expect("UTF-8")];
    for _ in 0..2 {
        assert_eq!(open(&mut shop.stdio()), [true, false]);
        let mut session = Session::start(&mut shop.home.command(other));
        greet(&mut session);
        assert_eq!(open(&mut session), [false, true]);
    }
}

#[test]
fn words_of_connections_stay_those_of_the_start() {
    let shop = Shop::new(COMMITS);
    let session = shop.stdio();
    shop.say("deny = [\"list_commits environment:moon\"]\n[vocabulary]\nenvironments = [\"moon\"]");
    hang_up(&session, KEPT);
    assert!(session.errors().contains("hold after a restart"), "{}", session.errors());
    // The file that holds is not exchanged for what would hold without it.
    fs::remove_file(shop.home.config_path()).expect("ours");
    hang_up(&session, KEPT);
    assert!(session.errors().contains("another configuration holds by now"), "{}", session.errors());
}

#[test]
fn a_repository_that_narrows_is_read_again_and_others_are_not_older_for_it() {
    let shop = Shop::new("allow = [\"list_commits\", \"read_file\"]");
    let narrowed = |session: &mut Session| open(session);
    let trusted = shop.repository.path().join(".bailiwick/freeze.cedar");
    fs::create_dir_all(trusted.parent().expect("it has one")).expect("writable");
    fs::write(&trusted, "@id(\"freeze\") forbid (principal, action == Action::\"list_commits\", resource);")
        .expect("writable");
    let home = &shop.home;
    let within = || {
        let mut command = home.command(["serve", "code"]);
        command.current_dir(shop.repository.path());
        let mut session = Session::start(&mut command);
        greet(&mut session);
        session
    };
    let mut session = within();
    assert_eq!(narrowed(&mut session), [true, true], "nobody trusts it yet");
    home.run(["trust", trusted.to_str().expect("UTF-8")]).expect(0);
    hang_up(&session, TAKEN);
    assert_eq!(narrowed(&mut session), [false, true]);
    drop(session);
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        seen.insert(narrowed(&mut shop.stdio()));
        seen.insert(narrowed(&mut within()));
    }
    assert_eq!(seen, BTreeSet::from([[true, true], [false, true]]));
}
