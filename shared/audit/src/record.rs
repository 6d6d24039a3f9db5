//! What does a record say? Its leaf, in closed words, and its payload, beside the tree.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{AuditError, Digest, canonical, digest, note::Checkpoint};

/// A call, as the gate knows it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What kind of record it is.
    pub event: Event,
    /// Server of the tool, e.g. `code`; empty when no tool was found.
    pub server: String,
    /// The tool's own name, never what a caller wrote.
    pub tool: Option<String>,
    /// `read`, `mitigate`, `propose` or `destroy`.
    pub effect: Option<&'static str>,
    /// Whose record it is, e.g. `agent:claude-code person:alice`. Only a keyed hash of it enters the tree, and the payload is
    /// sealed with a key of this subject's own.
    pub subject: String,
    /// How the call arrived, e.g. `stdio`.
    pub channel: &'static str,
    /// How well the caller is proven, e.g. `os_user`.
    pub assurance: &'static str,
    /// Digest of the policy in force.
    pub policy: Digest,
    /// Digest of the canonical call; zeros when there was none.
    pub call: Digest,
    /// How it was decided: one of [`VERDICTS`].
    pub verdict: &'static str,
    /// How it ended: one of [`OUTCOMES`]; none when nothing ran or nothing has ended yet.
    pub outcome: Option<&'static str>,
    /// Arguments, names, policies, the question: whatever may have to be erased. No floats.
    pub payload: Value,
}

/// What kind of record an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A read that ended, however it ended. Recorded once.
    Read,
    /// An effect that is about to start. Only [`crate::Log::admit_effect`] takes it.
    Intent,
    /// An effect that ended, or is given up on. Every intent has exactly one.
    Outcome {
        /// Index of the intent in the same log.
        intent: u64,
    },
    /// Something that was no call: a line that does not parse, an unknown tool, invalid arguments.
    Rejected,
    /// A call that may not run: denied, approval required, unresolved.
    Refused,
}

/// Words for how a call was decided.
pub const VERDICTS: [&str; 6] =
    ["permitted", "denied", "approval_required", "invalid", "unknown_tool", "unresolved"];
/// Words for how a call ended.
pub const OUTCOMES: [&str; 7] =
    ["ok", "tool_failed", "crashed", "timed_out", "cancelled", "unknown", "not_run"];

/// Longest leaf.
pub(crate) const LEAF_BYTES_MAX: usize = 32 * 1024;
/// Longest payload that is kept.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// What the leaf of an entry, the frames and the seal take at most beyond the payload: words are bounded by [`is_word`].
pub(crate) const OVERHEAD_BYTES_MAX: usize = 2048;

/// The kind of a record, as it stands in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    Start,
    Siblings,
    Recovered,
    Heartbeat,
    Stop,
    Read,
    Intent,
    Outcome,
    Rejected,
    Refused,
    Lost,
    Rotated,
    Revoked,
    Transition,
}

/// A record as the tree commits to it: format 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leaf {
    pub(crate) v: u8,
    pub(crate) index: u64,
    pub(crate) time: Timestamp,
    pub(crate) event: Word,
    #[serde(flatten)]
    pub(crate) facts: Facts,
}

/// What a leaf says beyond its place, time and kind. Absent fields are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effect: Option<String>,
    /// Pseudonym.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assurance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<String>,
    /// Of an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<u64>,
    /// SHA-256 over salt and payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commitment: Option<String>,
    /// Bytes of a payload that was too long and is kept as its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) omitted_bytes: Option<u64>,
    /// Of a start: the program's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// Of a start: id of the signing key under the log's origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Of a start: heads of the other logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) siblings: Option<Vec<Seen>>,
    /// Of a recovery: what was cut, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cut: Option<Vec<Cut>>,
    /// Of a stop; of a loss, in an operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Of an erasure: pseudonym of the subject whose key is destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) erased: Option<String>,
    /// Of a loss: the largest heads of the lost logs that anybody has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<Vec<Seen>>,
    /// Of a loss: what is left, and where it was put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<Vec<Left>>,
    /// Of a change of keys, under the old one: the new verifier key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// Of a change of keys, under the new one: the old verifier key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
    /// Of a change of keys, under the new one: the last heads that the old one signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) closed: Option<Vec<Seen>>,
    /// Of a revocation: the verifier key that is not to be trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revoked: Option<String>,
    /// Of a revocation: the heads up to which it still is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trusted: Option<Vec<Seen>>,
    /// Of a transition: what it is a step of, which step, and of which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) what: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
}

