//! What share of events failed, over each window: as rules recorded it, or as two counters say.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;
use outbound::Deadline;
use tool::ToolError;

use super::burn::{Slo, WINDOWS};
use crate::{
    backends::prometheus::{Moments, Outcome, Prometheus},
    labels::Labels,
    promql::Query,
};

/// A question to one Prometheus at one moment.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) prometheus: &'a Prometheus,
    pub(super) now: Timestamp,
    pub(super) days: u64,
    pub(super) deadline: Deadline,
}

/// Objectives, and what there is to say about them.
#[derive(Default)]
pub(super) struct Found {
    pub(super) slos: Vec<Slo>,
    pub(super) notes: Vec<String>,
    pub(super) not_looked_at: Vec<String>,
}

/// Two counters and a label to tell objectives apart by.
pub(super) struct Counters<'a> {
    pub(super) good: &'a str,
    pub(super) total: &'a str,
    pub(super) by: Option<&'a str>,
    pub(super) objective: f64,
}

/// Ends of the names of recorded error ratios, as Sloth, Pyrra and the workbook write them.
const RECORDED: [&str; 3] = ["ratio_rate5m", "burnrate5m", "errors_per_request:ratio_rate5m"];
/// Labels that only say which window it is.
const WINDOW_LABELS: [&str; 2] = ["sloth_window", "window"];
const FAMILIES_MAX: usize = 10;
/// Most series of which the period is averaged.
const AVERAGED_MAX: usize = 200;
/// Most samples that a period may hold: what Prometheus loads for one query unless told otherwise.
const SAMPLES_MAX: u64 = 50_000_000;
/// Seconds between samples, where nothing is known.
const SAMPLE_SECONDS: u64 = 15;

type Values = BTreeMap<Labels, f64>;

