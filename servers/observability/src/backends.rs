//! The systems behind the tools, one client for each configured connection.

pub(crate) mod alertmanager;
pub(crate) mod prometheus;

use std::collections::BTreeSet;

use config::{Connection, System};
use outbound::OutboundError;
use policy::{Target, UNKNOWN};
use tool::{ToolError, args::Slug, pick};

use alertmanager::Alertmanager;
use prometheus::Prometheus;

use crate::{labels::Labels, matcher::LabelMatcher, promql::Forced};

/// What the tools of this server share.
#[derive(Debug)]
pub struct Backends {
    prometheus: Vec<Prometheus>,
    alertmanagers: Vec<Alertmanager>,
    teams: BTreeSet<String>,
}

/// Why the configured connections cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendsError {
    /// Correct the address or a header.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// Correct a forced matcher.
    #[error("connection `{connection}`: `matchers`: {problem}")]
    Matcher {
        /// Connection name.
        connection: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl Backends {
    /// Takes what this server can use out of all connections. Opens nothing, reads no secret.
    pub fn new(connections: &[Connection]) -> Result<Backends, BackendsError> {
        let teams = connections.iter().map(|it| it.team.clone()).filter(|it| it != UNKNOWN).collect();
        let mut backends = Backends { prometheus: Vec::new(), alertmanagers: Vec::new(), teams };
        for connection in connections {
            let forced = |matchers: &[String]| {
                let wrong = |problem| BackendsError::Matcher { connection: connection.name.clone(), problem };
                Forced::parse(matchers).map_err(wrong)
            };
            match &connection.system {
                System::Prometheus(http) => {
                    backends.prometheus.push(Prometheus::new(connection, http, forced(&http.matchers)?)?);
                }
                System::Alertmanager(http) => {
                    backends.alertmanagers.push(Alertmanager::new(
                        connection,
                        http,
                        forced(&http.matchers)?,
                    )?);
                }
                _ => {}
            }
        }
        Ok(backends)
    }

    /// The same, knowing every team that policies may name and not only those of connections: a rule about a team whose
    /// labels did not count would hold for nothing.
    pub fn knowing_teams<'a>(mut self, teams: impl IntoIterator<Item = &'a String>) -> Backends {
        self.teams.extend(teams.into_iter().filter(|it| *it != UNKNOWN).cloned());
        self
    }

    /// The Prometheus that an argument means.
    pub(crate) fn prometheus(&self, wanted: Option<&Slug>) -> Result<&Prometheus, ToolError> {
        pick(&self.prometheus, wanted, "prometheus", |it| it.connection().whole("metrics"))
    }

    /// The Prometheus that an argument means; all of them when it is absent.
    pub(crate) fn prometheuses(&self, wanted: Option<&Slug>) -> Result<Vec<&Prometheus>, ToolError> {
        match (wanted, self.prometheus.as_slice()) {
            (None, [_, _, ..]) => Ok(self.prometheus.iter().collect()),
            _ => Ok(vec![self.prometheus(wanted)?]),
        }
    }

    /// The Alertmanager that an argument means.
    pub(crate) fn alertmanager(&self, wanted: Option<&Slug>) -> Result<&Alertmanager, ToolError> {
        pick(&self.alertmanagers, wanted, "alertmanager", |it| it.connection().whole("alerts"))
    }

    /// The Alertmanager that an argument means; all of them when it is absent.
    pub(crate) fn alertmanagers(&self, wanted: Option<&Slug>) -> Result<Vec<&Alertmanager>, ToolError> {
        match (wanted, self.alertmanagers.as_slice()) {
            (None, [_, _, ..]) => Ok(self.alertmanagers.iter().collect()),
            _ => Ok(vec![self.alertmanager(wanted)?]),
        }
    }

    /// The Prometheus that evaluates the rules behind an Alertmanager: the only one that a policy cannot tell from it,
    /// because environment, region, team and tier are the same.
    pub(crate) fn values_for(&self, alertmanager: &Alertmanager) -> Option<&Prometheus> {
        let place =
            |it: &Connection| (it.environment.clone(), it.region.clone(), it.team.clone(), it.tier.clone());
        let wanted = place(alertmanager.connection());
        let mut peers = self.prometheus.iter().filter(|it| place(it.connection()) == wanted);
        match (peers.next(), peers.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// What touching one alert touches. Its `team` label counts only where the connection trusts labels, and only when
    /// it names a team that the configuration knows: anything else would be a word that no policy can hold.
    pub(crate) fn alert_target(&self, alertmanager: &Alertmanager, labels: &Labels) -> Target {
        let id = labels.get("alertname").map_or("(unnamed)", String::as_str);
        let mut target = alertmanager.connection().target("alerts", id);
        if let Some(team) = self.trusted_team(alertmanager, labels.get("team").map(String::as_str)) {
            target.team = team.to_owned();
        }
        target
    }

    /// What a silence of an Alertmanager touches: the alert that its matchers name, or the whole of them where they name
    /// none, of every team that they let through where labels are trusted to name teams. Alerts that will begin to fire
    /// are hidden as well, so this holds whatever fires now.
    pub(crate) fn silence_targets(&self, of: &Alertmanager, matchers: &[LabelMatcher]) -> Vec<Target> {
        let mut target = match matchers.iter().find_map(|it| it.pins("alertname")) {
            Some(alert) => of.connection().target("alerts", alert),
            None => of.connection().whole("alerts"),
        };
        let team = matchers.iter().find_map(|it| it.pins("team"));
        if let Some(team) = self.trusted_team(of, team) {
            target.team = team.to_owned();
        }
        let teams = self.teams_within(of, matchers).filter(|it| **it != target.team);
        let others = teams.map(|it| Target { team: it.clone(), ..target.clone() });
        std::iter::once(target.clone()).chain(others).collect()
    }

    /// The known teams whose alerts may have labels that meet all matchers and the forced ones, where labels are trusted.
    pub(crate) fn teams_within(
        &self,
        of: &Alertmanager,
        matchers: &[LabelMatcher],
    ) -> impl Iterator<Item = &String> {
        let trusted = of.trusts_labels();
        let mut within = of.confine(matchers);
        within.retain(|it| it.name == "team");
        self.teams.iter().filter(move |team| trusted && within.iter().all(|it| it.may_match(team)))
    }

    /// The team that a label names, where labels are trusted.
    pub(crate) fn trusted_team<'a>(&self, of: &Alertmanager, label: Option<&'a str>) -> Option<&'a str> {
        label.filter(|it| of.trusts_labels() && self.teams.contains(*it))
    }
}

