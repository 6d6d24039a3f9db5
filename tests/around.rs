//! Ways around the gate: what `doctor` finds in a made-up home, and the rules that close each to a client's own tools.

use std::{fs, os::unix::net::UnixListener};

use serde_json::{Value, json};
use testkit::{
    backends::{Behaviour, Recorder},
    cli::Home,
};

/// Stands for whatever proves something.
const SECRET: &str = "hunter2-9f2c";

fn home() -> Home {
    // Whatever runs on this machine is none of this home's.
    Home::new(env!("CARGO_BIN_EXE_bailiwick")).variable("DOCKER_HOST", "unix:///nowhere/docker.sock")
}

/// What doctor says, as a program hears it.
fn doctor(home: &Home) -> Value {
    let ended = home.run(["doctor", "--json"]);
    assert!(!ended.stdout.contains(SECRET) && !ended.stderr.contains(SECRET), "{ended:?}");
    ended.json()
}

/// The way of a name: what was found, and the rules.
fn way(home: &Home, name: &str) -> Option<(String, Vec<String>)> {
    let said = doctor(home);
    let way = said["around"].as_array().expect("a list").iter().find(|it| it["name"] == name)?.clone();
    let deny: Vec<String> = serde_json::from_value(way["deny"].clone()).expect("rules are texts");
    for rule in &deny {
        let all = said["client"]["permissions"]["deny"].as_array().expect("a list");
        assert!(all.contains(&json!(rule)), "{rule} is among the rules to copy: {all:?}");
    }
    Some((way["found"].as_str().expect("a text").to_owned(), deny))
}

#[test]
fn nothing_is_listed_where_there_is_nothing() {
    let home = home();
    for name in ["kubeconfig", "AWS", "GitHub", "Docker", "GITHUB_TOKEN", "bailiwick"] {
        assert_eq!(way(&home, name), None);
    }
}

#[test]
fn what_a_home_keeps_is_listed_with_rules_that_close_it() {
    for (name, file, rules) in [
        ("kubeconfig", ".kube/config", &["Read(~/.kube/**)", "Bash(kubectl:*)", "Bash(helm:*)"][..]),
        ("AWS", ".aws/credentials", &["Read(~/.aws/**)", "Bash(aws:*)"]),
        ("AWS", ".aws/config", &["Read(~/.aws/**)", "Bash(aws:*)"]),
        ("gcloud", ".config/gcloud/credentials.db", &["Read(~/.config/gcloud/**)", "Bash(gcloud:*)"]),
        ("gcloud", ".config/gcloud/application_default_credentials.json", &["Bash(gsutil:*)"]),
        ("Azure", ".azure/msal_token_cache.json", &["Read(~/.azure/**)", "Bash(az:*)"]),
        ("Azure", ".azure/accessTokens.json", &["Read(~/.azure/**)", "Bash(az:*)"]),
        ("GitHub", ".config/gh/hosts.yml", &["Read(~/.config/gh/**)", "Bash(gh:*)"]),
        ("GitLab", ".config/glab-cli/config.yml", &["Read(~/.config/glab-cli/**)", "Bash(glab:*)"]),
        ("git credentials", ".git-credentials", &["Read(~/.git-credentials)", "Bash(git push:*)"]),
        ("git credentials", ".config/git/credentials", &["Read(~/.config/git/credentials)"]),
        ("netrc", ".netrc", &["Read(~/.netrc)", "Bash(curl:*)"]),
        ("Docker registries", ".docker/config.json", &["Read(~/.docker/config.json)", "Bash(docker:*)"]),
        ("Argo CD", ".config/argocd/config", &["Read(~/.config/argocd/**)", "Bash(argocd:*)"]),
        ("Vault", ".vault-token", &["Read(~/.vault-token)", "Bash(vault:*)"]),
        ("SSH keys", ".ssh/id_ed25519", &["Read(~/.ssh/**)", "Bash(ssh:*)"]),
    ] {
        let home = home();
        let path = home.path().join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("ours");
        fs::write(&path, "").expect("ours");
        assert_eq!(way(&home, name), None, "{file}: an empty file is no way");
        fs::write(&path, SECRET).expect("ours");
        let (found, deny) = way(&home, name).unwrap_or_else(|| panic!("{file} is found"));
        assert!(found.contains(file), "{found}");
        assert!(rules.iter().all(|it| deny.contains(&(*it).to_owned())), "{file}: {deny:?}");
    }
}

#[test]
fn what_the_environment_holds_is_listed_without_its_value() {
    for (name, rule) in [
        ("AWS_SECRET_ACCESS_KEY", "Bash(aws:*)"),
        ("GITHUB_TOKEN", "Bash(gh:*)"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "Bash(gcloud:*)"),
        ("VAULT_TOKEN", "Bash(vault:*)"),
        ("PROMETHEUS_TOKEN", "Bash(printenv:*)"),
        ("DD_API_KEY", "Bash(env:*)"),
    ] {
        let home = home().variable(name, SECRET);
        let (_, deny) = way(&home, name).unwrap_or_else(|| panic!("{name} is found"));
        assert!(deny.contains(&rule.to_owned()), "{name}: {deny:?}");
        assert_eq!(way(&home.variable(name, ""), name), None, "{name}: empty is not set");
    }
    for (address, holds) in [
        (format!("http://alice:{SECRET}@127.0.0.1:9/"), true),
        ("http://127.0.0.1:9/?a=b@c".to_owned(), false),
        ("http://127.0.0.1:9".to_owned(), false),
    ] {
        for name in ["ALERTMANAGER_URL", "GRAFANA_URL"] {
            let home = home().variable(name, address.clone());
            assert_eq!(way(&home, name).is_some(), holds, "{name}={address}");
        }
    }
}

