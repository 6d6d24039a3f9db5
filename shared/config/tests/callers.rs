//! What may stand under `[http]` and `[issuers.NAME]`, and what is refused because it would let in too much.

mod estate;

use config::{AgentName, Config, Keys};
use estate::estate;

fn load(text: &str) -> Result<Config, String> {
    estate().load_text(text)
}

fn issuer(rest: &str) -> String {
    format!("[issuers.company]\nurl = \"https://login.example.com\"\n{rest}\n")
}

fn refused(text: &str, word: &str) {
    let error = load(text).expect_err(text);
    assert!(error.contains(word), "{text}\n{error}");
}

#[test]
fn an_issuer_without_more_is_asked_where_its_keys_are() {
    let config = load(&issuer("")).expect("it loads");
    let issuer = &config.issuers[0];
    assert!(
        matches!(&issuer.keys, Keys::Announced(http) if http.url.as_str() == "https://login.example.com/")
    );
    assert_eq!(issuer.person_claim.as_deref(), Some("sub"));
    assert_eq!(issuer.agent, AgentName::Claims(["/act/sub", "client_id", "azp"].map(str::to_owned).to_vec()));
    assert!(issuer.grant.is_empty() && issuer.teams.is_empty(), "nothing is granted that is not written");
}

#[test]
fn teams_of_tokens_are_words_that_policies_know() {
    let config = load(&issuer("teams = { \"checkout-devs\" = \"checkout\" }")).expect("it loads");
    assert!(config.vocabulary.teams.contains("checkout"));
    refused(&issuer("teams = { a = \"not a word\" }"), "expected 1 to 63 ASCII letters");
}

#[test]
fn what_proves_nothing_is_refused() {
    for none in ["none", "HS256", "HS512", "RS1", ""] {
        refused(&issuer(&format!("algorithms = [\"{none}\"]")), "prove nothing");
    }
    refused("[issuers.a]\nurl = \"http://login.example.com\"\n", "use https");
    refused(&issuer("jwks_url = \"http://login.example.com/keys\""), "use https");
    refused("[issuers.a]\nurl = \"https://token.actions.githubusercontent.com\"\n", "say whose count");
    refused(&issuer("require = { repository = [] }"), "no token could ever");
    refused(&issuer("grant = [\"bailiwick:reed\"]"), "did you mean \"bailiwick:read\"?");
}

#[test]
fn two_issuers_cannot_name_each_others_callers() {
    let other =
        |rest: &str| format!("{}[issuers.other]\nurl = \"https://other.example\"\n{rest}\n", issuer(""));
    refused(&other(""), "give one a prefix");
    assert!(load(&other("prefix = \"other:\"")).is_ok());
    let same =
        format!("{}[issuers.other]\nurl = \"https://login.example.com\"\nprefix = \"x:\"\n", issuer(""));
    refused(&same, "the same url");
    let within = format!(
        "{}[issuers.third]\nurl = \"https://third.example\"\nprefix = \"other:third:\"\n",
        other("prefix = \"other:\"")
    );
    refused(&within, "give one a prefix");
}

#[test]
fn words_that_exclude_each_other_are_not_both_taken() {
    refused(&issuer("agent_name = \"ci\"\nagent_claim = \"sub\""), "exclude each other");
    refused(&issuer("workloads = true\nperson_claim = \"email\""), "acts for no person");
    refused(&issuer("prefix = \"a b\""), "at most 32 ASCII");
}

#[test]
fn people_log_in_by_an_issuer_that_says_how_and_what_for() {
    let audience = "audiences = [\"https://b.example\"]\n";
    let config =
        load(&issuer(&format!("{audience}login = {{ client_id = \"bailiwick\" }}"))).expect("it loads");
    let login = config.issuers[0].login.clone().expect("people log in by it");
    assert_eq!(login.scopes, ["openid", "offline_access", "bailiwick:read", "bailiwick:act"]);
    assert_eq!((login.client_id.as_str(), login.resource), ("bailiwick", None));
    assert_eq!(login.http.url.as_str(), "https://login.example.com/");
    assert!(load(&issuer("")).expect("it loads").issuers[0].login.is_none());
    let resource = "login = { client_id = \"b\", resource = \"https://b.example\", scopes = [] }";
    assert!(load(&issuer(resource)).is_ok(), "what it is asked for is what it is for");
    refused(&issuer("login = { client_id = \"b\" }"), "say what its tokens are for");
    refused(
        &issuer(&format!("{audience}workloads = true\nlogin = {{ client_id = \"b\" }}")),
        "acts for no person",
    );
    for wrong in ["client_id = \"\"", "client_id = \"a b\"", "client_id = \"b\", scopes = [\"a b\"]"] {
        refused(
            &issuer(&format!("{audience}login = {{ {wrong} }}")),
            "printable ASCII characters without spaces",
        );
    }
    for wrong in ["bailiwick", "https://b.example/#x"] {
        refused(
            &issuer(&format!("login = {{ client_id = \"b\", resource = {wrong:?} }}")),
            "an absolute address",
        );
    }
    refused(
        &issuer(&format!("{audience}login = {{ client_id = \"b\", secret = \"x\" }}")),
        "unknown key \"secret\"",
    );
    refused(&issuer(&format!("{audience}login = {{ }}")), "missing key \"client_id\"");
}

#[test]
fn declared_teams_count_for_effects_in_development_as_the_configuration_names_it() {
    let words = "[vocabulary]\nenvironments = [\"production\", \"development\", \"dev\", \"sandbox\"]\n";
    let development = |policy: &str, words: &str| {
        let config = load(&format!("[policy]\n{policy}\n{words}")).expect("it loads");
        config.vocabulary.development.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(development("", words), ["dev", "development"]);
    assert_eq!(
        development("", "[vocabulary]\nenvironments = [\"production\"]\n"),
        [""; 0],
        "as far as there is one"
    );
    assert_eq!(development("development = [\"sandbox\"]", words), ["sandbox"]);
    assert_eq!(development("development = []", words), [""; 0], "nowhere");
    refused(&format!("[policy]\ndevelopment = [\"sandbx\"]\n{words}"), "did you mean \"sandbox\"?");
    refused(&format!("[policy]\ndevelopment = [\"unknown\"]\n{words}"), "counts as production");
}

#[test]
fn where_it_is_reached_is_an_address_and_nothing_else() {
    let serving = load("[http]\npublic_url = \"https://b.example\"\norigins = [\"https://i.example\"]\n");
    let serving = serving.expect("it loads").serving;
    assert_eq!(serving.origins, ["https://i.example:443"]);
    assert!(!serving.plain && !serving.unproven && serving.certificate.is_none());
    refused("[http]\npublic_url = \"https://b.example/mcp\"\n", "without a path");
    refused("[http]\npublic_url = \"http://b.example\"\n", "use https");
    for origin in ["*", "null", "https://i.example/x", "i.example"] {
        refused(&format!("[http]\norigins = [\"{origin}\"]\n"), "expected a page's origin");
    }
    refused("[http]\nunproved = true\n", "did you mean \"unproven\"?");
}
