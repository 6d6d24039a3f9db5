//! What is somebody told? Facts first; what the agent wrote is masked like anything that leaves, and marked as the agent's.

use approval::{Asked, Event, Notice, Subject};
use reqwest::Url;
use serde_json::{Map, Value, json};

/// Most characters of what the agent wrote that are told of its arguments, and of its reason.
const WRITTEN_MAX: usize = 4000;

/// A notice without secrets, as both forms tell it.
pub(super) struct Plain {
    /// Which tool and where, or what is stopped.
    pub(super) heading: String,
    /// Facts on it, one a line.
    pub(super) facts: Vec<String>,
    /// Arguments as the agent wrote them, one a line.
    pub(super) details: String,
    /// Why, in the agent's words.
    pub(super) reason: Option<String>,
    /// Who did it and what they remarked.
    pub(super) note: String,
}

/// The body as JSON. The same in every attempt.
pub(super) fn json(id: &str, notice: &Notice, base: Option<&Url>) -> Vec<u8> {
    let plain = Plain::of(notice);
    let mut data = Map::new();
    let about = match &notice.subject {
        Subject::Approval(asked) => {
            data.insert("approval".to_owned(), notice.about.clone().into());
            data.extend(facts(asked));
            "approval"
        }
        Subject::Stop { .. } => {
            data.insert("stop".to_owned(), notice.about.clone().into());
            data.insert("state".to_owned(), notice.event.word().into());
            "stop"
        }
        Subject::BreakGlass { by, until, review_by, .. } => {
            data.insert("break_glass".to_owned(), notice.about.clone().into());
            data.insert("state".to_owned(), notice.event.word().into());
            data.insert("opened_by".to_owned(), by.clone().into());
            data.insert("until".to_owned(), json!(until));
            data.insert("review_by".to_owned(), json!(review_by));
            "break_glass"
        }
    };
    data.insert("what".to_owned(), plain.whole().into());
    data.insert("note".to_owned(), plain.note.into());
    if let Some(link) = link(notice, base) {
        data.insert("link".to_owned(), link.into());
    }
    let kind = format!("{about}.{}", notice.event);
    let whole = json!({ "v": 1, "id": id, "type": kind, "timestamp": notice.at, "data": data });
    whole.to_string().into_bytes()
}

fn facts(asked: &Asked) -> Map<String, Value> {
    let Asked { state, agent, person, assurance, .. } = asked;
    let facts = json!({
        "state": state,
        "asked_by": { "agent": agent, "person": person, "assurance": assurance },
        "approvals": { "needed": asked.approvals, "given": asked.approved },
        "confirmation": { "needed": asked.confirm, "given": asked.confirmed },
        "until": asked.until,
    });
    let Value::Object(facts) = facts else { return Map::new() };
    facts
}

/// Where a person looks at it and decides. It authorises nothing.
pub(super) fn link(notice: &Notice, base: Option<&Url>) -> Option<String> {
    let Subject::Approval(_) = notice.subject else { return None };
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    let id = Some(&notice.about).filter(|it| it.bytes().all(plain))?;
    base?.join(id).ok().map(String::from)
}

impl Plain {
    pub(super) fn of(notice: &Notice) -> Plain {
        // Names of people stay: without them nobody knows whom to ask.
        let named = |text: &str| config::clean(&gate::redact(text, true).0);
        let note = named(&notice.note);
        let asked = match &notice.subject {
            Subject::Approval(asked) => asked,
            Subject::Stop { scope } => {
                let (details, reason) = (String::new(), None);
                return Plain { heading: named(scope), facts: Vec::new(), details, reason, note };
            }
            Subject::BreakGlass { scope, by, until, review_by } => {
                let (details, reason) = (String::new(), None);
                let mut facts = vec![format!("opened by: {}", named(by)), format!("until: {until:.0}")];
                if notice.event != Event::Reviewed {
                    facts.push(format!("another person reviews it by: {review_by:.0}"));
                }
                return Plain { heading: named(scope), facts, details, reason, note };
            }
        };
        let Asked { agent, person, assurance, nature, .. } = &**asked;
        let person = person.as_ref().map(|it| format!(" for {}", named(it))).unwrap_or_default();
        let mut facts = vec![named(nature), format!("asked by: {}{person} ({assurance})", named(agent))];
        facts.extend(needs(asked));
        let until = |it| format!("until: {it:.0}");
        facts.extend(asked.until.map(until));
        Plain {
            heading: named(&asked.heading),
            facts,
            details: written(&asked.details),
            reason: asked.reason.as_deref().map(written),
            note,
        }
    }

    /// All of it as one text.
    fn whole(&self) -> String {
        let mut lines = vec![self.heading.clone()];
        lines.extend(self.facts.iter().cloned());
        lines.extend(self.details.lines().map(str::to_owned));
        lines.extend(self.reason.as_ref().map(|it| format!("the agent says why: \"{it}\"")));
        lines.join("\n")
    }
}

