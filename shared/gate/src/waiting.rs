//! How does an agent wait for people, and go on once they agreed? `await_approval` and `run_approved`.

use std::{sync::Arc, time::Duration};

use approval::{Request, State};
use jiff::Timestamp;
use policy::{Effect, Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Context, Tool, ToolError, Undo,
    args::{Number, Text},
};

use crate::{Approvals, approvals::Hindrance, authority::own};

/// Name of the tool that waits for people.
pub(crate) const AWAIT: &str = <AwaitApproval as Tool>::NAME;
/// Name of the tool that the gate itself carries out.
pub(crate) const RUN: &str = <RunApproved as Tool>::NAME;

/// Wait for people to decide on a call that needs their approval or confirmation.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwaitApproval {
    /// Id from approval_required.
    #[schemars(with = "String")]
    approval: Text<1, 64>,
    /// Longest wait, 0 to 25.
    #[serde(default = "wait")]
    wait_seconds: Number<0, 25>,
}

/// Do what was approved, exactly as it was asked for, once.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunApproved {
    /// Id from approval_required.
    #[schemars(with = "String")]
    approval: Text<1, 64>,
}

/// How it stands.
#[derive(Serialize, JsonSchema)]
pub struct Awaited {
    /// Which.
    approval: String,
    /// pending, approved, reserved, consumed, denied, expired, revoked, void or unknown.
    state: String,
    /// Why it ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    /// What would be done.
    what: String,
    /// Who agreed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agreed: Vec<String>,
    /// People missing.
    missing: u8,
    /// Until when; UTC.
    until: String,
    /// The call that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Value>,
}

/// How often the store is asked.
const ASK: Duration = Duration::from_millis(300);
/// Left of the deadline for the answer.
const MARGIN: Duration = Duration::from_secs(2);

impl Tool for AwaitApproval {
    const NAME: &'static str = "await_approval";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "approve, confirm, pending, permission, wait, poll";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["note", "what"];
    type Backends = Arc<Approvals>;
    type Facts = Awaited;

    fn targets(&self, _approvals: &Arc<Approvals>) -> Result<Vec<Target>, ToolError> {
        Ok(vec![own()])
    }

    fn examples() -> Vec<Value> {
        vec![json!({ "approval": "apr-k3v9m2q7x4c8r5tz" })]
    }

    async fn run(&self, approvals: &Arc<Approvals>, context: &Context) -> Result<Answer<Awaited>, ToolError> {
        let wait = Duration::from_secs(self.wait_seconds.get());
        let last = (tokio::time::Instant::now() + wait).min(context.deadline() - MARGIN);
        // Whoever finds no room hears how it stands now.
        let room = approvals.waiting.try_acquire();
        loop {
            let found = approvals.own(&self.approval, context.caller(), Timestamp::now()).await;
            let request = found.map_err(|it| refused(&self.approval, it))?;
            let over = tokio::time::Instant::now() >= last;
            if request.state != State::Pending || over || room.is_err() {
                return Ok(Answer::facts(awaited(request)));
            }
            tokio::time::sleep_until(last.min(tokio::time::Instant::now() + ASK)).await;
        }
    }
}

impl Tool for RunApproved {
    const NAME: &'static str = "run_approved";
    const EFFECT: Effect = Effect::Mitigate;
    const UNDO: Option<Undo> = Some(Undo::None);
    const SEARCH: &'static str = "execute, perform, proceed, continue, approved";
    type Backends = Arc<Approvals>;
    type Facts = Awaited;

    fn targets(&self, _approvals: &Arc<Approvals>) -> Result<Vec<Target>, ToolError> {
        Ok(vec![own()])
    }

    fn examples() -> Vec<Value> {
        vec![json!({ "approval": "apr-k3v9m2q7x4c8r5tz" })]
    }

    /// A gate that keeps approvals carries out the stored call in place of this one; another has none to carry out.
    async fn run(
        &self,
        _approvals: &Arc<Approvals>,
        _context: &Context,
    ) -> Result<Answer<Awaited>, ToolError> {
        let problem = "no approvals are kept here, so there is nothing to run".to_owned();
        Err(ToolError::Closed { problem })
    }
}

fn wait() -> Number<0, 25> {
    Number::new(20).expect("20 is at most 25")
}

fn awaited(request: Request) -> Awaited {
    let then = match request.state {
        State::Pending => {
            Some(json!({ "tool": AwaitApproval::NAME, "arguments": { "approval": request.id } }))
        }
        State::Approved => Some(json!({ "tool": RUN, "arguments": { "approval": request.id } })),
        _ => None,
    };
    let until = if request.state == State::Pending { request.approve_by } else { request.until };
    Awaited {
        state: request.state.word().to_owned(),
        what: request.sealed.described(),
        agreed: request.votes.iter().map(|it| format!("{} ({})", it.name, it.kind.word())).collect(),
        missing: request.approvals.saturating_sub(request.counted()),
        until: format!("{until:.0}"),
        note: request.note,
        approval: request.id,
        then,
    }
}

fn refused(id: &str, hindrance: Hindrance) -> ToolError {
    match hindrance {
        Hindrance::Store(error) => {
            ToolError::Unavailable { backend: "approvals".to_owned(), problem: error.to_string() }
        }
        _ => ToolError::NotFound { kind: "approval", name: id.to_owned(), suggestions: Vec::new() },
    }
}
