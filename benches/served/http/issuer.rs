//! Who proves callers? An issuer with one ES256 key that it publishes on loopback, and what it takes to check its tokens.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use config::{AgentName, Http, Keys};
use identity::Verifier;
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
    },
};
use serde_json::{Value, json};
use testkit::backends::{Behaviour, Recorder};

use super::Extent;
use crate::table::{Table, median};

/// An issuer of tokens.
pub(crate) struct Issuer {
    published: Recorder,
    key: EcdsaKeyPair,
}

const AUDIENCE: &str = "bench";
const KEY_ID: &str = "k1";
/// How long its tokens count: longer than any bench.
const LASTS_SECONDS: u64 = 24 * 3600;

/// What a server is told of it.
pub(crate) fn trusted(url: &str) -> anyhow::Result<config::Issuer> {
    Ok(config::Issuer {
        name: "company".to_owned(),
        url: url.to_owned(),
        keys: Keys::At(Http::plain(format!("{url}/jwks").parse()?)),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: Vec::new(),
        require: Default::default(),
        agent: AgentName::Claims(vec!["azp".to_owned()]),
        person_claim: Some("sub".to_owned()),
        groups_claim: "groups".to_owned(),
        teams: [("team-7".to_owned(), "team-7".to_owned())].into(),
        prefix: String::new(),
        grant: Vec::new(),
        login: None,
    })
}

impl Issuer {
    pub(crate) fn start() -> anyhow::Result<Issuer> {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let made = made.map_err(|_| anyhow::anyhow!("no key could be made"))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random);
        let issuer = Issuer { published: Recorder::alone(), key: key.map_err(|it| anyhow::anyhow!("{it}"))? };
        // An uncompressed point: a byte that says so, and two coordinates.
        let (x, y) = issuer.key.public_key().as_ref()[1..].split_at(32);
        let key = json!({
            "kty": "EC", "crv": "P-256", "kid": KEY_ID, "use": "sig", "alg": "ES256", "x": encoded(x), "y": encoded(y)
        });
        issuer.published.on("GET", "/jwks", Behaviour::json(200, json!({ "keys": [key] }).to_string()));
        Ok(issuer)
    }

    /// What its tokens hold as `iss`.
    pub(crate) fn url(&self) -> String {
        self.published.url()
    }

    /// A token of the caller whom the bench on standard input has too.
    pub(crate) fn token(&self) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": self.url(),
            "aud": AUDIENCE,
            "sub": "alice",
            "azp": "claude-code",
            "groups": ["team-7"],
            "scope": "openid bailiwick:read",
            "iat": now,
            "exp": now + LASTS_SECONDS,
        });
        let head = json!({ "alg": "ES256", "typ": "at+jwt", "kid": KEY_ID });
        let signed = format!("{}.{}", encoded_json(&head), encoded_json(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| anyhow::anyhow!("the key does not sign"))?;
        Ok(format!("{signed}.{}", encoded(signature)))
    }

    /// What a request pays for its token, beside the one signature in it.
    pub(super) fn measure(&self, extent: &Extent, table: &mut Table) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let verifier = Verifier::new(&[trusted(&self.url())?])?;
        let token = self.token()?;
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature)?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        let mut times = [const { Vec::new() }; 2];
        for round in 0..=extent.rounds {
            let (mut checked, mut floor) = (Vec::new(), Vec::new());
            for _ in 0..extent.tokens {
                let begun = Instant::now();
                runtime.block_on(verifier.verify(&token, AUDIENCE))?;
                checked.push(begun.elapsed().as_secs_f64() * 1e6);
                let begun = Instant::now();
                key.verify(signed.as_bytes(), &signature)
                    .map_err(|_| anyhow::anyhow!("our own signature"))?;
                floor.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            if round > 0 {
                times[0].push(median(&checked));
                times[1].push(median(&floor));
            }
        }
        let [checked, floor] = &times;
        table.compared("a token checked; floor: one ES256 signature checked", "µs", checked, floor, "");
        Ok(())
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn encoded_json(value: &Value) -> String {
    encoded(value.to_string())
}