/// The head of a log as another log saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: String,
}

/// The folder of a damaged log that was put aside whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Left {
    /// Below `logs`.
    pub(crate) folder: String,
    /// Over its files, in hex.
    pub(crate) sha256: String,
}

/// Bytes after the last checkpoint that a recovery took away. They are kept beside the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// How many.
    pub bytes: u64,
    /// SHA-256 of them, in hex.
    pub sha256: String,
}

/// An entry that was checked, with its payload in canonical bytes.
pub(crate) struct Draft {
    pub(crate) word: Word,
    pub(crate) facts: Facts,
    /// Whose payload it is, in the clear.
    pub(crate) subject: String,
    pub(crate) payload: Vec<u8>,
}

impl From<&Checkpoint> for Seen {
    fn from(it: &Checkpoint) -> Seen {
        Seen { origin: it.origin.clone(), size: it.size, root: hex::encode(it.root) }
    }
}

impl Entry {
    /// Refuses what may not enter the tree, before anything is written.
    pub(crate) fn draft(self) -> Result<Box<Draft>, AuditError> {
        let (word, intent) = match self.event {
            Event::Read => (Word::Read, None),
            Event::Intent => (Word::Intent, None),
            Event::Outcome { intent } => (Word::Outcome, Some(intent)),
            Event::Rejected => (Word::Rejected, None),
            Event::Refused => (Word::Refused, None),
        };
        one_of("verdict", self.verdict, &VERDICTS)?;
        self.outcome.map_or(Ok(()), |it| one_of("outcome", it, &OUTCOMES))?;
        let server = (!self.server.is_empty()).then_some(self.server);
        let words = [
            ("server", server.as_deref()),
            ("tool", self.tool.as_deref()),
            ("effect", self.effect),
            ("channel", Some(self.channel)),
            ("assurance", Some(self.assurance)),
        ];
        for (field, text) in words {
            if let Some(text) = text.filter(|it| !is_word(it)) {
                return Err(AuditError::Malformed {
                    problem: format!("{field} {text:?}: expected 1 to 63 of a-z, 0-9, `-` and `_`"),
                });
            }
        }
        let (payload, omitted_bytes) = bounded(canonical(&self.payload)?, PAYLOAD_BYTES_MAX);
        let facts = Facts {
            server,
            tool: self.tool,
            effect: self.effect.map(str::to_owned),
            channel: Some(self.channel.to_owned()),
            assurance: Some(self.assurance.to_owned()),
            policy: Some(hex::encode(self.policy)),
            call: Some(hex::encode(self.call)),
            verdict: Some(self.verdict.to_owned()),
            outcome: self.outcome.map(str::to_owned),
            intent,
            omitted_bytes,
            ..Facts::default()
        };
        Ok(Box::new(Draft { word, facts, subject: self.subject, payload }))
    }
}

impl Draft {
    /// A record of the log's own, without payload.
    pub(crate) fn own(word: Word, facts: Facts) -> Draft {
        Draft { word, facts, subject: String::new(), payload: Vec::new() }
    }

    /// Most bytes it can take in a journal.
    pub(crate) fn size_bound(&self) -> usize {
        // Lists of other logs and of cuts are bounded by the leaf alone.
        let Facts { siblings, lost, closed, trusted, .. } = &self.facts;
        let heads = [siblings, lost, closed, trusted];
        let lists = self.facts.cut.is_some() || heads.into_iter().any(Option::is_some);
        OVERHEAD_BYTES_MAX + self.payload.len() + if lists { LEAF_BYTES_MAX } else { 0 }
    }

