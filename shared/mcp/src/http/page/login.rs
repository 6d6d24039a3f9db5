//! Who is at the page? Whoever logged in at the issuer, with a token that may approve: judged as the desk judges it, and kept by their browser.

use std::{sync::Arc, time::Duration};

use approval::Voter;
use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use gate::Person;
use identity::{Attempt, LoginError, Proven, Returned, Scopes, SignInError, TokenError};
use jiff::{SignedDuration, Timestamp};
use policy::{Assurance, Caller, Channel};
use serde::{Deserialize, Serialize};

use super::{Page, cookie, view::Notice};
use crate::http::desk::Visitor;

/// Somebody who logged in. The token that proved them goes no further.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// What no other login has.
    pub(super) id: String,
    pub(super) name: String,
    issuer: String,
    subject: String,
    pub(super) teams: Vec<String>,
    /// The program that speaks for them: this page, as the issuer knows it.
    client: String,
    /// When they last proved to be there, in seconds since 1970.
    seen: Option<i64>,
    /// In milliseconds since 1970.
    pub(super) until: i64,
}

/// A login that began, for a request.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begun {
    attempt: Attempt,
    approval: String,
}

/// Longest session, if its token lasts as long.
const SESSION_KEPT: SignedDuration = SignedDuration::from_mins(15);
/// How long a login may take.
const LOGIN_KEPT: Duration = Duration::from_secs(600);
/// Browsers forget longer ones, and would be sent to log in again and again.
const COOKIE_BYTES_MAX: usize = 3800;
const SESSION: &[u8] = b"bailiwick page session 1";
const LOGIN: &[u8] = b"bailiwick page login 1";

/// How a login begins.
#[derive(Deserialize)]
pub(super) struct Way {
    /// Whether the issuer asks who it is even where it remembers somebody.
    #[serde(default)]
    anew: bool,
}

/// Begins a login, whoever is logged in.
pub(super) async fn begin(
    State(page): State<Arc<Page>>,
    Path(id): Path<String>,
    way: Query<Way>,
    headers: HeaderMap,
) -> Response {
    let _here = page.in_flight.token();
    if let Err(refused) = page.let_in(&id, &headers) {
        return refused.page();
    }
    page.begin(&id, way.anew).await
}

/// Ends a login that began in this very browser.
pub(super) async fn end(
    State(page): State<Arc<Page>>,
    returned: Query<Returned>,
    headers: HeaderMap,
) -> Response {
    let _here = page.in_flight.token();
    if let Err(refused) = page.let_in("callback", &headers) {
        return refused.page();
    }
    let forgotten = page.cookies.forget(page.cookies.login);
    let begun = match cookie::read(&headers, page.cookies.login) {
        Some(sealed) => page.unseal::<Begun>(LOGIN, sealed).await.ok().flatten(),
        None => None,
    };
    let Some(Begun { attempt, approval }) = begun else {
        page.refused(None, "a login that did not begin in this browser, or is over").await;
        let text = "This login did not begin in this browser, has ended already, or took too long. Open the link again.";
        let notice = Notice::new(StatusCode::FORBIDDEN, "Log in again", text);
        return cookie::with(notice.page(), &[forgotten]);
    };
    let entered = match page.sign_in.end(&attempt, returned.0).await {
        Ok(proven) => page.enter(&proven).await,
        Err(error) => {
            page.refused(None, &format!("login: {error}")).await;
            Err(Notice::from(&error))
        }
    };
    match entered {
        Ok(session) => cookie::see_other(&format!("/decide/{approval}"), &[session, forgotten]),
        Err(notice) => {
            let again = notice.link(format!("/decide/{approval}/login?anew=true"), "Log in again");
            cookie::with(again.page(), &[forgotten])
        }
    }
}

impl Page {
    /// Sends a browser to the issuer.
    pub(super) async fn begin(&self, id: &str, anew: bool) -> Response {
        let (url, attempt) = match self.sign_in.begin(anew).await {
            Ok(begun) => begun,
            Err(error) => {
                tracing::warn!(%error, "nobody can log in to the page");
                return Notice::unable().to(id).page();
            }
        };
        let begun = Begun { attempt, approval: id.to_owned() };
        let lasts = SignedDuration::try_from(LOGIN_KEPT).unwrap_or(SignedDuration::ZERO);
        match self.seal(LOGIN, &begun, lasts).await {
            Ok(sealed) => {
                let kept = self.cookies.keep(self.cookies.login, &sealed, LOGIN_KEPT);
                cookie::see_other(url.as_str(), &[kept])
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can log in to the page");
                Notice::unable().to(id).page()
            }
        }
    }

