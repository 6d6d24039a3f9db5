//! Who is logged in on this machine, and what proves it? A token that is kept, verified each time anew, and renewed where its
//! issuer allows it.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use config::{Issuer, Login as Way};
use jsonwebtoken::get_current_timestamp;
use zeroize::Zeroizing;

use crate::{
    LoginError, Proven, SetupError, TokenError, Verifier,
    device::{Device, Prompt, Tokens},
    kept::{Kept, Login},
};

/// People who log in here: by which issuers, and who has.
pub struct Logins {
    issuers: Vec<Issuer>,
    verifier: Verifier,
    kept: Kept,
    /// A refresh token that its issuer refused: it is not asked again.
    refused: Mutex<Option<Zeroizing<String>>>,
}

/// Whether somebody is logged in.
#[derive(Debug)]
pub enum Presence {
    /// Nobody is.
    Nobody,
    /// Somebody is, as a token says that was verified a moment ago.
    Proven(Box<Proven>),
    /// Somebody was: why nothing proves it any more. The token itself may have been whosever.
    Lapsed(String),
}

/// A token that ends sooner is renewed now.
const SOON_SECONDS: u64 = 60;

impl Logins {
    /// Prepares for logins that are kept in a state folder. Asks nobody yet.
    pub fn new(issuers: &[Issuer], state: &Path) -> Result<Logins, SetupError> {
        let verifier = Verifier::new(issuers)?;
        Ok(Logins {
            issuers: issuers.to_vec(),
            verifier,
            kept: Kept::within(state),
            refused: Mutex::default(),
        })
    }

    /// Logs a person in by an issuer, or by the only one: `tell` hears what they have to do, and the answer comes once
    /// they did. It is kept in place of whatever was.
    pub async fn begin(
        &self,
        issuer: Option<&str>,
        tell: impl FnOnce(&Prompt),
    ) -> Result<Proven, LoginError> {
        let (issuer, way) = self.way(issuer)?;
        let device = Device::find(issuer, way).await?;
        let prompt = device.begin().await?;
        tell(&prompt);
        let tokens = device.wait(&prompt).await?;
        let proven = self.believe(&tokens.access, issuer, way).await?;
        self.kept.write(&Login::new(&issuer.url, &tokens))?;
        Ok(proven)
    }

    /// A token for something else than a login: by the device flow of one of these issuers, for a resource and with scopes of its
    /// own. Whoever it is sent to verifies it, and nothing of it is kept.
    pub async fn once(
        &self,
        issuers: &[String],
        resource: &str,
        scopes: &[&str],
        tell: impl FnOnce(&Prompt),
    ) -> Result<Zeroizing<String>, LoginError> {
        let known = self.issuers.iter().filter(|it| issuers.contains(&it.url));
        let (issuer, way) =
            known.filter_map(|it| Some((it, it.login.as_ref()?))).next().ok_or(LoginError::NoWay)?;
        let mut wanted: Vec<String> = scopes.iter().map(|it| (*it).to_owned()).collect();
        // What this issuer wants beside ours, such as `openid`; nothing to renew it with, for it is not kept.
        let other = |it: &&String| !config::SCOPES.contains(&it.as_str()) && *it != "offline_access";
        wanted.extend(way.scopes.iter().filter(other).cloned());
        let way = Way { scopes: wanted, resource: Some(resource.to_owned()), ..way.clone() };
        let device = Device::find(issuer, &way).await?;
        let prompt = device.begin().await?;
        tell(&prompt);
        Ok(device.wait(&prompt).await?.access)
    }

    /// Logs out: whether anybody was logged in.
    pub fn end(&self) -> Result<bool, LoginError> {
        self.kept.remove()
    }

    /// Who is logged in. What is kept is looked at and not changed.
    pub async fn look(&self) -> Result<Presence, LoginError> {
        let Some(login) = self.kept.read()? else { return Ok(Presence::Nobody) };
        let Some((issuer, way)) = self.of(&login) else { return Ok(elsewhere(&login)) };
        let looked = self.believe(login.access(), issuer, way).await;
        looked.map_or_else(|error| self.lapsed(error), |it| Ok(Presence::Proven(Box::new(it))))
    }

    /// Who is logged in, with a new token where the kept one has ended or is about to.
    pub async fn present(&self) -> Result<Presence, LoginError> {
        let Some(login) = self.kept.read()? else { return Ok(Presence::Nobody) };
        let Some((issuer, way)) = self.of(&login) else { return Ok(elsewhere(&login)) };
        match self.believe(login.access(), issuer, way).await {
            Ok(proven) if lasts(&proven) => Ok(Presence::Proven(Box::new(proven))),
            // It still counts, so nothing is lost where it cannot be renewed.
            Ok(proven) => match self.renew(issuer, way).await {
                Ok(Presence::Lapsed(_)) | Err(_) => Ok(Presence::Proven(Box::new(proven))),
                renewed => renewed,
            },
            // Signed with a key that its issuer has taken back: as good as ended.
            Err(LoginError::Token(TokenError::Expired | TokenError::Key)) => self.renew(issuer, way).await,
            Err(error) => self.lapsed(error),
        }
    }

