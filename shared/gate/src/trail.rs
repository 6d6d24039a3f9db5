//! What is known of a call so far, and what its record will say.

mod payload;

use std::sync::Arc;

use approval::Ending;
use audit::{Admission, AuditError, Digest, Entry, Event, Receipt};
use jiff::Timestamp;
use policy::{Caller, Change, Channel, Circumstances, Effect, Permit, Policy, Question, Target, Usage};
use redact::{Masked, redact, redact_value};
use serde_json::{Map, Value, json};
use tool::{Call, Definition, ToolError};

pub(crate) use self::payload::NAME_BYTES_MAX;
use self::payload::{Bound, RAW_BYTES_MAX};
use crate::{Hindrance, Refusal, Request, approvals::Grant, hold::Hold, shape::Shaped, usage::Counted};

/// Grows as the steps of a call succeed.
pub(crate) struct Trail {
    pub(crate) request: Request,
    pub(crate) now: Timestamp,
    pub(crate) input: Map<String, Value>,
    pub(crate) targets: Vec<Target>,
    /// Of the call; zero until it is resolved.
    pub(crate) digest: Digest,
    pub(crate) max_tokens: u64,
    /// Whether tool and arguments are known, so that policy can be asked what may be shown.
    pub(crate) asked: bool,
    pub(crate) intent: Option<Receipt>,
    /// What people agreed to, where this is that.
    pub(crate) grant: Option<Grant>,
    /// Its place among its caller's calls.
    pub(crate) counted: Option<Counted>,
    /// Whether the tool was started.
    pub(crate) begun: bool,
    /// What it holds while it acts.
    pub(crate) hold: Option<Box<Hold>>,
    pub(crate) server: String,
    tool: Option<(&'static str, Effect)>,
    /// Caller and targets as they were bound; the record says the same.
    bound: Option<Bound>,
    dry_run: bool,
    pub(crate) untrusted_facts: &'static [&'static str],
    pub(crate) permitted_by: Vec<String>,
    /// What the call is held to: once it is decided, a later one does not reach it.
    pub(crate) policy: Arc<Policy>,
    /// How long ago a witness has cosigned the log last, in seconds; none where none has.
    pub(crate) witnessed_seconds: Option<u64>,
    /// What the caller has done lately, this call among it; none where nobody counted.
    pub(crate) usage: Option<Usage>,
    /// The change ticket that the call names; none where none was looked up.
    pub(crate) change: Option<Change>,
    /// Why a ticket that the call names could not be.
    pub(crate) unchecked: Option<String>,
}

impl Trail {
    pub(crate) fn new(request: Request, policy: Arc<Policy>) -> Trail {
        Trail {
            request,
            now: Timestamp::now(),
            input: Map::new(),
            targets: Vec::new(),
            digest: [0; 32],
            bound: None,
            max_tokens: 2000,
            asked: false,
            intent: None,
            grant: None,
            counted: None,
            begun: false,
            hold: None,
            server: String::new(),
            tool: None,
            dry_run: false,
            untrusted_facts: &[],
            permitted_by: Vec::new(),
            policy,
            witnessed_seconds: None,
            usage: None,
            change: None,
            unchecked: None,
        }
    }

    pub(crate) fn found(&mut self, server: &str, definition: &Definition) {
        self.server = server.to_owned();
        self.tool = Some((definition.name, definition.effect));
        self.untrusted_facts = definition.untrusted_facts;
    }

    pub(crate) fn parsed(&mut self, call: &dyn Call) {
        self.input = call.input();
        self.max_tokens = call.max_tokens();
        self.dry_run = call.dry_run();
        self.asked = true;
    }

    pub(crate) fn permitted(&mut self, permit: &Permit) {
        self.permitted_by = permit.policies().to_vec();
    }

    pub(crate) fn admitted(&mut self, admission: &Admission) {
        self.intent = admission.intent().cloned();
    }

    /// An intent that is durable here and not at the collector begins nothing, and has an outcome that says so.
    pub(crate) fn not_begun(&mut self, error: &AuditError) {
        if let AuditError::Uncollected { intent, .. } = error {
            self.intent.clone_from(intent);
        }
    }

    /// What a policy may ask of the moment.
    pub(crate) fn circumstances(&self) -> Circumstances {
        Circumstances {
            approvals: self.grant.as_ref().map_or(0, |it| it.waiting.counted()),
            confirmed: self.grant.as_ref().is_some_and(|it| it.waiting.confirmed()),
            witnessed_seconds: self.witnessed_seconds,
            usage: self.usage,
            change: self.change.clone(),
            ..Circumstances::of(self.request.channel, self.now)
        }
    }

