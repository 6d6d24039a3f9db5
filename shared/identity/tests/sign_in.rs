//! Who has logged in to a page? An issuer that answers over HTTP, rightly and in every way wrongly.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use config::{AgentName, Http, Issuer, Keys, Page};
use identity::{Proven, Returned, SignIn, SignInError, Verifier};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use testkit::backends::{Behaviour, Recorder};

const AUDIENCE: &str = "https://bailiwick.example.com/approvals";
const CALLBACK: &str = "https://bailiwick.example.com/decide/callback";

struct Provider {
    recorder: Recorder,
    key: Ed25519KeyPair,
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Values in which some are replaced, or left out where they are null.
fn with(mut values: Value, replaced: &Value) -> Value {
    for (name, value) in replaced.as_object().into_iter().flatten() {
        values[name] = value.clone();
    }
    values.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    values
}

impl Provider {
    fn start(metadata: &Value) -> Provider {
        let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
        let key = Ed25519KeyPair::from_pkcs8(bytes.as_ref()).expect("our own key");
        let provider = Provider { recorder: Recorder::alone(), key };
        let url = provider.recorder.url();
        let usual = json!({
            "issuer": url, "jwks_uri": format!("{url}/jwks"), "token_endpoint": format!("{url}/token"),
            "authorization_endpoint": format!("{url}/authorize"), "authorization_response_iss_parameter_supported": true,
        });
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "use": "sig", "x": encoded(provider.key.public_key()) });
        let keys = json!({ "keys": [jwk] }).to_string();
        provider.recorder.on("GET", "/.well-known/", Behaviour::json(200, with(usual, metadata).to_string()));
        provider.recorder.on("GET", "/jwks", Behaviour::json(200, keys));
        provider
    }

    fn sign_in(&self) -> SignIn {
        let http = Http::plain(self.recorder.url().parse().expect("an address"));
        let issuer = Issuer {
            name: "company".to_owned(),
            url: self.recorder.url(),
            keys: Keys::Announced(http.clone()),
            audiences: Vec::new(),
            algorithms: Vec::new(),
            require: BTreeMap::new(),
            agent: AgentName::Claims(vec!["client_id".to_owned()]),
            person_claim: Some("email".to_owned()),
            groups_claim: "groups".to_owned(),
            teams: BTreeMap::new(),
            prefix: String::new(),
            grant: Vec::new(),
            login: None,
        };
        let page = Page {
            issuer: "company".to_owned(),
            client_id: "page".to_owned(),
            client_secret: None,
            scopes: ["openid", "bailiwick:approve"].map(str::to_owned).to_vec(),
            resource: None,
            http,
        };
        let verifier = Arc::new(Verifier::new(std::slice::from_ref(&issuer)).expect("an issuer"));
        SignIn::new(&[issuer], &page, verifier, CALLBACK.to_owned(), AUDIENCE.to_owned()).expect("an issuer")
    }

    fn token(&self, claims: Value) -> String {
        let head = json!({ "alg": "EdDSA", "kid": "a" });
        let message = format!("{}.{}", encoded(head.to_string()), encoded(claims.to_string()));
        let signature = self.key.sign(message.as_bytes());
        format!("{message}.{}", encoded(signature))
    }

    /// Begins a login, and ends it with what the issuer gives then, parts of which are replaced.
    async fn login(&self, wrong: &Wrong) -> Result<Proven, SignInError> {
        let sign_in = self.sign_in();
        let (url, attempt) = sign_in.begin(false).await?;
        let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let common = json!({ "iss": self.recorder.url(), "sub": "u-1", "iat": now(), "exp": now() + 300 });
        let access = json!({ "aud": AUDIENCE, "client_id": "page", "email": "carol@example.com", "scope": "bailiwick:approve" });
        let id = json!({ "aud": "page", "nonce": asked["nonce"], "auth_time": now() - 60 });
        let access = self.token(with(with(common.clone(), &access), &wrong.access));
        let id = self.token(with(with(common, &id), &wrong.id));
        let grant = json!({ "access_token": access, "token_type": "Bearer", "id_token": id });
        let grant = with(grant, &wrong.grant).to_string();
        self.recorder.on("POST", "/token", Behaviour::json(200, grant));
        let returned = json!({ "code": "c-1", "state": asked["state"], "iss": self.recorder.url() });
        let returned: Returned =
            serde_json::from_value(with(returned, &wrong.returned)).expect("what a browser brings");
        let ended = sign_in.end(&attempt, returned).await;
        if let Some(sent) = self.recorder.requests_to("POST", "/token").last() {
            let sent = format!("http://x/?{}", sent.body);
            let sent: url::Url = sent.parse().expect("a form");
            let sent: BTreeMap<String, String> = sent.query_pairs().into_owned().collect();
            let challenge = encoded(digest(&SHA256, sent["code_verifier"].as_bytes()));
            assert_eq!(challenge, asked["code_challenge"]);
            let told = |name: &str| sent[name].clone();
            assert_eq!(
                [told("code"), told("redirect_uri"), told("client_id"), told("resource")],
                ["c-1", CALLBACK, "page", AUDIENCE]
            );
        }
        ended
    }
}

/// What is wrong with a login.
#[derive(Default)]
struct Wrong {
    access: Value,
    id: Value,
    grant: Value,
    returned: Value,
}

