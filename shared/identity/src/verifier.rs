//! Is this token to be believed, and whom does it name?

use std::sync::Arc;

use config::Issuer;
use jsonwebtoken::{
    Algorithm, Validation, dangerous::insecure_decode_claims, decode, decode_header, errors::ErrorKind,
    get_current_timestamp,
};
use policy::Caller;
use serde_json::{Map, Value};

use crate::{
    Scopes, SetupError, TokenError, caller,
    claims::Claims,
    keys::KeySet,
    seen::{Believed, Seen, Signer},
    signature::{self, USUAL},
};

/// Verifies tokens of every configured issuer. Share one behind an `Arc`.
pub struct Verifier {
    trusted: Vec<Trusted>,
    seen: Seen,
}

struct Trusted {
    issuer: Issuer,
    algorithms: Vec<Algorithm>,
    keys: KeySet,
    /// What names of other issuers begin with.
    others: Vec<String>,
}

/// A caller that a token proved. Only [`Verifier::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    caller: Caller,
    scopes: Scopes,
    issuer: String,
    subject: Option<String>,
    expires: u64,
    auth_time: Option<u64>,
}

/// A token that its issuer signed.
struct Signed<'a> {
    trusted: &'a Trusted,
    by: Signer,
    claims: Claims,
}

/// What an issuer says of one login.
pub(crate) struct Login {
    pub(crate) subject: String,
    pub(crate) nonce: Option<String>,
    pub(crate) auth_time: Option<u64>,
}

/// Longest token: a header that is longer does not arrive either.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// How far clocks may differ.
const LEEWAY_SECONDS: u64 = 30;

impl Verifier {
    /// Prepares for tokens of these issuers. Asks nobody for keys yet.
    pub fn new(issuers: &[Issuer]) -> Result<Verifier, SetupError> {
        signature::install()?;
        let trust = |issuer: &Issuer| {
            let named = issuer.algorithms.iter();
            let named =
                named.filter_map(|it| signature::ALGORITHMS.into_iter().find(|known| word(*known) == *it));
            let algorithms = if issuer.algorithms.is_empty() { USUAL.to_vec() } else { named.collect() };
            let others = issuers.iter().filter(|it| it.name != issuer.name).map(|it| it.prefix.clone());
            Ok(Trusted {
                algorithms,
                keys: KeySet::new(&issuer.name, &issuer.url, issuer.keys.clone())?,
                others: others.collect(),
                issuer: issuer.clone(),
            })
        };
        let trusted = issuers.iter().map(trust).collect::<Result<_, SetupError>>()?;
        Ok(Verifier { trusted, seen: Seen::default() })
    }

    /// Addresses of issuers whose tokens people can get: what clients are told.
    pub fn for_people(&self) -> Vec<String> {
        let people = self.trusted.iter().filter(|it| it.issuer.person_claim.is_some());
        people.map(|it| it.issuer.url.clone()).collect()
    }

    /// Asks each issuer for its keys: what the configuration calls it, and how many there are or why there are none.
    pub async fn check(&self) -> Vec<(String, Result<usize, String>)> {
        let mut checked = Vec::new();
        for trusted in &self.trusted {
            checked.push((trusted.issuer.name.clone(), trusted.keys.check().await));
        }
        checked
    }

    /// Believes a token that a trusted issuer signed for `audience`, and that is of this moment.
    pub async fn verify(&self, token: &str, audience: &str) -> Result<Proven, TokenError> {
        let name = Seen::name(token, audience);
        if let Some(believed) = self.seen.lately(&name, get_current_timestamp()) {
            let Signer { algorithm, id, key } = &believed.by;
            // Whoever rotates keys takes back what they signed.
            let published = self.trusted[believed.issuer].keys.find(id.as_deref(), *algorithm).await?;
            if Arc::ptr_eq(&published, key) {
                return Ok(believed.proven.clone());
            }
        }
        let at = get_current_timestamp();
        let Signed { trusted, by, claims } = self.signed(token, |it| it.audiences(audience)).await?;
        let proven = trusted.proven(claims)?;
        if let Some(issuer) = self.trusted.iter().position(|it| std::ptr::eq(it, trusted)) {
            self.seen.keep(name, Believed { issuer, by, at, proven: proven.clone() });
        }
        Ok(proven)
    }

