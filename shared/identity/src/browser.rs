//! How does a person log in to a page of ours? Their browser goes to the issuer and comes back with a code, which is worth a token
//! to us and nothing to anybody else: <https://www.rfc-editor.org/rfc/rfc6749#section-4.1> with PKCE
//! (<https://www.rfc-editor.org/rfc/rfc7636>), <https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth>.
//!
//! Nothing is kept here between the two: whoever serves the page has the browser keep an [`Attempt`], sealed.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use config::{Http, Issuer, Page};
use jsonwebtoken::get_current_timestamp;
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};
use url::{Url, form_urlencoded};

use crate::{
    LoginError, Proven, SetupError, SignInError, Verifier,
    provider::{self, Grant, Metadata, given, is_secret, not_offered, on_its_host, word},
};

/// A page that people log in to.
pub struct SignIn {
    issuer: Issuer,
    page: Page,
    verifier: Arc<Verifier>,
    /// Where the browser comes back to.
    callback: String,
    /// What tokens are for.
    audience: String,
    places: RwLock<Option<(Arc<Places>, Instant)>>,
    /// When the issuer was last asked where they are. Held while it is, so that one asks and the others wait.
    asked: Mutex<Option<Instant>>,
    /// Exchanges at once: nobody makes us flood the issuer.
    exchanges: Semaphore,
}

/// What a browser keeps between leaving for the issuer and coming back. Whoever serves seals it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    state: String,
    nonce: String,
    verifier: String,
}

/// What a browser comes back with.
#[derive(Clone, Default, Deserialize)]
pub struct Returned {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Where an issuer lets people log in and gives tokens.
struct Places {
    authorize: Url,
    tokens: Url,
    /// Whether it takes a client's secret as every issuer has to, or in the form.
    basic: bool,
    /// Whether it says who it is when it sends a browser back.
    names_itself: bool,
}

/// How long ago a person may have shown the issuer that they are there.
const SEEN_WITHIN_SECONDS: u64 = 900;
/// How far clocks may differ.
const LEEWAY_SECONDS: u64 = 30;
/// After this, an issuer is asked again where its endpoints are.
const FRESH: Duration = Duration::from_secs(600);
/// Nobody makes us ask one that does not answer more often than this.
const BETWEEN: Duration = Duration::from_secs(5);
/// Exchanges at once.
const EXCHANGES_MAX: usize = 8;

impl SignIn {
    /// Prepares for people who log in by the issuer that the page names. Asks nobody yet. `callback` is where browsers come back to,
    /// `audience` what tokens are for.
    pub fn new(
        issuers: &[Issuer],
        page: &Page,
        verifier: Arc<Verifier>,
        callback: String,
        audience: String,
    ) -> Result<SignIn, SetupError> {
        let issuer = issuers.iter().find(|it| it.name == page.issuer);
        let issuer = issuer.ok_or_else(|| SetupError::Issuer(page.issuer.clone()))?.clone();
        Ok(SignIn {
            issuer,
            page: page.clone(),
            verifier,
            callback,
            audience,
            places: RwLock::default(),
            asked: Mutex::default(),
            exchanges: Semaphore::new(EXCHANGES_MAX),
        })
    }

    /// Whether people could log in: the issuer says where, and the secret can be read.
    pub async fn check(&self) -> Result<(), LoginError> {
        self.secret()?;
        self.places().await.map(drop)
    }