impl Asking<'_> {
    /// The values of a query by labels, without those that name the window.
    async fn ask(&self, text: &str) -> Result<Values, ToolError> {
        let invalid = |problem| ToolError::Invalid { argument: "total", problem };
        let query = Query::parse(text).and_then(|it| self.prometheus.confine(it)).map_err(invalid)?;
        let answered = self.prometheus.query(&query, Moments::At(self.now), self.deadline).await?;
        let Outcome::Vector(series) = answered.outcome else { return Ok(Values::new()) };
        let value = |it: crate::backends::prometheus::InstantSeries| {
            let mut labels = it.metric;
            labels.retain(|name, _| name != "__name__" && !WINDOW_LABELS.contains(&name.as_str()));
            Some((labels, it.value?.0.1)).filter(|it| it.1.is_finite())
        };
        Ok(series.into_iter().filter_map(value).collect())
    }

    /// Objectives over two counters.
    pub(super) async fn counted(&self, counters: &Counters<'_>) -> Result<Found, ToolError> {
        let mut found = Found::default();
        let Counters { good, total, by, objective } = counters;
        let sum = by.map_or_else(|| "sum".to_owned(), |it| format!("sum by ({it}) "));
        // Where nothing was good there is no such series; where nothing happened there is no ratio.
        let ratio = |window: &str| {
            let (good, total) =
                (format!("{sum}(rate({good}[{window}]))"), format!("{sum}(rate({total}[{window}]))"));
            format!("1 - ({good} or {total} * 0) / ({total} > 0)")
        };
        let windows = join_all(WINDOWS.map(|(name, _)| {
            let text = ratio(name);
            async move { self.ask(&text).await }
        }))
        .await;
        let mut slos: BTreeMap<Labels, Slo> = BTreeMap::new();
        for (at, values) in windows.into_iter().enumerate() {
            // The short windows are the answer; a long one may be too much for the system.
            let values = match values {
                Err(error) if at > 2 => {
                    found.not_looked_at.push(format!("{}: {error}", WINDOWS[at].0));
                    continue;
                }
                values => values?,
            };
            for (labels, failed) in values {
                let known = slos.entry(labels.clone()).or_insert_with(|| Slo {
                    labels,
                    objective: *objective,
                    ..Slo::default()
                });
                known.failed[at] = Some(failed.max(0.0));
            }
        }
        match self.period(good, total, &ratio(&format!("{}d", self.days))).await {
            Ok((values, note)) => {
                found.notes.extend(note);
                for (labels, failed) in values {
                    if let Some(slo) = slos.get_mut(&labels) {
                        slo.failed_in_period = Some(failed.max(0.0));
                    }
                }
            }
            Err(problem) => found.not_looked_at.push(format!("the budget of {} days: {problem}", self.days)),
        }
        found.slos = slos.into_values().collect();
        Ok(found)
    }

    /// The whole period, if it can be paid for, and whether there is as much history.
    async fn period(&self, good: &str, total: &str, ratio: &str) -> Result<(Values, Option<String>), String> {
        let confined = |text: String| Query::parse(&text).and_then(|it| self.prometheus.confine(it));
        let before = confined(format!("{total} offset {}h", self.days * 24 - 1))?;
        let (good, total) = (confined(good.to_owned())?, confined(total.to_owned())?);
        let at = Moments::At(self.now);
        let counts = self.prometheus.count_results(&[&good, &total, &before], at, self.deadline).await;
        let counts = counts.map_err(|it| it.to_string())?;
        let samples = (counts[0] + counts[1]).saturating_mul(self.days * 86_400 / SAMPLE_SECONDS);
        if samples > SAMPLES_MAX {
            return Err(format!(
                "{} series over {} days are too many samples; record the ratio with a rule, or give fewer `days`",
                counts[0] + counts[1],
                self.days
            ));
        }
        let note = (counts[2] == 0).then(|| {
            format!("there is less history than {} days: the budget is that of what there is", self.days)
        });
        Ok((self.ask(ratio).await.map_err(|it| it.to_string())?, note))
    }

    /// Objectives whose error ratios rules record for each window. `objective` holds where none is recorded.
    pub(super) async fn recorded(&self, objective: Option<f64>) -> Result<Found, ToolError> {
        let mut found = Found::default();
        let names = self.prometheus.metrics(self.now, self.deadline).await?;
        let is_recorded = |it: &&String| RECORDED.iter().any(|end| it.ends_with(end));
        let mut families: Vec<&str> =
            names.iter().filter(is_recorded).filter_map(|it| it.strip_suffix("5m")).collect();
        families.sort_unstable();
        if families.len() > FAMILIES_MAX {
            let more = families.len() - FAMILIES_MAX;
            found.not_looked_at.push(format!("{more} more families of recorded error ratios"));
            families.truncate(FAMILIES_MAX);
        }
        let objectives = self.objectives(&names).await?;
        for family in families {
            self.family(family, &names, &objectives, objective, &mut found).await?;
        }
        Ok(found)
    }

    async fn family(
        &self,
        family: &str,
        names: &[String],
        objectives: &Values,
        given: Option<f64>,
        found: &mut Found,
    ) -> Result<(), ToolError> {
        let recorded = |window: &str| names.iter().find(|it| it.strip_prefix(family) == Some(window));
        let asked = WINDOWS.map(|(window, _)| {
            let name = recorded(window);
            async move {
                match name {
                    Some(name) => self.ask(&selector(name)).await,
                    None => Ok(Values::new()),
                }
            }
        });
        let mut slos: BTreeMap<Labels, Slo> = BTreeMap::new();
        for (at, values) in join_all(asked).await.into_iter().enumerate() {
            for (labels, failed) in values? {
                let objective = objective_of(&labels, objectives).or(given);
                let known = slos.entry(labels.clone()).or_insert_with(|| Slo {
                    labels,
                    objective: objective.unwrap_or(f64::NAN),
                    ..Slo::default()
                });
                known.failed[at] = Some(failed.max(0.0));
            }
        }
        let all = slos.len();
        slos.retain(|_, it| it.objective.is_finite());
        if slos.len() < all {
            let left = all - slos.len();
            found
                .notes
                .push(format!("{left} series of {family}5m have no recorded objective: give `objective`"));
        }
        let period = format!("{}d", self.days);
        let whole = match recorded(&period) {
            Some(name) => self.ask(&selector(name)).await,
            None if slos.is_empty() || slos.len() > AVERAGED_MAX => Ok(Values::new()),
            None => {
                found
                    .notes
                    .push(format!("budget of {family}: the mean of its 5m ratios, not weighted by traffic"));
                self.ask(&format!("avg_over_time({}[{period}])", selector(&format!("{family}5m")))).await
            }
        };
        match whole {
            Ok(values) => {
                for (labels, failed) in values {
                    if let Some(slo) = slos.get_mut(&labels) {
                        slo.failed_in_period = Some(failed.max(0.0));
                    }
                }
            }
            Err(error) => found.not_looked_at.push(format!("the budget of {family}: {error}")),
        }
        found.slos.extend(slos.into_values());
        Ok(())
    }

    /// Recorded objectives, from 0 to 1.
    async fn objectives(&self, names: &[String]) -> Result<Values, ToolError> {
        let mut all = Values::new();
        for name in ["slo:objective:ratio", "pyrra_objective"] {
            if names.iter().any(|it| it == name) {
                all.extend(self.ask(&selector(name)).await?);
            }
        }
        all.retain(|_, it| *it > 0.0 && *it < 1.0);
        Ok(all)
    }
}

/// The objective whose labels say most of the same.
fn objective_of(labels: &Labels, objectives: &Values) -> Option<f64> {
    let identity = |it: &Labels| ["sloth_id", "slo"].iter().find_map(|name| it.get(*name).cloned());
    let wanted = identity(labels)?;
    objectives.iter().find(|it| identity(it.0).as_ref() == Some(&wanted)).map(|it| *it.1)
}

fn selector(name: &str) -> String {
    format!("{{__name__={name:?}}}")
}
