//! What does an issuer say of itself, and how is it asked for tokens? The part that every way of logging in shares.

use config::{Http, Issuer};
use outbound::Endpoint;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;
use zeroize::Zeroizing;

use crate::{LoginError, keys};

/// <https://www.rfc-editor.org/rfc/rfc8414#section-2>, <https://www.rfc-editor.org/rfc/rfc8628#section-4>,
/// <https://www.rfc-editor.org/rfc/rfc9207#section-3>
#[derive(Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    token_endpoint: Option<String>,
    pub(crate) authorization_endpoint: Option<String>,
    pub(crate) device_authorization_endpoint: Option<String>,
    pub(crate) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

/// What an issuer answers: what was asked for, or a word for why not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Refused { error: String },
    Given(T),
}

/// <https://www.rfc-editor.org/rfc/rfc6749#section-5.1>
#[derive(Deserialize)]
pub(crate) struct Grant {
    access_token: String,
    token_type: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) id_token: Option<String>,
}

/// Longest refresh token, and longest code.
const SECRET_BYTES_MAX: usize = 16 << 10;

impl Metadata {
    /// Where it gives tokens.
    pub(crate) fn tokens(&self, issuer: &Issuer, http: &Http) -> Result<Url, LoginError> {
        let tokens = self.token_endpoint.as_deref();
        let tokens = tokens.ok_or_else(|| not_offered(issuer, "its metadata name no token_endpoint"))?;
        on_its_host(issuer, http, "token_endpoint", tokens)
    }
}

impl Grant {
    /// The token for whoever serves us.
    pub(crate) fn access(self, issuer: &Issuer) -> Result<Zeroizing<String>, LoginError> {
        let access = Zeroizing::new(self.access_token);
        if !self.token_type.eq_ignore_ascii_case("bearer") {
            let error = "its tokens have to be sent with a proof that nobody here makes".to_owned();
            return Err(LoginError::Refused { issuer: issuer.name.clone(), error });
        }
        Ok(access)
    }
}

/// Asks an issuer where it gives codes and tokens.
pub(crate) async fn metadata(issuer: &Issuer, http: &Http) -> Result<Metadata, LoginError> {
    let asked = keys::endpoint(&issuer.name, http).map_err(|it| unreachable(issuer, it))?;
    let path = [".well-known", "openid-configuration"];
    let metadata: Metadata = asked.get_json(&path, &[], None).await.map_err(|it| unreachable(issuer, it))?;
    match metadata.issuer == issuer.url {
        true => Ok(metadata),
        false => Err(not_offered(issuer, "it says that it is another issuer")),
    }
}

/// Asks one of the issuer's endpoints.
pub(crate) async fn given<T: DeserializeOwned + Send + 'static>(
    issuer: &Issuer,
    http: &Http,
    at: &Url,
    form: &[(&str, &str)],
) -> Result<T, LoginError> {
    let http = Http { url: at.clone(), ..http.clone() };
    let asked = Endpoint::new(&issuer.name, &http).map_err(|it| unreachable(issuer, it))?;
    // An address that ends in `/` is another than one that does not.
    let path: &[&str] = if at.path().len() > 1 && at.path().ends_with('/') { &[""] } else { &[] };
    match asked.post_form_grant(path, form, None).await.map_err(|it| unreachable(issuer, it))? {
        Answer::Given(it) => Ok(it),
        Answer::Refused { error } => {
            let error = word(&error).unwrap_or("for a reason that it gives no word for").to_owned();
            Err(LoginError::Refused { issuer: issuer.name.clone(), error })
        }
    }
}

/// An endpoint that an issuer names in its metadata. Codes and refresh tokens go there, so the host is a configured one.
pub(crate) fn on_its_host(issuer: &Issuer, http: &Http, what: &str, named: &str) -> Result<Url, LoginError> {
    let url: Url = named.parse().map_err(|_| not_offered(issuer, &format!("its {what} is no address")))?;
    match url.origin() == http.url.origin() {
        true => Ok(url),
        false => {
            let host = config::clean(url.host_str().unwrap_or("none"));
            Err(not_offered(issuer, &format!("its {what} is on another host ({host})")))
        }
    }
}

/// A word of the protocol for why not; anything else may be anything.
pub(crate) fn word(error: &str) -> Option<&str> {
    let is_word =
        (1..=60).contains(&error.len()) && error.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
    is_word.then_some(error)
}

pub(crate) fn is_secret(text: &str) -> bool {
    (1..=SECRET_BYTES_MAX).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic())
}

pub(crate) fn not_offered(issuer: &Issuer, problem: &str) -> LoginError {
    LoginError::NotOffered { issuer: issuer.name.clone(), problem: problem.to_owned() }
}

pub(crate) fn unreachable(issuer: &Issuer, error: impl std::fmt::Display) -> LoginError {
    LoginError::Unreachable { issuer: issuer.name.clone(), problem: config::clean(&error.to_string()) }
}