#[cfg(test)]
mod tests {
    use config::Http;

    use super::*;

    fn connection(name: &str, team: &str, trust_labels: bool, alertmanager: bool) -> Connection {
        let http = Http { trust_labels, ..Http::plain("http://127.0.0.1:9".parse().expect("an address")) };
        let unknown = UNKNOWN.to_owned();
        Connection {
            name: name.to_owned(),
            environment: "production".to_owned(),
            region: unknown.clone(),
            team: team.to_owned(),
            tier: unknown,
            system: if alertmanager { System::Alertmanager(http) } else { System::Prometheus(http) },
        }
    }

    #[test]
    fn a_team_label_counts_only_where_it_is_trusted_and_known() {
        let labels = |team: &str| Labels::from([("team".to_owned(), team.to_owned())]);
        for (trusted, label, expected) in
            [(true, "checkout", "checkout"), (true, "made-up", "platform"), (false, "checkout", "platform")]
        {
            let all = [connection("a", "platform", trusted, true), connection("b", "checkout", false, false)];
            let backends = Backends::new(&all).expect("connections");
            let target = backends.alert_target(&backends.alertmanagers[0], &labels(label));
            assert_eq!(target.team, expected, "{label}");
        }
    }

    #[test]
    fn a_team_that_policies_may_name_needs_no_connection_of_its_own() {
        let words = ["checkout".to_owned(), UNKNOWN.to_owned()];
        let backends = Backends::new(&[connection("a", "platform", true, true)]).expect("connections");
        let backends = backends.knowing_teams(&words);
        for (label, expected) in [("checkout", "checkout"), ("made-up", "platform"), (UNKNOWN, "platform")] {
            let labels = Labels::from([("team".to_owned(), label.to_owned())]);
            assert_eq!(backends.alert_target(&backends.alertmanagers[0], &labels).team, expected, "{label}");
        }
    }

    #[test]
    fn values_come_only_from_the_one_prometheus_in_the_same_place() {
        let peers = |teams: &[&str]| {
            let mut all = vec![connection("alerts", "platform", false, true)];
            all.extend(
                teams.iter().enumerate().map(|(at, it)| connection(&format!("p{at}"), it, false, false)),
            );
            let backends = Backends::new(&all).expect("connections");
            let found = backends.values_for(&backends.alertmanagers[0]);
            found.map(|it| it.connection().name.clone())
        };
        assert_eq!(peers(&["checkout", "platform"]).as_deref(), Some("p1"));
        assert_eq!(peers(&["platform", "platform"]), None);
        assert_eq!(peers(&["checkout"]), None);
    }

    #[test]
    fn an_unknown_connection_comes_with_those_there_are() {
        let all = [connection("prod-eu", "a", false, false), connection("prod-us", "a", false, false)];
        let backends = Backends::new(&all).expect("connections");
        let wanted: Slug = serde_json::from_value("prod-uk".into()).expect("a slug");
        let Err(ToolError::NotFound { name, suggestions, .. }) = backends.prometheus(Some(&wanted)) else {
            panic!("found");
        };
        assert_eq!(name, "prod-uk");
        assert_eq!(suggestions.iter().map(|it| it.text.as_str()).collect::<Vec<_>>(), ["prod-eu", "prod-us"]);
        assert!(suggestions.iter().all(|it| it.target.is_some()));
        assert!(backends.prometheus(None).is_err(), "several, and none named");
    }

    #[test]
    fn a_forced_matcher_that_is_none_is_refused_at_start() {
        let mut wrong = connection("prod", "a", false, false);
        if let System::Prometheus(http) = &mut wrong.system {
            http.matchers = vec!["team=\"a\",x=\"b\"".to_owned()];
        }
        let error = Backends::new(&[wrong]).expect_err("refused").to_string();
        assert!(error.starts_with("connection `prod`: `matchers`: expected a matcher like"), "{error}");
    }
}
