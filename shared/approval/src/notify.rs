//! Who is to hear of it, and what do they hear?

use std::{collections::BTreeSet, fmt};

use jiff::Timestamp;
use policy::Target;
use serde::{Deserialize, Serialize};

use crate::{ActionScope, BreakGlass, Request, Sealed, State, Stop};

/// What people can hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// People are asked.
    Asked,
    /// Somebody approved; others may be missing still.
    Approved,
    /// The person at the keyboard confirmed.
    Confirmed,
    /// Somebody said no.
    Denied,
    /// Whoever asked or agreed took it back.
    Revoked,
    /// Nobody agreed in time, or nobody carried it out in time.
    Expired,
    /// It is not what was agreed to any more, or everything was stopped.
    Void,
    /// It was carried out.
    Consumed,
    /// It was begun, and nobody knows how it ended.
    Unknown,
    /// Somebody gave an order to stop.
    Stopped,
    /// Another person lifted it.
    Resumed,
    /// Somebody broke the glass: they may approve alone for a while.
    Opened,
    /// They approved something by it.
    Used,
    /// It has ended, and another person has to review it.
    Closed,
    /// It has ended, and for another day nobody has reviewed it.
    Unreviewed,
    /// Another person reviewed it.
    Reviewed,
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// What rows of the store call them: the same in every process that may send to them.
    pub name: String,
    /// Of what.
    pub events: BTreeSet<Event>,
    /// Only what touches one of these teams, or is mapped to none; everything where there are none.
    pub teams: BTreeSet<String>,
    /// Only what touches one of these environments, or is mapped to none; everything where there are none.
    pub environments: BTreeSet<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// In a word.
    pub event: Event,
    /// When.
    pub at: Timestamp,
    /// Id of the request, of the order to stop, or of the break-glass.
    pub about: String,
    /// Who did it and what they remarked; empty where nobody did.
    pub note: String,
    /// What it is about.
    pub subject: Subject,
}

/// What a notice is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A request for agreement.
    Approval(Box<Asked>),
    /// An order to stop, in words.
    Stop {
        /// What it stops.
        scope: String,
    },
    /// A glass that somebody broke.
    #[serde(rename = "break_glass")]
    BreakGlass {
        /// What they may approve alone, in words.
        scope: String,
        /// Who broke it.
        by: String,
        /// When it ends, or has ended.
        until: Timestamp,
        /// Until when another person has to review it.
        review_by: Timestamp,
    },
}

