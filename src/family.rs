//! Every server of the family, and every tool: what one process can serve.

use std::sync::Arc;

use clap::ValueEnum;
use config::{Config, Connection, System};
use gate::{Approvals, Authority, AwaitApproval, InForce, Place, RunApproved, ShowAuthority};
use policy::{Channel, Target};
use tool::{Bound, Definition, Profile, define};

/// A server of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    /// Commits and files of git repositories
    Code,
    /// Metrics and alerts: Prometheus, Alertmanager
    Observability,
}

/// Server word of tools that every server has.
pub(crate) const FAMILY: &str = "bailiwick";

impl Server {
    pub(crate) const ALL: [Server; 2] = [Server::Code, Server::Observability];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Server::Code => "code",
            Server::Observability => "observability",
        }
    }

    /// What the server is for: the first sentence of a client's instructions, short enough that two fit where one client
    /// shows only 250 characters.
    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Server::Code => {
                "Git repositories: what changed when, by whom, how risky; search, blame, owners, files at any revision."
            }
            Server::Observability => {
                "Production telemetry: what moved and why, PromQL metrics, alerts explained, SLOs, scrapes; silences."
            }
        }
    }

    /// Tools of this server alone, in the order clients see them.
    pub(crate) fn definitions(self) -> Vec<Definition> {
        match self {
            Server::Code => code::all().into_iter().map(|it| it.definition).collect(),
            Server::Observability => {
                observability::tools::all().into_iter().map(|it| it.definition).collect()
            }
        }
    }

    /// The same tools with the configured systems behind them.
    fn bind(self, config: &Config, channel: Channel) -> anyhow::Result<Vec<Bound>> {
        let connections = &config.connections;
        Ok(match self {
            Server::Code => {
                let backends = code::Backends::new(connections)?;
                // One call alone would end before filters are made.
                let cache = config.cache.as_ref().filter(|_| channel != Channel::Cli);
                let backends = Arc::new(match cache {
                    Some(cache) => backends.filtering(cache),
                    None => backends,
                });
                code::all().into_iter().map(|it| it.bind(backends.clone())).collect()
            }
            Server::Observability => {
                let backends = observability::Backends::new(connections)?;
                let backends = Arc::new(backends.knowing_teams(&config.vocabulary.teams));
                observability::tools::all().into_iter().map(|it| it.bind(backends.clone())).collect()
            }
        })
    }

    /// A connection as a whole, if this server reaches it.
    fn reaches(self, connection: &Connection) -> Option<Target> {
        match (self, &connection.system) {
            (Server::Code, System::Git(_)) => Some(connection.whole("repository")),
            (Server::Observability, System::Prometheus(_)) => Some(connection.whole("metrics")),
            (Server::Observability, System::Alertmanager(_)) => Some(connection.whole("alerts")),
            _ => None,
        }
    }
}

/// Tools that every server has.
fn common() -> [Definition; 3] {
    [
        define::<ShowAuthority>().definition,
        define::<AwaitApproval>().definition,
        define::<RunApproved>().definition,
    ]
}

/// What a process that serves `servers` offers in a profile.
pub(crate) fn definitions(servers: &[Server], profile: Profile) -> Vec<Definition> {
    let all = servers.iter().flat_map(|it| it.definitions()).chain(common());
    all.filter(|it| profile.offers(it.profile)).collect()
}

/// Every tool of the family with its server's word.
pub(crate) fn all() -> Vec<(&'static str, Definition)> {
    let own = |it: Server| it.definitions().into_iter().map(move |tool| (it.word(), tool));
    Server::ALL.into_iter().flat_map(own).chain(common().map(|it| (FAMILY, it))).collect()
}

/// Every tool of `servers` with what is configured behind it.
pub(crate) fn bind(
    servers: &[Server],
    config: &Config,
    policy: impl Into<InForce>,
    channel: Channel,
    approvals: &Arc<Approvals>,
) -> anyhow::Result<Vec<(String, Bound)>> {
    offer(servers, Profile::All, config, policy, channel, approvals)
}

