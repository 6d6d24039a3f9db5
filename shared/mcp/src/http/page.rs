//! How does a person decide with nothing but a phone? A page without script: `/decide/ID`, where links of notifications lead.
//!
//! The link authorises nothing, and nobody hears of a request before they have logged in. A browser's requests are not its person's word:
//! what changes anything is a form of ours, from this very page, for the action as it was shown. What is said then is judged like any
//! word at the desk.

mod browser;
mod cookie;
mod login;
mod view;

use std::sync::Arc;

use approval::{Request as Waiting, State as Stage, VoteKind, VoteRefused};
use axum::{
    Form, Router,
    extract::{FromRequest as _, Path, Request, State},
    http::{HeaderMap, StatusCode},
    middleware,
    response::Response,
    routing,
};
use gate::{AgreeRefused, Gate, Person, Say};
use identity::SignIn;
use jiff::{SignedDuration, Timestamp};
use policy::Caller;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{cookie::Cookies, login::Session, view::Notice};
use super::{body, desk, origin, refusals::Refusals};
use crate::seal::KEY_BYTES;

/// Where people decide in a browser.
pub(crate) struct Page {
    sign_in: SignIn,
    gate: Arc<Gate>,
    refusals: Refusals,
    /// Names by which this server is reached.
    hosts: Vec<String>,
    /// The origin of our own forms.
    base: String,
    cookies: Cookies,
    in_flight: TaskTracker,
    stop: CancellationToken,
    /// What every replica seals with.
    key: OnceCell<[u8; KEY_BYTES]>,
}

/// What a form says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    token: String,
    word: String,
    #[serde(default)]
    comment: String,
}

/// For which login, request and action a form was made.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    session: String,
    approval: String,
    /// SHA-256 of the sealed action as it was shown, in hex.
    action: String,
}

/// What a person could say to a request now.
#[derive(Default)]
pub(crate) struct Offers {
    approve: bool,
    deny: bool,
    revoke: bool,
    /// Why they cannot approve it.
    not: Option<AgreeRefused>,
}

/// Where browsers come back to that log in.
pub(crate) const CALLBACK: &str = "/decide/callback";
/// How long a form can be sent.
const FORM_KEPT: SignedDuration = SignedDuration::from_mins(15);
const FORM: &[u8] = b"bailiwick page form 1";
/// Longest id that is looked up.
const ID_BYTES_MAX: usize = 64;
/// Adds the page to a router.
pub(crate) fn open(
    router: Router,
    base: &str,
    gate: &Arc<Gate>,
    sign_in: SignIn,
    hosts: &[String],
    (in_flight, stop): (&TaskTracker, &CancellationToken),
) -> Router {
    let page = Arc::new(Page {
        sign_in,
        gate: gate.clone(),
        refusals: Refusals::new(gate.clone()),
        hosts: hosts.to_vec(),
        base: base.to_owned(),
        cookies: Cookies::of(base),
        in_flight: in_flight.clone(),
        stop: stop.clone(),
        key: OnceCell::new(),
    });
    let own = Router::new()
        .route(CALLBACK, routing::get(login::end))
        .route("/decide/{id}", routing::get(look).post(tell))
        .route("/decide/{id}/login", routing::get(login::begin))
        .layer(middleware::map_response(browser::dressed))
        .with_state(page);
    router.merge(own)
}

/// Shows a request to whoever is logged in; a browser that a person sent here is sent on to log in, everything else hears how.
async fn look(State(page): State<Arc<Page>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let _here = page.in_flight.token();
    if let Err(refused) = page.let_in(&id, &headers) {
        return refused.page();
    }
    match page.session(&headers).await {
        Err(refused) => refused,
        Ok(Some(session)) => page.show(&session, &id).await,
        // One that does not count any more, or not here, shall not send the browser around in circles.
        Ok(None) if cookie::read(&headers, page.cookies.session).is_some() => {
            let ended = page.door(&id, "Your login has ended.");
            cookie::with(ended, &[page.cookies.forget(page.cookies.session)])
        }
        Ok(None) if browser::navigates(&headers) => page.begin(&id, false).await,
        Ok(None) => page.door(&id, "Something may wait for a person here."),
    }
}

/// Takes a person's word.
async fn tell(State(page): State<Arc<Page>>, Path(id): Path<String>, request: Request) -> Response {
    let _here = page.in_flight.token();
    let headers = request.headers().clone();
    if let Err(refused) = page.let_in(&id, &headers) {
        return refused.page();
    }
    let session = match page.session(&headers).await {
        Ok(session) => session,
        Err(refused) => return refused,
    };
    if let Err(why) = browser::is_ours(&headers, &page.base) {
        page.refused(session.as_ref(), &format!("a form for {id}: {why}")).await;
        let text = "This did not come from the page itself, so nothing was decided.";
        return Notice::new(StatusCode::FORBIDDEN, "Not from here", text).to(&id).page();
    }
    let Some(session) = session else {
        page.refused(None, &format!("a form for {id}: nobody is logged in")).await;
        let text = "You are not logged in any more, so nothing was decided.";
        return Notice::new(StatusCode::UNAUTHORIZED, "Log in again", text).to(&id).page();
    };
    match page.heard(&session, &id, request).await {
        Ok(()) => cookie::see_other(&format!("/decide/{id}"), &[]),
        Err((notice, why)) => {
            page.refused(Some(&session), &why).await;
            notice.to(&id).page()
        }
    }
}

