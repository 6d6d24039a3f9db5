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
        (_, []) => Err(ToolError::NotFound {
            kind: "connection",
            name: format!("of kind {kind}: none is configured"),
            suggestions: Vec::new(),
        }),
        (None, [only]) => Ok(only),
        (None, _) => Err(ToolError::NotFound {
            kind: "connection",
            name: "(not given, and several are configured)".to_owned(),
            suggestions: suggestions(),
        }),
        (Some(name), _) => connections.iter().find(|it| target(it).connection == **name).ok_or_else(|| {
            ToolError::NotFound { kind: "connection", name: name.to_string(), suggestions: suggestions() }
        }),
    }
}
