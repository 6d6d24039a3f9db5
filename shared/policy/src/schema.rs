//! How do tools become the words of policies? The emitter of the family's Cedar schema.

use serde_json::{Map, Value};

use crate::Effect;

/// What the schema needs to know of a tool.
#[derive(Clone, Debug)]
pub struct ToolShape {
    /// Tool name.
    pub name: String,
    /// Server that has it, e.g. `code`.
    pub server: String,
    /// The worst that a call can do.
    pub effect: Effect,
    /// JSON Schema of the arguments.
    pub input: Map<String, Value>,
}

/// Why tools have no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Cedar cannot hold it.
    #[error("{tool}: argument `{argument}`: {problem}")]
    Unrepresentable {
        /// Tool name.
        tool: String,
        /// Path of the argument.
        argument: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// The schema of the family, as committed.
pub fn emit_schema(_tools: &[ToolShape]) -> Result<String, SchemaError> {
    Ok(String::new())
}
