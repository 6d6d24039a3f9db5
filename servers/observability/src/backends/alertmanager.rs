//! Alertmanager API v2, the part that the tools need.
//!
//! Source: <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>

use std::fmt;

use config::{Connection, Http};
use jiff::Timestamp;
use outbound::{Deadline, Endpoint, OutboundError};
use serde::{Deserialize, Serialize};
use tool::{Leave, ToolError};

use crate::{
    grid::utc,
    labels::Labels,
    matcher::{LabelMatcher, Relation},
    promql::Forced,
};

/// One Alertmanager.
pub(crate) struct Alertmanager {
    connection: Connection,
    endpoint: Endpoint,
    forced: Forced,
    trust_labels: bool,
}

/// An alert that fires, whether or not anybody is told.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alert {
    pub(crate) labels: Labels,
    #[serde(default)]
    pub(crate) annotations: Labels,
    pub(crate) starts_at: Timestamp,
    pub(crate) status: AlertStatus,
}

/// What keeps an alert from being told, if anything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertStatus {
    #[serde(default)]
    pub(crate) silenced_by: Vec<String>,
    #[serde(default)]
    pub(crate) inhibited_by: Vec<String>,
}

/// A silence that exists. Its matchers never change: a change of them makes another silence.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Silence {
    pub(crate) id: String,
    pub(crate) matchers: Vec<SilenceMatcher>,
    #[serde(default)]
    pub(crate) created_by: String,
    #[serde(default)]
    pub(crate) comment: String,
    pub(crate) ends_at: Timestamp,
    /// When it was last changed; some that speak the API leave it out.
    #[serde(default)]
    pub(crate) updated_at: Option<Timestamp>,
    pub(crate) status: SilenceStatus,
}

/// Whether a silence is in force.
#[derive(Debug, Deserialize)]
pub(crate) struct SilenceStatus {
    /// `active`, `pending` or `expired`.
    pub(crate) state: String,
}

/// A silence to be made.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewSilence {
    pub(crate) matchers: Vec<SilenceMatcher>,
    pub(crate) starts_at: String,
    pub(crate) ends_at: String,
    pub(crate) created_by: String,
    pub(crate) comment: String,
}

/// A condition of a silence on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SilenceMatcher {
    name: String,
    value: String,
    is_regex: bool,
    /// Absent in old versions, where every condition was positive.
    #[serde(default = "positive")]
    is_equal: bool,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "silenceID")]
    silence_id: String,
}

impl Alertmanager {
    pub(crate) fn new(
        connection: &Connection,
        http: &Http,
        forced: Forced,
    ) -> Result<Alertmanager, OutboundError> {
        let endpoint = Endpoint::new(&connection.name, http)?;
        Ok(Alertmanager { connection: connection.clone(), endpoint, forced, trust_labels: http.trust_labels })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn forced(&self) -> &Forced {
        &self.forced
    }

    pub(crate) fn trusts_labels(&self) -> bool {
        self.trust_labels
    }

    /// Matchers with those that the connection forces.
    pub(crate) fn confine(&self, matchers: &[LabelMatcher]) -> Vec<LabelMatcher> {
        let mut confined = matchers.to_vec();
        confined.extend(self.forced.matchers().iter().filter(|it| !matchers.contains(it)).cloned());
        confined
    }

    /// Alerts that fire and meet every matcher and the forced ones: `GET /alerts`.
    pub(crate) async fn alerts(
        &self,
        matchers: &[LabelMatcher],
        deadline: Deadline,
    ) -> Result<Vec<Alert>, ToolError> {
        let filters: Vec<String> = self.confine(matchers).iter().map(ToString::to_string).collect();
        let query: Vec<(&str, &str)> = filters.iter().map(|it| ("filter", it.as_str())).collect();
        self.endpoint.get_json(&["api", "v2", "alerts"], &query, deadline).await
    }

    /// An active silence with exactly these matchers that lasts until `ends` at least: `GET /silences`.
    pub(crate) async fn silence_until(
        &self,
        matchers: &[SilenceMatcher],
        ends: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<Silence>, ToolError> {
        let all = self.all_silences(deadline).await?;
        let wanted = sorted(matchers);
        let same = |it: &Silence| {
            it.status.state == "active" && it.ends_at >= ends && sorted(&it.matchers) == wanted
        };
        Ok(all.into_iter().find(same))
    }

    /// Silences that carry every forced matcher, whatever their state: `GET /silences`.
    pub(crate) async fn silences(&self, deadline: Deadline) -> Result<Vec<Silence>, ToolError> {
        let mut all = self.all_silences(deadline).await?;
        let forced: Vec<SilenceMatcher> = self.forced.matchers().iter().map(SilenceMatcher::from).collect();
        all.retain(|it| forced.iter().all(|forced| it.matchers.contains(forced)));
        Ok(all)
    }

    async fn all_silences(&self, deadline: Deadline) -> Result<Vec<Silence>, ToolError> {
        self.endpoint.get_json(&["api", "v2", "silences"], &[], deadline).await
    }

    /// Ends a silence: `DELETE /silence/{id}`.
    pub(crate) async fn expire_silence(
        &self,
        leave: Leave<'_>,
        id: &str,
        deadline: Deadline,
    ) -> Result<(), ToolError> {
        self.endpoint.delete(leave, &["api", "v2", "silence", id], deadline).await
    }

    /// Makes a silence and returns its id: `POST /silences`.
    pub(crate) async fn create_silence(
        &self,
        leave: Leave<'_>,
        silence: &NewSilence,
        deadline: Deadline,
    ) -> Result<String, ToolError> {
        let path = ["api", "v2", "silences"];
        let created: Created = self.endpoint.post_json(leave, &path, silence, deadline).await?;
        Ok(created.silence_id)
    }
}

impl NewSilence {
    /// A silence from `from` to `to`.
    pub(crate) fn new(
        matchers: Vec<SilenceMatcher>,
        from: Timestamp,
        to: Timestamp,
        created_by: String,
        comment: String,
    ) -> NewSilence {
        NewSilence { matchers, starts_at: utc(from), ends_at: utc(to), created_by, comment }
    }
}

impl SilenceMatcher {
    /// As an argument.
    pub(crate) fn as_argument(&self) -> LabelMatcher {
        let relation = match (self.is_regex, self.is_equal) {
            (false, true) => Relation::Equal,
            (false, false) => Relation::NotEqual,
            (true, true) => Relation::Matches,
            (true, false) => Relation::MatchesNot,
        };
        LabelMatcher { name: self.name.clone(), relation, value: self.value.clone() }
    }
}

impl From<&LabelMatcher> for SilenceMatcher {
    fn from(matcher: &LabelMatcher) -> SilenceMatcher {
        SilenceMatcher {
            name: matcher.name.clone(),
            value: matcher.value.clone(),
            is_regex: matches!(matcher.relation, Relation::Matches | Relation::MatchesNot),
            is_equal: matches!(matcher.relation, Relation::Equal | Relation::Matches),
        }
    }
}

impl fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alertmanager").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

fn positive() -> bool {
    true
}

fn sorted(matchers: &[SilenceMatcher]) -> Vec<SilenceMatcher> {
    let mut sorted = matchers.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted
}