    /// Asks the issuer for new tokens, unless another process did so while we waited for it.
    async fn renew(&self, issuer: &Issuer, way: &Way) -> Result<Presence, LoginError> {
        let _lock = self.kept.lock().await?;
        let Some(login) = self.kept.read()?.filter(|it| it.issuer == issuer.url) else {
            return Ok(Presence::Nobody);
        };
        if let Ok(proven) = self.believe(login.access(), issuer, way).await
            && lasts(&proven)
        {
            return Ok(Presence::Proven(Box::new(proven)));
        }
        let Some(refresh) = login.refresh() else {
            return Ok(Presence::Lapsed(
                "it has ended, and its issuer gave nothing to renew it with".to_owned(),
            ));
        };
        let tokens = match self.asked(refresh, issuer, way).await {
            Ok(tokens) => tokens,
            Err(error) => {
                return Ok(Presence::Lapsed(format!("it has ended, and could not be renewed: {error}")));
            }
        };
        // Kept before anything else: the old refresh token may count no more.
        self.kept.write(&login.renewed(&tokens))?;
        match self.believe(&tokens.access, issuer, way).await {
            Ok(proven) => Ok(Presence::Proven(Box::new(proven))),
            Err(error) => {
                Ok(Presence::Lapsed(format!("its issuer renewed it with what proves nothing: {error}")))
            }
        }
    }

    /// New tokens for a refresh token, unless it was refused before.
    async fn asked(&self, refresh: &str, issuer: &Issuer, way: &Way) -> Result<Tokens, LoginError> {
        let refused = || self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused().as_ref().is_some_and(|it| it.as_str() == refresh) {
            let error = "it was asked before".to_owned();
            return Err(LoginError::Refused { issuer: issuer.name.clone(), error });
        }
        let tokens = Device::find(issuer, way).await?.renew(refresh).await;
        if matches!(tokens, Err(LoginError::Refused { .. })) {
            *refused() = Some(Zeroizing::new(refresh.to_owned()));
        }
        tokens
    }

    /// Verifies a token like every other, and that it can stand for a person here.
    async fn believe(&self, token: &str, issuer: &Issuer, way: &Way) -> Result<Proven, LoginError> {
        // The audiences of the issuer hold; where it has none, what we asked it for.
        let audience = way.resource.as_deref().unwrap_or_default();
        let proven = self.verifier.verify(token, audience).await?;
        if proven.issuer() != issuer.name {
            return Err(TokenError::Issuer.into());
        }
        if proven.caller().on_behalf_of.is_none() {
            return Err(LoginError::Nobody);
        }
        if !proven.scopes().read {
            return Err(LoginError::Scope);
        }
        Ok(proven)
    }

    /// What a token that is not believed means: one that time or its issuer took away is no more; any other was never right,
    /// and whoever put it there is not passed over in silence.
    fn lapsed(&self, error: LoginError) -> Result<Presence, LoginError> {
        match error {
            LoginError::Token(TokenError::Expired | TokenError::Key) => {
                Ok(Presence::Lapsed("it has ended".to_owned()))
            }
            LoginError::Token(error @ TokenError::Unavailable(_)) => {
                Ok(Presence::Lapsed(format!("it cannot be verified: {error}")))
            }
            other => Err(self.kept.wrong(&format!("is not believed: {other}"))),
        }
    }

    /// The issuer of a login, if people log in by it here.
    fn of(&self, login: &Login) -> Option<(&Issuer, &Way)> {
        let issuer = self.issuers.iter().find(|it| it.url == login.issuer)?;
        Some((issuer, issuer.login.as_ref()?))
    }

    /// The issuer that is meant, and how people log in by it.
    fn way(&self, name: Option<&str>) -> Result<(&Issuer, &Way), LoginError> {
        let ways: Vec<(&Issuer, &Way)> =
            self.issuers.iter().filter_map(|it| Some((it, it.login.as_ref()?))).collect();
        let names = || ways.iter().map(|(it, _)| it.name.clone()).collect();
        match (name, ways.as_slice()) {
            (_, []) => Err(LoginError::NoWay),
            (None, [only]) => Ok(*only),
            (None, _) => Err(LoginError::Several(names())),
            (Some(name), _) => {
                let unknown = || LoginError::Unknown { name: config::clean(name), known: names() };
                ways.iter().copied().find(|(it, _)| it.name == name).ok_or_else(unknown)
            }
        }
    }
}

fn lasts(proven: &Proven) -> bool {
    proven.expires() > get_current_timestamp() + SOON_SECONDS
}

fn elsewhere(login: &Login) -> Presence {
    let issuer = config::clean(&login.issuer);
    Presence::Lapsed(format!("it is of {issuer}, by which nobody logs in under this configuration"))
}