    /// Keeps only the digest of a payload over the bound, and says so in the leaf.
    pub(crate) fn shrink(&mut self, bytes_max: usize) {
        if self.facts.omitted_bytes.is_none() {
            let (payload, omitted) = bounded(std::mem::take(&mut self.payload), bytes_max);
            self.payload = payload;
            self.facts.omitted_bytes = omitted;
        }
    }
}

impl Leaf {
    /// The bytes that are hashed.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, AuditError> {
        let value = serde_json::to_value(self).expect("a leaf is plain data");
        let bytes = canonical(&value)?;
        match bytes.len() <= LEAF_BYTES_MAX {
            true => Ok(bytes),
            false => Err(AuditError::Malformed {
                problem: format!("a leaf of {} bytes; at most {LEAF_BYTES_MAX}", bytes.len()),
            }),
        }
    }

    /// Reads a leaf of format 1 that holds heads of other logs; cheap for all others.
    pub(crate) fn parse_own(bytes: &[u8]) -> Option<Leaf> {
        /// In canonical bytes nothing else looks like this: quotes within strings are escaped.
        const KEY: &[u8] = b"\"siblings\":[";
        bytes.windows(KEY.len()).any(|it| it == KEY).then(|| Leaf::parse(bytes)).flatten()
    }

    /// Reads a leaf of format 1 in its canonical spelling, which leaves no room for fields that the format does not have.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Leaf> {
        let leaf: Leaf = serde_json::from_slice(bytes).ok()?;
        (leaf.v == 1 && leaf.bytes().ok()? == bytes).then_some(leaf)
    }
}

/// A word of a closed vocabulary: nothing that a caller could have written prose into.
pub(crate) fn is_word(text: &str) -> bool {
    let valid = |it: u8| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    (1..=63).contains(&text.len()) && text.bytes().all(valid)
}

pub(crate) fn one_of(field: &str, word: &str, known: &[&str]) -> Result<(), AuditError> {
    match known.contains(&word) {
        true => Ok(()),
        false => Err(AuditError::Malformed {
            problem: format!("{field} {word:?}: expected one of {}", known.join(", ")),
        }),
    }
}

/// The payload, or its digest and size when it is too long: never a part of it.
pub(crate) fn bounded(payload: Vec<u8>, bytes_max: usize) -> (Vec<u8>, Option<u64>) {
    if payload.len() <= bytes_max {
        return (payload, None);
    }
    let bytes = payload.len() as u64;
    let mark = json!({ "omitted": { "bytes": bytes, "sha256": hex::encode(digest(&payload)) } });
    (canonical(&mark).expect("integers and text only"), Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf {
        let facts = Facts { tool: Some("list_commits".to_owned()), intent: Some(3), ..Facts::default() };
        Leaf { v: 1, index: 5, time: Timestamp::UNIX_EPOCH, event: Word::Outcome, facts }
    }

    #[test]
    fn a_leaf_reads_back_from_its_canonical_bytes() {
        let bytes = leaf().bytes().unwrap();
        let text = r#"{"event":"outcome","index":5,"intent":3,"time":"1970-01-01T00:00:00Z","tool":"list_commits","v":1}"#;
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text);
        assert_eq!(Leaf::parse(&bytes), Some(leaf()));
    }

    #[test]
    fn a_leaf_of_another_format_or_spelling_is_none() {
        let text = String::from_utf8(leaf().bytes().unwrap()).unwrap();
        let others = [
            text.replace("\"v\":1", "\"v\":2"),
            text.replace("\"v\":1", "\"v\":1,\"w\":1"),
            text.replace("\"tool\"", " \"tool\""),
            text.replace("outcome", "income"),
        ];
        assert!(others.iter().all(|it| Leaf::parse(it.as_bytes()).is_none()));
    }

    #[test]
    fn a_leaf_over_the_bound_is_refused() {
        let seen = Seen { origin: "x".repeat(100), size: 1, root: "0".repeat(64) };
        let facts = Facts { siblings: Some(vec![seen; 400]), ..Facts::default() };
        assert!(matches!(Leaf { facts, ..leaf() }.bytes(), Err(AuditError::Malformed { .. })));
    }
}
