//! Which keys does an issuer sign with? Fetched when needed, kept for a while, and asked for again when it signs with
//! another; never more often than twice a minute, however many unknown keys arrive.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use config::{Http, Keys};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use outbound::{Endpoint, OutboundError};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::TokenError;

/// Keys of one issuer.
pub(crate) struct KeySet {
    issuer: String,
    url: String,
    source: Keys,
    known: RwLock<Arc<Known>>,
    /// When they were last asked for. Held while they are, so that one asks and the others wait.
    asked: Mutex<Option<Instant>>,
}

/// What it said last.
#[derive(Default)]
struct Known {
    keys: Vec<Published>,
    at: Option<Instant>,
}

struct Published {
    id: Option<String>,
    jwk: Jwk,
    key: Arc<DecodingKey>,
}

/// After this, an issuer is asked whether its keys are still those.
const FRESH: Duration = Duration::from_secs(600);
/// After this, keys that nobody confirmed count no more.
const USABLE: Duration = Duration::from_secs(3600);
/// Nobody makes us ask more often than this.
const BETWEEN: Duration = Duration::from_secs(30);
/// Longest wait for an issuer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most keys of an issuer that are looked at.
const KEYS_MAX: usize = 64;

/// <https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata>
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// <https://www.rfc-editor.org/rfc/rfc7517#section-5>
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl KeySet {
    /// Keys of the issuer that tokens name by `url`. Asks nobody yet.
    pub(crate) fn new(issuer: &str, url: &str, source: Keys) -> Result<KeySet, OutboundError> {
        endpoint(issuer, source.http())?;
        let (issuer, url) = (issuer.to_owned(), url.to_owned());
        Ok(KeySet { issuer, url, source, known: RwLock::default(), asked: Mutex::default() })
    }

    /// The key that a token says it is signed with.
    pub(crate) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, TokenError> {
        let known = self.known();
        let found = known.find(id, algorithm);
        match (&found, known.age()) {
            (Some(key), Some(age)) if age < FRESH => return Ok(key.clone()),
            // Somebody is asking already: meanwhile what was right a moment ago counts.
            (Some(key), Some(age)) if age < USABLE => match self.asked.try_lock() {
                Ok(asked) => self.ask(asked).await,
                Err(_) => return Ok(key.clone()),
            },
            _ => self.ask(self.asked.lock().await).await,
        }
        let known = self.known();
        match (known.find(id, algorithm), known.age()) {
            (_, None) => Err(TokenError::Unavailable(self.issuer.clone())),
            (_, Some(age)) if age >= USABLE => Err(TokenError::Unavailable(self.issuer.clone())),
            (Some(key), _) => Ok(key),
            (None, _) => Err(TokenError::Key),
        }
    }

    /// How many keys the issuer gives right now, or why it gives none.
    pub(crate) async fn check(&self) -> Result<usize, String> {
        let asked = tokio::time::timeout(PATIENCE, self.fetch()).await;
        asked.unwrap_or_else(|_| Err("it did not answer in time".to_owned())).map(|it| it.len())
    }

    /// Asks, unless somebody did a moment ago.
    async fn ask(&self, mut asked: tokio::sync::MutexGuard<'_, Option<Instant>>) {
        if asked.is_some_and(|it| it.elapsed() < BETWEEN) {
            return;
        }
        *asked = Some(Instant::now());
        match tokio::time::timeout(PATIENCE, self.fetch()).await {
            Ok(Ok(keys)) => {
                tracing::info!(issuer = %self.issuer, keys = keys.len(), "keys fetched");
                let known = Known { keys, at: Some(Instant::now()) };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
            }
            Ok(Err(problem)) => tracing::warn!(issuer = %self.issuer, %problem, "its keys cannot be had"),
            Err(_) => tracing::warn!(issuer = %self.issuer, "it did not give its keys in time"),
        }
    }

    async fn fetch(&self) -> Result<Vec<Published>, String> {
        let set: Set = match &self.source {
            Keys::At(http) => get(&self.issuer, http).await?,
            Keys::Announced(http) => {
                let asked = endpoint(&self.issuer, http).map_err(|it| it.to_string())?;
                let path = [".well-known", "openid-configuration"];
                let metadata: Metadata =
                    asked.get_json(&path, &[], None).await.map_err(|it| it.to_string())?;
                get(&self.issuer, &self.source.beside(announced(&self.url, http, &metadata)?)).await?
            }
        };
        let keys: Vec<Published> = set.keys.into_iter().take(KEYS_MAX).filter_map(Published::read).collect();
        match keys.is_empty() {
            true => Err("it published no key that signs".to_owned()),
            false => Ok(keys),
        }
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where an issuer says its keys are: on the host that the configuration names, or nowhere.
fn announced(issuer: &str, http: &Http, metadata: &Metadata) -> Result<Url, String> {
    if metadata.issuer != issuer {
        return Err("it says that it is another issuer".to_owned());
    }
    let url: Url = metadata.jwks_uri.parse().map_err(|_| "its jwks_uri is no address".to_owned())?;
    match url.origin() == http.url.origin() {
        true => Ok(url),
        false => Err(format!(
            "its keys are on another host ({}); if that is right, say so with jwks_url",
            url.host_str().unwrap_or("none")
        )),
    }
}

/// An issuer's address, without what stands behind the `?`.
pub(crate) fn endpoint(issuer: &str, http: &Http) -> Result<Endpoint, OutboundError> {
    // What stands behind the `?` goes out as every query does.
    let mut url = http.url.clone();
    url.set_query(None);
    Endpoint::new(issuer, &Http { url, ..http.clone() })
}

async fn get<T: serde::de::DeserializeOwned + Send + 'static>(
    issuer: &str,
    http: &Http,
) -> Result<T, String> {
    let asked = endpoint(issuer, http).map_err(|it| it.to_string())?;
    let query: Vec<(String, String)> = http.url.query_pairs().into_owned().collect();
    let query: Vec<(&str, &str)> =
        query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // An address that ends in `/` is another than one that does not.
    let path: &[&str] = if http.url.path().len() > 1 && http.url.path().ends_with('/') { &[""] } else { &[] };
    asked.get_json(path, &query, None).await.map_err(|it| it.to_string())
}

impl Known {
    fn age(&self) -> Option<Duration> {
        self.at.map(|it| it.elapsed())
    }

    /// The key of an id; of a token without one, the only key that it can be.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<DecodingKey>> {
        let mut fitting = self.keys.iter().filter(|it| it.fits(algorithm));
        match id {
            Some(id) => fitting.find(|it| it.id.as_deref() == Some(id)).map(|it| it.key.clone()),
            None => match (fitting.next(), fitting.next()) {
                (Some(only), None) => Some(only.key.clone()),
                _ => None,
            },
        }
    }
}