    /// Who is logged in, if anybody is.
    pub(super) async fn session(&self, headers: &HeaderMap) -> Result<Option<Session>, Response> {
        let Some(sealed) = cookie::read(headers, self.cookies.session) else { return Ok(None) };
        self.unseal(SESSION, sealed).await.map_err(|error| {
            tracing::warn!(%error, "nobody is known at the page");
            Notice::unable().page()
        })
    }

    /// Lets in whoever a token names, if it may approve: what their browser keeps.
    async fn enter(&self, proven: &Proven) -> Result<String, Notice> {
        let no = |text: &str| Notice::new(StatusCode::FORBIDDEN, "You cannot decide here", text);
        let caller = proven.caller();
        if !proven.scopes().approve {
            self.refused_caller(caller, "login: the token lacks a scope").await;
            let text = format!(
                "Your login does not hold the scope {}; whoever runs the issuer gives it.",
                Scopes::APPROVE
            );
            return Err(no(&text));
        }
        let Some(visitor) = Visitor::of(proven) else {
            self.refused_caller(caller, "login: the token names no person").await;
            return Err(no("Your login names no person, and only people decide."));
        };
        let now = Timestamp::now();
        let ends = i64::try_from(proven.expires()).ok().and_then(|it| Timestamp::from_second(it).ok());
        let lasts = ends.map_or(SESSION_KEPT, |it| it.duration_since(now)).min(SESSION_KEPT);
        let Some(kept) = Duration::try_from(lasts).ok().filter(|it| it.as_secs() > 0) else {
            self.refused_caller(caller, "login: the token has ended").await;
            return Err(no("Your login had ended as soon as it began."));
        };
        let id = fresh_id().map_err(|_| Notice::unable())?;
        let session = Session::of(visitor, id, now.checked_add(lasts).unwrap_or(now));
        let sealed = self.seal(SESSION, &session, lasts).await.map_err(|_| Notice::unable())?;
        if sealed.len() > COOKIE_BYTES_MAX {
            self.refused_caller(caller, "login: more teams than a browser keeps").await;
            return Err(no(
                "Your login names more teams than a browser keeps; the issuer's configuration can map fewer.",
            ));
        }
        Ok(self.cookies.keep(self.cookies.session, &sealed, kept))
    }
}

fn fresh_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

impl Session {
    fn of(visitor: Visitor, id: String, until: Timestamp) -> Session {
        let Visitor { caller, person } = visitor;
        let now = Timestamp::now().as_second();
        let Voter { name, issuer, subject, .. } = person.voter;
        Session {
            id,
            name,
            issuer,
            subject,
            teams: person.teams,
            client: caller.agent,
            seen: person.authenticated_seconds.and_then(|it| now.checked_sub(i64::try_from(it).ok()?)),
            until: until.as_millisecond(),
        }
    }

    /// Who it is, with what their agreement is judged by.
    pub(super) fn person(&self) -> Person {
        let now = Timestamp::now().as_second();
        let voter = Voter {
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            subject: self.subject.clone(),
            assurance: Assurance::Token,
            channel: Channel::Http,
        };
        let ago = |it: i64| u64::try_from((now - it).max(0)).unwrap_or_default();
        Person {
            voter,
            teams: self.teams.clone(),
            client: Some(self.client.clone()),
            authenticated_seconds: self.seen.map(ago),
        }
    }

    /// The same as records name them.
    pub(super) fn caller(&self) -> Caller {
        Caller {
            agent: self.client.clone(),
            on_behalf_of: Some(self.name.clone()),
            teams: self.teams.clone(),
            assurance: Assurance::Token,
        }
    }
}

impl Notice {
    /// Nothing is wrong with the person: it cannot be done now.
    fn unable() -> Notice {
        let text =
            "People cannot log in here at the moment. Try again in a moment; `bailiwick doctor` says more.";
        Notice::new(StatusCode::SERVICE_UNAVAILABLE, "Not now", text)
    }
}

impl From<&SignInError> for Notice {
    fn from(error: &SignInError) -> Notice {
        match error {
            SignInError::Login(LoginError::Unreachable { .. })
            | SignInError::Token(TokenError::Unavailable(_)) => Notice::unable(),
            error => {
                Notice::new(StatusCode::FORBIDDEN, "Not logged in", &format!("Nobody is logged in: {error}."))
            }
        }
    }
}
