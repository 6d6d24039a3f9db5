//! Which rules? Two hundred, as an organisation with forty teams might have them: 60 % about one of the teams, 20 % about
//! one tool, 10 % about an effect, 10 % about everything; half with a condition, a quarter forbids.

use std::collections::BTreeSet;

/// How many.
pub(crate) const COUNT: usize = 200;
const TEAMS: usize = 40;

/// Words of the vocabulary.
pub(crate) fn teams() -> BTreeSet<String> {
    (0..TEAMS).map(|it| format!("team-{it}")).collect()
}

/// Cedar text over these tools. Reads are permitted, and no forbid holds.
pub(crate) fn text(tools: &[&str]) -> String {
    let mut text =
        "@id(\"reads\") permit (principal, action in Action::\"effect:read\", resource);\n".to_owned();
    for nth in 1..COUNT {
        let (action, resource) = match nth * 10 / COUNT {
            0..6 => (
                "action in Action::\"call\"".to_owned(),
                format!("resource in Team::\"team-{}\"", nth % TEAMS),
            ),
            6..8 => (format!("action == Action::\"{}\"", tools[nth % tools.len()]), "resource".to_owned()),
            8 => {
                let effect = ["read", "mitigate"][nth % 2];
                (format!("action in Action::\"effect:{effect}\""), "resource".to_owned())
            }
            _ => ("action in Action::\"call\"".to_owned(), "resource".to_owned()),
        };
        text += &rule(nth, &action, &resource);
    }
    text
}

fn rule(nth: usize, action: &str, resource: &str) -> String {
    let effect = if nth.is_multiple_of(4) { "forbid" } else { "permit" };
    // None ever holds here, so that every rule is looked at to its end.
    let conditions = [
        format!("resource.id == \"other-{nth}\""),
        format!(
            "principal == Agent::\"agent-{nth}\" || context.assurance == \"token\" && context.channel == \"stdio\""
        ),
        "context.channel == \"cli\" && context.minute_of_day < 360".to_owned(),
    ];
    let when = match nth % 4 {
        0 | 1 => format!(" when {{ {} }}", conditions[nth / 4 % conditions.len()]),
        _ => String::new(),
    };
    format!(
        "@id(\"rule-{nth:03}\") @reason(\"why {nth}\") {effect} (principal, {action}, {resource}){when};\n"
    )
}
