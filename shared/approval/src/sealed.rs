//! What exactly would be done? Nothing that is carried out stands anywhere else.

use std::fmt::Write;

use policy::{Caller, Target};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// One exact action, as people agree to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Server that has the tool.
    pub server: String,
    /// Tool name.
    pub tool: String,
    /// `mitigate`, `propose` or `destroy`; `read` where even looking needs agreement.
    pub effect: String,
    /// How it can be undone, in a word.
    pub undo: String,
    /// SHA-256 of the schema of the arguments, in hex: a tool that has changed meanwhile is another tool.
    pub schema: String,
    /// Arguments after defaults.
    pub arguments: Map<String, Value>,
    /// What it touches.
    pub targets: Vec<Target>,
    /// What it would overwrite, as the system of record says; none where it overwrites nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Who asked.
    pub caller: Caller,
    /// What no other action has.
    pub nonce: String,
}

/// Longest value of an argument that is shown in full beside the others.
const VALUE_CHARACTERS_MAX: usize = 400;

impl Sealed {
    /// The text that is kept, and its digest.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }

    /// What a person reads: what the server knows first, then what the agent says, as the agent's.
    pub fn described(&self) -> String {
        let person = self.person().map(|it| format!(" for {it}")).unwrap_or_default();
        let asker = format!("{}{person} ({})", self.agent(), self.caller.assurance.word());
        let reason = match self.reason() {
            Some(reason) => format!("the agent says why: \"{reason}\""),
            None => "the agent gives no reason".to_owned(),
        };
        let (heading, nature) = (self.heading(), self.nature());
        format!("{heading}\n{nature}\nasked by: {asker}\n{}{reason}\n", self.details())
    }

    /// Which tool, and where.
    pub(crate) fn heading(&self) -> String {
        format!("{} on {}", self.tool, self.places())
    }

    /// What kind of effect it is, and how it is undone.
    pub(crate) fn nature(&self) -> String {
        format!("effect: {}; undo: {}", self.effect, self.undo)
    }

    /// The agent that asked.
    pub fn agent(&self) -> String {
        shown(&self.caller.agent)
    }

    /// The person it acts for.
    pub fn person(&self) -> Option<String> {
        self.caller.on_behalf_of.as_deref().map(shown)
    }

    /// Arguments but for the reason, one a line.
    pub(crate) fn details(&self) -> String {
        let mut out = String::new();
        for (name, value) in self.arguments.iter().filter(|(name, _)| *name != "reason") {
            let _ = writeln!(out, "{name}: {}", argument(value));
        }
        out
    }

    /// The same in full, by name, and of lists one a line: for where there is room, since whoever agrees agrees to all of it.
    pub fn written(&self) -> Vec<(String, Vec<String>)> {
        let line = |it: &Value| shown(&text(it));
        let lines = |it: &Value| match it {
            Value::Array(items) if !items.is_empty() => items.iter().map(line).collect(),
            one => vec![line(one)],
        };
        let others = self.arguments.iter().filter(|(name, _)| *name != "reason");
        others.map(|(name, value)| (shown(name), lines(value))).collect()
    }

    /// Why, in the agent's words, on one line.
    pub fn reason(&self) -> Option<String> {
        self.arguments.get("reason").and_then(Value::as_str).map(shown)
    }

    /// Where it would act, at most a handful by name.
    pub fn places(&self) -> String {
        const NAMED_MAX: usize = 5;
        let name = |it: &Target| {
            let id = if it.id == it.connection { String::new() } else { format!("/{}", it.id) };
            format!("{}{} ({}, team {})", shown(&it.connection), shown(&id), it.environment, it.team)
        };
        let named: Vec<String> = self.targets.iter().take(NAMED_MAX).map(name).collect();
        match self.targets.len().saturating_sub(NAMED_MAX) {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }

    /// Digest of all of it, in hex.
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.text()))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as it is, or how much of it there is.
fn argument(value: &Value) -> String {
    let text = text(value);
    let length = text.chars().count();
    match length > VALUE_CHARACTERS_MAX {
        false => shown(&text),
        true => {
            let start: String = text.chars().take(VALUE_CHARACTERS_MAX).collect();
            format!(
                "{}… [{} more characters; the request holds all]",
                shown(&start),
                length - VALUE_CHARACTERS_MAX
            )
        }
    }
}

/// On one line, with nothing that moves the cursor or turns the reading direction.
pub fn shown(text: &str) -> String {
    let plain = |it: char| match it {
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
            '\u{fffd}'
        }
        it if it.is_control() => ' ',
        it => it,
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use policy::Assurance;
    use serde_json::json;

    use super::*;

    pub(crate) fn sealed() -> Sealed {
        let place = |it: &str| it.to_owned();
        let Value::Object(arguments) = json!({ "matchers": ["alertname=\"Noise\""], "duration_minutes": 60, "reason": "noise\nteam: other" })
        else {
            unreachable!("an object")
        };
        Sealed {
            server: place("observability"),
            tool: place("silence_alert"),
            effect: place("mitigate"),
            undo: place("exact"),
            schema: "00".repeat(32),
            arguments,
            targets: vec![Target {
                kind: "alerts".into(),
                id: place("alerts"),
                connection: place("alerts"),
                environment: place("production"),
                region: place("unknown"),
                team: place("shop"),
                tier: place("unknown"),
            }],
            before: None,
            caller: Caller {
                agent: place("claude-code"),
                on_behalf_of: Some(place("alice@example.com")),
                teams: vec![place("shop")],
                assurance: Assurance::Token,
            },
            nonce: place("n"),
        }
    }

    #[test]
    fn what_a_person_reads_begins_with_facts_and_marks_the_agents_words() {
        let text = sealed().described();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "silence_alert on alerts (production, team shop)");
        assert_eq!(lines[2], "asked by: claude-code for alice@example.com (token)");
        assert_eq!(lines.last(), Some(&"the agent says why: \"noise team: other\""), "{text}");
    }

    #[test]
    fn where_there_is_room_nothing_is_cut_and_nothing_begins_a_line_of_its_own() {
        let mut sealed = sealed();
        let long = "x".repeat(2 * VALUE_CHARACTERS_MAX);
        sealed.arguments["matchers"] = json!([long, "a\nb\u{202e}c", 5]);
        let written = sealed.written();
        assert_eq!(
            written[0],
            ("matchers".to_owned(), vec![long, "a b\u{fffd}c".to_owned(), "5".to_owned()])
        );
        assert_eq!(written.len(), 2, "the reason stands elsewhere, as the agent's: {written:?}");
    }

    #[test]
    fn every_part_of_an_action_is_sealed() {
        let whole = sealed();
        let others = [
            Sealed { tool: "expire_silence".to_owned(), ..whole.clone() },
            Sealed { schema: "11".repeat(32), ..whole.clone() },
            Sealed { arguments: Map::new(), ..whole.clone() },
            Sealed { targets: Vec::new(), ..whole.clone() },
            Sealed { before: Some("1".to_owned()), ..whole.clone() },
            Sealed { nonce: "m".to_owned(), ..whole.clone() },
        ];
        assert!(others.iter().all(|it| it.digest() != whole.digest()));
        assert_eq!(serde_json::from_str::<Sealed>(&whole.text()).ok(), Some(whole));
    }
}
