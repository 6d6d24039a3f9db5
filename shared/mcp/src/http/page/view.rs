//! What does a person see? Facts first, as the server knows them; then what the agent wrote, marked as the agent's and shown as text.

use approval::{Request as Waiting, Sealed, State as Stage, Vote, shown};
use axum::{http::StatusCode, response::Response};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use policy::{NeedsApproval, Target, UNKNOWN};

use super::{Offers, login::Session};
use crate::http::answer;

/// The one style, which the policy of the page names by its digest.
pub(super) const STYLE: &str = include_str!("style.css");

/// A page with one thing to say.
pub(super) struct Notice {
    status: StatusCode,
    title: String,
    text: String,
    link: Option<(String, &'static str)>,
}

impl Notice {
    pub(super) fn new(status: StatusCode, title: &str, text: &str) -> Notice {
        Notice { status, title: title.to_owned(), text: text.to_owned(), link: None }
    }

    /// The same with a way on.
    pub(super) fn link(self, place: String, label: &'static str) -> Notice {
        Notice { link: Some((place, label)), ..self }
    }

    /// The same with the way back to a request.
    pub(super) fn to(self, id: &str) -> Notice {
        self.link(format!("/decide/{id}"), "Look at the request")
    }

    pub(super) fn page(self) -> Response {
        let body = html! {
            h1 { (self.title) }
            p { (shown(&self.text)) }
            @if let Some((place, label)) = &self.link { p { a.button href=(place) { (label) } } }
        };
        answer(self.status, document("Bailiwick", &body))
    }
}

pub(super) fn answer(status: StatusCode, markup: Markup) -> Response {
    answer::text(status, "text/html; charset=utf-8", markup.into_string())
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    }
}

/// A request, for somebody who is logged in.
pub(super) fn request(
    waiting: &Waiting,
    asks: Option<&NeedsApproval>,
    session: &Session,
    offers: &Offers,
    token: &str,
) -> Markup {
    let sealed = &waiting.sealed;
    let body = html! {
        (state(waiting))
        h1 { code { (shown(&sealed.tool)) } }
        @for target in &sealed.targets { (touched(target)) }
        (change(sealed))
        (who(waiting))
        (rules(waiting, asks))
        (form(waiting, offers, token))
        footer {
            p { "You are " strong { (shown(&session.name)) } (of(&session.teams)) ", until " (until(session)) ". "
                a href={ "/decide/" (waiting.id) "/login?anew=true" } { "Log in anew, or as somebody else" } }
            p { code { (waiting.id) } }
        }
    };
    document(&format!("{}: {}", sealed.tool, waiting.state.word()), &body)
}

fn state(waiting: &Waiting) -> Markup {
    let until = |at: Timestamp| html! { (moment(at)) " (" (left(at)) ")" };
    let missing = waiting.approvals.saturating_sub(waiting.approved());
    let confirms = waiting.confirm && !waiting.confirmed();
    html! {
        div.state.(waiting.state.word()) role="status" {
            @match waiting.state {
                Stage::Pending => {
                    strong {
                        @match (missing, confirms) {
                            (0, true) => "Waits for the person at the keyboard",
                            (0 | 1, _) => "Waits for one person",
                            (more, _) => { "Waits for " (more) " people" }
                        }
                    }
                    span { " until " (until(waiting.approve_by)) }
                }
                Stage::Approved => {
                    strong { "Approved" }
                    span { "; the agent can carry it out, once, until " (until(waiting.until)) }
                }
                Stage::Reserved => strong { "Being carried out" },
                Stage::Consumed => strong { "Carried out" },
                Stage::Denied => strong { "Denied" },
                Stage::Expired => strong { "Expired" },
                Stage::Revoked => strong { "Taken back" },
                Stage::Void => strong { "Void" },
                Stage::Unknown => strong { "Begun, and nobody knows how it ended: look at the system itself" },
            }
            @if !waiting.note.is_empty() { span { " — " (shown(&waiting.note)) } }
        }
    }
}

fn change(sealed: &Sealed) -> Markup {
    html! {
        section {
            h2 { "What would change" }
            dl {
                dt { "Effect" } dd { (effect(&sealed.effect)) }
                dt { "Undo" } dd { (undo(&sealed.undo)) }
                dt { "There now" } dd { (sealed.before.as_deref().map_or("nothing that it would overwrite".to_owned(), shown)) }
            }
        }
        section {
            h2 { "With these arguments" }
            dl.arguments {
                @for (name, value) in sealed.written() { dt { code { (name) } } dd { @for line in value { pre { (line) } } } }
            }
        }
    }
}