impl Page {
    /// What has to hold of every request, whoever sends it.
    fn let_in(&self, id: &str, headers: &HeaderMap) -> Result<(), Notice> {
        let no = |status, title, text| Err(Notice::new(status, title, text));
        if self.stop.is_cancelled() {
            return no(
                StatusCode::SERVICE_UNAVAILABLE,
                "Stopping",
                "This server is stopping; try again in a moment.",
            );
        }
        if !origin::is_reached_by(headers, &self.hosts) {
            return no(StatusCode::FORBIDDEN, "Not here", "This server is not reached by that name.");
        }
        // Whoever looks ahead of a person begins nothing and sees nothing: the person's own request is another.
        if browser::is_ahead(headers) {
            return no(
                StatusCode::SERVICE_UNAVAILABLE,
                "Not ahead of time",
                "This page is for a person who asks for it.",
            );
        }
        let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        match (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(plain) {
            true => Ok(()),
            false => {
                no(StatusCode::NOT_FOUND, "No such request", "Look at the link again: it names no request.")
            }
        }
    }

    /// A page for whoever is not logged in: the same whatever there is.
    fn door(&self, id: &str, text: &str) -> Response {
        Notice::new(StatusCode::OK, "Log in to look", text)
            .link(format!("/decide/{id}/login"), "Log in")
            .page()
    }

    async fn show(&self, session: &Session, id: &str) -> Response {
        let shown = async {
            let waiting = self.waiting(id).await?;
            let made = Made::of(session, &waiting);
            let token = self.seal(FORM, &made, FORM_KEPT).await.map_err(VoteRefused::Store)?;
            let offers = self.offers(&session.person(), &waiting);
            Ok::<_, AgreeRefused>(view::request(
                &waiting,
                self.gate.asks(&waiting).as_ref(),
                session,
                &offers,
                &token,
            ))
        };
        match shown.await {
            Ok(markup) => view::answer(StatusCode::OK, markup),
            Err(refused) => Notice::of(&refused).page(),
        }
    }

    /// What a person could say now, so that nothing is offered which would be refused.
    fn offers(&self, person: &Person, waiting: &Waiting) -> Offers {
        if !waiting.state.is_open() {
            return Offers::default();
        }
        let name = &person.voter.name;
        let same = |it: &str| approval::is_same_person(it, name);
        let voted = waiting.votes.iter().any(|it| it.kind == VoteKind::Approve && same(&it.name));
        let revoke = voted || waiting.sealed.caller.on_behalf_of.as_deref().is_some_and(same);
        let wanted = waiting.state == Stage::Pending && !voted;
        let not = wanted.then(|| self.gate.would_count(person, waiting).err()).flatten();
        let approve = wanted && not.is_none();
        Offers { approve, deny: !revoke && self.gate.may_end(person, waiting), revoke, not }
    }

    /// Counts a word, or says why it does not: to the person, and to the log.
    async fn heard(&self, session: &Session, id: &str, request: Request) -> Result<(), (Notice, String)> {
        let bad = |status, title, text: &str| {
            (Notice::new(status, title, text), format!("a form for {id}: {text}"))
        };
        let request = body::bounded(request).await;
        let request = request.map_err(|it| bad(it.status(), "Too much", &it.to_string()))?;
        let form = Form::<Words>::from_request(request, &()).await;
        let Form(words) =
            form.map_err(|it| bad(it.status(), "Not understood", "This is no form of this page."))?;
        let say = match words.word.as_str() {
            "approve" => Say::Approve,
            "deny" => Say::Deny,
            "revoke" => Say::Revoke,
            _ => return Err(bad(StatusCode::BAD_REQUEST, "Not understood", "This is no word of this page.")),
        };
        let refused = |it: AgreeRefused| (Notice::of(&it), format!("{} {id}: {it}", words.word));
        let waiting = self.waiting(id).await.map_err(refused)?;
        let made = self.unseal::<Made>(FORM, &words.token).await;
        let made = made.map_err(|it| refused(VoteRefused::Store(it).into()))?;
        if made != Some(Made::of(session, &waiting)) {
            let text = "This form was made for another login or request, or too long ago. Nothing was decided: look again.";
            return Err(bad(StatusCode::FORBIDDEN, "Look again", text));
        }
        self.gate.say(&session.person(), id, say, words.comment.trim()).await.map(drop).map_err(refused)
    }

    async fn waiting(&self, id: &str) -> Result<Waiting, AgreeRefused> {
        let approvals = self.gate.approvals().ok_or(AgreeRefused::NoStore)?;
        let store = approvals.store().await.map_err(VoteRefused::Store)?;
        let found = store.request(id, Timestamp::now()).await.map_err(VoteRefused::Store)?;
        found.ok_or_else(|| AgreeRefused::Vote(VoteRefused::Missing(id.to_owned())))
    }

    /// Records what was refused, of somebody or of nobody in particular.
    async fn refused(&self, session: Option<&Session>, problem: &str) {
        let problem = format!("page: {problem}");
        match session {
            Some(session) => self.refusals.of(&session.caller(), &problem).await,
            None => self.refusals.of_nobody(&problem).await,
        }
    }

    /// The same, of a caller whom a token names and who has no session.
    async fn refused_caller(&self, caller: &Caller, problem: &str) {
        self.refusals.of(caller, &format!("page: {problem}")).await;
    }
}

impl Made {
    fn of(session: &Session, waiting: &Waiting) -> Made {
        Made { session: session.id.clone(), approval: waiting.id.clone(), action: waiting.sealed.digest() }
    }
}

impl Notice {
    /// Why a word did not count.
    fn of(refused: &AgreeRefused) -> Notice {
        let (status, _) = desk::status(refused);
        let title = match status {
            StatusCode::NOT_FOUND => "No such request",
            StatusCode::CONFLICT => "Too late",
            StatusCode::SERVICE_UNAVAILABLE => "Not now",
            _ => "Refused",
        };
        Notice::new(status, title, &format!("Nothing was decided by this: {refused}."))
    }
}
