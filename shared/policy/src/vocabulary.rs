//! Which words may policies use? The enumerated entity types, made from the configuration.

use std::collections::BTreeSet;

use crate::{UNKNOWN, Vocabulary, schema::quote};

/// Classes of data that a policy can reveal. `secret` is not one: it is always masked.
pub(crate) const REVEALABLE: [&str; 1] = ["pii"];

/// Entity types whose members are known.
pub(crate) const ENUMERATED: [&str; 5] = ["Environment", "Region", "Team", "Tier", "DataClass"];

impl Vocabulary {
    /// Members of an enumerated entity type; nothing for any other.
    pub(crate) fn members(&self, kind: &str) -> Option<BTreeSet<&str>> {
        let words = match kind {
            "Environment" => &self.environments,
            "Region" => &self.regions,
            "Team" => &self.teams,
            "Tier" => &self.tiers,
            "DataClass" => return Some(REVEALABLE.into()),
            _ => return None,
        };
        Some(words.iter().map(String::as_str).chain([UNKNOWN]).collect())
    }

    /// The part of the schema that the configuration makes.
    pub(crate) fn fragment(&self) -> String {
        let mut out = String::from("// Made from the configuration.\n");
        for kind in ENUMERATED {
            let members = self.members(kind).unwrap_or_default();
            let members: Vec<String> = members.into_iter().map(quote).collect();
            out.push_str(&format!("entity {kind} enum [{}];\n", members.join(", ")));
        }
        out
    }
}