/// A request as its notices tell it. What the agent wrote stands apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// How far it has come, in a word.
    pub state: String,
    /// Which tool, and where.
    pub heading: String,
    /// What kind of effect it is, and how it is undone.
    pub nature: String,
    /// Agent that asked.
    pub agent: String,
    /// Person it acts for.
    pub person: Option<String>,
    /// How well both are proven, in a word.
    pub assurance: String,
    /// Arguments but for the reason, one a line. The agent's.
    pub details: String,
    /// Why, in the agent's words.
    pub reason: Option<String>,
    /// How many people have to approve.
    pub approvals: u8,
    /// How many have.
    pub approved: u8,
    /// Whether the person at the keyboard has to confirm.
    pub confirm: bool,
    /// Whether they have.
    pub confirmed: bool,
    /// Until when it can be agreed to, or carried out; none once it has ended.
    pub until: Option<Timestamp>,
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 16] = [
        Event::Asked,
        Event::Approved,
        Event::Confirmed,
        Event::Denied,
        Event::Revoked,
        Event::Expired,
        Event::Void,
        Event::Consumed,
        Event::Unknown,
        Event::Stopped,
        Event::Resumed,
        Event::Opened,
        Event::Used,
        Event::Closed,
        Event::Unreviewed,
        Event::Reviewed,
    ];

    /// The word in configurations and in what is sent.
    pub fn word(self) -> &'static str {
        match self {
            Event::Asked => "asked",
            Event::Approved => "approved",
            Event::Confirmed => "confirmed",
            Event::Denied => "denied",
            Event::Revoked => "revoked",
            Event::Expired => "expired",
            Event::Void => "void",
            Event::Consumed => "consumed",
            Event::Unknown => "unknown",
            Event::Stopped => "stopped",
            Event::Resumed => "resumed",
            Event::Opened => "opened",
            Event::Used => "used",
            Event::Closed => "closed",
            Event::Unreviewed => "unreviewed",
            Event::Reviewed => "reviewed",
        }
    }

    /// The event of that word.
    pub fn of(word: &str) -> Option<Event> {
        Event::ALL.into_iter().find(|it| it.word() == word)
    }

    /// What is told of a request that ended so.
    pub(crate) fn ended(state: State) -> Option<Event> {
        match state {
            State::Denied => Some(Event::Denied),
            State::Expired => Some(Event::Expired),
            State::Revoked => Some(Event::Revoked),
            State::Void => Some(Event::Void),
            State::Consumed => Some(Event::Consumed),
            State::Unknown => Some(Event::Unknown),
            State::Pending | State::Approved | State::Reserved => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

impl Subscriber {
    /// Whether they hear of something that touches these targets. What is mapped to none may be anybody's, so everybody
    /// hears of it.
    pub(crate) fn hears(&self, event: Event, targets: &[Target]) -> bool {
        let within = |wanted: &BTreeSet<String>, it: &str| {
            wanted.is_empty() || it == policy::UNKNOWN || wanted.contains(it)
        };
        let touched =
            |it: &Target| within(&self.teams, &it.team) && within(&self.environments, &it.environment);
        self.events.contains(&event) && (targets.is_empty() || targets.iter().any(touched))
    }

    /// The same of an order to stop or a glass that was broken, which is about everything that it does not name.
    pub(crate) fn hears_of_scope(&self, event: Event, scope: &ActionScope) -> bool {
        let within = |wanted: &BTreeSet<String>, it: &Option<String>| {
            wanted.is_empty() || it.as_ref().is_none_or(|it| wanted.contains(it))
        };
        self.events.contains(&event)
            && within(&self.teams, &scope.team)
            && within(&self.environments, &scope.environment)
    }
}

impl Notice {
    /// What is told of a request as it stands now.
    pub(crate) fn of_request(event: Event, request: &Request, note: &str, at: Timestamp) -> Notice {
        let sealed: &Sealed = &request.sealed;
        let until = match request.state {
            State::Pending => Some(request.approve_by),
            State::Approved => Some(request.until),
            _ => None,
        };
        let asked = Asked {
            state: request.state.word().to_owned(),
            heading: sealed.heading(),
            nature: sealed.nature(),
            agent: sealed.agent(),
            person: sealed.person(),
            assurance: sealed.caller.assurance.word().to_owned(),
            details: sealed.details(),
            reason: sealed.reason(),
            approvals: request.approvals,
            approved: request.approved(),
            confirm: request.confirm,
            confirmed: request.confirmed(),
            until,
        };
        let (about, note) = (request.id.clone(), note.to_owned());
        Notice { event, at, about, note, subject: Subject::Approval(Box::new(asked)) }
    }

    /// What is told of an order to stop.
    pub(crate) fn of_stop(event: Event, stop: &Stop, note: String, at: Timestamp) -> Notice {
        let subject = Subject::Stop { scope: stop.scope.described() };
        Notice { event, at, about: stop.id.clone(), note, subject }
    }

    /// What is told of a glass that somebody broke.
    pub(crate) fn of_glass(event: Event, glass: &BreakGlass, note: String, at: Timestamp) -> Notice {
        let subject = Subject::BreakGlass {
            scope: glass.scope.described(),
            by: glass.by.clone(),
            until: glass.closed.as_ref().map_or(glass.until, |it| it.0),
            review_by: glass.review_by,
        };
        Notice { event, at, about: glass.id.clone(), note, subject }
    }
}

/// Who did something, and what they remarked.
pub(crate) fn said(name: &str, remark: &str) -> String {
    if remark.is_empty() { format!("by {name}") } else { format!("by {name}: {remark}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::tests::sealed;

    fn subscriber(teams: &[&str], environments: &[&str]) -> Subscriber {
        let set = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect();
        let events = BTreeSet::from([Event::Asked, Event::Stopped]);
        Subscriber { name: "s".to_owned(), events, teams: set(teams), environments: set(environments) }
    }

    #[test]
    fn what_is_mapped_to_nothing_reaches_everybody_and_anything_else_its_own() {
        let own = sealed().targets;
        let unknown = vec![Target { team: policy::UNKNOWN.to_owned(), ..own[0].clone() }];
        for (it, hears, hears_unknown) in [
            (subscriber(&[], &[]), true, true),
            (subscriber(&["shop"], &[]), true, true),
            (subscriber(&["checkout"], &[]), false, true),
            (subscriber(&["checkout", "shop"], &["production"]), true, true),
            (subscriber(&["shop"], &["staging"]), false, false),
        ] {
            assert_eq!(it.hears(Event::Asked, &own), hears, "{it:?}");
            assert_eq!(it.hears(Event::Asked, &unknown), hears_unknown, "{it:?}");
            assert!(it.hears(Event::Asked, &[]) && !it.hears(Event::Denied, &own));
            assert!(it.hears_of_scope(Event::Stopped, &ActionScope::default()));
        }
        let scope = ActionScope { team: Some("shop".to_owned()), ..ActionScope::default() };
        assert!(subscriber(&["shop"], &["staging"]).hears_of_scope(Event::Stopped, &scope));
        assert!(!subscriber(&["checkout"], &[]).hears_of_scope(Event::Stopped, &scope));
    }

    #[test]
    fn every_event_has_its_word() {
        for event in Event::ALL {
            assert_eq!(Event::of(event.word()), Some(event));
            assert_eq!(serde_json::to_value(event).expect("a word"), event.word());
        }
        assert!(
            State::ALL
                .into_iter()
                .all(|it| it.is_open() || it == State::Reserved || Event::ended(it).is_some())
        );
    }
}