#[tokio::test]
async fn a_login_is_asked_for_with_everything_that_ties_its_answer_to_it() {
    let provider = Provider::start(&json!({}));
    let (url, _) = provider.sign_in().begin(true).await.expect("it says where");
    let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "page"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid bailiwick:approve"),
        ("resource", AUDIENCE),
        ("code_challenge_method", "S256"),
        ("max_age", "900"),
        ("prompt", "login"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    let again = provider.sign_in().begin(false).await.expect("it says where").0;
    let again: BTreeMap<String, String> = again.query_pairs().into_owned().collect();
    for name in ["state", "nonce", "code_challenge"] {
        assert!(asked[name].len() == 43 && asked[name] != again[name], "{name}");
    }
    assert!(!again.contains_key("prompt"));
}

#[tokio::test]
async fn whoever_logged_in_is_whom_the_access_token_names_seen_when_the_other_says() {
    let provider = Provider::start(&json!({}));
    let proven = provider.login(&Wrong::default()).await.expect("it is right");
    assert_eq!(proven.caller().on_behalf_of.as_deref(), Some("carol@example.com"));
    assert!(
        proven.scopes().approve && proven.authenticated_seconds().is_some_and(|it| (60..90).contains(&it))
    );
    let own = Wrong { access: json!({ "auth_time": now() - 600 }), ..Wrong::default() };
    let proven = provider.login(&own).await.expect("it is right");
    assert!(proven.authenticated_seconds().is_some_and(|it| it >= 600), "what the token itself says counts");
    let unseen = Wrong { id: json!({ "auth_time": null }), ..Wrong::default() };
    assert_eq!(provider.login(&unseen).await.expect("it is right").authenticated_seconds(), None);
}

#[tokio::test]
async fn whatever_does_not_belong_to_this_login_lets_nobody_in() {
    let provider = Provider::start(&json!({}));
    let (access, id) =
        (|it| Wrong { access: it, ..Wrong::default() }, |it| Wrong { id: it, ..Wrong::default() });
    let (grant, returned) =
        (|it| Wrong { grant: it, ..Wrong::default() }, |it| Wrong { returned: it, ..Wrong::default() });
    for (wrong, why) in [
        (returned(json!({ "state": "x" })), "no login that began in this browser"),
        (returned(json!({ "state": null })), "no login that began in this browser"),
        (returned(json!({ "iss": "https://evil.example" })), "no login that began in this browser"),
        (returned(json!({ "iss": null })), "no login that began in this browser"),
        (returned(json!({ "code": null })), "no login that began in this browser"),
        (returned(json!({ "error": "access_denied" })), "the issuer let nobody in: access_denied"),
        (returned(json!({ "error": "<b>Hunter2" })), "for no reason that it names"),
        (grant(json!({ "id_token": null })), "it gave no id_token"),
        (grant(json!({ "token_type": "DPoP" })), "a proof that nobody here makes"),
        (grant(json!({ "error": "invalid_grant" })), "refused: invalid_grant"),
        (id(json!({ "nonce": "x" })), "of another login"),
        (id(json!({ "nonce": null })), "of another login"),
        (id(json!({ "sub": "u-2" })), "of different people"),
        (id(json!({ "aud": "other" })), "meant for another server"),
        (id(json!({ "aud": ["page", "other"] })), "`azp` names another client"),
        (id(json!({ "azp": "other" })), "`azp` names another client"),
        (id(json!({ "exp": now() - 60 })), "has expired"),
        (id(json!({ "iss": "https://evil.example" })), "of no issuer that is trusted"),
        (id(json!({ "auth_time": now() - 3600 })), "not seen the person"),
        (access(json!({ "aud": "https://bailiwick.example.com/code/mcp" })), "meant for another server"),
        (access(json!({ "aud": "page" })), "meant for another server"),
        (access(json!({ "exp": now() - 60 })), "has expired"),
    ] {
        let told = provider.login(&wrong).await.expect_err(why).to_string();
        assert!(told.contains(why) && !told.contains("Hunter2"), "{why}: {told}");
    }
    let several = id(json!({ "aud": ["page", "other"], "azp": "page" }));
    assert!(provider.login(&several).await.is_ok(), "that is for us among others");
}

#[tokio::test]
async fn an_issuer_is_asked_where_it_says_on_the_configured_host_and_not_again_and_again() {
    for (metadata, why) in [
        (
            json!({ "authorization_endpoint": "https://evil.example/authorize" }),
            "on another host (evil.example)",
        ),
        (json!({ "token_endpoint": "https://evil.example/token" }), "on another host (evil.example)"),
        (json!({ "authorization_endpoint": null }), "name no authorization_endpoint"),
        (json!({ "issuer": "https://evil.example" }), "another issuer"),
    ] {
        let provider = Provider::start(&metadata);
        let sign_in = provider.sign_in();
        let told = sign_in.begin(false).await.err().map(|it| it.to_string()).unwrap_or_default();
        assert!(told.contains(why), "{told}");
        assert!(sign_in.begin(false).await.is_err());
        assert_eq!(provider.recorder.requests().len(), 1, "a moment later it is not asked again");
    }
    let silent = Provider::start(&json!({ "authorization_response_iss_parameter_supported": null }));
    let unnamed = Wrong { returned: json!({ "iss": null }), ..Wrong::default() };
    assert!(silent.login(&unnamed).await.is_ok(), "who never says who it is need not");
}
