//! Which configured connection an argument means.

use policy::Target;

use crate::{Suggestion, ToolError, args::Slug};

/// Picks a connection by name, or the only one there is. `target` gives what touching a connection touches.
pub fn pick<'a, C>(
    connections: &'a [C],
    wanted: Option<&Slug>,
    kind: &'static str,
    target: impl Fn(&C) -> Target,
) -> Result<&'a C, ToolError> {
    let suggestions = || {
        connections
            .iter()
            .map(&target)
            .map(|it| Suggestion { text: it.connection.clone(), target: Some(it) })
            .collect()
    };
    match (wanted, connections) {
        (_, []) => Err(ToolError::Invalid {
            argument: "connection",
            problem: format!(
                "of kind {kind} none is configured; a person adds [connections.NAME] with kind = \"{kind}\" to bailiwick.toml"
            ),
        }),
        (None, [only]) => Ok(only),
        (None, _) => Err(ToolError::Unnamed { kind: "connection", suggestions: suggestions() }),
        (Some(name), _) => connections.iter().find(|it| target(it).connection == **name).ok_or_else(|| {
            ToolError::NotFound { kind: "connection", name: name.to_string(), suggestions: suggestions() }
        }),
    }
}
