//! May they? Pure decisions from lists and Cedar policies. Start at [`Policy::decide`].
//!
//! Tools become the words of policies ([`emit_schema`]); the configuration adds its own ([`Vocabulary`]); lists and
//! `.cedar` files become rules, each checked against those words ([`Policy::load`]). A question is then put to the rules
//! whose scope covers its caller, tool and target; the others cost nothing.
//!
//! * **Invariant:** nothing is permitted that no rule permits, and a forbid wins over any number of permits.
//! * **Invariant:** a forbid that cannot be evaluated forbids; a permit that cannot be evaluated permits nothing.
//! * **Invariant:** a call is permitted only if every one of its targets is, and it has at least one.
//! * **Invariant:** more approvals, or a confirmation, never turn a permit into anything else.
//! * **Invariant:** only [`Policy::decide`] makes a [`Permit`].
//! * **Invariant:** no effect outside development rests on a team that only the configuration says the caller is in.
//! * **Invariant:** [`Policy::screen`] refuses nothing that [`Policy::decide`] could permit once the targets are narrowed.
//! * **Invariant:** [`Viewer::shows`] shows a row only if [`Policy::decide`] would permit the call with that target alone.
//! * **Invariant:** a rule that names a tool, argument, place, team or connection that there is not does not load.
//! * **Invariant:** a policy loads whole or not at all: one problem anywhere, and there is no [`Policy`].
//! * **Invariant:** this crate does no I/O, reads no clock and does not know MCP: the same question has the same answer.

mod answer;
mod asked;
mod cases;
mod connections;
mod decide;
mod declared;
mod explain;
mod family;
mod index;
mod limits;
mod lint;
mod lists;
mod load;
mod people;
mod policy;
mod problem;
mod question;
mod report;
mod rule;
mod schema;
mod screen;
mod setup;
mod slice;
mod source;
mod standing;
mod suggest;
mod syntax;
mod viewer;
mod vocabulary;
mod walk;

pub use answer::{Denial, NeedsApproval, Permit, Refusal};
pub use cases::{Case, CaseCall, CaseQuestion, Expected, Failure, Tested};
pub use people::Breaking;
pub use policy::Policy;
pub use problem::{LoadErrors, Problem};
pub use question::{
    Approver, Assurance, Caller, Change, Channel, Circumstances, Digest, Effect, Question, Target, UNKNOWN,
    Usage,
};
pub use report::{Explanation, RuleEffect, RuleLine, Standing, Verdict};
pub use schema::{SchemaError, ToolShape, emit_schema};
pub use setup::{ListEntry, Lists, Scope, Setup, Source, Vocabulary};
pub use suggest::{Form, Kept, Recorded, Suggested, Suggestion, suggest};
pub use viewer::Viewer;

/// Schema of the whole family, generated from the tools' definitions and held equal to them by a test.
pub const FAMILY_SCHEMA: &str = include_str!("../family.cedarschema");