#[test]
fn a_cluster_that_a_variable_names_is_listed() {
    let home = home();
    let path = home.file("cluster.yaml", SECRET);
    let home = home.variable("KUBECONFIG", format!("/nowhere:{}", path.display()));
    let (found, deny) = way(&home, "Kubernetes").expect("it is found");
    assert!(found.contains("cluster.yaml"), "{found}");
    // Two slashes: one would be the folder of the settings.
    assert!(
        deny.contains(&format!("Read(/{})", path.display())) && deny[0].starts_with("Read(//"),
        "{deny:?}"
    );
}

#[test]
fn a_docker_that_lets_us_in_is_listed() {
    let home = home();
    let path = home.path().join("docker.sock");
    let home = home.variable("DOCKER_HOST", format!("unix://{}", path.display()));
    assert_eq!(way(&home, "Docker"), None);
    let listener = UnixListener::bind(&path).expect("ours");
    let (found, deny) = way(&home, "Docker").expect("it is found");
    assert!(
        found.contains("root on this machine") && deny.contains(&"Bash(docker:*)".to_owned()),
        "{deny:?}"
    );
    drop(listener);
    assert_eq!(way(&home, "Docker"), None, "nobody listens");
}

#[test]
fn a_system_that_answers_whoever_asks_is_listed_and_one_that_wants_a_credential_is_not() {
    let metrics = Recorder::alone();
    let connection = |auth: &str| {
        let url = metrics.url();
        home().config(&format!("[connections.prod]\nkind = \"prometheus\"\nurl = \"{url}\"\n{auth}\n"))
    };
    let (found, deny) = way(&connection(""), "prod").expect("it is found");
    assert!(found.contains("without a credential"), "{found}");
    assert!(deny.contains(&"WebFetch(domain:127.0.0.1)".to_owned()), "{deny:?}");
    assert!(deny.contains(&"Bash(curl:*)".to_owned()), "{deny:?}");
    // A credential that the server alone has is no help where none is asked for.
    let held = "bearer = { env = \"NOT_SET_HERE\" }";
    assert!(way(&connection(held), "prod").is_some_and(|it| it.0.contains("without a credential")));
    let asks = metrics.requests().into_iter().filter(|it| it.header("authorization").is_some()).count();
    assert_eq!(asks, 0, "it is asked without one");

    let (status, body) = (401, "who are you".to_owned());
    metrics.on("*", "/", Behaviour::Answer { status, content_type: "text/plain", body });
    assert_eq!(way(&connection(""), "prod"), None);
    assert_eq!(way(&connection(held), "prod"), None);
    let (found, deny) = way(&connection("bearer = { env = \"PROD\" }").variable("PROD", SECRET), "prod")
        .expect("it is found");
    assert!(found.contains("variable PROD") && deny.contains(&"Bash(env:*)".to_owned()), "{found}: {deny:?}");
    let file = connection("bearer = { file = \"token\" }");
    assert_eq!(way(&file, "prod"), None);
    let path = file.file("token", SECRET);
    let (found, deny) = way(&file, "prod").expect("it is found");
    assert!(
        found.contains("can be read") && deny.contains(&format!("Read(/{})", path.display())),
        "{deny:?}"
    );
}

#[test]
fn a_configuration_and_a_log_that_this_user_can_change_are_listed() {
    let home = home().config("");
    let (found, deny) = way(&home, "bailiwick").expect("it is found");
    assert!(found.contains("bailiwick.toml"), "{found}");
    assert!(deny.contains(&format!("Edit(/{})", home.config_path().display())), "{deny:?}");
    fs::create_dir_all(home.state()).expect("ours");
    let (_, deny) = way(&home, "bailiwick").expect("it is found");
    assert!(deny.contains(&format!("Edit(/{}/**)", home.state().display())), "{deny:?}");
}

#[test]
fn a_person_reads_what_to_copy() {
    let home = home().variable("GH_TOKEN", SECRET);
    for file in [".kube/config", ".netrc"] {
        let path = home.path().join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("ours");
        fs::write(&path, SECRET).expect("ours");
    }
    let said = home.run(["doctor"]).stdout;
    assert!(said.contains("! kubeconfig: ") && said.contains("another user"), "{said}");
    let settings = &said[said.find("\n{").expect("rules are there")..];
    let settings: Value = serde_json::from_str(settings).expect("they can be copied as they are");
    assert_eq!(settings, doctor(&home)["client"]);
    let deny = settings["permissions"]["deny"].as_array().expect("a list");
    let right = |rule: &str| {
        let (tool, rest) = rule.split_once('(').expect("a tool and what of it");
        let what = rest.strip_suffix(')').expect("it ends");
        match tool {
            "Read" | "Edit" => what.starts_with("~/") || what.starts_with("//"),
            "Bash" => what.strip_suffix(":*").is_some_and(|it| !it.contains('*')),
            "WebFetch" => what.starts_with("domain:"),
            _ => false,
        }
    };
    assert!(deny.iter().all(|it| right(it.as_str().expect("a text"))), "{deny:?}");
}
