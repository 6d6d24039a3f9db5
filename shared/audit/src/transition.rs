//! What happened that was no call? An approval was given or used, somebody pressed stop or broke the glass, a policy was taken: one
//! record for each step.

use serde_json::Value;

use crate::{
    AuditError, Digest, canonical,
    record::{Draft, Facts, PAYLOAD_BYTES_MAX, Word, bounded, is_word, one_of},
};

/// One step of something that is no call.
#[derive(Clone, Debug)]
pub struct Transition {
    /// What it is a step of: a word of [`TRANSITIONS`].
    pub what: &'static str,
    /// Which step: one of those that [`TRANSITIONS`] has for it.
    pub step: &'static str,
    /// Which one it is, in 1 to 63 of `[a-z0-9_-]`: the id of an approval, without which its steps cannot be paired.
    pub reference: Option<String>,
    /// Who did it, e.g. `person:alice`, or `bailiwick` where it did so by itself, as when an approval expires. As of calls, only a
    /// keyed hash of it enters the tree.
    pub subject: String,
    /// How it arrived, e.g. `http`.
    pub channel: &'static str,
    /// How well whoever did it is proven, e.g. `token`.
    pub assurance: &'static str,
    /// Digest of the policy in force; of a step of a policy, that policy's.
    pub policy: Digest,
    /// Digest of the canonical call that it is about; zeros when there is none.
    pub call: Digest,
    /// Names, comments, what would run: whatever may have to be erased. No floats. `by` names whoever did it and `comment` is what
    /// they said, where `audit tail` looks for both.
    pub payload: Value,
}

/// What transitions are about, and the steps of each.
pub const TRANSITIONS: [(&str, &[&str]); 4] = [
    (
        APPROVAL,
        &[
            "asked",
            "joined",
            "approved",
            "confirmed",
            "denied",
            "revoked",
            "expired",
            RESERVED,
            CONSUMED,
            RELEASED,
            UNKNOWN,
            "void",
        ],
    ),
    ("stop", &["stopped", "resumed"]),
    ("break_glass", &["opened", "closed", "reviewed"]),
    ("policy", &["taken", "refused", "rolled_back"]),
];

/// What has an id, and steps that must fit together.
const APPROVAL: &str = "approval";
/// Durable before the effect begins.
const RESERVED: &str = "reserved";
/// The effect ran.
const CONSUMED: &str = "consumed";
/// It did not run, and may yet.
const RELEASED: &str = "released";
/// Nobody knows whether it ran.
const UNKNOWN: &str = "unknown";

impl Transition {
    /// Refuses what may not enter the tree, before anything is written.
    pub(crate) fn draft(self) -> Result<Box<Draft>, AuditError> {
        let malformed = |problem: String| Err(AuditError::Malformed { problem });
        let known = TRANSITIONS.map(|(what, _)| what);
        one_of("what", self.what, &known)?;
        let steps =
            TRANSITIONS.iter().find(|(what, _)| *what == self.what).map_or(&[][..], |(_, steps)| steps);
        one_of(&format!("step of {}", self.what), self.step, steps)?;
        let words = [
            ("reference", self.reference.as_deref()),
            ("channel", Some(self.channel)),
            ("assurance", Some(self.assurance)),
        ];
        for (field, text) in words {
            if let Some(text) = text.filter(|it| !is_word(it)) {
                return malformed(format!("{field} {text:?}: expected 1 to 63 of a-z, 0-9, `-` and `_`"));
            }
        }
        if self.what == APPROVAL && self.reference.is_none() {
            return malformed("an approval's step has no reference: expected the approval's id".to_owned());
        }
        if self.subject.is_empty() {
            return malformed(
                "a step has no subject: expected who did it, e.g. `person:alice`, or `bailiwick`".to_owned(),
            );
        }
        let (payload, omitted_bytes) = bounded(canonical(&self.payload)?, PAYLOAD_BYTES_MAX);
        let facts = Facts {
            what: Some(self.what.to_owned()),
            step: Some(self.step.to_owned()),
            reference: self.reference,
            channel: Some(self.channel.to_owned()),
            assurance: Some(self.assurance.to_owned()),
            policy: Some(hex::encode(self.policy)),
            call: Some(hex::encode(self.call)),
            omitted_bytes,
            ..Facts::default()
        };
        Ok(Box::new(Draft { word: Word::Transition, facts, subject: self.subject, payload }))
    }
}

