//! Which files are closed to every caller, whatever the policy says? Those that hold secrets by their very purpose.
//!
//! What a file is called decides before it is read; a few kinds that hold secrets only sometimes are decided by what is
//! in them. Secrets elsewhere are masked on the way out, which is a second line and no reason to open these.

mod copies;
mod key;

use std::sync::LazyLock;

use copies::{bare, without_copies};
use regex::bytes::{Regex, RegexBuilder};
use tool::ToolError;

pub(crate) use key::{CLOSED_LINE, is_within, key_lines};

/// Why a file is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What it is, with its article: `an environment file (.env*)`.
    what: &'static str,
    /// What to do instead.
    instead: &'static str,
}

const ENVIRONMENT: Rule = Rule {
    what: "an environment file (`.env*`, `*.env`, `*.env.*`)",
    instead: "read the names of its variables in `.env.example`, or where the code reads them",
};
const PRIVATE_KEY: Rule = Rule {
    what: "a key file (`*.pem`, `*.key`, `id_rsa` and the like)",
    instead: "read the `.pub` file or the code that loads it",
};
const KEY_STORE: Rule = Rule {
    what: "a key store (`*.p12`, `*.pfx`, `*.jks`, `*.keystore` and the like)",
    instead: "read the code or configuration that loads it",
};
const VARIABLES: Rule = Rule {
    what: "a file of Terraform variables (`*.tfvars`)",
    instead: "read their names and defaults in `variables.tf`",
};
const TERRAFORM_STATE: Rule = Rule {
    what: "Terraform state (`*.tfstate*`), which holds secrets in the clear",
    instead: "read the `.tf` files, or ask the cloud itself",
};
const CREDENTIALS: Rule = Rule {
    what: "a credentials file (`.netrc`, `.git-credentials`, `.htpasswd`, `credentials`, service accounts and the like)",
    instead: "read the code that uses it, or ask a person",
};
const CLUSTER_ACCESS: Rule =
    Rule { what: "a kubeconfig", instead: "ask a person which cluster and context are meant" };
const REGISTRY_TOKEN: Rule = Rule {
    what: "a package registry's configuration with a token or password in it",
    instead: "read the lock file or the package's manifest",
};

const KEY_NAMES: [&str; 5] = ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_xmss"];
const KEY_ENDINGS: [&str; 6] = [".pem", ".key", ".p8", ".ppk", ".keytab", ".kdbx"];
const STORE_ENDINGS: [&str; 8] =
    [".p12", ".pfx", ".jks", ".keystore", ".bks", ".pkcs12", ".jceks", ".truststore"];
const SOURCE_ENDINGS: [&str; 12] =
    [".go", ".rs", ".py", ".rb", ".ts", ".js", ".java", ".kt", ".cs", ".md", ".tf", ".sh"];
const REGISTRY_NAMES: [&str; 7] =
    [".npmrc", ".pypirc", ".yarnrc", ".yarnrc.yml", "pip.conf", ".condarc", "nuget.config"];
const TREE_ENDINGS: [&str; 5] = [".yaml", ".yml", ".json", ".conf", "config"];
const CREDENTIAL_NAMES: [&str; 20] = [
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".htpasswd",
    ".pgpass",
    ".my.cnf",
    ".dockercfg",
    ".dockerconfigjson",
    ".vault-token",
    ".boto",
    ".s3cfg",
    "credentials",
    "credentials.json",
    "credentials.csv",
    "credentials.toml",
    "credentials.yaml",
    "credentials.yml",
    "application_default_credentials.json",
    ".terraformrc",
    "credentials.tfrc.json",
];

/// What is in every tree of names and values that is closed by its content. Most hold none of it, and that is quickly seen.
static SUSPECT: LazyLock<Regex> = LazyLock::new(|| {
    let words = r#"(?i)client-key-data|current-context|"private_key""#;
    RegexBuilder::new(words).unicode(false).build().expect("a constant that a test compiles")
});