/// The same, with an authority that speaks of the tools of one profile.
pub(crate) fn offer(
    servers: &[Server],
    profile: Profile,
    config: &Config,
    policy: impl Into<InForce>,
    channel: Channel,
    approvals: &Arc<Approvals>,
) -> anyhow::Result<Vec<(String, Bound)>> {
    let mut tools = Vec::new();
    let mut places = Vec::new();
    for server in servers {
        tools.extend(server.bind(config, channel)?.into_iter().map(|it| (server.word().to_owned(), it)));
        let reached = config.connections.iter().filter_map(|it| server.reaches(it));
        places.extend(reached.map(|whole| Place { server: server.word().to_owned(), whole }));
    }
    let of =
        |(server, tool): &(String, Bound)| (server.clone(), tool.definition.name, tool.definition.effect);
    let offered = tools.iter().filter(|(_, it)| profile.offers(it.definition.profile));
    let shown = offered.map(of).collect();
    let vocabulary = config.vocabulary.clone();
    let authority = Authority { policy: policy.into(), channel, places, tools: shown, vocabulary };
    tools.push((FAMILY.to_owned(), define::<ShowAuthority>().bind(Arc::new(authority))));
    let (wait, run) = (define::<AwaitApproval>(), define::<RunApproved>());
    tools.push((FAMILY.to_owned(), wait.bind(Arc::new(approvals.clone()))));
    tools.push((FAMILY.to_owned(), run.bind(Arc::new(approvals.clone()))));
    Ok(tools)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use policy::ToolShape;

    use super::*;

    #[test]
    fn the_committed_schema_is_that_of_the_tools() {
        let shape = |(server, tool): (&str, Definition)| ToolShape {
            name: tool.name.to_owned(),
            server: server.to_owned(),
            effect: tool.effect,
            input: serde_json::Map::clone(&tool.input),
        };
        // Whoever may have it done may go on with it: the stored call is what policy is asked about.
        let asked = all().into_iter().filter(|(_, it)| it.name != <RunApproved as tool::Tool>::NAME);
        let shapes: Vec<ToolShape> = asked.map(shape).collect();
        let schema = policy::emit_schema(&shapes).expect("every argument has a type that policies know");
        expect_test::expect_file!["../shared/policy/family.cedarschema"].assert_eq(&schema);
    }

    #[test]
    fn names_are_unique_in_the_family() {
        let names: BTreeSet<_> = all().into_iter().map(|(_, tool)| tool.name).collect();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn definitions_stay_within_the_budget_of_the_family() {
        let wire = |(_, tool): (&str, Definition)| {
            crate::tools::paid(serde_json::to_value(mcp::describe(&tool)).expect("JSON")).to_string()
        };
        let tokens = tiktoken_rs::o200k_base_singleton();
        for (profile, tokens_max, tools_max) in
            [(Profile::Default, 9_000, 32), (Profile::All, 20_000, usize::MAX)]
        {
            let offered: Vec<_> =
                all().into_iter().filter(|(_, it)| profile.offers(it.profile)).map(wire).collect();
            let mut total = 0;
            for text in &offered {
                let count = tokens.encode_ordinary(text).len();
                assert!(count <= 350, "{count} tokens: {text}");
                total += count;
            }
            println!("{}: {total} tokens for {} definitions", profile.word(), offered.len());
            assert!(total <= tokens_max && offered.len() <= tools_max, "{}", profile.word());
        }
    }

    /// Words to search by are the client's: none is known that shows them to the model whole. They are counted apart, so
    /// that they stay little wherever one does.
    #[test]
    fn words_to_search_by_reach_clients_and_stay_few() {
        let tokens = tiktoken_rs::o200k_base_singleton();
        let mut total = 0;
        for (_, tool) in all() {
            let told = serde_json::to_value(mcp::describe(&tool)).expect("JSON");
            let hint = told["_meta"]["anthropic/searchHint"].as_str().unwrap_or_default().to_owned();
            assert!(!hint.is_empty(), "{}", tool.name);
            total += tokens.encode_ordinary(&hint).len();
        }
        println!("{total} tokens to search by");
        assert!(total <= 20 * all().len(), "{total}");
    }
}