    /// What a policy is asked about the call.
    pub(crate) fn question(&self) -> Question<'_> {
        Question {
            caller: &self.request.caller,
            tool: self.tool_name(),
            input: &self.input,
            targets: &self.targets,
            digest: self.digest,
            circumstances: self.circumstances(),
        }
    }

    /// The tool's own name where one was found, so that what a client wrote never reaches a closed field.
    pub(crate) fn tool_name(&self) -> &'static str {
        self.tool.map_or("", |(name, _)| name)
    }

    /// The worst that a call of the tool can do.
    pub(crate) fn effect(&self) -> Effect {
        self.tool.map_or(Effect::Destroy, |(_, effect)| effect)
    }

    /// Whether the call changes something: an effect that is no dry run.
    pub(crate) fn acts(&self) -> bool {
        !self.dry_run && self.tool.is_none_or(|(_, effect)| effect != Effect::Read)
    }

    /// What becomes of what the call holds.
    pub(crate) fn ending(&self, refusal: Option<&Refusal>) -> Ending {
        match refusal {
            _ if !self.begun => Ending::Released,
            None => Ending::Consumed,
            // It told what it did not do, or what it did.
            Some(Refusal::Failed(error)) if !matches!(error, ToolError::Unknown { .. }) => Ending::Consumed,
            // What only looks leaves nothing behind.
            Some(_) if !self.acts() => Ending::Consumed,
            Some(_) => Ending::Unknown,
        }
    }

    /// The first record of an effect.
    pub(crate) fn intent(&self) -> Entry {
        self.entry(Event::Intent, "permitted", None, self.payload(self.bound.clone()))
    }

    /// The last record of a call; of a read, the only one.
    pub(crate) fn outcome(&mut self, shaped: &Shaped, refusal: Option<&Refusal>) -> Entry {
        let bound = self.bound.take();
        let mut payload = self.payload(bound);
        // Of five fields at once: a map that grows by one is put together anew.
        let sha256 = hex::encode(audit::digest(shaped.text.as_bytes()));
        let mut result = Map::from_iter([
            ("shown_bytes".to_owned(), shaped.text.len().into()),
            ("sha256".to_owned(), sha256.into()),
            ("masked".to_owned(), json!(shaped.masked)),
            ("hidden_by_policy".to_owned(), shaped.hidden.into()),
            ("omitted".to_owned(), shaped.omitted.into()),
        ]);
        if let Some(image) = &shaped.image {
            let sha256 = hex::encode(audit::digest(&image.bytes));
            let image = json!({ "mime": image.mime, "bytes": image.bytes.len(), "sha256": sha256 });
            result.insert("image".to_owned(), image);
        }
        payload.insert("result".to_owned(), result.into());
        if let Some(refusal) = refusal {
            let mut facts =
                json!({ "code": refusal.code(), "message": bounded(&refusal.to_string(), RAW_BYTES_MAX) });
            if let Refusal::Denied(denial) | Refusal::UnknownTool { hidden: Some(denial), .. } = refusal {
                facts["policy"] = json!(denial.policy);
            }
            if let Refusal::NeedsApproval { needed, waiting } = refusal {
                facts["approval"] = json!(needed);
                facts["approval"]["id"] = json!(waiting.as_ref().map(|it| &it.id));
            }
            payload.insert("refusal".to_owned(), facts);
        }
        let (verdict, outcome) = words(refusal, self.permitted_by.is_empty());
        self.entry(self.last(verdict), verdict, outcome, payload)
    }

    /// The last record of a call whose payload breaks what makes it fit to keep: its closed fields alone.
    pub(crate) fn bare(&self, refusal: Option<&Refusal>) -> Entry {
        let (verdict, outcome) = words(refusal, self.permitted_by.is_empty());
        let payload = json!({ "left_out": "it could not be made fit to keep; this is a fault in bailiwick" });
        self.sealed(self.last(verdict), verdict, outcome, payload)
    }

    /// Which event ends a call.
    fn last(&self, verdict: &'static str) -> Event {
        match (&self.intent, verdict) {
            (Some(intent), _) => Event::Outcome { intent: intent.index() },
            // Policy permitted it and the log did not: an effect without an intent has not begun.
            (None, "permitted") if self.acts() => Event::Refused,
            (None, "permitted") => Event::Read,
            (None, "invalid" | "unknown_tool") => Event::Rejected,
            (None, _) => Event::Refused,
        }
    }

    /// What is told of a call that broke here.
    pub(crate) fn crashed(&self) -> Refusal {
        Refusal::crashed(self.intent.as_ref())
    }

    /// The record of something that was not a call at all.
    pub(crate) fn rejected(caller: &Caller, channel: Channel, problem: &str, policy: Arc<Policy>) -> Entry {
        let request = Request {
            caller: caller.clone(),
            channel,
            client: None,
            tool: String::new(),
            arguments: Map::new(),
            cancelled: Default::default(),
        };
        let trail = Trail::new(request, policy);
        let payload = Map::from_iter([
            ("caller".to_owned(), json!(caller)),
            ("problem".to_owned(), bounded(problem, RAW_BYTES_MAX).into()),
        ]);
        trail.entry(Event::Rejected, "invalid", None, payload)
    }

    fn entry(
        &self,
        event: Event,
        verdict: &'static str,
        outcome: Option<&'static str>,
        payload: Map<String, Value>,
    ) -> Entry {
        let mut payload = Value::Object(payload);
        let mut masked = Masked::default();
        redact_value(&mut payload, false, &mut masked);
        self.sealed(event, verdict, outcome, payload)
    }

    /// A record of a payload that is fit to keep.
    fn sealed(
        &self,
        event: Event,
        verdict: &'static str,
        outcome: Option<&'static str>,
        payload: Value,
    ) -> Entry {
        let caller = &self.request.caller;
        let person = caller.on_behalf_of.as_deref().map(|it| format!(" person:{it}")).unwrap_or_default();
        Entry {
            event,
            server: self.server.clone(),
            tool: self.tool.map(|(name, _)| name.to_owned()),
            effect: self.tool.map(|(_, effect)| effect.word()),
            subject: format!("agent:{}{person}", caller.agent),
            channel: self.request.channel.word(),
            assurance: caller.assurance.word(),
            policy: self.policy.digest(),
            call: self.digest,
            verdict,
            outcome,
            payload,
        }
    }
}

