//! Is a query too costly, and what would cost less?

use crate::{figure::Figure, promql::Selector};

/// Most samples that a query may load: what Prometheus loads for one unless told otherwise.
const SAMPLES_MAX: f64 = 50e6;
/// Seconds between samples, where nothing is known.
const SAMPLE_SECONDS: f64 = 15.0;

/// Most series that a query may touch at one moment.
const SELECTED_MAX: u64 = 500_000;
/// Most series times points, times the steps of subqueries, that a query may evaluate.
const EVALUATED_MAX: u64 = 5_000_000;
/// Most series in the answer to an instant query; summarised, but all of them travel.
const INSTANT_MAX: u64 = 50_000;
/// Most values in the answer to a range query.
const VALUES_MAX: u64 = 200_000;
/// Most series that a selector without any equality may bring in outside an aggregation.
const UNSELECTIVE_MAX: u64 = 1_000;
/// How many the cheaper query shows.
const TOP: u64 = 20;

/// What a query would touch and answer, as counted by the system itself.
#[derive(Debug)]
pub(crate) struct Cost<'a> {
    /// Each selector, and how many series it has.
    pub(crate) selected: Vec<(&'a Selector, u64)>,
    /// Series in the result.
    pub(crate) result: u64,
    /// Points per series; 1 at one moment.
    pub(crate) points: u64,
    /// Evaluations for each point; 1 without subqueries.
    pub(crate) evaluations: u64,
    /// Seconds from the first point to the last.
    pub(crate) seconds: f64,
}

/// Why samples of so many series over so many seconds are too many to be loaded; none when they are not.
pub(crate) fn too_many_samples(series: u64, seconds: f64) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let samples = series as f64 * (seconds / SAMPLE_SECONDS).max(1.0);
    (samples > SAMPLES_MAX).then(|| {
        let (about, most) = (Figure(samples / 1e6), Figure(SAMPLES_MAX / 1e6));
        format!("{series} series are about {about} million samples; at most {most} million")
    })
}

/// Why a query is refused, and what to send instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    /// What it would cost, and the limit.
    pub(crate) problem: String,
    /// A cheaper query for the moment at the window's end.
    pub(crate) instead: Option<String>,
}

impl Cost<'_> {
    /// None when it may run.
    pub(crate) fn excess(&self, query: &str) -> Option<Excess> {
        let top = Some(format!("topk({TOP}, {query})"));
        let all: u64 = self.selected.iter().map(|it| it.1).sum();
        let refuse = |problem: String, instead| Some(Excess { problem, instead });
        if all > SELECTED_MAX {
            let problem =
                format!("selects {all} series; at most {SELECTED_MAX}: add matchers such as `job=\"…\"`");
            // Whatever stands around such a selector touches as many: there is no cheaper query to offer.
            return refuse(problem, None);
        }
        let loose =
            self.selected.iter().find(|it| !it.0.equality && !it.0.aggregated && it.1 > UNSELECTIVE_MAX);
        if let Some((selector, count)) = loose {
            let problem = format!(
                "`{}` selects {count} series without naming a metric or any label's value; at most {UNSELECTIVE_MAX}",
                selector.text
            );
            return refuse(problem, Some(names(selector)));
        }
        let points = self.points;
        if points == 1 && self.result > INSTANT_MAX {
            let result = self.result;
            return refuse(format!("would answer {result} series; at most {INSTANT_MAX}: aggregate"), top);
        }
        if points > 1 && self.result.saturating_mul(points) > VALUES_MAX {
            let result = self.result;
            let problem = format!(
                "would answer {result} series × {points} points; at most {VALUES_MAX} values: aggregate, raise \
                 `step_seconds`, or look at the top first"
            );
            return refuse(problem, top);
        }
        let dear = self.selected.iter().find_map(|(it, count)| {
            let problem = too_many_samples(*count, it.loads(self.seconds, points))?;
            Some(format!("`{}`: {problem}: shorten its range or the window, or add matchers", it.text))
        });
        if let Some(problem) = dear {
            return refuse(problem, None);
        }
        let evaluations = self.evaluations;
        if evaluations > 1 && all.saturating_mul(points).saturating_mul(evaluations) > EVALUATED_MAX {
            let problem = format!(
                "would evaluate {all} series × {points} points × {evaluations} steps of subqueries; at most \
                 {EVALUATED_MAX}: shorten the subquery or raise its step"
            );
            return refuse(problem, None);
        }
        if all.saturating_mul(points) > EVALUATED_MAX {
            let problem = format!(
                "would evaluate {all} series × {points} points; at most {EVALUATED_MAX}: add matchers or raise \
                 `step_seconds`"
            );
            return refuse(problem, top);
        }
        None
    }
}

