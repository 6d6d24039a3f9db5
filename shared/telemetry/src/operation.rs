//! What is told of one MCP request.
//! <https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md#server>

use std::{str::FromStr, sync::Arc, time::Instant};

use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    trace::{
        SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    },
};

use crate::{leaving, telemetry::On};

/// A request, as far as it is told. All of it is of bounded form: what a client wrote otherwise is left out.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// E.g. `tools/call`.
    pub method: &'static str,
    /// Our own name of the tool; none where the method has no tool.
    pub tool: Option<String>,
    /// Revision of the protocol, one of those that we know.
    pub protocol: Option<String>,
    /// Id of the session.
    pub session: Option<String>,
    /// Id of the request.
    pub id: Option<String>,
    /// How it came in.
    pub transport: Transport,
    /// `traceparent` of the client.
    pub parent: Option<String>,
    /// `tracestate` of the client.
    pub state: Option<String>,
    /// What the caller's agent is called.
    pub agent: Option<String>,
}

/// How requests come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Standard input and output.
    #[default]
    Pipe,
    /// HTTP on a network address.
    Http,
    /// A socket of this machine.
    Socket,
}

/// How the gate dealt with a call: closed words, names that policy files hold, and where the record is.
#[derive(Clone, Debug, Default)]
pub struct Called {
    /// Which server has the tool.
    pub server: String,
    /// E.g. `read`.
    pub effect: Option<&'static str>,
    /// `allow`, `ask`, `approve`, `deny`, or `none` where it did not come to that.
    pub decision: &'static str,
    /// Ids of what decided it.
    pub policies: Vec<String>,
    /// `ok`, or the code of the refusal.
    pub ended: &'static str,
    /// Origin of the log that has the record, and where it stands there.
    pub record: Option<(String, u64)>,
}

/// Why a request has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The answer is a tool's error.
    Tool,
    /// The answer is a protocol error with this code.
    Protocol(i32),
}

/// One request while it is carried out.
pub struct Operation(Option<Running>);

struct Running {
    on: Arc<On>,
    span: Context,
    begun: Instant,
    tool: Option<String>,
    /// What is measured of it, whatever comes of it.
    measured: Vec<KeyValue>,
    ended: bool,
}

/// Longest id that is told.
const ID_BYTES_MAX: usize = 64;
/// <https://www.w3.org/TR/trace-context/#tracestate-limits>
const STATE_BYTES_MAX: usize = 512;
const CANCELLED: &str = "cancelled";

impl Operation {
    pub(crate) fn begin(asked: Option<(Arc<On>, Asked)>) -> Operation {
        Operation(asked.map(|(on, asked)| Running::begin(on, asked)))
    }

    /// Carries out what is asked, so that what goes out meanwhile is known to be for it.
    pub fn around<F: Future>(&self, carrying_out: F) -> impl Future<Output = F::Output> + use<F> {
        let above = self.0.as_ref().map(|it| (it.on.clone(), it.span.clone()));
        leaving::below(above, carrying_out)
    }

    /// The gate has answered a call of it.
    pub fn called(&self, called: impl FnOnce() -> Called) {
        let Some(Running { on, span, tool, .. }) = &self.0 else { return };
        let called = called();
        on.measures.call(tool.as_deref().unwrap_or_default(), &called);
        let span = span.span();
        let mut attributes = vec![
            KeyValue::new("bailiwick.server", called.server),
            KeyValue::new("bailiwick.decision", called.decision),
            KeyValue::new("bailiwick.policy", texts(called.policies)),
            KeyValue::new("bailiwick.ended", called.ended),
        ];
        attributes.extend(called.effect.map(|it| KeyValue::new("bailiwick.effect", it)));
        if let Some((log, index)) = called.record {
            attributes.push(KeyValue::new("bailiwick.record.log", log));
            attributes
                .push(KeyValue::new("bailiwick.record.index", i64::try_from(index).unwrap_or(i64::MAX)));
        }
        span.set_attributes(attributes);
    }

    /// It is answered.
    pub fn end(mut self, failure: Option<Failure>) {
        if let Some(running) = &mut self.0 {
            running.end(failure.map(|it| match it {
                Failure::Tool => ("tool_error".to_owned(), None),
                Failure::Protocol(code) => (code.to_string(), Some(code.to_string())),
            }));
        }
    }
}

