//! How is a person's data erased from a log that nobody can change? The key that seals it is destroyed.
//!
//! The tree holds pseudonyms and salted commitments, which say nothing without their secrets; what can be erased lies beside it,
//! sealed with a key of its subject's own. So an erasure changes no record: it is one.

use std::path::Path;

use serde_json::json;

use crate::{
    AuditError, Log, Operator, Receipt,
    keys::Subjects,
    record::{Facts, Word},
};

/// What the record of an erasure calls it.
const TOOL: &str = "erase_subject";

/// Destroys the key of a subject: what was recorded for it before can be opened no more, here. A running server looks keys up
/// record by record, so it goes on with a new one.
///
/// `hold` names subjects that must be kept, by all or some of their words: `person:alice` holds her whichever agent acted for
/// her. A refusal is recorded too.
///
/// The intent is durable before the key is destroyed, and the outcome after. Whatever a crash leaves between the two, the
/// erasure can be asked for again, and verification says what became of it.
pub async fn erase(
    state: &Path,
    subject: &str,
    hold: &[String],
    operator: &Operator,
) -> Result<Receipt, AuditError> {
    check(subject)?;
    let Some(mut keys) = Subjects::load(state)? else { return Err(nothing(subject)) };
    let pseudonym = keys.pseudonym(subject);
    let held = hold.iter().find(|it| holds(it, subject));
    if held.is_none() && !keys.has_subject(&pseudonym)? {
        return Err(nothing(subject));
    }
    let log = operator.open(state)?;
    let erased = match held {
        Some(by) => refuse(&log, operator)
            .await
            .and_then(|_| Err(AuditError::Held { subject: subject.to_owned(), by: by.clone() })),
        None => destroy(&log, operator, &mut keys, &pseudonym).await,
    };
    let closed = log.close("erase").await;
    erased.and_then(|receipt| closed.map(|()| receipt))
}

async fn destroy(
    log: &Log,
    operator: &Operator,
    keys: &mut Subjects,
    pseudonym: &str,
) -> Result<Receipt, AuditError> {
    let facts =
        Facts { effect: Some("destroy".to_owned()), erased: Some(pseudonym.to_owned()), ..Facts::default() };
    let payload = json!({ "operator": operator.subject });
    let intent = log.append(operator.draft(Word::Intent, TOOL, facts.clone(), &payload)?).await?;
    let destroyed = keys.destroy_subject(pseudonym);
    let outcome = if destroyed.is_ok() { "ok" } else { "unknown" };
    let facts = Facts { intent: Some(intent.index()), outcome: Some(outcome.to_owned()), ..facts };
    let recorded = log.append(operator.draft(Word::Outcome, TOOL, facts, &payload)?).await;
    destroyed?;
    recorded
}

/// The record of a refusal names nobody: whoever may not be erased is not marked by having been asked about.
async fn refuse(log: &Log, operator: &Operator) -> Result<Receipt, AuditError> {
    let facts =
        Facts { effect: Some("destroy".to_owned()), verdict: Some("denied".to_owned()), ..Facts::default() };
    let payload = json!({ "operator": operator.subject });
    log.append(operator.draft(Word::Refused, TOOL, facts, &payload)?).await
}

/// A subject is what records were made for: `agent:<name>`, and `person:<name>` where it acted for somebody.
fn check(subject: &str) -> Result<(), AuditError> {
    let words: Vec<&str> = subject.split(' ').collect();
    let named = |word: &str, kind: &str| word.strip_prefix(kind).is_some_and(|it| !it.is_empty());
    let fits = match words.as_slice() {
        [agent] => named(agent, "agent:"),
        [agent, person] => named(agent, "agent:") && named(person, "person:"),
        _ => false,
    };
    match fits {
        true => Ok(()),
        false => Err(AuditError::Malformed {
            problem: format!(
                "subject {subject:?}: expected `agent:<name>` or `agent:<name> person:<name>`; every agent that acted for a \
                 person is a subject of its own"
            ),
        }),
    }
}

/// Whether an entry of the hold list is about a subject. An entry without a word is about everybody.
fn holds(entry: &str, subject: &str) -> bool {
    entry.split_whitespace().all(|word| subject.split(' ').any(|it| it == word))
}

fn nothing(subject: &str) -> AuditError {
    let problem = "nothing is sealed for this subject: it was never recorded here, or it was erased before";
    AuditError::NoRecord { selector: subject.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_about_every_subject_that_has_its_words() {
        let alice = "agent:claude person:alice";
        assert!(holds("person:alice", alice) && holds(alice, alice) && holds("", alice));
        assert!(holds("person:alice agent:claude", alice), "in any order");
        for other in ["person:ali", "agent:cursor person:alice", "person:bob"] {
            assert!(!holds(other, alice), "{other}");
        }
    }

    #[test]
    fn a_subject_is_an_agent_and_perhaps_a_person() {
        for good in ["agent:a", "agent:a person:b"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in
            ["", "person:b", "agent:", "agent:a person:", "agent:a  person:b", "agent:a person:b team:c", "a"]
        {
            assert!(matches!(check(bad), Err(AuditError::Malformed { .. })), "{bad}");
        }
    }
}
