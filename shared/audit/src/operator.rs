//! Who lays hands on the log itself? Erasures, accepted losses, changes and revocations of keys are recorded like everything
//! else, in logs of their own.

use std::path::Path;

use serde_json::Value;

use crate::{
    AuditError, Log, Options, canonical,
    record::{Draft, Facts, Word},
};

/// Whose logs hold what operators do.
pub(crate) const OPERATOR: &str = "operator";

/// Somebody at the command line who changes what is kept.
#[derive(Clone, Debug)]
pub struct Operator {
    /// As in [`crate::Entry::subject`], e.g. `agent:local person:alice`.
    pub subject: String,
    /// How well that is proven, e.g. `os_user`.
    pub assurance: &'static str,
    /// How the operators' log is kept.
    pub options: Options,
}

impl Operator {
    /// Blocks on the disk.
    pub(crate) fn open(&self, state: &Path) -> Result<Log, AuditError> {
        Log::open(state, OPERATOR, self.options.clone()).map(|(log, _)| log)
    }

    /// A record of the operator's, with a payload that must not name whom an erasure is about.
    pub(crate) fn draft(
        &self,
        word: Word,
        tool: &str,
        facts: Facts,
        payload: &Value,
    ) -> Result<Box<Draft>, AuditError> {
        let facts = Facts {
            server: Some(OPERATOR.to_owned()),
            tool: Some(tool.to_owned()),
            channel: Some("cli".to_owned()),
            assurance: Some(self.assurance.to_owned()),
            verdict: facts.verdict.or_else(|| Some("permitted".to_owned())),
            ..facts
        };
        let payload = canonical(payload)?;
        Ok(Box::new(Draft { word, facts, subject: self.subject.clone(), payload }))
    }
}
