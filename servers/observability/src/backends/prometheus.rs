//! Prometheus HTTP API, the part that the tools need.
//!
//! Source: <https://prometheus.io/docs/prometheus/latest/querying/api/>

mod count;
mod inquiry;
mod inventory;
mod rules;
mod scrapes;

use std::{borrow::Cow, collections::HashMap, fmt};

use config::{Connection, Http};
use jiff::Timestamp;
use outbound::{Endpoint, OutboundError};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};
use tool::ToolError;

use crate::{
    grid::Grid,
    labels::Labels,
    promql::{Confined, Forced, Query},
    statistics::Point,
};

pub(crate) use inquiry::Inquiry;
pub(crate) use inventory::{Described, Scope, is_plain_metric};
pub(crate) use rules::{Rule, RuleState};
pub(crate) use scrapes::{Scrape, Scrapes, Vanished};

/// One Prometheus, or whatever speaks its API.
pub(crate) struct Prometheus {
    connection: Connection,
    endpoint: Endpoint,
    forced: Forced,
    timeout_ms: u64,
}

/// Longer forms go out as `POST`.
const GET_BYTES_MAX: usize = 1_500;

/// Moments at which a query is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moments {
    /// One.
    At(Timestamp),
    /// Several.
    Over(Grid),
}

/// What a query came to.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    /// Prometheus' own remarks on the query; untrusted. What it warned of is with the [`Inquiry`].
    pub(crate) remarks: Vec<String>,
}

/// The four types of results.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(crate) enum Outcome {
    Vector(Vec<InstantSeries>),
    Matrix(Vec<RangeSeries>),
    Scalar(Sample),
    String((f64, String)),
}

/// A series at one moment; without a value it is a native histogram.
#[derive(Debug, Deserialize)]
pub(crate) struct InstantSeries {
    pub(crate) metric: Labels,
    pub(crate) value: Option<Sample>,
}

/// A series over time.
#[derive(Debug, Deserialize)]
pub(crate) struct RangeSeries {
    pub(crate) metric: Labels,
    #[serde(default, deserialize_with = "points")]
    pub(crate) values: Vec<Point>,
}

/// A moment and a value, which comes as text because JSON has no NaN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample(pub(crate) Point);

/// An alert as a rule evaluates it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleAlert {
    pub(crate) labels: Labels,
    pub(crate) value: String,
    /// `pending` or `firing`.
    #[serde(default)]
    pub(crate) state: RuleState,
    pub(crate) active_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
    /// How VictoriaMetrics says that some of its stores did not answer.
    #[serde(default, rename = "isPartial")]
    partial: bool,
}

#[derive(Deserialize)]
struct RuleAlerts {
    alerts: Vec<RuleAlert>,
}

impl Outcome {
    /// Whether there is no series with plain values.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Outcome::Vector(series) => series.iter().all(|it| it.value.is_none()),
            Outcome::Matrix(series) => series.iter().all(|it| it.values.is_empty()),
            Outcome::Scalar(_) | Outcome::String(_) => false,
        }
    }
}

impl Prometheus {
    pub(crate) fn new(
        connection: &Connection,
        http: &Http,
        forced: Forced,
    ) -> Result<Prometheus, OutboundError> {
        let endpoint = Endpoint::new(&connection.name, http)?;
        Ok(Prometheus { connection: connection.clone(), endpoint, forced, timeout_ms: http.timeout_ms })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn forced(&self) -> &Forced {
        &self.forced
    }

    /// The query as this connection may ask it.
    pub(crate) fn confine(&self, query: Query) -> Result<Confined, String> {
        self.forced.confine(query)
    }

    /// A query put together here, as this connection may ask it.
    pub(crate) fn compose(&self, text: &str) -> Result<Confined, ToolError> {
        let invalid = |problem| ToolError::Invalid { argument: "connection", problem };
        Query::composed(text).and_then(|it| self.confine(it)).map_err(invalid)
    }

    /// Evaluates a query: `/api/v1/query` and `/api/v1/query_range`. The only way there.
    pub(crate) async fn query(
        &self,
        query: &Confined,
        when: Moments,
        inquiry: &Inquiry,
    ) -> Result<Answered, ToolError> {
        // Lets Prometheus give up when we do.
        let timeout = format!("{}ms", self.timeout_ms);
        let moments: Vec<(&str, String)> = match when {
            Moments::At(at) => vec![("time", seconds(at))],
            Moments::Over(grid) => vec![
                ("start", grid.from.to_string()),
                ("end", grid.to.to_string()),
                ("step", grid.step.to_string()),
            ],
        };
        let path = match when {
            Moments::At(_) => ["api", "v1", "query"],
            Moments::Over(_) => ["api", "v1", "query_range"],
        };
        let mut form = vec![("query", query.text()), ("timeout", timeout.as_str())];
        form.extend(moments.iter().map(|(name, value)| (*name, value.as_str())));
        let envelope: Envelope<Outcome> = match query.text().len() > GET_BYTES_MAX {
            true => self.endpoint.post_form_read(&path, &form, inquiry.deadline()).await?,
            false => self.endpoint.get_json(&path, &form, inquiry.deadline()).await?,
        };
        let remarks = envelope.infos.clone();
        Ok(Answered { outcome: envelope.opened(inquiry), remarks })
    }

    /// Alerts as the rules evaluate them now, within the forced matchers: `/api/v1/alerts`.
    pub(crate) async fn rule_alerts(&self, inquiry: &Inquiry) -> Result<Vec<RuleAlert>, ToolError> {
        let found: RuleAlerts = self.read(&["alerts"], &[], inquiry).await?;
        // This address takes no matchers, so they are applied here.
        Ok(found.alerts.into_iter().filter(|it| self.forced.admits(&it.labels)).collect())
    }

    /// What one address below `/api/v1` answers.
    async fn read<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        inquiry: &Inquiry,
    ) -> Result<T, ToolError> {
        let path: Vec<&str> = ["api", "v1"].iter().chain(path).copied().collect();
        let envelope: Envelope<T> = self.endpoint.get_json(&path, query, inquiry.deadline()).await?;
        Ok(envelope.opened(inquiry))
    }
}

