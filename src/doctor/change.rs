//! Could a change ticket be looked up?

use config::Config;
use tool::ToolError;

use super::{Asked, Check, ask};
use crate::change;

/// A ticket that nobody has.
const NOBODYS: &str = "BAILIWICK-0";

/// Whether the system that keeps tickets lets us ask for one; that it knows none by this name is an answer.
pub(super) async fn check(config: &Config) -> Option<Check> {
    let told = config.change.as_ref()?;
    let (path, query) = change::place(told, NOBODYS);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let query: Vec<(&str, &str)> =
        query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let found = |it: &str| format!("tickets at {}: {it}", told.http.url);
    Some(match ask("change", &told.http, &path, &query).await {
        Ok(_) => Check::well("change", found("answers")),
        Err(Asked::There(ToolError::Rejected { .. })) => {
            Check::well("change", found(&format!("answers, and shows no ticket {NOBODYS}, which nobody has")))
        }
        Err(asked) => {
            let (problem, instead) = asked.problem();
            let instead = format!("{instead}; until then no ticket counts as approved");
            Check::broken("change", found(&problem), &instead)
        }
    })
}