    /// Believes what an issuer says of a login to a client of ours, and to no other:
    /// <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>.
    pub(crate) async fn login(&self, token: &str, issuer: &str, client: &str) -> Result<Login, TokenError> {
        let Signed { trusted, claims, .. } = self.signed(token, |_| vec![client.to_owned()]).await?;
        trusted.hold(&claims)?;
        if trusted.issuer.name != issuer {
            return Err(TokenError::Issuer);
        }
        let (several, party) = (claims.texts("aud")?.len() > 1, claims.text("azp")?);
        if party.map_or(several, |it| it != client) {
            return Err(TokenError::claim("azp", "names another client"));
        }
        let subject = claims.text("sub")?.ok_or_else(|| TokenError::claim("sub", "is missing"))?;
        Ok(Login {
            subject: subject.to_owned(),
            nonce: claims.text("nonce")?.map(str::to_owned),
            auth_time: claims.seconds("auth_time")?,
        })
    }

    /// What stands in a token that a trusted issuer signed for one of some audiences.
    async fn signed(
        &self,
        token: &str,
        audiences: impl FnOnce(&Trusted) -> Vec<String>,
    ) -> Result<Signed<'_>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX || !token.is_ascii() || token.split('.').count() != 3 {
            return Err(TokenError::Malformed);
        }
        // Which key to ask for stands in the token itself; nothing else of it is used before the signature was checked.
        let unchecked: Map<String, Value> =
            insecure_decode_claims(token).map_err(|_| TokenError::Malformed)?;
        let issuer = unchecked.get("iss").and_then(Value::as_str);
        let trusted = self.trusted.iter().find(|it| Some(it.issuer.url.as_str()) == issuer);
        let trusted = trusted.ok_or(TokenError::Issuer)?;
        let (algorithm, id) = trusted.head(token)?;
        let key = trusted.keys.find(id.as_deref(), algorithm).await?;
        let audiences = audiences(trusted);
        let checks = trusted.checks(algorithm, &audiences);
        let checked = decode::<Map<String, Value>>(token, &key, &checks);
        let claims = checked.map_err(|error| refused(error.kind(), &audiences))?.claims;
        Ok(Signed { trusted, by: Signer { algorithm, id, key }, claims: Claims(claims) })
    }
}

impl Trusted {
    /// How a token says that it is signed, if that counts here.
    fn head(&self, token: &str) -> Result<(Algorithm, Option<String>), TokenError> {
        let head = match decode_header(token) {
            Ok(head) => head,
            // `none` and whatever else there is.
            Err(_) => return Err(TokenError::Algorithm("that it names".to_owned())),
        };
        if !self.algorithms.contains(&head.alg) {
            return Err(TokenError::Algorithm(word(head.alg)));
        }
        // What a token calls critical has to be understood, and nothing of that kind is.
        if head.crit.is_some() || head.enc.is_some() || head.zip.is_some() {
            return Err(TokenError::Malformed);
        }
        match head.typ.as_deref() {
            None => {}
            Some(kind)
                if ["jwt", "at+jwt", "application/at+jwt"].contains(&kind.to_ascii_lowercase().as_str()) => {}
            Some(kind) => {
                return Err(TokenError::Kind(kind.chars().filter(char::is_ascii_graphic).take(40).collect()));
            }
        }
        Ok((head.alg, head.kid))
    }

    /// For whom access tokens have to be, one of these.
    fn audiences(&self, usual: &str) -> Vec<String> {
        match self.issuer.audiences.as_slice() {
            [] => vec![usual.to_owned()],
            named => named.to_vec(),
        }
    }

    fn checks(&self, algorithm: Algorithm, audiences: &[String]) -> Validation {
        let mut checks = Validation::new(algorithm);
        checks.leeway = LEEWAY_SECONDS;
        checks.validate_nbf = true;
        checks.set_issuer(&[&self.issuer.url]);
        checks.set_audience(audiences);
        checks.set_required_spec_claims(&["exp", "iss", "aud"]);
        checks
    }

    /// What has to hold of every token, whatever it is for. When it ends.
    fn hold(&self, claims: &Claims) -> Result<u64, TokenError> {
        // Lists of issuers pass the library's check and mean nothing.
        if claims.text("iss")? != Some(self.issuer.url.as_str()) {
            return Err(TokenError::Issuer);
        }
        let expires = claims.seconds("exp")?.ok_or_else(|| TokenError::claim("exp", "is missing"))?;
        let now = get_current_timestamp();
        match claims.seconds("iat")?.is_some_and(|it| it > now + LEEWAY_SECONDS) {
            true => Err(TokenError::NotYet),
            false => Ok(expires),
        }
    }

    fn proven(&self, claims: Claims) -> Result<Proven, TokenError> {
        let expires = self.hold(&claims)?;
        // Whoever holds such a token has to prove that they hold a key too, and nobody here asks for that proof.
        if claims.get("cnf").is_some() {
            return Err(TokenError::claim("cnf", "binds it to a key; here tokens are sent alone"));
        }
        Ok(Proven {
            caller: caller::caller(&self.issuer, &self.others, &claims)?,
            scopes: caller::scopes(&self.issuer, &claims)?,
            issuer: self.issuer.name.clone(),
            subject: claims.text("sub")?.map(str::to_owned),
            expires,
            auth_time: claims.seconds("auth_time")?,
        })
    }
}

