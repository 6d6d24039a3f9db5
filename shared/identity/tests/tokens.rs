//! Which tokens are believed? Real signatures, and an issuer that answers over HTTP.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use config::{AgentName, Http, Issuer, Keys};
use identity::{Proven, Scopes, TokenError, Verifier};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use testkit::backends::{Behaviour, Recorder};

const AUDIENCE: &str = "https://bailiwick.example.com/code/mcp";

/// An issuer of tokens: keys, and where they are published.
struct Provider {
    recorder: Recorder,
    keys: Vec<(&'static str, Ed25519KeyPair)>,
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn key() -> Ed25519KeyPair {
    let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
    Ed25519KeyPair::from_pkcs8(bytes.as_ref()).expect("our own key")
}

fn jwk(id: &str, key: &Ed25519KeyPair) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "alg": "EdDSA", "x": encoded(key.public_key()) })
}

impl Provider {
    fn start(ids: &[&'static str]) -> Provider {
        let provider =
            Provider { recorder: Recorder::alone(), keys: ids.iter().map(|it| (*it, key())).collect() };
        let metadata = json!({ "issuer": provider.url(), "jwks_uri": format!("{}/jwks", provider.url()) });
        provider.recorder.on(
            "GET",
            "/.well-known/openid-configuration",
            Behaviour::json(200, metadata.to_string()),
        );
        provider.publish(provider.keys.iter().map(|(id, key)| jwk(id, key)).collect());
        provider
    }

    fn url(&self) -> String {
        self.recorder.url()
    }

    fn publish(&self, keys: Vec<Value>) {
        self.recorder.on("GET", "/jwks", Behaviour::json(200, json!({ "keys": keys }).to_string()));
    }

    fn asked(&self) -> usize {
        self.recorder.requests_to("GET", "/jwks").len()
    }

    fn issuer(&self) -> Issuer {
        Issuer {
            name: "company".to_owned(),
            url: self.url(),
            keys: Keys::Announced(Http::plain(self.url().parse().expect("an address"))),
            audiences: Vec::new(),
            algorithms: Vec::new(),
            require: Default::default(),
            agent: AgentName::Claims(vec!["azp".to_owned()]),
            person_claim: Some("sub".to_owned()),
            groups_claim: "groups".to_owned(),
            teams: Default::default(),
            prefix: String::new(),
            grant: Vec::new(),
            login: None,
        }
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(&[self.issuer()]).expect("an issuer")
    }

    fn claims(&self) -> Value {
        let now = now();
        json!({ "iss": self.url(), "aud": AUDIENCE, "sub": "alice", "azp": "claude-code", "scope": "bailiwick:read",
                "iat": now, "exp": now + 300, "auth_time": now - 60 })
    }

    /// A token with some claims replaced, or left out where they are null.
    fn token(&self, replaced: Value) -> String {
        self.signed(json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.keys[0].0 }), replaced)
    }

    fn signed(&self, head: Value, replaced: Value) -> String {
        let id = head["kid"].as_str().unwrap_or_default().to_owned();
        let (_, key) = self.keys.iter().find(|it| it.0 == id).unwrap_or(&self.keys[0]);
        let message = self.message(head, replaced);
        let signature = key.sign(message.as_bytes());
        format!("{message}.{}", encoded(signature))
    }

    fn message(&self, head: Value, replaced: Value) -> String {
        let mut claims = self.claims();
        for (name, value) in replaced.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
        format!("{}.{}", encoded(head.to_string()), encoded(claims.to_string()))
    }
}

async fn verify(verifier: &Verifier, token: &str) -> Result<Proven, TokenError> {
    verifier.verify(token, AUDIENCE).await
}

