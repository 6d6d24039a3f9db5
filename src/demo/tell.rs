//! How is a step told: to a person, with or without colours, or to a program?

use std::time::Duration;

use mcp::Said;
use sandbox::Plan;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{family::Server, say};

/// To whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Coloured,
    Plain,
    Json,
}

/// Tells one step after the other.
pub(super) struct Teller {
    style: Style,
    pace: Duration,
    told: usize,
}

/// What was asked, what came back, and what follows from it.
#[derive(Serialize)]
pub(super) struct Step {
    /// Stable word.
    step: &'static str,
    title: &'static str,
    calls: Vec<Call>,
    /// What a person reads.
    said: Vec<Line>,
    /// What it comes to, for programs.
    found: Value,
}

/// One call and its answer, whole.
#[derive(Serialize)]
struct Call {
    server: &'static str,
    tool: String,
    arguments: Value,
    refused: bool,
    result: Value,
    receipt: Value,
}

#[derive(Serialize)]
struct Line {
    tone: Tone,
    text: String,
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tone {
    Fact,
    Key,
    Good,
    Refused,
    Quiet,
}

/// Longest arguments of a call that are shown to a person; a program gets all.
const ARGUMENTS_MAX: usize = 84;
/// More calls of one tool in a row are told as one line.
const SAME_MAX: usize = 3;

impl Step {
    pub(super) fn new(step: &'static str, title: &'static str) -> Step {
        Step { step, title, calls: Vec::new(), said: Vec::new(), found: Value::Null }
    }

    /// A call of this step, with its answer.
    pub(super) fn call(&mut self, server: Server, tool: &str, arguments: &Value, said: &Said) {
        self.calls.push(Call {
            server: server.word(),
            tool: tool.to_owned(),
            arguments: arguments.clone(),
            refused: said.refused,
            result: said.structured.clone(),
            receipt: said.receipt.clone(),
        });
    }

    pub(super) fn line(&mut self, tone: Tone, text: impl Into<String>) {
        self.said.push(Line { tone, text: text.into() });
    }

    pub(super) fn found(&mut self, found: Value) {
        self.found = found;
    }

    /// Fails with what was expected of this step.
    pub(super) fn expect(
        &self,
        as_told: bool,
        expected: &str,
        got: impl std::fmt::Display,
    ) -> anyhow::Result<()> {
        match as_told {
            true => Ok(()),
            false => Err(self.broken(expected, got)),
        }
    }

    pub(super) fn broken(&self, expected: &str, got: impl std::fmt::Display) -> anyhow::Error {
        anyhow::anyhow!("step `{}` ({}): expected {expected}; got {got}", self.step, self.title)
    }
}

impl Teller {
    pub(super) fn new(style: Style, pace: Duration) -> Teller {
        Teller { style, pace, told: 0 }
    }

    /// Tells a step, and leaves time to read it.
    pub(super) async fn tell(&mut self, step: Step) -> anyhow::Result<()> {
        self.told += 1;
        match self.style {
            Style::Json => say::line(&say::escaped(&serde_json::to_string(&step)?))?,
            style => say::line(&text(&step, self.told, style))?,
        }
        tokio::time::sleep(self.pace).await;
        Ok(())
    }

    /// What to do next.
    pub(super) async fn close(&mut self, plan: Plan) -> anyhow::Result<()> {
        let mut step = Step::new("next", "What next?");
        let others = sandbox::Fault::ALL.iter().filter(|it| Some(**it) != plan.fault()).map(|it| it.word());
        let other = others.take(1).collect::<String>();
        let seed = plan.seed() + 1;
        let commands = [
            (format!("bailiwick demo --seed {seed}"), "another incident"),
            (format!("bailiwick demo --fault {other}"), "this one; --list names them all"),
            ("bailiwick demo --serve".to_owned(), "the same production for your own agent"),
            ("bailiwick init".to_owned(), "your own systems: see README.md"),
        ];
        for (command, what) in &commands {
            step.line(Tone::Fact, format!("{command:<40}  {what}"));
        }
        step.line(Tone::Quiet, "not installed yet: `cargo run --release --` stands for `bailiwick`");
        step.found(json!(commands.map(|it| it.0)));
        self.tell(step).await
    }
}

/// A step as a person reads it.
fn text(step: &Step, number: usize, style: Style) -> String {
    let mut lines =
        vec![format!("{} {}", paint(style, "1;36", &number.to_string()), paint(style, "1", step.title))];
    // The same question about many things is told once.
    for calls in step.calls.chunk_by(|a, b| (a.server, &a.tool) == (b.server, &b.tool)) {
        match calls {
            [first, .., last] if calls.len() > SAME_MAX => {
                let shown = format!(
                    "› {} {} × {}  {} to {}",
                    first.server,
                    first.tool,
                    calls.len(),
                    first.index(),
                    last.index()
                );
                lines.push(format!("  {}", paint(style, "2", &say::clean(&shown))));
            }
            _ => lines.extend(calls.iter().map(|it| format!("  {}", paint(style, "2", &it.shown())))),
        }
    }
    lines.extend(step.said.iter().map(|it| {
        let code = match it.tone {
            Tone::Fact => "",
            Tone::Key => "1;33",
            Tone::Good => "32",
            Tone::Refused => "31",
            Tone::Quiet => "2",
        };
        // An agent reads what others wrote; a terminal shall only show it.
        format!("    {}", paint(style, code, &say::clean(&it.text)))
    }));
    lines.join("\n") + "\n"
}

impl Call {
    /// `› observability list_alerts {…} → #3`
    fn shown(&self) -> String {
        let arguments = self.arguments.as_object().filter(|it| !it.is_empty());
        let words = arguments.into_iter().flatten().filter(|it| *it.0 != "max_tokens").map(
            |(name, value)| match value {
                Value::String(text) => format!(" {name}={text}"),
                other => format!(" {name}={other}"),
            },
        );
        let mut words: String = words.collect();
        if let Some((end, _)) = words.char_indices().nth(ARGUMENTS_MAX) {
            words.truncate(end);
            words.push('…');
        }
        say::clean(&format!("› {} {}{words}  {}", self.server, self.tool, self.index()))
    }

    /// `#3`: where it stands in its server's log.
    fn index(&self) -> String {
        self.receipt["index"].as_u64().map_or(String::new(), |it| format!("#{it}"))
    }
}

fn paint(style: Style, code: &str, text: &str) -> String {
    match style == Style::Coloured && !code.is_empty() {
        true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        let mut step = Step::new("alerts", "What fires?");
        let said = Said {
            refused: false,
            structured: json!({ "seen": 1 }),
            text: String::new(),
            receipt: json!({ "index": 3 }),
        };
        step.call(
            Server::Observability,
            "list_alerts",
            &json!({ "state": "active", "max_tokens": 9 }),
            &said,
        );
        step.line(Tone::Key, "Hot\u{1b}[2J");
        step
    }

    #[test]
    fn a_step_names_its_calls_and_their_receipts_and_moves_no_cursor() {
        let plain = text(&step(), 1, Style::Plain);
        assert_eq!(
            plain,
            "1 What fires?\n  › observability list_alerts state=active  #3\n    Hot\\u{1b}[2J\n"
        );
        let coloured = text(&step(), 1, Style::Coloured);
        assert!(coloured.contains("\u{1b}[1;33mHot\\u{1b}[2J\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn what_is_not_as_told_says_step_and_expectation() {
        let error = step().expect(false, "an alert", "none").expect_err("not as told").to_string();
        assert_eq!(error, "step `alerts` (What fires?): expected an alert; got none");
    }
}
