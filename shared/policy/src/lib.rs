//! May they? Pure decisions from lists and Cedar policies.

mod answer;
mod policy;
mod problem;
mod question;
mod report;
mod schema;
mod setup;

pub use answer::{Denial, NeedsApproval, Permit, Refusal};
pub use policy::Policy;
pub use problem::{LoadErrors, Problem};
pub use question::{Assurance, Caller, Channel, Circumstances, Digest, Effect, Question, Target, UNKNOWN};
pub use report::{Explanation, RuleEffect, RuleLine, Standing, Verdict};
pub use schema::{SchemaError, ToolShape, emit_schema};
pub use setup::{ListEntry, Lists, Scope, Setup, Source, Vocabulary};

/// Schema of the whole family, generated from the tools' definitions and held equal to them by a test.
pub const FAMILY_SCHEMA: &str = include_str!("../family.cedarschema");