/// Which metrics are behind a selector.
fn names(selector: &Selector) -> String {
    format!("topk({TOP}, count by (__name__) ({}))", selector.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Query;

    fn excess(query: &str, counts: &[u64], result: u64, points: u64) -> Option<Excess> {
        let parsed = Query::parse(query).expect(query);
        let selectors = parsed.selectors();
        assert_eq!(selectors.len(), counts.len());
        let selected = selectors.iter().zip(counts.iter().copied()).collect();
        let seconds = (points - 1) as f64 * 180.0;
        Cost { selected, result, points, evaluations: parsed.evaluations(), seconds }.excess(query)
    }

    #[test]
    fn a_range_is_paid_for_by_its_length() {
        assert_eq!(excess("max_over_time(a[1h])", &[7_000], 7_000, 1), None);
        let refused = excess("sum(max_over_time(a[90d]))", &[7_000], 1, 1).expect("refused");
        assert!(
            refused.problem.contains("7000 series are about 3629 million samples"),
            "{}",
            refused.problem
        );
        assert_eq!(excess("sum(rate(a[5m]))", &[7_000], 1, 121), None);
        assert_eq!(excess("sum(rate(a[5m]))", &[1], 1, 11_000), None);
        assert!(excess("sum(max_over_time(rate(a[5m])[30d:1h]))", &[10_000], 1, 1).is_some());
        assert_eq!(excess("sum(max_over_time(rate(a[5m])[1d:1h]))", &[7_000], 1, 1), None);
        assert!(excess("sum(rate(a[30d]))", &[300], 1, 121).is_some());
    }

    #[test]
    fn a_metric_with_seven_thousand_series_is_answered_at_one_moment_but_not_over_a_range() {
        assert_eq!(excess("requests", &[7_000], 7_000, 1), None);
        let refused = excess("requests", &[7_000], 7_000, 121).expect("refused");
        assert!(refused.problem.contains("7000 series × 121 points"), "{}", refused.problem);
        assert_eq!(refused.instead.as_deref(), Some("topk(20, requests)"));
        assert_eq!(excess("sum(requests)", &[7_000], 1, 121), None);
        assert_eq!(excess("requests", &[60], 60, 121), None);
    }

    #[test]
    fn a_selector_that_names_nothing_is_refused_unless_small_or_aggregated() {
        let refused = excess("{__name__=~\".+\"}", &[7_000], 7_000, 1).expect("refused");
        assert!(refused.problem.contains("selects 7000 series without naming"), "{}", refused.problem);
        let instead = refused.instead.expect("a cheaper query");
        assert_eq!(instead, "topk(20, count by (__name__) ({__name__=~\".+\"}))");
        assert_eq!(excess(&instead, &[7_000], 20, 1), None, "what is offered is not refused");
        assert_eq!(excess("{__name__=~\".+\"}", &[900], 900, 1), None);
    }

    #[test]
    fn every_limit_holds() {
        assert!(excess("a", &[600_000], 1, 1).is_some());
        assert!(excess("a", &[60_000], 60_000, 1).is_some());
        assert!(excess("sum(a)", &[60_000], 1, 121).is_some());
        assert!(excess("sum(a)", &[u64::MAX / 2], u64::MAX, u64::MAX).is_some());
        assert_eq!(excess("1 + 1", &[], 1, 121), None);
        assert_eq!(excess("max_over_time(a[1d:1m])", &[1_000], 1_000, 1), None);
        let refused = excess("sum(max_over_time(a[30d:1s]))", &[2], 1, 1).expect("refused");
        assert!(refused.problem.contains("× 2592000 steps of subqueries"), "{}", refused.problem);
    }
}