impl Running {
    fn begin(on: Arc<On>, asked: Asked) -> Running {
        let parent = match parent(asked.parent.as_deref(), asked.state.as_deref()) {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let name = match &asked.tool {
            Some(tool) => format!("{} {tool}", asked.method),
            None => asked.method.to_owned(),
        };
        let text = |key: &'static str, it: &str| KeyValue::new(key, it.to_owned());
        let mut measured = vec![KeyValue::new("mcp.method.name", asked.method)];
        measured.extend(told_transport(asked.transport));
        measured.extend(asked.protocol.as_deref().map(|it| text("mcp.protocol.version", it)));
        if let Some(tool) = &asked.tool {
            measured.push(text("gen_ai.tool.name", tool));
            measured.push(KeyValue::new("gen_ai.operation.name", "execute_tool"));
        }
        let mut attributes = measured.clone();
        attributes
            .extend(asked.session.as_deref().filter(|it| is_id(it)).map(|it| text("mcp.session.id", it)));
        attributes
            .extend(asked.id.as_deref().filter(|it| is_id(it)).map(|it| text("jsonrpc.request.id", it)));
        // Some issuers name people where others name programs.
        let agent = asked.agent.as_deref().filter(|it| !it.contains('@'));
        attributes.extend(agent.map(|it| text("bailiwick.agent", it)));
        let builder = on.tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = Context::new().with_span(on.tracer.build_with_context(builder, &parent));
        Running { on, span, begun: Instant::now(), tool: asked.tool, measured, ended: false }
    }

    /// `failed` is the class of error, and the code of a protocol error.
    fn end(&mut self, failed: Option<(String, Option<String>)>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let span = self.span.span();
        if let Some((class, code)) = failed {
            let mut attributes = vec![KeyValue::new("error.type", class)];
            attributes.extend(code.map(|it| KeyValue::new("rpc.response.status_code", it)));
            span.set_attributes(attributes.clone());
            // Without a description: it could repeat an argument.
            span.set_status(Status::error(""));
            self.measured.extend(attributes);
        }
        span.end();
        self.on.measures.operation(self.begun.elapsed(), &self.measured);
    }
}

impl Drop for Running {
    /// Nobody waits for the answer any more.
    fn drop(&mut self) {
        self.end(Some((CANCELLED.to_owned(), None)));
    }
}

/// How the conventions call a way in.
pub(crate) fn told_transport(transport: Transport) -> Vec<KeyValue> {
    let network = |it: &'static str| KeyValue::new("network.transport", it);
    match transport {
        Transport::Pipe => vec![network("pipe")],
        Transport::Http => vec![network("tcp"), KeyValue::new("network.protocol.name", "http")],
        Transport::Socket => vec![network("unix")],
    }
}

/// An id of bounded form: what a client can write otherwise could be anything.
fn is_id(text: &str) -> bool {
    let fits = |it: u8| it.is_ascii_alphanumeric() || b"-_.:".contains(&it);
    !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(fits)
}

fn texts(texts: Vec<String>) -> Value {
    Value::Array(Array::String(texts.into_iter().map(StringValue::from).collect()))
}

/// Who asked, by `traceparent` (<https://www.w3.org/TR/trace-context/#traceparent-header>); nobody where it is malformed.
fn parent(traceparent: Option<&str>, tracestate: Option<&str>) -> Option<SpanContext> {
    let text = traceparent?;
    let parts: Vec<&str> = text.split('-').collect();
    let (version, trace, span, flags) = match parts[..] {
        [version, trace, span, flags] => (version, trace, span, flags),
        // A later version may say more; what it says first is as in this one.
        [version, trace, span, flags, ..] if version != "00" => (version, trace, span, flags),
        _ => return None,
    };
    let lower_hex = |it: &str, length: usize| {
        it.len() == length && it.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    };
    let well = lower_hex(version, 2) && version != "ff" && lower_hex(flags, 2);
    if !well || !lower_hex(trace, 32) || !lower_hex(span, 16) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let state = tracestate.filter(|it| it.len() <= STATE_BYTES_MAX);
    let state = state.and_then(|it| TraceState::from_str(it).ok()).unwrap_or_default();
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, state)).filter(SpanContext::is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_parent_is_read_as_the_recommendation_says_and_nothing_else_is_one() {
        let well = parent(Some(&format!("00-{TRACE}-00f067aa0ba902b7-01")), Some("rojo=00f0,congo=t61"));
        let well = well.expect("it is well-formed");
        assert_eq!(well.trace_id().to_string(), TRACE);
        assert!(well.is_sampled() && well.is_remote());
        assert_eq!(well.trace_state().header(), "rojo=00f0,congo=t61");
        let unsampled = parent(Some(&format!("00-{TRACE}-00f067aa0ba902b7-00")), None).expect("well-formed");
        assert!(!unsampled.is_sampled());
        assert!(parent(Some(&format!("cc-{TRACE}-00f067aa0ba902b7-01-later")), None).is_some());
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        ] {
            assert!(parent(Some(text), None).is_none(), "{text}");
        }
    }

    #[test]
    fn a_long_or_malformed_state_is_dropped_and_the_parent_stays() {
        let text = format!("00-{TRACE}-00f067aa0ba902b7-01");
        for state in ["no state", &format!("a={}", "x".repeat(STATE_BYTES_MAX))] {
            let parent = parent(Some(&text), Some(state)).expect("the parent is well-formed");
            assert_eq!(parent.trace_state().header(), "", "{state}");
        }
    }

    #[test]
    fn an_id_is_short_and_plain() {
        assert!(["1", "request-7", "191c4850af6c49e08843a3f6c80e5046"].iter().all(|it| is_id(it)));
        assert!(["", "a b", "alice@example.com", "{\"k\":1}", &"x".repeat(65)].iter().all(|it| !is_id(it)));
    }
}