impl<T> Envelope<T> {
    /// What is in it; what it warns of is kept, so that nothing partial is told as whole.
    fn opened(self, inquiry: &Inquiry) -> T {
        inquiry.warned(self.warnings);
        if self.partial {
            inquiry.warned(vec!["some of its stores did not answer".to_owned()]);
        }
        self.data
    }
}

/// Values of a set of alerts, found by labels.
pub(crate) struct Values(HashMap<String, Vec<RuleAlert>>);

impl Values {
    pub(crate) fn of(alerts: Vec<RuleAlert>) -> Values {
        let mut by_name: HashMap<String, Vec<RuleAlert>> = HashMap::new();
        for alert in alerts {
            by_name
                .entry(alert.labels.get("alertname").cloned().unwrap_or_default())
                .or_default()
                .push(alert);
        }
        Values(by_name)
    }

    /// The value behind an alert: Alertmanager's labels are the rule's and perhaps external ones.
    pub(crate) fn find(&self, labels: &Labels) -> Option<f64> {
        let candidates = self.0.get(labels.get("alertname")?)?;
        let same = |it: &&RuleAlert| it.labels.iter().all(|(name, value)| labels.get(name) == Some(value));
        candidates.iter().find(same)?.value.parse().ok()
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let (at, value) = <(f64, Cow<'de, str>)>::deserialize(input)?;
        Ok(Sample((at, value.parse().map_err(|_| D::Error::custom("a value that is no number"))?)))
    }
}

fn points<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Point>, D::Error> {
    Ok(Vec::<Sample>::deserialize(input)?.into_iter().map(|it| it.0).collect())
}

/// Unix seconds with milliseconds.
fn seconds(at: Timestamp) -> String {
    format!("{}.{:03}", at.as_second(), at.subsec_millisecond().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_result_is_read() {
        let read = |text: &str| serde_json::from_str::<Outcome>(text).expect(text);
        let vector = read(
            r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1.5,"NaN"]},{"metric":{},"histogram":[1,{}]}]}"#,
        );
        let Outcome::Vector(series) = vector else { panic!("a vector") };
        assert!(series[0].value.expect("a value").0.1.is_nan());
        assert!(series[1].value.is_none());
        let matrix = read(
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"+Inf"],[2,"1e3"]]},{"metric":{},"histograms":[]}]}"#,
        );
        let Outcome::Matrix(series) = matrix else { panic!("a matrix") };
        assert_eq!(series[0].values, [(1.0, f64::INFINITY), (2.0, 1000.0)]);
        assert!(matches!(
            read(r#"{"resultType":"scalar","result":[1,"2"]}"#),
            Outcome::Scalar(Sample((_, 2.0)))
        ));
        assert!(
            matches!(read(r#"{"resultType":"string","result":[1,"x"]}"#), Outcome::String((_, it)) if it == "x")
        );
    }

    #[test]
    fn a_value_is_found_through_external_labels() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let rule = |pod: &str, value: &str| RuleAlert {
            labels: labels(&[("alertname", "Slow"), ("pod", pod)]),
            value: value.to_owned(),
            state: RuleState::Firing,
            active_at: None,
        };
        let values = Values::of(vec![rule("a", "1e+00"), rule("b", "2.5e+00")]);
        let alert = labels(&[("alertname", "Slow"), ("pod", "b"), ("cluster", "eu")]);
        assert_eq!(values.find(&alert), Some(2.5));
        assert_eq!(values.find(&labels(&[("alertname", "Slow"), ("pod", "c")])), None);
    }
}