/// The rule that closes a file by what it is called; case makes no difference.
pub(crate) fn by_name(path: &str) -> Option<Rule> {
    let path = path.to_lowercase();
    let components: Vec<&str> = path.split('/').map(|it| it.trim_end_matches([' ', '.'])).collect();
    let (last, folders) = components.split_last()?;
    // What it is called, and what that is a copy of.
    let names = without_copies(last);
    let name = *names.last()?;
    let is_example = [".example", ".sample", ".template"].iter().any(|it| name.ends_with(it));
    let is_source = SOURCE_ENDINGS.iter().any(|it| name.ends_with(it));
    let in_folder = |wanted| folders.contains(&wanted);
    let any = |holds: &dyn Fn(&str) -> bool| names.iter().any(|it| holds(it));
    let ends = |endings: &[&str]| any(&|name| endings.iter().any(|it| name.ends_with(it)));
    let is_environment = |name: &str| name.ends_with(".env") || (name.contains(".env.") && !is_source);
    if !is_example && (components.iter().any(|it| bare(it).starts_with(".env")) || any(&is_environment)) {
        return Some(ENVIRONMENT);
    }
    let harmless_beside_keys = ["config", "known_hosts", "authorized_keys"].contains(&name);
    if !name.ends_with(".pub")
        && (ends(&KEY_ENDINGS)
            || any(&|name| KEY_NAMES.iter().any(|it| name.starts_with(it)))
            || any(&|it| it.starts_with("ssh_host_") && it.ends_with("_key"))
            || (in_folder(".ssh") && !harmless_beside_keys)
            || in_folder(".gnupg"))
    {
        return Some(PRIVATE_KEY);
    }
    if ends(&STORE_ENDINGS) {
        return Some(KEY_STORE);
    }
    if last.contains(".tfstate") {
        return Some(TERRAFORM_STATE);
    }
    if last.contains(".tfvars") && !is_example {
        return Some(VARIABLES);
    }
    if (name.starts_with("kubeconfig") && !is_source)
        || ends(&[".kubeconfig", "-kubeconfig", "_kubeconfig", "kubeconfig.yaml", "kubeconfig.yml"])
        || in_folder(".kube")
    {
        return Some(CLUSTER_ACCESS);
    }
    let is_account =
        |it: &str| it.ends_with(".json") && !it.ends_with(".schema.json") && is_service_account(it);
    let is_credentials = any(&|it| CREDENTIAL_NAMES.contains(&it) || is_account(it))
        || (in_folder(".docker") && any(&|it| it == "config.json"));
    is_credentials.then_some(CREDENTIALS)
}

/// The rule that closes a file by what is in it, for kinds of which only some hold secrets.
pub(crate) fn by_content(path: &str, content: &[u8]) -> Option<Rule> {
    let path = path.to_lowercase();
    let names = without_copies(path.rsplit('/').next().unwrap_or_default());
    let any = |holds: &dyn Fn(&str) -> bool| names.iter().any(|it| holds(it));
    let has = |word: &str| content.windows(word.len()).any(|it| it.eq_ignore_ascii_case(word.as_bytes()));
    if any(&|it| REGISTRY_NAMES.contains(&it)) {
        let words = ["_auth", "authident", "password", "token"];
        let holds = words.iter().any(|it| has(it)) || has_password_in_url(content);
        return holds.then_some(REGISTRY_TOKEN);
    }
    // `kubectl config view -o json` writes the same as JSON, and YAML allows quotes as well.
    let is_tree = any(&|name| TREE_ENDINGS.iter().any(|it| name.ends_with(it)));
    if !is_tree || !SUSPECT.is_match(content) {
        return None;
    }
    if any(&|it| it.ends_with(".json")) && has("\"private_key\"") && has("-----BEGIN") {
        return Some(CREDENTIALS);
    }
    let key =
        |word: &str| has(&format!("{word}:")) || has(&format!("\"{word}\"")) || has(&format!("'{word}'"));
    if key("client-key-data") || key("current-context") && key("token") {
        return Some(CLUSTER_ACCESS);
    }
    None
}

/// Whether a file that holds nothing suspect may still be closed by what is in it.
pub(crate) fn is_of_registry(path: &str) -> bool {
    let path = path.to_lowercase();
    let names = without_copies(path.rsplit('/').next().unwrap_or_default());
    names.iter().any(|it| REGISTRY_NAMES.contains(it))
}

/// Whether a content closes files of some names.
pub(crate) fn is_suspect(content: &[u8]) -> bool {
    SUSPECT.is_match(content)
}

impl Rule {
    /// What the caller is told.
    pub(crate) fn refuse(self, path: &str) -> ToolError {
        let Rule { what, instead } = self;
        ToolError::Closed {
            problem: format!("`{path}` is closed to everyone: it is {what}. Instead: {instead}"),
        }
    }
}

fn is_service_account(name: &str) -> bool {
    let plain: String = name.chars().filter(|it| !matches!(it, '-' | '_' | '.')).collect();
    ["serviceaccount", "clientsecret", "gcpkey", "gcloudkey", "googlecredentials"]
        .iter()
        .any(|it| plain.contains(it))
        || name.ends_with("credentials.json")
}