/// Whether these facts say what became of an effect that an approval was reserved for.
pub(crate) fn ends_an_effect(facts: &Facts) -> bool {
    facts.what.as_deref() == Some(APPROVAL)
        && facts.step.as_deref().is_some_and(|it| [CONSUMED, RELEASED, UNKNOWN].contains(&it))
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};
    use serde_json::json;

    use super::*;
    use crate::{record::Leaf, verify::leaf};

    fn transition() -> Transition {
        Transition {
            what: "approval",
            step: "approved",
            reference: Some("a1b2".to_owned()),
            subject: "person:bob".to_owned(),
            channel: "http",
            assurance: "token",
            policy: [2; 32],
            call: [1; 32],
            payload: json!({ "by": "bob", "comment": "go ahead" }),
        }
    }

    /// The leaf as the ledger completes it.
    fn bytes(transition: Transition) -> Vec<u8> {
        let draft = transition.draft().unwrap();
        let facts =
            Facts { subject: Some("0f".repeat(16)), commitment: Some("0e".repeat(32)), ..draft.facts };
        let time = jiff::Timestamp::UNIX_EPOCH;
        Leaf { v: 1, index: 7, time, event: draft.word, facts }.bytes().unwrap()
    }

    #[test]
    fn what_the_table_does_not_have_is_not_drafted_and_the_right_words_are_named() {
        let refused = [
            (Transition { what: "approvals", ..transition() }, "expected one of approval, stop"),
            (
                Transition { step: "approve", ..transition() },
                "step of approval \"approve\": expected one of asked",
            ),
            (Transition { what: "stop", ..transition() }, "expected one of stopped, resumed"),
            (Transition { reference: Some("A 1".to_owned()), ..transition() }, "reference \"A 1\""),
            (Transition { reference: Some("a".repeat(64)), ..transition() }, "expected 1 to 63"),
            (Transition { reference: None, ..transition() }, "the approval's id"),
            (Transition { subject: String::new(), ..transition() }, "who did it"),
            (Transition { channel: "", ..transition() }, "channel \"\""),
            (Transition { assurance: "Token", ..transition() }, "assurance \"Token\""),
        ];
        for (it, says) in refused {
            let Err(error) = it.clone().draft() else { panic!("{it:?} was drafted") };
            assert!(error.to_string().contains(says), "{error}: {says}");
        }
        let float = Transition { payload: json!({ "ratio": 0.5 }), ..transition() };
        assert!(matches!(float.draft(), Err(AuditError::NotCanonical(_))));
        let stop = Transition { what: "stop", step: "stopped", reference: None, ..transition() };
        assert!(stop.draft().is_ok(), "only approvals need a reference");
    }

    fn any_transition() -> impl Strategy<Value = Transition> {
        let step = select(TRANSITIONS.as_slice())
            .prop_flat_map(|(what, steps)| select(steps).prop_map(move |step| (what, step)));
        (step, "[a-z0-9_-]{1,63}", any::<bool>()).prop_map(|((what, step), id, named)| {
            let reference = (named || what == APPROVAL).then_some(id);
            Transition { what, step, reference, ..transition() }
        })
    }

    proptest! {
        #[test]
        fn what_is_drafted_reads_back_for_readers_and_verifiers(it in any_transition()) {
            let bytes = bytes(it.clone());
            let parsed = Leaf::parse(&bytes).unwrap();
            prop_assert_eq!(parsed.facts.step.as_deref(), Some(it.step));
            let step = leaf::Leaf::read(&bytes).unwrap().step.unwrap();
            prop_assert_eq!((step.what.as_str(), step.step.as_str(), step.reference), (it.what, it.step, it.reference));
        }

        #[test]
        fn a_leaf_that_lacks_a_field_or_says_another_word_is_named(it in any_transition(), other in "[a-z_]{1,12}") {
            let whole: Value = serde_json::from_slice(&bytes(it.clone())).unwrap();
            for (name, _) in whole.as_object().unwrap() {
                let mut lacking = whole.clone();
                lacking.as_object_mut().unwrap().remove(name);
                let read = leaf::Leaf::read(&canonical(&lacking).unwrap());
                if name == "reference" && it.what != APPROVAL {
                    prop_assert!(read.is_ok());
                } else {
                    let why = read.unwrap_err();
                    prop_assert!(why.contains(&format!("`{name}`")) || name == "event", "{}: {}", name, why);
                }
            }
            let steps = TRANSITIONS.iter().flat_map(|(_, steps)| *steps);
            for name in ["what", "step", "event"] {
                prop_assume!(!steps.clone().any(|it| *it == other) && !["stop", "policy", "approval"].contains(&other.as_str()));
                let mut changed = whole.clone();
                changed[name] = other.clone().into();
                let why = leaf::Leaf::read(&canonical(&changed).unwrap()).unwrap_err();
                prop_assert!(why.contains(name), "{}: {}", name, why);
            }
        }
    }
}
