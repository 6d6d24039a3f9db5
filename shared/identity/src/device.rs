//! How does a person get a token on this machine? By a code that they enter in a browser, wherever that is:
//! <https://www.rfc-editor.org/rfc/rfc8628>. Later by the refresh token that came with it.

use std::time::Duration;

use config::{Issuer, Login};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    LoginError,
    provider::{self, Grant, given, is_secret, not_offered, on_its_host},
};

/// An issuer that lets people log in from here.
pub(crate) struct Device<'a> {
    issuer: &'a Issuer,
    login: &'a Login,
    codes: Option<Url>,
    tokens: Url,
}

/// What the person is asked to do. The code that the issuer knows us by stays inside.
pub struct Prompt {
    address: String,
    user_code: String,
    lasts: Duration,
    interval: Duration,
    device_code: Zeroizing<String>,
}

/// What an issuer gives for a code or a refresh token.
pub(crate) struct Tokens {
    pub(crate) access: Zeroizing<String>,
    pub(crate) refresh: Option<Zeroizing<String>>,
}

/// Between two questions unless the issuer says otherwise.
const INTERVAL: Duration = Duration::from_secs(5);
/// By how much an issuer that says `slow_down` is asked more slowly.
const SLOWER: Duration = Duration::from_secs(5);
/// However slowly it wants to be asked.
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// However long a code lasts.
const LASTS_MAX: Duration = Duration::from_secs(1800);

/// <https://www.rfc-editor.org/rfc/rfc8628#section-3.2>
#[derive(Deserialize)]
struct Codes {
    device_code: String,
    user_code: String,
    verification_uri: String,
    expires_in: u64,
    interval: Option<u64>,
}

impl<'a> Device<'a> {
    /// Asks an issuer where it gives codes and tokens: on the host that the configuration names, or nowhere.
    pub(crate) async fn find(issuer: &'a Issuer, login: &'a Login) -> Result<Device<'a>, LoginError> {
        let metadata = provider::metadata(issuer, &login.http).await?;
        let tokens = metadata.tokens(issuer, &login.http)?;
        let codes = metadata.device_authorization_endpoint.as_deref();
        let codes = codes.map(|it| on_its_host(issuer, &login.http, "device_authorization_endpoint", it));
        Ok(Device { issuer, login, codes: codes.transpose()?, tokens })
    }

    /// Begins: what the person has to enter where.
    pub(crate) async fn begin(&self) -> Result<Prompt, LoginError> {
        let missing = || not_offered(self.issuer, "its metadata name no device_authorization_endpoint");
        let scope = self.login.scopes.join(" ");
        let mut form = vec![("client_id", self.login.client_id.as_str())];
        form.extend((!scope.is_empty()).then_some(("scope", scope.as_str())));
        form.extend(self.login.resource.iter().map(|it| ("resource", it.as_str())));
        let codes: Codes =
            given(self.issuer, &self.login.http, self.codes.as_ref().ok_or_else(missing)?, &form).await?;
        let odd = |problem: &str| not_offered(self.issuer, problem);
        let address: Url =
            codes.verification_uri.parse().map_err(|_| odd("its verification_uri is no address"))?;
        if !matches!(address.scheme(), "http" | "https") || !is_secret(&codes.device_code) {
            return Err(odd("it gave a code or an address that cannot be right"));
        }
        let interval = codes.interval.map_or(INTERVAL, Duration::from_secs);
        Ok(Prompt {
            address: config::clean(address.as_str()),
            user_code: config::clean(&codes.user_code),
            lasts: Duration::from_secs(codes.expires_in).min(LASTS_MAX),
            interval: interval.clamp(Duration::from_secs(1), INTERVAL_MAX),
            device_code: Zeroizing::new(codes.device_code),
        })
    }

    /// Waits until the person has entered the code and decided, asking no more often than the issuer wants.
    pub(crate) async fn wait(&self, prompt: &Prompt) -> Result<Tokens, LoginError> {
        let end = Instant::now() + prompt.lasts;
        let mut interval = prompt.interval;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", prompt.device_code.as_str()),
        ];
        loop {
            let next = Instant::now() + interval;
            tokio::time::sleep_until(next.min(end)).await;
            if next > end {
                return Err(LoginError::TooLate);
            }
            match self.granted(&form).await {
                Ok(tokens) => return Ok(tokens),
                Err(error) => interval = again(interval, error)?,
            }
        }
    }

    /// New tokens for a refresh token: <https://www.rfc-editor.org/rfc/rfc6749#section-6>.
    pub(crate) async fn renew(&self, refresh: &str) -> Result<Tokens, LoginError> {
        self.granted(&[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
    }

    async fn granted(&self, form: &[(&str, &str)]) -> Result<Tokens, LoginError> {
        let mut form = form.to_vec();
        form.push(("client_id", &self.login.client_id));
        form.extend(self.login.resource.iter().map(|it| ("resource", it.as_str())));
        let grant: Grant = given(self.issuer, &self.login.http, &self.tokens, &form).await?;
        let refresh = grant.refresh_token.clone().map(Zeroizing::new);
        let access = grant.access(self.issuer)?;
        // What could not be kept as one line of text would not be found again.
        Ok(Tokens { access, refresh: refresh.filter(|it| is_secret(it)) })
    }
}

impl Prompt {
    /// Where the person enters the code.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What they enter.
    pub fn user_code(&self) -> &str {
        &self.user_code
    }

    /// How long it can be entered.
    pub fn lasts(&self) -> Duration {
        self.lasts
    }
}

/// When to ask again, or that there is no use: <https://www.rfc-editor.org/rfc/rfc8628#section-3.5>.
fn again(interval: Duration, error: LoginError) -> Result<Duration, LoginError> {
    match error {
        LoginError::Refused { error, issuer } => match error.as_str() {
            "authorization_pending" => Ok(interval),
            "slow_down" => Ok((interval + SLOWER).min(INTERVAL_MAX)),
            "access_denied" => Err(LoginError::Denied),
            "expired_token" => Err(LoginError::TooLate),
            _ => Err(LoginError::Refused { error, issuer }),
        },
        // It may come back before the code ends.
        LoginError::Unreachable { .. } => Ok((interval * 2).min(INTERVAL_MAX)),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(error: &str) -> LoginError {
        LoginError::Refused { issuer: "company".to_owned(), error: error.to_owned() }
    }

    #[test]
    fn an_issuer_is_asked_as_slowly_as_it_wants_until_it_has_decided() {
        let five = Duration::from_secs(5);
        assert_eq!(again(five, refused("authorization_pending")).expect("again"), five);
        assert_eq!(again(five, refused("slow_down")).expect("again"), 2 * five);
        let slowest = again(INTERVAL_MAX, refused("slow_down")).expect("again");
        assert_eq!(slowest, INTERVAL_MAX);
        let gone = LoginError::Unreachable { issuer: "company".to_owned(), problem: "gone".to_owned() };
        assert_eq!(again(five, gone).expect("again"), 2 * five);
        assert!(matches!(again(five, refused("access_denied")), Err(LoginError::Denied)));
        assert!(matches!(again(five, refused("expired_token")), Err(LoginError::TooLate)));
        for other in ["invalid_grant", "invalid_client", "", "authorization_pending "] {
            assert!(matches!(again(five, refused(other)), Err(LoginError::Refused { .. })), "{other}");
        }
    }
}
