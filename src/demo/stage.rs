//! What does the incident take place in? A production, a configuration that reaches it, and servers in processes of
//! their own.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use mcp::{Client, Start};
use sandbox::{Plan, Sandbox};
use serde_json::json;

use super::{
    Lie,
    cause::Finding,
    tell::{Step, Teller, Tone},
};
use crate::family::Server;

/// Everything that the agent works in.
pub(super) struct Stage {
    sandbox: Sandbox,
    folder: PathBuf,
    program: PathBuf,
    lie: Option<Lie>,
}

/// Where the team's rules stand beside the lists.
const RULES: &str = "\
// A silence is for somebody who works on what it hides, not for the rest of the night.
@id(\"on-call:no-long-silence\")
@reason(\"a silence over four hours hides the next incident too\")
@instead(\"silence for at most 240 minutes, and again while somebody still works on it\")
forbid (principal, action == Action::\"silence_alert\", resource)
when { context.input.duration_minutes > 240 };
";

impl Stage {
    /// Starts the production and writes the configuration into a folder.
    pub(super) async fn set(folder: &Path, plan: Plan, lie: Option<Lie>) -> anyhow::Result<Stage> {
        let folder = folder.canonicalize()?;
        let sandbox = Sandbox::start(plan).await?;
        let stage = Stage { sandbox, folder, program: std::env::current_exe()?, lie };
        fs::create_dir_all(stage.folder.join("policies"))?;
        let rules = if lie == Some(Lie::NoRule) { "" } else { RULES };
        fs::write(stage.folder.join("policies/on-call.cedar"), rules)?;
        fs::write(stage.config(), stage.configuration(&stage.state())?)?;
        Ok(stage)
    }

    /// The configuration that reaches the production and nothing else.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("bailiwick.toml")
    }

    /// Where logs and keys are.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// This program.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The text of a configuration that keeps its record in `state`.
    pub(super) fn configuration(&self, state: &Path) -> anyhow::Result<String> {
        let path = |it: &Path| -> anyhow::Result<String> {
            let text = it.to_str().with_context(|| format!("{} is not UTF-8", it.display()))?;
            // A JSON string is a TOML string.
            Ok(json!(text).to_string())
        };
        let (state, repository) = (path(state)?, path(&self.sandbox.repository())?);
        let (metrics, alerts) = (json!(self.sandbox.prometheus_url()), json!(self.alerts()?));
        Ok(format!(
            r#"# Written by `bailiwick demo`: a production that exists only while it runs.
[identity]
agent = "on-call-agent"
person = "robin"

[policy]
allow = ["effect:read"]
ask = ["silence_alert environment:production"]
files = ["policies/on-call.cedar"]

[audit]
state = {state}
ephemeral = false # nothing here outlives the demo, its effects least of all

[connections.shop-metrics]
kind = "prometheus"
url = {metrics}
environment = "production"
region = "eu-west-1"

[connections.shop-alerts]
kind = "alertmanager"
url = {alerts}
environment = "production"
region = "eu-west-1"

[connections.shop]
kind = "git"
path = {repository}
environment = "production"
"#
        ))
    }

    /// Where the alerts are.
    fn alerts(&self) -> anyhow::Result<String> {
        match self.lie {
            // A port that was free a moment ago.
            Some(Lie::DeafAlerts) => {
                let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
                Ok(format!("http://{nobody}"))
            }
            _ => Ok(self.sandbox.alertmanager_url()),
        }
    }

    /// Whether this is broken on purpose.
    pub(super) fn lies(&self, lie: Lie) -> bool {
        self.lie == Some(lie)
    }

    /// Arguments that start a server on this stage.
    pub(super) fn serve(&self, server: Server) -> anyhow::Result<Vec<String>> {
        let config = self.config();
        let config = config.to_str().with_context(|| format!("{} is not UTF-8", config.display()))?;
        Ok(["serve", server.word(), "--config", config].map(str::to_owned).to_vec())
    }

    /// Starts a server as a client would.
    pub(super) async fn client(&self, server: Server) -> anyhow::Result<Client> {
        let errors = File::create(self.errors(server))?;
        let arguments = self.serve(server)?;
        let start = Start {
            name: server.word(),
            program: &self.program,
            arguments: &arguments,
            variables: &self.variables()?,
            errors,
        };
        Ok(Client::start(start).await?)
    }

    /// What a server wrote to its standard error: why it does not answer, when it does not.
    pub(super) fn errors(&self, server: Server) -> PathBuf {
        self.folder.join(format!("{}.log", server.word()))
    }

    /// The environment of everything that is started here: a home of its own.
    pub(super) fn variables(&self) -> anyhow::Result<Vec<(String, String)>> {
        let home = self.folder.join("home");
        fs::create_dir_all(&home)?;
        let home = home.to_str().context("the temporary folder is not UTF-8")?.to_owned();
        let log = std::env::var("BAILIWICK_LOG").ok().map(|it| ("BAILIWICK_LOG".to_owned(), it));
        Ok([("HOME".to_owned(), home)].into_iter().chain(log).collect())
    }

    /// Compares what the agent found with what the production really does. Nobody asked it before.
    pub(super) async fn compare(&self, finding: &Finding, teller: &mut Teller) -> anyhow::Result<()> {
        let truth = self.sandbox.world().truth().clone();
        let commit = truth.change.as_deref().and_then(|it| self.sandbox.commit_of(it));
        let mut step = Step::new("truth", "Was it so?");
        let place = truth.provider.unwrap_or(&truth.place);
        let is_place = finding.place == place;
        let is_change = match (&commit, &finding.commit) {
            (Some(commit), Some(found)) => commit.starts_with(found.as_str()),
            (None, None) => true,
            _ => false,
        };
        let fault = truth.fault.map_or("none", |it| it.word());
        let what = truth.fault.map_or("nothing goes wrong", |it| it.title());
        let short = commit.as_deref().map(|it| it.get(..9).unwrap_or(it));
        step.line(Tone::Quiet, "the sandbox is asked what it did, now that the finding stands");
        let change = short.map_or("no change of ours".to_owned(), |it| format!("commit {it}"));
        step.line(Tone::Fact, format!("{fault}: {what}, at {place}, by {change}"));
        step.found(
            json!({ "right": is_place && is_change, "fault": fault, "place": place, "commit": commit }),
        );
        if is_place && is_change {
            step.line(Tone::Good, "so it was: the agent named the cause");
        } else {
            step.line(Tone::Refused, "the agent named another cause");
        }
        teller.tell(step).await?;
        let named = finding.commit.as_deref().unwrap_or("no change");
        ensure!(
            is_place && is_change,
            "step `truth`: expected {place} by {change}; got {} by {named}",
            finding.place
        );
        Ok(())
    }
}