impl Proven {
    /// The agent, the person it acts for, and their teams.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What the token lets its bearer do at most.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// What the configuration calls its issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom the issuer means by it, to the letter: one person has one, whatever names they go by.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// When it ends, in seconds since 1970.
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// When the person last proved to be there, in seconds since 1970, if the issuer says so.
    pub fn auth_time(&self) -> Option<u64> {
        self.auth_time
    }

    /// The same, where nothing in the token says when, with what its issuer says beside it.
    pub(crate) fn or_seen_at(self, auth_time: Option<u64>) -> Proven {
        Proven { auth_time: self.auth_time.or(auth_time), ..self }
    }

    /// How long ago that was, in seconds: what policies on approving ask for. A moment that has not come yet is none.
    pub fn authenticated_seconds(&self) -> Option<u64> {
        let now = get_current_timestamp();
        self.auth_time.filter(|it| *it <= now + LEEWAY_SECONDS).map(|it| now.saturating_sub(it))
    }
}

fn word(algorithm: Algorithm) -> String {
    format!("{algorithm:?}")
}

fn refused(error: &ErrorKind, audiences: &[String]) -> TokenError {
    match error {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYet,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience(audiences.join(" or ")),
        ErrorKind::MissingRequiredClaim(claim) => TokenError::claim(claim, "is missing"),
        ErrorKind::InvalidClaimFormat(claim) => TokenError::claim(claim, "is not a time"),
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => {
            TokenError::Algorithm("that it names".to_owned())
        }
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use config::{AgentName, Http, Keys};
    use ring::{
        rand::SystemRandom,
        signature::{Ed25519KeyPair, KeyPair},
    };
    use serde_json::json;
    use testkit::backends::{Behaviour, Recorder};

    use super::*;

    fn encoded(bytes: impl AsRef<[u8]>) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A key, and where it is published under the one id.
    fn published() -> (Ed25519KeyPair, Recorder, Keys) {
        let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
        let key = Ed25519KeyPair::from_pkcs8(bytes.as_ref()).expect("our own key");
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": encoded(key.public_key()) });
        let recorder = Recorder::alone();
        recorder.on("GET", "/jwks", Behaviour::json(200, json!({ "keys": [jwk] }).to_string()));
        let keys =
            Keys::At(Http::plain(format!("{}/jwks", recorder.url()).parse().expect("our own address")));
        (key, recorder, keys)
    }

    #[tokio::test]
    async fn a_token_that_was_believed_is_not_once_its_key_is_withdrawn() {
        let ((key, _first, keys), (_, _second, others)) = (published(), published());
        let issuer = Issuer {
            name: "company".to_owned(),
            url: "https://login.example.com".to_owned(),
            keys,
            audiences: Vec::new(),
            algorithms: Vec::new(),
            require: Default::default(),
            agent: AgentName::Claims(vec!["azp".to_owned()]),
            person_claim: None,
            groups_claim: "groups".to_owned(),
            teams: Default::default(),
            prefix: String::new(),
            grant: Vec::new(),
            login: None,
        };
        let claims = json!({
            "iss": issuer.url, "aud": "here", "azp": "ci", "scope": "bailiwick:read", "exp": get_current_timestamp() + 300
        });
        let message = format!("{}.{}", encoded(r#"{"alg":"EdDSA","kid":"a"}"#), encoded(claims.to_string()));
        let token = format!("{message}.{}", encoded(key.sign(message.as_bytes())));
        let mut verifier = Verifier::new(std::slice::from_ref(&issuer)).expect("an issuer");
        let first = verifier.verify(&token, "here").await.expect("it is believed");
        let name = Seen::name(&token, "here");
        assert!(verifier.seen.lately(&name, get_current_timestamp()).is_some(), "it is remembered");
        assert_eq!(verifier.verify(&token, "here").await.expect("it is believed again"), first);
        assert!(matches!(verifier.verify(&token, "elsewhere").await, Err(TokenError::Audience(_))));
        for past_or_over in [get_current_timestamp() - 60, first.expires()] {
            assert!(verifier.seen.lately(&name, past_or_over).is_none(), "its times are looked at anew");
        }
        verifier.trusted[0].keys = KeySet::new(&issuer.name, &issuer.url, others).expect("an address");
        assert_eq!(verifier.verify(&token, "here").await, Err(TokenError::Signature));
    }
}