fn touched(target: &Target) -> Markup {
    let place = |name: &str, value: &str| html! { @if value != UNKNOWN { " · " (name) " " (shown(value)) } };
    let unknown = target.environment == UNKNOWN;
    html! {
        p.target {
            span.environment.quiet[!unknown && target.environment != "production"] {
                (shown(&target.environment)) @if unknown { " (counts as production)" }
            }
            " " strong { (shown(&target.connection)) }
            @if target.id != target.connection { " / " strong { (shown(&target.id)) } }
            span.more {
                (shown(&target.kind)) @if target.team == UNKNOWN { " · of no known team" }
                (place("team", &target.team)) (place("region", &target.region)) (place("tier", &target.tier))
            }
        }
    }
}

fn who(waiting: &Waiting) -> Markup {
    let (sealed, caller) = (&waiting.sealed, &waiting.sealed.caller);
    html! {
        section {
            h2 { "Who asked, and why" }
            p { strong { (sealed.agent()) }
                @if let Some(person) = sealed.person() { " for " strong { (person) } }
                (of(&caller.teams)) " (proven by: " (caller.assurance.word()) ") at " (moment(waiting.asked_at)) }
            @match sealed.reason() {
                Some(reason) => {
                    figure.said {
                        figcaption { "The agent’s own words; nobody checked them" }
                        blockquote { (reason) }
                    }
                }
                None => p { "The agent gives no reason." },
            }
        }
    }
}

fn rules(waiting: &Waiting, asks: Option<&NeedsApproval>) -> Markup {
    html! {
        section {
            h2 { "Who has to agree" }
            p { (waiting.approved()) " of " (waiting.approvals) " approved"
                @if waiting.confirm { @if waiting.confirmed() { ", confirmed at the keyboard" } @else { ", to be confirmed at the keyboard" } } }
            @if !waiting.votes.is_empty() { ul { @for vote in &waiting.votes { li { (voted(vote)) } } } }
            @if let Some(asks) = asks {
                p.rule {
                    "Asked for by "
                    @for (index, rule) in asks.policies.iter().enumerate() { @if index > 0 { ", " } code { (shown(rule)) } }
                    @if let Some(reason) = &asks.reason { ": " (shown(reason)) }
                }
                @if !asks.who.is_empty() { p.rule { "May approve: " (shown(&asks.who.join(", "))) } }
            }
        }
    }
}

fn voted(vote: &Vote) -> Markup {
    html! {
        strong { (shown(&vote.name)) } " " (match vote.kind { approval::VoteKind::Approve => "approved", approval::VoteKind::Confirm => "confirmed", approval::VoteKind::BreakGlass => "approved alone, by a break-glass" })
        " at " (moment(vote.at)) @if !vote.comment.is_empty() { ": “" (shown(&vote.comment)) "”" }
    }
}

/// What the person can say, and nothing where nothing would count.
fn form(waiting: &Waiting, offers: &Offers, token: &str) -> Markup {
    html! {
        @if let Some(not) = &offers.not { p.not { "You cannot approve this: " (shown(&not.to_string())) "." } }
        @if offers.approve || offers.deny || offers.revoke {
            form method="post" action={ "/decide/" (waiting.id) } autocomplete="off" {
                input type="hidden" name="token" value=(token);
                label for="comment" { "Remark, for the record and for whoever asked (optional)" }
                textarea #comment name="comment" rows="2" maxlength="900" {}
                div.words {
                    @if offers.approve { button.approve name="word" value="approve" { "Approve" } }
                    @if offers.deny { button.deny name="word" value="deny" { "Deny" } }
                    @if offers.revoke { button.deny name="word" value="revoke" { "Take it back" } }
                }
            }
        }
    }
}

fn effect(word: &str) -> &str {
    match word {
        "read" => "reads, and changes nothing",
        "mitigate" => "changes running production",
        "propose" => "proposes something that a person accepts later",
        "destroy" => "destroys",
        other => other,
    }
}

fn undo(word: &str) -> &str {
    match word {
        "exact" => "exact: another call puts back what was there",
        "compensating" => "another action can make up for it, not put back what was there",
        "none" => "there is none",
        other => other,
    }
}

fn of(teams: &[String]) -> Markup {
    html! { @if !teams.is_empty() { " of " (shown(&teams.join(", "))) } }
}

fn until(session: &Session) -> Markup {
    html! { @if let Ok(at) = Timestamp::from_millisecond(session.until) { (moment(at)) } }
}

fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(format!("{at:.0}")) { (at.strftime("%H:%M UTC, %-d %b").to_string()) } }
}

/// How long that is from now.
fn left(at: Timestamp) -> String {
    match at.duration_since(Timestamp::now()).as_mins() {
        ..1 => "less than a minute left".to_owned(),
        1 => "1 minute left".to_owned(),
        minutes @ 2..120 => format!("{minutes} minutes left"),
        minutes => format!("{} hours left", minutes / 60),
    }
}
