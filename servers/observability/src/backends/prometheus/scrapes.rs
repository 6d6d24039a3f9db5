//! Which scrape targets are there, and how did the last look at each end?

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use promql_parser::util::parse_duration;
use serde::Deserialize;
use tool::ToolError;

use super::{Inquiry, Moments, Outcome, Prometheus};
use crate::labels::Labels;

/// One scrape target.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scrape {
    pub(crate) labels: Labels,
    /// `up`, `down`, or `unknown` before the first look.
    #[serde(default)]
    pub(crate) health: String,
    #[serde(default)]
    pub(crate) last_error: String,
    pub(crate) last_scrape: Option<Timestamp>,
    #[serde(default)]
    scrape_interval: String,
    #[serde(default)]
    scrape_pool: String,
}

/// What is known of a system's scrape targets.
#[derive(Debug)]
pub(crate) struct Scrapes {
    pub(crate) scrapes: Vec<Scrape>,
    /// Jobs that are configured and find nothing to scrape, where that is known.
    pub(crate) empty: Result<Vec<String>, ToolError>,
    /// Why all of it is read from the series `up`, which know no errors, rather than from whoever scrapes.
    pub(crate) indirect: Option<String>,
}

/// Targets of an hour before.
#[derive(Debug, Default)]
pub(crate) struct Vanished {
    /// Labels of those that are not there now.
    pub(crate) gone: Vec<Labels>,
    /// How many each job had.
    pub(crate) before: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    #[serde(default)]
    active_targets: Option<Vec<Scrape>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pools {
    scrape_pools: Vec<String>,
}

impl Scrape {
    /// Seconds between looks, where it is told.
    pub(crate) fn interval(&self) -> Option<f64> {
        // A bare number of seconds is not left to the parser: it panics on one that is no length of time.
        let length = match self.scrape_interval.parse() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Err(_) => parse_duration(&self.scrape_interval).ok(),
        };
        length.map(|it| it.as_secs_f64()).filter(|it| *it > 0.0)
    }

    pub(crate) fn job(&self) -> &str {
        self.labels.get("job").map_or("(no job)", String::as_str)
    }

    pub(crate) fn instance(&self) -> &str {
        self.labels.get("instance").map_or("(no instance)", String::as_str)
    }

    fn of_series(labels: Labels, up: f64, at: Option<f64>) -> Scrape {
        #[expect(clippy::cast_possible_truncation, reason = "a moment of a query")]
        let last_scrape = at.and_then(|it| Timestamp::from_second(it as i64).ok());
        let health = if up > 0.0 { "up" } else { "down" };
        Scrape {
            labels,
            health: health.to_owned(),
            last_error: String::new(),
            last_scrape,
            scrape_interval: String::new(),
            scrape_pool: String::new(),
        }
    }
}

impl Prometheus {
    /// Targets within the forced matchers: `/api/v1/targets`. A store that scrapes nothing itself is asked for `up`.
    pub(crate) async fn scrapes(&self, now: Timestamp, inquiry: &Inquiry) -> Result<Scrapes, ToolError> {
        let (active, pools) = tokio::join!(self.active_targets(inquiry), self.pools(inquiry));
        let why = match active {
            Ok(scrapes) if !scrapes.is_empty() => {
                // What a pool finds outside the forced matchers is not ours to know, and neither is that it finds nothing.
                let found = |pool: &String| scrapes.iter().any(|it| it.scrape_pool == *pool);
                let pools = if self.forced.is_empty() { pools } else { Ok(Vec::new()) };
                let empty = pools.map(|it| it.into_iter().filter(|it| !found(it)).collect());
                let scrapes = scrapes.into_iter().filter(|it| self.forced.admits(&it.labels)).collect();
                return Ok(Scrapes { scrapes, empty, indirect: None });
            }
            Ok(_) => "it scrapes nothing itself".to_owned(),
            Err(ToolError::Rejected { .. }) => "it does not tell its targets".to_owned(),
            Err(ToolError::Unavailable { problem, .. }) => {
                format!("its targets could not be read: {problem}")
            }
            Err(error) => return Err(error),
        };
        let scrapes = self.up(now, inquiry).await?;
        Ok(Scrapes { scrapes, empty: Ok(Vec::new()), indirect: Some(why) })
    }

    /// Targets that had the series `up` an hour before and have none now.
    pub(crate) async fn vanished(&self, now: Timestamp, inquiry: &Inquiry) -> Result<Vanished, ToolError> {
        let (gone, before) = tokio::join!(
            self.vector("(up offset 1h) unless up", now, inquiry),
            self.vector("count by (job) (up offset 1h)", now, inquiry),
        );
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are whole and not negative"
        )]
        let count = |(labels, count): (Labels, f64)| {
            (labels.get("job").cloned().unwrap_or_default(), count.max(0.0) as u64)
        };
        Ok(Vanished {
            gone: gone?.into_iter().map(|it| it.0).collect(),
            before: before?.into_iter().map(count).collect(),
        })
    }

    async fn up(&self, now: Timestamp, inquiry: &Inquiry) -> Result<Vec<Scrape>, ToolError> {
        let (values, times) =
            tokio::join!(self.vector("up", now, inquiry), self.vector("timestamp(up)", now, inquiry));
        let times: BTreeMap<Labels, f64> = times?.into_iter().collect();
        let of = |(mut labels, up): (Labels, f64)| {
            // A function drops the name.
            labels.remove("__name__");
            let at = times.get(&labels).copied();
            Scrape::of_series(labels, up, at)
        };
        Ok(values?.into_iter().map(of).collect())
    }

    async fn vector(
        &self,
        query: &str,
        now: Timestamp,
        inquiry: &Inquiry,
    ) -> Result<Vec<(Labels, f64)>, ToolError> {
        let query = self.compose(query)?;
        match self.query(&query, Moments::At(now), inquiry).await?.outcome {
            Outcome::Vector(series) => {
                Ok(series.into_iter().filter_map(|it| Some((it.metric, it.value?.0.1))).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn active_targets(&self, inquiry: &Inquiry) -> Result<Vec<Scrape>, ToolError> {
        let found: Targets = self.read(&["targets"], &[("state", "active")], inquiry).await?;
        Ok(found.active_targets.unwrap_or_default())
    }

    async fn pools(&self, inquiry: &Inquiry) -> Result<Vec<String>, ToolError> {
        let found: Pools = self.read(&["scrape_pools"], &[], inquiry).await?;
        Ok(found.scrape_pools)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_that_is_no_length_of_time_is_none() {
        let interval = |text: &str| {
            let scrape = serde_json::json!({ "labels": {}, "scrapeInterval": text });
            serde_json::from_value::<Scrape>(scrape).expect("a target").interval()
        };
        assert_eq!(["15s", "1m", "30"].map(interval), [Some(15.0), Some(60.0), Some(30.0)]);
        for wrong in ["", "-1", "NaN", "inf", "1e300", "0", "0s", "soon"] {
            assert_eq!(interval(wrong), None, "{wrong}");
        }
    }
}
