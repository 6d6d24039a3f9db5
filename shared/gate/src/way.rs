//! What may a caller ask instead, where a call that names no connection means several and policy denies one of them?
//!
//! Such a call is not narrowed by itself: what runs, what is recorded and what a policy was asked about stay the same
//! call, and an answer about a part never passes for one about all.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Gate, Refusal, trail::Trail};

/// The argument by which tools are told which.
const ARGUMENT: &str = "connection";

impl Gate {
    /// A denial of several connections with those that the caller may name one by one. Each is asked about as the call that
    /// would name it, so that nothing is offered which policy denies; of the others nothing is said.
    pub(crate) fn with_way(&self, refusal: Refusal, trail: &Trail) -> Refusal {
        let Refusal::Denied(denial) = refusal else { return refusal };
        let mut denial = trail.with_ticket(denial);
        let open: Vec<String> =
            self.open_connections(trail).into_iter().map(|it| format!("`{ARGUMENT}={it}`")).collect();
        if !open.is_empty() {
            let way = format!("name one that you may ask: {}", open.join(", "));
            denial.instead = Some(denial.instead.map_or(way.clone(), |it| format!("{it}; or {way}")));
        }
        Refusal::Denied(denial)
    }

    /// Connections that the call covers and that it may name.
    fn open_connections<'a>(&self, trail: &'a Trail) -> BTreeSet<&'a str> {
        let all: BTreeSet<&str> = trail.targets.iter().map(|it| it.connection.as_str()).collect();
        let named = trail.request.arguments.get(ARGUMENT).is_some_and(|it| !it.is_null());
        if named || all.len() < 2 {
            return BTreeSet::new();
        }
        all.into_iter().filter(|it| self.may_name(it, trail)).collect()
    }

    fn may_name(&self, connection: &str, trail: &Trail) -> bool {
        let Some((_, tool)) = self.find(&trail.request.tool) else { return false };
        let mut arguments = trail.request.arguments.clone();
        arguments.insert(ARGUMENT.to_owned(), Value::from(connection));
        // A tool without the argument, or for which this connection is of another kind, says so here.
        let Ok(call) = tool.parse(arguments) else { return false };
        let Ok(targets) = call.targets() else { return false };
        let input = call.input();
        let question = policy::Question { input: &input, targets: &targets, ..trail.question() };
        trail.policy.decide(&question).is_ok()
    }
}