#[tokio::test]
async fn a_token_names_the_agent_its_person_and_what_it_is_for() {
    let provider = Provider::start(&["a"]);
    let proven = verify(&provider.verifier(), &provider.token(json!({}))).await.expect("it is believed");
    let caller = proven.caller();
    assert_eq!((caller.agent.as_str(), caller.on_behalf_of.as_deref()), ("claude-code", Some("alice")));
    assert_eq!(proven.scopes(), Scopes { read: true, ..Scopes::default() });
    assert!(proven.expires() > now() && proven.auth_time().is_some_and(|it| it < now()));
    assert_eq!((proven.issuer(), proven.subject()), ("company", Some("alice")));
    let listed = provider.token(json!({ "aud": ["https://other.example", AUDIENCE] }));
    assert!(verify(&provider.verifier(), &listed).await.is_ok());
}

#[tokio::test]
async fn how_long_ago_a_person_proved_to_be_there_is_what_the_issuer_says_and_never_the_future() {
    let provider = Provider::start(&["a"]);
    let verifier = provider.verifier();
    let seconds = async |auth_time: Value| {
        let token = provider.token(json!({ "auth_time": auth_time }));
        verify(&verifier, &token).await.expect("it is believed").authenticated_seconds()
    };
    let ago = seconds(json!(now() - 600)).await.expect("it says so");
    assert!((600..660).contains(&ago), "{ago}");
    assert!(seconds(json!(now() + 5)).await.is_some_and(|it| it < 5), "clocks differ a little");
    assert_eq!(seconds(json!(now() + 3600)).await, None);
    assert_eq!(seconds(Value::Null).await, None);
}

#[tokio::test]
async fn a_token_for_somebody_else_or_of_somebody_else_is_refused() {
    let provider = Provider::start(&["a"]);
    let verifier = provider.verifier();
    for (claims, error) in [
        (
            json!({ "aud": "https://bailiwick.example.com/observability/mcp" }),
            TokenError::Audience(AUDIENCE.to_owned()),
        ),
        (json!({ "aud": [] }), TokenError::Audience(AUDIENCE.to_owned())),
        (json!({ "iss": "https://evil.example" }), TokenError::Issuer),
        (json!({ "iss": format!("{}/", provider.url()) }), TokenError::Issuer),
        (json!({ "iss": [provider.url()] }), TokenError::Issuer),
        (json!({ "iss": null }), TokenError::Issuer),
    ] {
        assert_eq!(verify(&verifier, &provider.token(claims.clone())).await, Err(error), "{claims}");
    }
    for claims in [
        json!({ "aud": null }),
        json!({ "aud": 5 }),
        json!({ "sub": 5 }),
        json!({ "azp": null }),
        json!({ "cnf": { "jkt": "x" } }),
    ] {
        assert!(verify(&verifier, &provider.token(claims.clone())).await.is_err(), "{claims}");
    }
}

#[tokio::test]
async fn a_token_of_another_time_is_refused() {
    let provider = Provider::start(&["a"]);
    let verifier = provider.verifier();
    for (claims, error) in [
        (json!({ "exp": now() - 60 }), Some(TokenError::Expired)),
        (json!({ "nbf": now() + 120 }), Some(TokenError::NotYet)),
        (json!({ "iat": now() + 120 }), Some(TokenError::NotYet)),
        (json!({ "exp": null }), None),
        (json!({ "exp": (now() + 300).to_string() }), None),
        (json!({ "nbf": "0" }), None),
        (json!({ "nbf": true }), None),
        (json!({ "exp": -1 }), None),
    ] {
        let refused = verify(&verifier, &provider.token(claims.clone())).await.expect_err("it is refused");
        assert!(error.is_none_or(|it| it == refused), "{claims}: {refused}");
    }
    assert!(
        verify(&verifier, &provider.token(json!({ "exp": now() - 5 }))).await.is_ok(),
        "clocks differ a little"
    );
}