/// The start of a text that is too long, and how much is left out. It is masked while it is whole: half a secret is known by
/// nothing.
pub(crate) fn bounded(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let masked = redact(text, false).0;
    let end = masked.floor_char_boundary(most);
    match &masked[end..] {
        "" => masked.into_owned(),
        rest => format!("{}…[{} of {} bytes left out]", &masked[..end], rest.len(), masked.len()),
    }
}

/// More than a policy can be asked about one by one is the whole connection, in every environment, region, team and tier
/// that was named. What is still too much is denied.
pub(crate) fn listable(targets: Vec<Target>) -> Vec<Target> {
    if targets.len() <= Target::MAX {
        return targets;
    }
    let mut whole: Vec<Target> = Vec::new();
    for target in targets {
        let target = Target { id: target.connection.clone(), ..target };
        if !whole.contains(&target) {
            whole.push(target);
        }
    }
    whole
}

/// The closed words for how a call was decided and how it ended.
fn words(refusal: Option<&Refusal>, undecided: bool) -> (&'static str, Option<&'static str>) {
    let Some(refusal) = refusal else { return ("permitted", Some("ok")) };
    match refusal {
        Refusal::UnknownTool { hidden: None, .. } => ("unknown_tool", None),
        Refusal::Arguments(_) => ("invalid", None),
        Refusal::Unresolved(_) => ("unresolved", None),
        Refusal::Denied(_) | Refusal::UnknownTool { .. } => ("denied", None),
        Refusal::NeedsApproval { .. }
        | Refusal::Hindered(Hindrance::NotApproved(_) | Hindrance::Void { .. }) => {
            ("approval_required", None)
        }
        Refusal::Hindered(Hindrance::Stopped(_)) => ("denied", None),
        Refusal::Hindered(_) => ("unresolved", None),
        Refusal::Unrecorded(_) => ("permitted", Some("not_run")),
        Refusal::Failed(tool::ToolError::Unknown { .. }) => ("permitted", Some("unknown")),
        Refusal::Failed(_) => ("permitted", Some("tool_failed")),
        Refusal::Crashed if undecided => ("unresolved", Some("crashed")),
        Refusal::TimedOut(_) if undecided => ("unresolved", Some("timed_out")),
        Refusal::Cancelled if undecided => ("unresolved", Some("cancelled")),
        Refusal::Crashed | Refusal::EffectCrashed { .. } => ("permitted", Some("crashed")),
        Refusal::TimedOut(_) => ("permitted", Some("timed_out")),
        Refusal::Cancelled => ("permitted", Some("cancelled")),
        Refusal::OutcomeUnknown { .. } | Refusal::OutcomeUnrecorded { .. } => ("permitted", Some("unknown")),
    }
}
