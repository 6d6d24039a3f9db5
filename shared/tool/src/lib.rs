//! What a tool is: one type that defines everything the family derives from it.
//!
//! Write the arguments as a struct, implement [`Tool`] for it, list it with [`define`]. The schema, the policy
//! question, the audit record, the docs and the contract test all come from that.
//!
//! * **Invariant:** a tool runs only with a [`Context`], which takes a permit and an admission for the same call: no
//!   decision, no run; no record, no run.
//! * **Invariant:** a write needs [`Context::leave`], which only a call with a durable intent has; a dry run has none.
//! * **Invariant:** this crate does not know MCP.

mod answer;
pub mod args;
mod connection;
mod context;
mod definition;
mod error;
mod schema;
mod window;

pub use answer::{Answer, Body, Column, Line, Lines, Next, Plot, Row, Table};
pub use connection::pick;
pub use context::{Context, Leave, Mismatch};
pub use definition::{ArgumentError, Bound, Call, Definition, Later, Listing, RawAnswer, define};
pub use error::{Suggestion, ToolError};
pub use policy::{Effect, Target};
pub use window::{Span, Window};

use std::future::Future;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// A tool, implemented for the struct of its arguments.
///
/// The struct's doc comment is the description a model reads; each field's doc comment describes that argument.
/// Put `#[serde(deny_unknown_fields)]` on it; give every optional field a default.
pub trait Tool: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static {
    /// What the model calls it: `verb_noun`, `[a-z0-9_]`, at most 40 characters, unique in the family.
    const NAME: &'static str;

    /// The worst that a call can do.
    const EFFECT: Effect;

    /// How what it did can be undone; for [`Effect::Mitigate`] only.
    const UNDO: Option<Undo> = None;

    /// The smallest profile that offers it.
    const PROFILE: Profile = Profile::Default;

    /// Words that a person would use for it and that stand neither in its name nor in its description, commas between
    /// them: clients that load tools by a search look here too. No model reads them.
    const SEARCH: &'static str = "";

    /// Facts that may quote outsiders (labels, remarks), so that they are marked like untrusted columns.
    const UNTRUSTED_FACTS: &'static [&'static str] = &[];

    /// What the tools of this server share: one client per system behind it.
    type Backends: Send + Sync + 'static;

    /// The facts of an answer, beside its rows or lines: a flat struct.
    type Facts: Serialize + JsonSchema + Send + 'static;

    /// Everything that a call with these arguments touches, from arguments and configuration alone. Asks no backend.
    fn targets(&self, backends: &Self::Backends) -> Result<Vec<Target>, ToolError>;

    /// Narrows the targets by asking a backend, before the policy decides. Most tools know them already: `None`.
    fn resolve(
        &self,
        _backends: &Self::Backends,
    ) -> impl Future<Output = Result<Option<Vec<Target>>, ToolError>> + Send {
        std::future::ready(Ok(None))
    }

    /// What a call would overwrite, in the words of the system that holds it: a generation, or a digest. People agree to the
    /// change of exactly that. Most calls overwrite nothing: `None`.
    fn before(
        &self,
        _backends: &Self::Backends,
    ) -> impl Future<Output = Result<Option<String>, ToolError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Whether this call only says what it would do. Such a call gets no [`Leave`].
    fn dry_run(&self) -> bool {
        false
    }

    /// Most tokens the answer may take.
    fn max_tokens(&self) -> u64 {
        args::MaxTokens::default().get()
    }

    /// Arguments worth showing. The contract test parses every one; the real answers' test sends them.
    fn examples() -> Vec<Value>;

    /// Does the work.
    fn run(
        &self,
        backends: &Self::Backends,
        context: &Context,
    ) -> impl Future<Output = Result<Answer<Self::Facts>, ToolError>> + Send;
}

/// How many of its tools a server offers. Clients pay for every definition on every request, so what few need stands
/// outside of the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// What most callers need.
    #[default]
    Default,
    /// Every tool.
    All,
}

impl Profile {
    /// Whether it offers a tool whose smallest profile is `least`.
    pub fn offers(self, least: Profile) -> bool {
        least <= self
    }

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Profile::Default => "default",
            Profile::All => "all",
        }
    }
}

/// How a mitigation can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// Another call puts back exactly what was.
    Exact,
    /// Another call counters it, but the past stays.
    Compensating,
    /// Nothing does.
    None,
}

impl Undo {
    /// The word in definitions and logs.
    pub fn word(self) -> &'static str {
        match self {
            Undo::Exact => "exact",
            Undo::Compensating => "compensating",
            Undo::None => "none",
        }
    }
}