    /// Begins: where the browser goes, and what it keeps meanwhile. `anew` has the issuer ask the person who they are even where it
    /// remembers them.
    pub async fn begin(&self, anew: bool) -> Result<(Url, Attempt), LoginError> {
        let places = self.places().await?;
        let attempt = Attempt { state: random()?, nonce: random()?, verifier: random()? };
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, attempt.verifier.as_bytes()));
        let seen_within = SEEN_WITHIN_SECONDS.to_string();
        let mut url = places.authorize.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.page.client_id)
            .append_pair("redirect_uri", &self.callback)
            .append_pair("scope", &self.page.scopes.join(" "))
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("max_age", &seen_within)
            .extend_pairs(self.resource().map(|it| ("resource", it)))
            .extend_pairs(anew.then_some(("prompt", "login")));
        Ok((url, attempt))
    }

    /// Ends: who logged in. A code counts for the browser that left with this attempt, and once, as its issuer sees to.
    pub async fn end(&self, attempt: &Attempt, returned: Returned) -> Result<Proven, SignInError> {
        if returned.state.as_ref() != Some(&attempt.state) {
            return Err(SignInError::Foreign);
        }
        let places = self.places().await?;
        // An answer that another issuer gave: <https://www.rfc-editor.org/rfc/rfc9207#section-2.4>.
        match &returned.iss {
            Some(iss) if *iss != self.issuer.url => return Err(SignInError::Foreign),
            None if places.names_itself => return Err(SignInError::Foreign),
            Some(_) | None => {}
        }
        if let Some(error) = &returned.error {
            return Err(SignInError::Refused(
                word(error).unwrap_or("for no reason that it names").to_owned(),
            ));
        }
        let code = returned.code.filter(|it| is_secret(it)).ok_or(SignInError::Foreign)?;
        self.proven(attempt, self.exchange(&places, attempt, &code).await?).await
    }

    async fn exchange(&self, places: &Places, attempt: &Attempt, code: &str) -> Result<Grant, LoginError> {
        let _turn = self.exchanges.acquire().await.expect("the semaphore is never closed");
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.callback),
            ("code_verifier", &attempt.verifier),
        ];
        form.extend(self.resource().map(|it| ("resource", it)));
        let mut http = self.page.http.clone();
        let secret = self.secret()?;
        match &secret {
            Some(secret) if places.basic => http.headers.push(basic(&self.page.client_id, secret)),
            Some(secret) => {
                form.extend([
                    ("client_id", self.page.client_id.as_str()),
                    ("client_secret", secret.as_str()),
                ]);
            }
            None => form.push(("client_id", &self.page.client_id)),
        }
        given(&self.issuer, &http, &places.tokens, &form).await
    }

    /// Verifies what was given: the token like every other, and by the one beside it that it is of this login.
    async fn proven(&self, attempt: &Attempt, grant: Grant) -> Result<Proven, SignInError> {
        let odd = SignInError::Odd;
        let id_token = grant.id_token.clone().ok_or(odd("it gave no id_token"))?;
        let access = grant.access(&self.issuer)?;
        let proven = self.verifier.verify(&access, &self.audience).await?;
        let login = self.verifier.login(&id_token, &self.issuer.name, &self.page.client_id).await?;
        if login.nonce.as_deref() != Some(attempt.nonce.as_str()) {
            return Err(odd("its id_token is of another login"));
        }
        if proven.issuer() != self.issuer.name || proven.subject() != Some(login.subject.as_str()) {
            return Err(odd("its two tokens are of different people"));
        }
        let now = get_current_timestamp();
        if login.auth_time.is_some_and(|it| it + SEEN_WITHIN_SECONDS + LEEWAY_SECONDS < now) {
            return Err(odd("it has not seen the person for longer than it was asked to"));
        }
        Ok(proven.or_seen_at(login.auth_time))
    }

    /// What the token is asked to be for: what it has to be for, or what the configuration says.
    fn resource(&self) -> Option<&str> {
        let needed = self.issuer.audiences.is_empty().then_some(self.audience.as_str());
        self.page.resource.as_deref().or(needed)
    }

    fn secret(&self) -> Result<Option<zeroize::Zeroizing<String>>, LoginError> {
        let read = self.page.client_secret.as_ref().map(config::Secret::read).transpose();
        read.map_err(|it| not_offered(&self.issuer, &it.to_string()))
    }

    async fn places(&self) -> Result<Arc<Places>, LoginError> {
        if let Some(places) = self.known() {
            return Ok(places);
        }
        let mut asked = self.asked.lock().await;
        if let Some(places) = self.known() {
            return Ok(places);
        }
        if asked.is_some_and(|it| it.elapsed() < BETWEEN) {
            return Err(provider::unreachable(&self.issuer, "it did not answer a moment ago"));
        }
        *asked = Some(Instant::now());
        let metadata = provider::metadata(&self.issuer, &self.page.http).await?;
        let places = Arc::new(Places::of(&self.issuer, &self.page.http, &metadata)?);
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = Some((places.clone(), Instant::now()));
        Ok(places)
    }

    fn known(&self) -> Option<Arc<Places>> {
        let known = self.places.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|it| it.1.elapsed() < FRESH).map(|it| it.0.clone())
    }
}

impl Places {
    fn of(issuer: &Issuer, http: &Http, metadata: &Metadata) -> Result<Places, LoginError> {
        let missing = || not_offered(issuer, "its metadata name no authorization_endpoint");
        let authorize = metadata.authorization_endpoint.as_deref().ok_or_else(missing)?;
        let methods = metadata.token_endpoint_auth_methods_supported.as_ref();
        Ok(Places {
            authorize: on_its_host(issuer, http, "authorization_endpoint", authorize)?,
            tokens: metadata.tokens(issuer, http)?,
            basic: methods.is_none_or(|it| it.iter().any(|it| it == "client_secret_basic")),
            names_itself: metadata.authorization_response_iss_parameter_supported,
        })
    }
}

/// What proves a client: <https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1>.
fn basic(client: &str, secret: &str) -> (String, String) {
    let encoded = |it: &str| form_urlencoded::byte_serialize(it.as_bytes()).collect::<String>();
    let both = BASE64_STANDARD.encode(format!("{}:{}", encoded(client), encoded(secret)));
    ("authorization".to_owned(), format!("Basic {both}"))
}

/// A word that nobody guesses.
fn random() -> Result<String, LoginError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SetupError::Random)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_secret_cannot_run_into_one_another() {
        let (_, value) = basic("a:b c", "d%/é~");
        let both = BASE64_STANDARD.decode(value.strip_prefix("Basic ").expect("the scheme")).expect("base64");
        assert_eq!(String::from_utf8(both).expect("text"), "a%3Ab+c:d%25%2F%C3%A9%7E");
    }

    #[test]
    fn no_two_words_are_alike_and_each_is_long_enough_for_a_verifier() {
        let (one, two) = (random().expect("randomness"), random().expect("randomness"));
        assert!(one != two && one.len() == 43, "{one} {two}");
    }
}
