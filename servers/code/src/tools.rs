//! Every tool of this server, in the order clients see them.

mod compare_revisions;
mod find_owners;
mod list_commits;
mod read_file;
mod search_code;
mod trace_lines;

use schemars::Schema;
use serde_json::Value;
use tool::{Listing, args::Number, define};

use crate::Backends;

/// Files passed over before the first shown.
type Skip = Number<0, 1_000_000>;

/// The list. A new tool is a file, a `mod` above and a line here.
pub fn all() -> Vec<Listing<Backends>> {
    vec![
        define::<list_commits::ListCommits>(),
        define::<read_file::ReadFile>(),
        define::<search_code::SearchCode>(),
        define::<compare_revisions::CompareRevisions>(),
        define::<trace_lines::TraceLines>(),
        define::<find_owners::FindOwners>(),
    ]
}

/// Leaves out of a schema of facts what no reader needs and every request pays for: which facts are always there, and
/// that a count is not negative.
fn plain(schema: &mut Schema) {
    schema.remove("required");
    if let Some(Value::Object(facts)) = schema.get_mut("properties") {
        facts.values_mut().filter_map(Value::as_object_mut).for_each(|it| {
            it.remove("minimum");
        });
    }
}

fn passed(skip: Option<Skip>) -> u64 {
    skip.map_or(0, Skip::get)
}

/// The first characters, with a mark when there are more: masked before they are cut.
fn clip(text: &str, most: usize) -> String {
    redact::short(text, most)
}

#[cfg(test)]
pub(crate) use self::{
    compare_revisions::CompareRevisions, find_owners::FindOwners, list_commits::ListCommits,
    read_file::ReadFile, search_code::SearchCode, trace_lines::TraceLines,
};
