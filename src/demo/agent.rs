//! Who works the incident? A scripted agent that knows nothing but what the servers answer.

use anyhow::Context as _;
use mcp::{Client, Said};
use serde_json::{Map, Value, json};

use super::{
    stage::Stage,
    table::{cell, rows},
    tell::{Step, Teller, Tone},
};
use crate::{family::Server, say};

/// The agent, connected to its servers.
pub(super) struct Agent<'a> {
    stage: &'a Stage,
    code: Client,
    observability: Client,
    pub(super) teller: &'a mut Teller,
    /// What the servers offer.
    tools: Vec<String>,
    /// What is on record, by server: indexes of receipts.
    pub(super) receipts: Vec<(Server, u64)>,
}

/// What fires.
pub(super) struct Alerts {
    /// Name of the most pressing alert.
    pub(super) name: String,
}

const ALERTS_SHOWN: usize = 5;

impl<'a> Agent<'a> {
    /// Starts both servers and says who they are.
    pub(super) async fn start(stage: &'a Stage, teller: &'a mut Teller) -> anyhow::Result<Agent<'a>> {
        let (code, observability) =
            tokio::join!(stage.client(Server::Code), stage.client(Server::Observability));
        let (code, observability) = (code?, observability?);
        let mut agent = Agent { stage, code, observability, teller, tools: Vec::new(), receipts: Vec::new() };
        let mut step = Step::new("servers", "An agent on call connects to two servers, over MCP");
        for server in Server::ALL {
            let tools = agent.client(server).tools().await?;
            step.line(Tone::Fact, format!("{:<14} {}", server.word(), tools.join(", ")));
            step.expect(!tools.is_empty(), "tools", "none")?;
            agent.tools.extend(tools);
        }
        step.line(Tone::Quiet, "# is where a call stands in its server's log; times are UTC");
        agent.teller.tell(step).await?;
        Ok(agent)
    }

    /// Calls a tool; a refusal is an answer. Without a receipt nothing of it counts.
    pub(super) async fn ask(
        &mut self,
        step: &mut Step,
        server: Server,
        tool: &str,
        arguments: Value,
    ) -> anyhow::Result<Said> {
        let object: Map<String, Value> = arguments.as_object().cloned().unwrap_or_default();
        let said = self.client(server).call(tool, object).await.with_context(|| self.errors(server))?;
        step.call(server, tool, &arguments, &said);
        let index = said.receipt["index"].as_u64();
        self.receipts.push((server, index.ok_or_else(|| step.broken("a receipt", &said.text))?));
        Ok(said)
    }

    /// Whether a server offers this.
    pub(super) fn has(&self, tool: &str) -> bool {
        self.tools.iter().any(|it| it == tool)
    }

    /// Calls a tool that has to answer.
    pub(super) async fn read(
        &mut self,
        step: &mut Step,
        server: Server,
        tool: &str,
        arguments: Value,
    ) -> anyhow::Result<Value> {
        let said = self.ask(step, server, tool, arguments).await?;
        step.expect(!said.refused, "an answer", &said.text)?;
        Ok(said.structured)
    }

    /// Step: the alerts that fire.
    pub(super) async fn what_fires(&mut self) -> anyhow::Result<Alerts> {
        let mut step = Step::new("alerts", "What fires?");
        let answer =
            self.read(&mut step, Server::Observability, "list_alerts", json!({ "state": "active" })).await?;
        let found = rows(&answer);
        for row in found.iter().take(ALERTS_SHOWN) {
            let since = cell(row, "since");
            let since = since.get(11..16).unwrap_or_default();
            let [severity, alert, labels] = ["severity", "alert", "labels"].map(|it| cell(row, it));
            let tone = if severity == "critical" { Tone::Key } else { Tone::Fact };
            step.line(tone, format!("{since}  {severity:<8}  {alert}  {labels}"));
        }
        if found.len() > ALERTS_SHOWN {
            step.line(Tone::Quiet, format!("and {} more", found.len() - ALERTS_SHOWN));
        }
        let first = found.first().map(|it| cell(it, "alert")).filter(|it| !it.is_empty());
        let name = first.ok_or_else(|| step.broken("an alert that fires", "none"))?;
        step.found(json!({ "alerts": found.len(), "most_pressing": name }));
        self.teller.tell(step).await?;
        Ok(Alerts { name })
    }

    /// Leaves both servers, as a client does; they end by themselves.
    pub(super) async fn leave(self) -> anyhow::Result<()> {
        for (server, client) in [(Server::Code, self.code), (Server::Observability, self.observability)] {
            let status = client.leave().await?;
            anyhow::ensure!(status.success(), "server `{}` ended with {status}", server.word());
        }
        Ok(())
    }

    fn client(&self, server: Server) -> &Client {
        match server {
            Server::Code => &self.code,
            Server::Observability => &self.observability,
        }
    }

    /// The end of what a server wrote to its standard error.
    fn errors(&self, server: Server) -> String {
        let text = std::fs::read_to_string(self.stage.errors(server)).unwrap_or_default();
        let last = text.lines().last().unwrap_or("nothing");
        format!("standard error of `{}` ends: {}", server.word(), say::clean(last))
    }
}
