//! What is a call, exactly? What its digest binds, and the facts that its record keeps.

use redact::{Masked, redact_value};
use serde_json::{Map, Value, json};

use super::{Trail, bounded};
use crate::{Refusal, approvals::Grant};

/// What was put into the form that is hashed, and is recorded in the same.
#[derive(Clone)]
pub(super) struct Bound {
    caller: Value,
    targets: Value,
}

/// Most bytes of unparsed arguments, and of a message that may quote them, that a record keeps.
pub(super) const RAW_BYTES_MAX: usize = 4096;
/// Most bytes of a name that a client chose. Without a bound a long one would push the rest out of the record, which
/// keeps only the digest of a payload that is too long.
pub(crate) const NAME_BYTES_MAX: usize = 256;

/// Room for the facts of a usual call.
const FACTS: usize = 8;

impl Trail {
    /// Binds everything decided from here on to exactly this call.
    pub(crate) fn resolved(&mut self) -> Result<(), Refusal> {
        let input = Value::Object(std::mem::take(&mut self.input));
        let (caller, targets) = (json!(self.request.caller), json!(self.targets));
        let bytes = audit::canonical_object([
            ("server", &self.server.as_str().into()),
            ("tool", &self.tool_name().into()),
            ("arguments", &input),
            ("targets", &targets),
            ("caller", &caller),
        ]);
        if let Value::Object(input) = input {
            self.input = input;
        }
        self.bound = Some(Bound { caller, targets });
        let bytes = bytes.map_err(|error| {
            Refusal::Arguments(tool::ArgumentError {
                argument: self.tool_name().to_owned(),
                problem: error.to_string(),
            })
        })?;
        self.digest = audit::digest(&bytes);
        Ok(())
    }

    pub(super) fn payload(&self, bound: Option<Bound>) -> Map<String, Value> {
        let as_it_is = || Bound { caller: json!(self.request.caller), targets: json!(self.targets) };
        let Bound { caller, targets } = bound.unwrap_or_else(as_it_is);
        let mut payload = Map::with_capacity(FACTS);
        payload.insert("caller".to_owned(), caller);
        let client = self.request.client.as_deref().map(|it| bounded(it, NAME_BYTES_MAX));
        payload.insert("client".to_owned(), json!(client));
        payload.insert("tool".to_owned(), bounded(&self.request.tool, NAME_BYTES_MAX).into());
        match self.input.is_empty() {
            false => payload.insert("arguments".to_owned(), Value::Object(self.input.clone())),
            // What did not parse may hold anything, floats among it: it is kept as text, and bounded.
            true => payload.insert("arguments_text".to_owned(), self.raw().into()),
        };
        payload.insert("targets".to_owned(), targets);
        payload.insert("policies".to_owned(), json!(self.permitted_by));
        payload.insert("dry_run".to_owned(), self.dry_run.into());
        self.tell_ticket(&mut payload);
        if let Some(Grant { waiting }) = &self.grant {
            let agreed: Vec<_> =
                waiting.votes.iter().map(|it| json!({ "who": it.name, "how": it.kind.word() })).collect();
            let mut approval = json!({ "id": waiting.id, "agreed": agreed });
            if let Some(glass) = waiting.by_glass() {
                approval["break_glass"] = glass.into();
            }
            payload.insert("approval".to_owned(), approval);
        }
        payload
    }

    fn raw(&self) -> String {
        let mut arguments = Value::Object(self.request.arguments.clone());
        // Names tell which values are secret, as long as they are names.
        redact_value(&mut arguments, false, &mut Masked::default());
        bounded(&arguments.to_string(), RAW_BYTES_MAX)
    }
}