/// What is missing, or was given, in words.
fn needs(asked: &Asked) -> Option<String> {
    let Asked { approvals, approved, .. } = asked;
    let confirmed = match (asked.confirm, asked.confirmed) {
        (true, true) => Some("confirmed at the keyboard"),
        (true, false) => Some("to be confirmed at the keyboard"),
        (false, _) => None,
    };
    let approved = (*approvals > 0).then(|| format!("{approved} of {approvals} approved"));
    let parts: Vec<String> = approved.into_iter().chain(confirmed.map(str::to_owned)).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What an agent wrote, without secrets and personal details, and not longer than anybody reads.
fn written(text: &str) -> String {
    let masked = gate::redact(text, false).0;
    let line = |it: &str| config::clean(it);
    let clean = masked.lines().map(line).collect::<Vec<_>>().join("\n");
    match clean.char_indices().nth(WRITTEN_MAX) {
        Some((end, _)) => format!("{}… [the request holds all]", &clean[..end]),
        None => clean,
    }
}

/// What happened, for whoever reads one line.
pub(super) fn headline(notice: &Notice) -> &'static str {
    let only_confirm = match &notice.subject {
        Subject::Approval(asked) => asked.approvals == 0,
        Subject::Stop { .. } | Subject::BreakGlass { .. } => false,
    };
    match notice.event {
        Event::Asked if only_confirm => "Confirmation wanted",
        Event::Asked => "Approval wanted",
        Event::Approved => "A person approved",
        Event::Confirmed => "Confirmed at the keyboard",
        Event::Denied => "Denied",
        Event::Revoked => "Taken back",
        Event::Expired => "Expired",
        Event::Void => "Void",
        Event::Consumed => "Carried out",
        Event::Unknown => "Outcome unknown: somebody has to look",
        Event::Stopped => "Stopped",
        Event::Resumed => "Resumed",
        Event::Opened => "Glass broken: one person may approve alone",
        Event::Used => "Approved alone, by a break-glass",
        Event::Closed => "Break-glass over: another person reviews it",
        Event::Unreviewed => "Break-glass still waits for a review",
        Event::Reviewed => "Break-glass reviewed",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;

    use super::*;

    /// A notice of an agent that writes this as its reason and as an argument.
    pub(in crate::notify) fn notice(text: &str) -> Notice {
        let word = |it: &str| it.to_owned();
        let asked = Asked {
            state: word("pending"),
            heading: word("silence_alert on alerts (production, team shop)"),
            nature: word("effect: mitigate; undo: exact"),
            agent: word("claude-code"),
            person: Some(word("alice@example.com")),
            assurance: word("token"),
            details: format!("comment: {text}\n"),
            reason: Some(word(text)),
            approvals: 2,
            approved: 1,
            confirm: true,
            confirmed: false,
            until: Some("2026-11-22T04:00:00Z".parse().expect("a time")),
        };
        let at: Timestamp = "2026-11-22T03:00:00Z".parse().expect("a time");
        let subject = Subject::Approval(Box::new(asked));
        Notice { event: Event::Asked, at, about: word("apr-k3v9m2q7x4c8r5tz"), note: String::new(), subject }
    }

    fn parsed(notice: &Notice, base: Option<&str>) -> Value {
        let base = base.map(|it| it.parse().expect("an address"));
        serde_json::from_slice(&json("ntf-1", notice, base.as_ref())).expect("JSON")
    }

    #[test]
    fn a_program_is_told_facts_by_name_and_a_person_a_text() {
        let told = parsed(&notice("noise"), Some("https://bailiwick.example.com/approvals/"));
        assert_eq!(
            (&told["v"], &told["id"], &told["type"]),
            (&json!(1), &json!("ntf-1"), &json!("approval.asked"))
        );
        let data = &told["data"];
        assert_eq!(data["asked_by"]["person"], "alice@example.com");
        assert_eq!(data["approvals"], json!({ "needed": 2, "given": 1 }));
        assert_eq!(data["until"], "2026-11-22T04:00:00Z");
        assert_eq!(data["link"], "https://bailiwick.example.com/approvals/apr-k3v9m2q7x4c8r5tz");
        let what = "silence_alert on alerts (production, team shop)\neffect: mitigate; undo: exact\n\
                    asked by: claude-code for alice@example.com (token)\n\
                    1 of 2 approved, to be confirmed at the keyboard\nuntil: 2026-11-22T04:00:00Z\n\
                    comment: noise\nthe agent says why: \"noise\"";
        assert_eq!(data["what"], what);
        assert_eq!(parsed(&notice("noise"), None)["data"].get("link"), None);
    }

    #[test]
    fn a_break_glass_says_whose_it_is_how_long_it_holds_and_by_when_somebody_looks_at_it() {
        let time = |it: &str| it.parse().expect("a time");
        let subject = Subject::BreakGlass {
            scope: "team=shop".to_owned(),
            by: "carol@example.com".to_owned(),
            until: time("2026-11-22T03:30:00Z"),
            review_by: time("2026-11-25T03:30:00Z"),
        };
        let (about, note) = ("bg-k3v9m2q7x4c8r5tz".to_owned(), "by carol@example.com: INC-7".to_owned());
        let opened = Notice { event: Event::Opened, about, note, subject, ..notice("") };
        let told = parsed(&opened, Some("https://bailiwick.example.com"));
        assert_eq!(told["type"], "break_glass.opened");
        let right = json!({
            "break_glass": "bg-k3v9m2q7x4c8r5tz", "state": "opened", "opened_by": "carol@example.com",
            "until": "2026-11-22T03:30:00Z", "review_by": "2026-11-25T03:30:00Z",
            "what": "team=shop\nopened by: carol@example.com\nuntil: 2026-11-22T03:30:00Z\n\
                     another person reviews it by: 2026-11-25T03:30:00Z",
            "note": "by carol@example.com: INC-7",
        });
        assert_eq!(told["data"], right);
    }

    #[test]
    fn secrets_and_strangers_in_what_the_agent_wrote_are_masked() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let told = parsed(&notice(&format!("for carol@example.org with {token}")), None).to_string();
        assert!(!told.contains(&token) && !told.contains("carol@example.org"), "{told}");
    }

    #[test]
    fn a_link_is_made_of_our_own_words_only() {
        let base: Url = "https://bailiwick.example.com/approvals/".parse().expect("an address");
        let odd = Notice { about: "x/../../evil|text>".to_owned(), ..notice("noise") };
        assert_eq!(link(&odd, Some(&base)), None);
    }
}
