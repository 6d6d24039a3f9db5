//! What share of events failed, as rules recorded it?

use std::collections::BTreeMap;

use futures::future::join_all;
use tool::ToolError;

use super::{
    burn::{Slo, WINDOWS},
    ratios::{Asking, Found, Values},
};
use crate::{backends::prometheus::is_plain_metric, cost, labels::Labels};

const FAMILIES_MAX: usize = 10;
/// Most series of which a mean over a long time is taken.
const AVERAGED_MAX: u64 = 200;
/// Labels that say which objective it is.
const IDENTITIES: [&str; 2] = ["sloth_id", "slo"];

/// Which objective is recorded for a series.
#[derive(Debug, PartialEq)]
enum Objective {
    None,
    One(f64),
    /// Several, and nothing tells which.
    Several,
}

impl Asking<'_> {
    /// Objectives whose error ratios rules record. `objective` holds where none is recorded.
    pub(super) async fn recorded(&self, objective: Option<f64>) -> Result<Found, ToolError> {
        let mut found = Found::default();
        let hour = jiff::SignedDuration::from_hours(1);
        let from = self.now.checked_sub(hour).unwrap_or(self.now);
        let names = self.prometheus.metrics(from, self.now, self.inquiry).await?;
        let mut families: Vec<&str> = names.iter().filter_map(|it| family_of(it)).collect();
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
        let shortest = self.ask(&selector(&format!("{family}5m"))).await?;
        let mut windows = vec![shortest];
        let count = windows[0].len() as u64;
        windows.extend(self.longer(family, names, count, found).await);
        let mut slos: BTreeMap<Labels, Slo> = BTreeMap::new();
        for (at, values) in windows.into_iter().enumerate() {
            for (labels, failed) in values {
                let known = slos.entry(labels.clone()).or_insert_with(|| Slo { labels, ..Slo::default() });
                known.failed[at] = Some(failed.max(0.0));
            }
        }
        let (mut several, mut without) = (0, 0);
        slos.retain(|labels, slo| {
            let objective = match objective_of(labels, objectives) {
                Objective::One(objective) => Some(objective),
                Objective::None => given,
                Objective::Several => None,
            };
            several += usize::from(objective_of(labels, objectives) == Objective::Several);
            without += usize::from(objective.is_none());
            slo.objective = objective.unwrap_or_default();
            objective.is_some()
        });
        if without > several {
            let without = without - several;
            found
                .notes
                .push(format!("{without} series of {family}5m have no recorded objective: give `objective`"));
        }
        if several > 0 {
            found.notes.push(format!("{several} series of {family}5m have several differing objectives"));
        }
        if !slos.is_empty() {
            self.budget(family, names, count, &mut slos, found).await;
        }
        found.slos.extend(slos.into_values());
        Ok(())
    }

    /// The windows after the shortest. One that no rule records is the mean of the shortest, as far as that can be paid for:
    /// without a window nobody would be told of what it shows.
    async fn longer(&self, family: &str, names: &[String], count: u64, found: &mut Found) -> Vec<Values> {
        let is_recorded = |window: &str| names.iter().any(|it| it.strip_prefix(family) == Some(window));
        let asked = WINDOWS[1..].iter().map(|(window, hours)| {
            let text = match is_recorded(window) {
                true => Ok(selector(&format!("{family}{window}"))),
                false => mean(family, window, hours * 3_600.0, count),
            };
            async move {
                match text {
                    Ok(text) => self.ask(&text).await.map_err(|it| it.to_string()),
                    Err(problem) => Err(problem),
                }
            }
        });
        let (mut windows, mut averaged) = (Vec::new(), Vec::new());
        for ((window, _), values) in WINDOWS[1..].iter().zip(join_all(asked).await) {
            match values {
                Ok(_) if !is_recorded(window) => averaged.push(*window),
                Ok(_) => {}
                Err(ref problem) => found
                    .not_looked_at
                    .push(format!("{window} of {family}, so nobody is told by it: {problem}")),
            }
            windows.push(values.unwrap_or_default());
        }
        if !averaged.is_empty() && count > 0 {
            found.notes.push(format!(
                "{} of {family}: not recorded, so the mean of its 5m ratios, not weighted by traffic",
                averaged.join(", ")
            ));
        }
        windows
    }

    async fn budget(
        &self,
        family: &str,
        names: &[String],
        count: u64,
        slos: &mut BTreeMap<Labels, Slo>,
        found: &mut Found,
    ) {
        let period = format!("{}d", self.days);
        let recorded = names.iter().any(|it| it.strip_prefix(family) == Some(&period));
        #[expect(clippy::cast_precision_loss, reason = "at most 90 days")]
        let seconds = (self.days * 86_400) as f64;
        let text = match recorded {
            true => Ok(selector(&format!("{family}{period}"))),
            false => mean(family, &period, seconds, count),
        };
        let values = match text {
            Ok(text) => self.ask(&text).await.map_err(|it| it.to_string()),
            Err(problem) => Err(problem),
        };
        match values {
            Ok(values) => {
                if !recorded {
                    let how = "the mean of its 5m ratios, not weighted by traffic";
                    found.notes.push(format!("budget of {family}: {how}"));
                }
                for (labels, failed) in values {
                    if let Some(slo) = slos.get_mut(&labels) {
                        slo.failed_in_period = Some(failed.max(0.0));
                    }
                }
            }
            Err(problem) => found.not_looked_at.push(format!("the budget of {family}: {problem}")),
        }
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

/// The name of a recorded error ratio without its window, as Sloth, Pyrra and the workbook write it. Of other ratios, such
/// as the share of a processor that is busy, nobody has promised anything.
fn family_of(name: &str) -> Option<&str> {
    // A name that no query can hold as it is would make the whole answer fail.
    let family = name.strip_suffix("5m").filter(|it| is_plain_metric(it))?;
    let of_errors =
        family.ends_with("burnrate") || family.ends_with("ratio_rate") && family.contains("error");
    of_errors.then_some(family)
}

/// The objective recorded under the same identity whose labels all agree, as far as both have them: most of the same first.
fn objective_of(labels: &Labels, objectives: &Values) -> Objective {
    let identity = |it: &Labels| IDENTITIES.iter().find_map(|name| it.get(*name).cloned());
    let Some(wanted) = identity(labels) else { return Objective::None };
    let shared = |it: &Labels| {
        let both = it.iter().filter_map(|(name, value)| Some((value, labels.get(name)?)));
        let agree: Vec<bool> = both.map(|(a, b)| a == b).collect();
        agree.iter().all(|it| *it).then_some(agree.len())
    };
    let same = objectives.iter().filter(|it| identity(it.0).as_ref() == Some(&wanted));
    let fitting: Vec<(usize, f64)> = same.filter_map(|it| Some((shared(it.0)?, *it.1))).collect();
    let Some(most) = fitting.iter().map(|it| it.0).max() else { return Objective::None };
    let mut nearest = fitting.iter().filter(|it| it.0 == most).map(|it| it.1);
    match nearest.next() {
        Some(first) if nearest.all(|it| it.total_cmp(&first).is_eq()) => Objective::One(first),
        _ => Objective::Several,
    }
}

fn selector(name: &str) -> String {
    format!("{{__name__={name:?}}}")
}

/// The mean of the shortest window over a longer time; why not, where that is too much to ask.
fn mean(family: &str, window: &str, seconds: f64, count: u64) -> Result<String, String> {
    if count > AVERAGED_MAX {
        return Err(format!("it is not recorded, and {count} series are too many to be averaged"));
    }
    match cost::too_many_samples(count, seconds) {
        Some(problem) => Err(format!("it is not recorded, and {problem}")),
        None => Ok(format!("avg_over_time({}[{window}])", selector(&format!("{family}5m")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ratios_of_errors_are_taken_for_such() {
        let family = |name: &'static str| family_of(name);
        assert_eq!(family("slo:sli_error:ratio_rate5m"), Some("slo:sli_error:ratio_rate"));
        assert_eq!(family("job:errors_per_request:ratio_rate5m"), Some("job:errors_per_request:ratio_rate"));
        assert_eq!(family("http_requests:burnrate5m"), Some("http_requests:burnrate"));
        for other in [
            "cluster:node_cpu:ratio_rate5m",
            "instance:node_cpu:ratio",
            "x:burnrate1h",
            "error5m",
            "errör:ratio_rate5m",
        ] {
            assert_eq!(family(other), None, "{other}");
        }
    }

    #[test]
    fn of_several_objectives_of_one_name_the_one_whose_labels_agree() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let objectives = Values::from([
            (labels(&[("cluster", "a"), ("slo", "api")]), 0.99),
            (labels(&[("cluster", "b"), ("slo", "api")]), 0.999),
            (labels(&[("slo", "web")]), 0.9),
            (labels(&[("cluster", "b"), ("slo", "web")]), 0.95),
        ]);
        let of = |pairs: &[(&str, &str)]| objective_of(&labels(pairs), &objectives);
        assert_eq!(of(&[("cluster", "b"), ("slo", "api"), ("job", "x")]), Objective::One(0.999));
        assert_eq!(of(&[("cluster", "a"), ("slo", "api")]), Objective::One(0.99));
        assert_eq!(of(&[("slo", "api")]), Objective::Several);
        assert_eq!(of(&[("cluster", "c"), ("slo", "api")]), Objective::None);
        assert_eq!(of(&[("cluster", "c"), ("slo", "web")]), Objective::One(0.9));
        assert_eq!(of(&[("cluster", "b"), ("slo", "web")]), Objective::One(0.95), "the nearer one");
        assert_eq!(of(&[("job", "api")]), Objective::None);
    }
}