/// `://user:password@host`.
fn has_password_in_url(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    text.match_indices("://").any(|(at, _)| {
        let rest = &text[at + 3..];
        let authority = rest.split(['/', ' ', '\n', '"', '\'']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_that_hold_secrets_by_their_purpose_are_closed_however_they_are_written() {
        for path in [
            ".env",
            "a/.env",
            ".ENV",
            ".env.local",
            ".env.production",
            ".envrc",
            "prod.env",
            ".env.example.bak.prod",
            ".envs/.local/.postgres",
            ".env/prod",
            ".env ",
            ".env.",
            "server.pem",
            "deep/er/Server.PEM",
            "tls.key",
            "tls.key.bak",
            "tls.key~",
            ".tls.key.swp",
            "auth.p8",
            "id_rsa",
            "keys/ID_RSA",
            "id_rsa.old",
            "id_ed25519",
            "id_ecdsa_sk",
            "ssh_host_rsa_key",
            ".ssh/deploy",
            "putty.ppk",
            "http.keytab",
            ".gnupg/secring.gpg",
            "terraform.tfstate",
            "terraform.tfstate.backup",
            "prod.tfstate.d/x.tfstate",
            ".terraform.tfstate.lock.info",
            ".netrc",
            "_netrc",
            "home/.git-credentials",
            ".htpasswd",
            ".pgpass",
            ".aws/credentials",
            "credentials",
            ".docker/config.json",
            "service-account.json",
            "prod-service_account-key.json",
            "client_secret_123.json",
            "gcp-credentials.json",
            "application_default_credentials.json",
            "kubeconfig",
            "prod.kubeconfig",
            "kubeconfig.yaml",
            ".kube/config",
            "Kubeconfig",
            "a.p12",
            "a.pfx",
            "a.jks",
            "release.keystore",
            "A.JKS",
        ] {
            assert!(by_name(path).is_some(), "{path} is open");
        }
    }

    #[test]
    fn copies_and_what_stands_beside_them_are_closed_as_well() {
        for path in [
            ".kube/config-prod",
            ".cargo/credentials.toml",
            "credentials.yaml",
            "credentials.yml",
            "docker.env.prod",
            "terraform.tfvars",
            "prod.auto.tfvars.json",
            "#.env#",
            ".#.env",
            "#tls.key#",
            "server.pem.txt",
            "tls.key.2024",
            "tls.key-2024-01-31",
            "tls.key_20240131.bak",
            "server.pem (1)",
            "server.pem copy 2",
            "credentials.json.3",
        ] {
            assert!(by_name(path).is_some(), "{path} is open");
        }
    }

    #[test]
    fn files_that_only_look_like_it_are_open() {
        for path in [
            ".env.example",
            ".env.sample",
            ".env.template",
            "src/environment.rs",
            "src/env.rs",
            "Environment.md",
            "id_rsa.pub",
            "deploy.pub",
            ".ssh/known_hosts",
            "src/keystore.rs",
            "key.rs",
            "monkey",
            "docs/pem.md",
            "terraform/main.tf",
            "src/credentials.rs",
            "package.json",
            "service-account.md",
            "src/kubeconfig.go",
            "variables.tf",
            "prod.tfvars.example",
            "src/app.env.ts",
            "release-2024.txt",
            "2024",
            "###",
            ".npmrc",
            ".pypirc",
            "keys.json",
            "credentials/README.md",
            "hotkey",
            "Cargo.lock",
        ] {
            assert!(by_name(path).is_none(), "{path} is closed");
        }
    }

    #[test]
    fn files_that_hold_secrets_only_sometimes_are_closed_by_what_is_in_them() {
        assert!(by_content(".npmrc", b"//registry.npmjs.org/:_authToken=npm_x").is_some());
        assert!(by_content("#.npmrc#", b"_password=x").is_some());
        assert!(by_content("cluster.yaml.2024", b"client-key-data: abc").is_some());
        assert!(
            by_content("web/.npmrc", b"engine-strict=true\nregistry=https://registry.npmjs.org/").is_none()
        );
        assert!(by_content("pip.conf", b"index-url = https://me:pw@pypi.example.com/simple").is_some());
        assert!(by_content(".pypirc", b"[pypi]\nusername = a\npassword = b").is_some());
        assert!(by_content("sa.json", br#"{"private_key": "-----BEGIN PRIVATE KEY-----"}"#).is_some());
        assert!(by_content("deploy/cluster.yaml", b"users:\n- user:\n    client-key-data: abc").is_some());
        assert!(by_content("cluster.json", br#"{"users":[{"user":{"client-key-data":"abc"}}]}"#).is_some());
        assert!(
            by_content("cluster.json", br#"{"current-context": "prod", "user": {"token": "abc"}}"#).is_some()
        );
        assert!(by_content("cluster.yaml", b"- user: {'client-key-data' : abc}").is_some());
        assert!(by_content("tsconfig.json", br#"{"compilerOptions": {"strict": true}}"#).is_none());
        assert!(by_content("main.rs", b"client-key-data: password _authToken").is_none());
    }

    #[test]
    fn a_refusal_says_which_rule_and_what_to_do_instead() {
        let told = by_name(".env").expect("closed").refuse(".env").to_string();
        assert!(told.contains("an environment file") && told.contains("Instead: read"), "{told}");
    }

    proptest! {
        #[test]
        fn case_and_the_folder_change_nothing(folder in "[a-z]{1,4}", upper in any::<bool>()) {
            for name in [".env", "x.pem", "id_rsa", "a.tfstate", ".netrc", "kubeconfig", "x.jks"] {
                let path = format!("{folder}/{name}");
                let path = if upper { path.to_uppercase() } else { path };
                prop_assert!(by_name(&path).is_some(), "{}", path);
            }
        }
    }
}