impl Published {
    /// A key that signs; everything else in a set is skipped.
    fn read(value: Value) -> Option<Published> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
        let verifies = jwk.common.key_operations.as_ref();
        let verifies = verifies.is_none_or(|it| it.contains(&KeyOperations::Verify));
        // A secret in a published set is no secret.
        let public =
            !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_));
        let key = (signs && verifies && public).then(|| DecodingKey::from_jwk(&jwk).ok())??;
        Some(Published { id: jwk.common.key_id.clone(), jwk, key: Arc::new(key) })
    }

    /// Whether it is of the kind that an algorithm signs with, and published for it.
    fn fits(&self, algorithm: Algorithm) -> bool {
        let named = self.jwk.common.key_algorithm;
        if named.is_some_and(|it| it.to_string() != format!("{algorithm:?}")) {
            return false;
        }
        match &self.jwk.algorithm {
            AlgorithmParameters::RSA(_) => {
                use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
                matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512)
            }
            AlgorithmParameters::EllipticCurve(it) => match it.curve {
                EllipticCurve::P256 => algorithm == Algorithm::ES256,
                EllipticCurve::P384 => algorithm == Algorithm::ES384,
                _ => false,
            },
            AlgorithmParameters::OctetKeyPair(it) => {
                it.curve == EllipticCurve::Ed25519 && algorithm == Algorithm::EdDSA
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn http(url: &str) -> Http {
        Http::plain(url.parse().expect("an address"))
    }

    #[test]
    fn keys_are_where_the_configuration_says_and_nowhere_else() {
        let said = |issuer: &str, jwks_uri: &str| Metadata {
            issuer: issuer.to_owned(),
            jwks_uri: jwks_uri.to_owned(),
        };
        let base = http("https://login.example.com/realms/a");
        let issuer = "https://login.example.com/realms/a";
        let right = announced(issuer, &base, &said(issuer, "https://login.example.com/keys?x=1"));
        assert_eq!(right.map(String::from).as_deref(), Ok("https://login.example.com/keys?x=1"));
        for (issuer_said, jwks_uri) in [
            ("https://login.example.com/realms/b", "https://login.example.com/keys"),
            (issuer, "https://evil.example/keys"),
            (issuer, "https://login.example.com:444/keys"),
            (issuer, "http://login.example.com/keys"),
            (issuer, "https://login.example.com.evil.example/keys"),
            (issuer, "keys"),
        ] {
            assert!(
                announced(issuer, &base, &said(issuer_said, jwks_uri)).is_err(),
                "{issuer_said} {jwks_uri}"
            );
        }
    }

    #[test]
    fn a_secret_or_a_key_for_something_else_is_no_key() {
        let secret = json!({ "kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256" });
        let encrypts = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "AAAA", "use": "enc" });
        let signs_only =
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "AAAA", "key_ops": ["sign"] });
        let odd = json!({ "kty": "XYZ", "kid": "a" });
        for key in [secret, encrypts, signs_only, odd, json!(5)] {
            assert!(Published::read(key.clone()).is_none(), "{key}");
        }
        let right =
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "AAAA", "use": "sig", "alg": "EdDSA" });
        let right = Published::read(right).expect("a key");
        assert!(right.fits(Algorithm::EdDSA));
        assert!(
            !right.fits(Algorithm::ES256) && !right.fits(Algorithm::HS256) && !right.fits(Algorithm::RS256)
        );
    }

    #[test]
    fn a_token_without_a_key_id_is_checked_only_if_there_is_one_key_for_it() {
        let key = |id: &str| json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": "AAAA" });
        let known = |ids: &[&str]| Known {
            keys: ids.iter().filter_map(|it| Published::read(key(it))).collect(),
            at: Some(Instant::now()),
        };
        assert!(known(&["a"]).find(None, Algorithm::EdDSA).is_some());
        assert!(known(&["a", "b"]).find(None, Algorithm::EdDSA).is_none());
        assert!(known(&["a", "b"]).find(Some("b"), Algorithm::EdDSA).is_some());
        assert!(known(&["a", "b"]).find(Some("c"), Algorithm::EdDSA).is_none());
        assert!(known(&["a"]).find(None, Algorithm::RS256).is_none());
    }
}