#[tokio::test]
async fn no_signature_and_a_shared_secret_prove_nothing() {
    let provider = Provider::start(&["a"]);
    let verifier = provider.verifier();
    for none in ["none", "None", "NONE", ""] {
        let message = provider.message(json!({ "alg": none, "kid": "a" }), json!({}));
        for token in [format!("{message}."), format!("{message}.{}", encoded("x"))] {
            assert!(matches!(verify(&verifier, &token).await, Err(TokenError::Algorithm(_))), "{none}");
        }
    }
    // The published key taken for a secret: whoever can read it could sign with it.
    let public = provider.keys[0].1.public_key().as_ref().to_vec();
    for algorithm in ["HS256", "HS384", "HS512"] {
        let message = provider.message(json!({ "alg": algorithm, "kid": "a" }), json!({}));
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public);
        let token = format!("{message}.{}", encoded(ring::hmac::sign(&secret, message.as_bytes())));
        assert_eq!(verify(&verifier, &token).await, Err(TokenError::Algorithm(algorithm.to_owned())));
    }
    // An algorithm of the list that is not that of the key.
    for algorithm in ["ES256", "RS256", "PS256"] {
        let head = json!({ "alg": algorithm, "kid": "a" });
        assert_eq!(
            verify(&verifier, &provider.signed(head, json!({}))).await,
            Err(TokenError::Key),
            "{algorithm}"
        );
    }
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_used() {
    let provider = Provider::start(&["a"]);
    let evil = Provider::start(&["a"]);
    let verifier = provider.verifier();
    let own = jwk("a", &evil.keys[0].1);
    for head in [
        json!({ "alg": "EdDSA", "kid": "a", "jwk": own }),
        json!({ "alg": "EdDSA", "kid": "a", "jku": format!("{}/jwks", evil.url()) }),
        json!({ "alg": "EdDSA", "kid": "a", "x5u": format!("{}/jwks", evil.url()) }),
    ] {
        let message = provider.message(head, json!({}));
        let token = format!("{message}.{}", encoded(evil.keys[0].1.sign(message.as_bytes())));
        assert_eq!(verify(&verifier, &token).await, Err(TokenError::Signature));
    }
    assert_eq!(evil.asked(), 0, "nobody asks where a token says");
    let critical =
        provider.signed(json!({ "alg": "EdDSA", "kid": "a", "crit": ["b64"], "b64": false }), json!({}));
    assert_eq!(verify(&verifier, &critical).await, Err(TokenError::Malformed));
    for kind in ["logout+jwt", "dpop+jwt", "secevent+jwt"] {
        let other = provider.signed(json!({ "alg": "EdDSA", "kid": "a", "typ": kind }), json!({}));
        assert_eq!(verify(&verifier, &other).await, Err(TokenError::Kind(kind.to_owned())));
    }
}

#[tokio::test]
async fn a_token_that_was_altered_or_is_none_is_refused() {
    let provider = Provider::start(&["a"]);
    let verifier = provider.verifier();
    let token = provider.token(json!({}));
    let parts: Vec<&str> = token.split('.').collect();
    let other = provider.message(json!({ "alg": "EdDSA", "kid": "a" }), json!({ "sub": "bob" }));
    assert_eq!(verify(&verifier, &format!("{other}.{}", parts[2])).await, Err(TokenError::Signature));
    for text in ["", ".", "..", "a.b.c", "x", &"a.".repeat(2), &parts[..2].join("."), &format!("{token}.x")] {
        assert!(verify(&verifier, text).await.is_err(), "{text}");
    }
    assert_eq!(verify(&verifier, &"a".repeat(1 << 20)).await, Err(TokenError::Malformed));
    let said = format!("{:?}", verify(&verifier, &format!("{other}.{}", parts[2])).await);
    assert!(!said.contains(parts[2]) && !said.contains("bob"), "{said}");
}

#[tokio::test]
async fn unknown_keys_make_us_ask_once_however_many_come() {
    let provider = Provider::start(&["a"]);
    let verifier = provider.verifier();
    assert!(verify(&verifier, &provider.token(json!({}))).await.is_ok());
    assert_eq!(provider.asked(), 1);
    for at in 0..50 {
        let head = json!({ "alg": "EdDSA", "kid": format!("k{at}") });
        assert_eq!(verify(&verifier, &provider.signed(head, json!({}))).await, Err(TokenError::Key));
    }
    assert_eq!(provider.asked(), 1, "it was asked a moment ago");
    assert!(verify(&verifier, &provider.token(json!({}))).await.is_ok(), "known keys go on counting");
}

