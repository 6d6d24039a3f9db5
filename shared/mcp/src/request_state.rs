//! Is what a client brings back with an answer what it was given with the question?
//!
//! The client keeps the state, so it is sealed with a key that all replicas share, and says of whom and of which call it is:
//! any replica can take the answer, and nobody can take it to another call. That it counts once is the store's to hold.

use approval::StoreError;
use jiff::{SignedDuration, Timestamp};
use policy::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::seal;
pub(crate) use crate::seal::KEY_BYTES;

/// Whose call, and which: to the letter what the client sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binding {
    agent: String,
    person: String,
    tool: String,
    /// SHA-256 of the canonical arguments, in hex.
    arguments: String,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    approval: String,
    of: Binding,
    /// Milliseconds since 1970.
    until: i64,
}

/// Why a state does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// Nobody here sealed it.
    #[error("the requestState was not given out here, or was changed; send the call again without one")]
    Forged,
    /// It was given to somebody, or for something, else.
    #[error("the requestState is of another caller, tool or arguments; send the call again without one")]
    Other,
    /// It has run out.
    #[error("the requestState is older than {} minutes; send the call again without one", KEPT.as_mins())]
    Stale,
    /// It cannot be looked into now.
    #[error("the requestState cannot be checked: {0}")]
    Unchecked(#[from] StoreError),
}

/// How long a person has to answer a form.
const KEPT: SignedDuration = SignedDuration::from_mins(5);
/// What else the key may seal is no request state.
const PURPOSE: &[u8] = b"bailiwick request state 1";

impl Binding {
    /// Of a call that acts for a person; nothing where there is none to ask, or no one way to write its arguments down.
    pub(crate) fn of(caller: &Caller, tool: &str, arguments: &Map<String, Value>) -> Option<Binding> {
        let arguments = audit::canonical(&json!(arguments)).ok()?;
        Some(Binding {
            agent: caller.agent.clone(),
            person: caller.on_behalf_of.clone()?,
            tool: tool.to_owned(),
            arguments: hex::encode(audit::digest(&arguments)),
        })
    }
}

/// What a client brings back with the answer to a question about `approval`.
pub(crate) fn seal(
    key: &[u8; KEY_BYTES],
    approval: &str,
    of: &Binding,
    now: Timestamp,
) -> Result<String, Unfit> {
    let until = now.checked_add(KEPT).unwrap_or(now).as_millisecond();
    let state = State { approval: approval.to_owned(), of: of.clone(), until };
    let text = serde_json::to_vec(&state).expect("plain data");
    Ok(seal::seal(key, PURPOSE, &text)?)
}

/// The approval that an answer is about, if the state was given for this very call and not long ago.
pub(crate) fn open(
    key: &[u8; KEY_BYTES],
    state: &str,
    of: Option<&Binding>,
    now: Timestamp,
) -> Result<String, Unfit> {
    let text = seal::open(key, PURPOSE, state);
    let state: State = text.and_then(|it| serde_json::from_slice(&it).ok()).ok_or(Unfit::Forged)?;
    if of != Some(&state.of) {
        return Err(Unfit::Other);
    }
    match now.as_millisecond() < state.until {
        true => Ok(state.approval),
        false => Err(Unfit::Stale),
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    use policy::Assurance;

    use super::*;

    const KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];

    fn caller(agent: &str, person: Option<&str>) -> Caller {
        let person = person.map(str::to_owned);
        Caller {
            agent: agent.to_owned(),
            on_behalf_of: person,
            teams: Vec::new(),
            assurance: Assurance::Token,
        }
    }

    fn binding(agent: &str, person: &str, tool: &str, arguments: Value) -> Binding {
        let arguments = arguments.as_object().expect("an object").clone();
        Binding::of(&caller(agent, Some(person)), tool, &arguments).expect("canonical arguments")
    }

    fn minutes(count: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(count)
    }

    fn own() -> Binding {
        binding("claude-code", "alice", "silence_alert", json!({ "a": 1, "b": { "c": "d", "e": [1] } }))
    }

    fn sealed() -> String {
        seal(&KEY, "apr-1", &own(), minutes(0)).expect("randomness")
    }

    #[test]
    fn what_was_given_out_opens_for_five_minutes_and_then_not_any_more() {
        let state = sealed();
        let kept = KEPT - SignedDuration::from_millis(1);
        for now in [minutes(0), Timestamp::UNIX_EPOCH + kept] {
            assert_eq!(open(&KEY, &state, Some(&own()), now).expect("in time"), "apr-1");
        }
        for now in [minutes(5), minutes(6), minutes(600)] {
            assert!(matches!(open(&KEY, &state, Some(&own()), now), Err(Unfit::Stale)), "{now}");
        }
        assert!(Unfit::Stale.to_string().contains("older than 5 minutes"), "{}", Unfit::Stale);
    }

    #[test]
    fn a_state_is_of_one_caller_one_tool_and_one_set_of_arguments() {
        let state = sealed();
        let same = json!({ "a": 1, "b": { "c": "d", "e": [1] } });
        let reordered = json!({ "b": { "e": [1], "c": "d" }, "a": 1 });
        let again = binding("claude-code", "alice", "silence_alert", reordered);
        assert!(open(&KEY, &state, Some(&again), minutes(1)).is_ok(), "the order of keys says nothing");
        for other in [
            binding("cursor", "alice", "silence_alert", same.clone()),
            binding("claude-code", "bob", "silence_alert", same.clone()),
            binding("claude-code", "Alice", "silence_alert", same.clone()),
            binding("claude-code", "alice", "expire_silence", same.clone()),
            binding("claude-code", "alice", "silence_alert", json!({ "a": 2, "b": same["b"] })),
            binding("claude-code", "alice", "silence_alert", json!({ "a": 1 })),
            binding("claude-code", "alice", "silence_alert", json!({ "a": "1", "b": same["b"] })),
        ] {
            assert!(matches!(open(&KEY, &state, Some(&other), minutes(1)), Err(Unfit::Other)), "{other:?}");
        }
        assert!(matches!(open(&KEY, &state, None, minutes(1)), Err(Unfit::Other)));
    }

    #[test]
    fn a_state_with_any_byte_changed_cut_or_added_was_not_given_out_here() {
        let state = sealed();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&state).expect("our own");
        let refused = |bytes: &[u8]| {
            let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
            matches!(open(&KEY, &text, Some(&own()), minutes(1)), Err(Unfit::Forged))
        };
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(refused(&changed) && refused(&bytes[..at]), "{at}");
        }
        assert!(refused(&[bytes.as_slice(), &[0]].concat()));
        for text in ["", " ", "apr-1", "=", &format!("{state}="), &format!(" {state}")] {
            assert!(matches!(open(&KEY, text, Some(&own()), minutes(1)), Err(Unfit::Forged)), "{text}");
        }
        let other = [8; KEY_BYTES];
        assert!(matches!(open(&other, &state, Some(&own()), minutes(1)), Err(Unfit::Forged)));
    }

    #[test]
    fn a_state_tells_its_keeper_nothing_and_none_is_like_another() {
        let state = sealed();
        assert_ne!(state, sealed());
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&state).expect("our own");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("alice") && !text.contains("apr-"), "{text}");
    }

    #[test]
    fn without_a_person_there_is_nobody_to_ask() {
        assert_eq!(Binding::of(&caller("deployer", None), "silence_alert", &Map::new()), None);
    }
}