#[tokio::test]
async fn an_issuer_that_gives_no_keys_proves_nobody() {
    let provider = Provider::start(&["a"]);
    let gone = TokenError::Unavailable("company".to_owned());
    for behaviour in [
        Behaviour::Drop,
        Behaviour::json(500, "{}"),
        Behaviour::html(),
        Behaviour::json(200, "{\"keys\": []}"),
        Behaviour::json(200, "{\"keys\": [{\"kty\": \"oct\", \"kid\": \"a\", \"k\": \"c2VjcmV0\"}]}"),
        Behaviour::Redirect(format!("{}/jwks2", provider.url())),
    ] {
        provider.recorder.on("GET", "/jwks", behaviour);
        assert_eq!(verify(&provider.verifier(), &provider.token(json!({}))).await, Err(gone.clone()));
    }
    // Metadata of somebody else, and keys elsewhere.
    provider.publish(vec![jwk("a", &provider.keys[0].1)]);
    let evil = Provider::start(&["a"]);
    for metadata in [
        json!({ "issuer": evil.url(), "jwks_uri": format!("{}/jwks", provider.url()) }),
        json!({ "issuer": provider.url(), "jwks_uri": format!("{}/jwks", evil.url()) }),
    ] {
        provider.recorder.on("GET", "/.well-known", Behaviour::json(200, metadata.to_string()));
        assert_eq!(verify(&provider.verifier(), &provider.token(json!({}))).await, Err(gone.clone()));
    }
    assert_eq!(evil.asked(), 0);
}

#[tokio::test]
async fn several_issuers_stand_beside_each_other_and_sign_for_themselves_only() {
    let (company, cluster) = (Provider::start(&["a"]), Provider::start(&["a"]));
    let jwks = format!("{}/jwks", cluster.url()).parse().expect("an address");
    let workloads = Issuer {
        name: "cluster".to_owned(),
        keys: Keys::At(Http::plain(jwks)),
        agent: AgentName::Claims(vec!["sub".to_owned()]),
        person_claim: None,
        prefix: "k8s:".to_owned(),
        grant: vec![Scopes::READ.to_owned()],
        ..cluster.issuer()
    };
    let verifier = Verifier::new(&[company.issuer(), workloads]).expect("issuers");
    assert_eq!(verifier.for_people(), [company.url()]);
    let own = cluster.token(json!({ "sub": "system:serviceaccount:shop:deployer", "scope": null }));
    let own = verify(&verifier, &own).await.expect("it is believed");
    assert_eq!(own.caller().agent, "k8s:system:serviceaccount:shop:deployer");
    assert_eq!(own.caller().on_behalf_of, None);
    assert!(verify(&verifier, &company.token(json!({}))).await.is_ok());
    let forged = cluster.token(json!({ "iss": company.url() }));
    assert_eq!(verify(&verifier, &forged).await, Err(TokenError::Signature));
    let taken = company.token(json!({ "azp": "k8s:system:serviceaccount:shop:deployer" }));
    assert!(matches!(verify(&verifier, &taken).await, Err(TokenError::Claim { .. })));
}

#[tokio::test]
async fn elliptic_curves_count_too() {
    let provider = Provider::start(&["a"]);
    let random = SystemRandom::new();
    let bytes = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("randomness");
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes.as_ref(), &random).expect("our own");
    let point = pair.public_key().as_ref();
    let curve = json!({ "kty": "EC", "crv": "P-256", "kid": "e", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) });
    provider.publish(vec![jwk("a", &provider.keys[0].1), curve]);
    let message = provider.message(json!({ "alg": "ES256", "kid": "e" }), json!({}));
    let signature = pair.sign(&random, message.as_bytes()).expect("a signature");
    let token = format!("{message}.{}", encoded(signature));
    assert!(verify(&provider.verifier(), &token).await.is_ok());
    let only = Issuer { algorithms: vec!["RS256".to_owned()], ..provider.issuer() };
    let only = Verifier::new(&[only]).expect("an issuer");
    assert_eq!(verify(&only, &token).await, Err(TokenError::Algorithm("ES256".to_owned())));
}
