//! What share of events failed, as two counters say?

use std::collections::BTreeMap;

use futures::future::join_all;
use tool::ToolError;

use super::{
    burn::{Slo, WINDOWS},
    ratios::{Asking, Found, Values},
};
use crate::{
    backends::prometheus::Moments,
    cost,
    labels::{Labels, short, text},
    promql::{Confined, Query},
};

/// Two counters and a label to tell objectives apart by.
pub(super) struct Counters<'a> {
    pub(super) good: &'a Query,
    pub(super) total: &'a Query,
    pub(super) by: Option<&'a str>,
    pub(super) objective: f64,
}

/// More good events than there are in all, by more than two counters that are read one after the other may differ.
const TOO_GOOD: f64 = -0.01;
/// A selector that matched nothing for this long is a mistake rather than a silence.
const SILENCE: &str = "3d";

/// How many series the counters have now.
struct Counts {
    both: u64,
    before: u64,
}

impl Counters<'_> {
    /// The share that failed. Where nothing was good there is no such series; where nothing happened there is no ratio.
    fn ratio(&self, window: &str) -> String {
        let sum = self.by.map_or_else(|| "sum".to_owned(), |it| format!("sum by ({it}) "));
        let rate = |it: &Query| format!("{sum}(rate({}[{window}]))", it.text());
        let (good, total) = (rate(self.good), rate(self.total));
        format!("1 - ({good} or {total} * 0) / ({total} > 0)")
    }

    /// With the label that tells objectives apart, also where it is absent.
    fn named(&self, mut labels: Labels) -> Labels {
        if let Some(by) = self.by {
            labels.entry(by.to_owned()).or_default();
        }
        labels
    }
}

impl Asking<'_> {
    /// Objectives over two counters.
    pub(super) async fn counted(&self, counters: &Counters<'_>) -> Result<Found, ToolError> {
        let mut found = Found::default();
        let counts = self.count(counters).await?;
        let windows = join_all(WINDOWS.map(|(name, hours)| {
            let text = counters.ratio(name);
            let dear = cost::too_many_samples(counts.both, hours * 3_600.0);
            async move {
                match dear {
                    Some(problem) => Err(ToolError::TooCostly { problem, next: None }),
                    None => self.ask(&text).await,
                }
            }
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
                let labels = counters.named(labels);
                let known = slos.entry(labels.clone()).or_insert_with(|| Slo {
                    labels,
                    objective: counters.objective,
                    ..Slo::default()
                });
                known.failed[at] = Some(failed);
            }
        }
        refuse_impossible(&mut slos, &mut found)?;
        match self.period(counters, &counts).await {
            Ok((values, note)) => {
                found.notes.extend(note);
                for (labels, failed) in values {
                    if let Some(slo) = slos.get_mut(&counters.named(labels)) {
                        slo.failed_in_period = Some(failed.max(0.0));
                    }
                }
            }
            Err(problem) => found.not_looked_at.push(format!("the budget of {} days: {problem}", self.days)),
        }
        if let Some(by) = counters.by
            && !slos.is_empty()
            && slos.keys().all(|it| it.get(by).is_none_or(String::is_empty))
        {
            found.notes.push(format!("no series of `total` has the label `{by}`: this is all of them"));
        }
        found.slos = slos.into_values().collect();
        Ok(found)
    }

    /// How many series there are. A selector that matches nothing is a mistake: of `good` everything would seem to fail, of
    /// `total` nothing to happen.
    async fn count(&self, counters: &Counters<'_>) -> Result<Counts, ToolError> {
        let confined = |argument, text: &str| {
            let invalid = |problem| ToolError::Invalid { argument, problem };
            Query::composed(text).and_then(|it| self.prometheus.confine(it)).map_err(invalid)
        };
        let before = format!("{} offset {}h", counters.total.text(), self.days * 24 - 1);
        let each = [
            confined("good", counters.good.text())?,
            confined("total", counters.total.text())?,
            confined("total", &before)?,
        ];
        let asked: Vec<&Confined> = each.iter().collect();
        let at = Moments::At(self.now);
        let counts = self.prometheus.count_results(&asked, at, self.inquiry).await?;
        for (argument, at) in [("good", 0), ("total", 1)] {
            if counts[at] > 0 {
                continue;
            }
            let lately = format!("count(last_over_time({}[{SILENCE}]))", each[at].text());
            if self.ask(&lately).await?.is_empty() {
                let problem = format!("no series match `{}` within {SILENCE}", short(each[at].text(), 200));
                let incomplete = self.inquiry.incomplete(self.prometheus.connection());
                return Err(incomplete.unwrap_or(ToolError::Invalid { argument, problem }));
            }
        }
        Ok(Counts { both: counts[0] + counts[1], before: counts[2] })
    }

    /// The whole period, if it can be paid for, and whether there is as much history.
    async fn period(
        &self,
        counters: &Counters<'_>,
        counts: &Counts,
    ) -> Result<(Values, Option<String>), String> {
        #[expect(clippy::cast_precision_loss, reason = "at most 90 days")]
        let seconds = (self.days * 86_400) as f64;
        if let Some(problem) = cost::too_many_samples(counts.both, seconds) {
            return Err(format!("{problem}; record the ratio with a rule, or give fewer `days`"));
        }
        let note = (counts.before == 0).then(|| {
            format!("there is less history than {} days: the budget is that of what there is", self.days)
        });
        let ratio = counters.ratio(&format!("{}d", self.days));
        Ok((self.ask(&ratio).await.map_err(|it| it.to_string())?, note))
    }
}

/// Leaves out, and names, what has more good events than events over the longest window that is known: that is no service
/// that does well, but two selectors that do not belong together, or are swapped.
fn refuse_impossible(slos: &mut BTreeMap<Labels, Slo>, found: &mut Found) -> Result<(), ToolError> {
    let impossible = |it: &Slo| it.failed.iter().rev().flatten().next().is_some_and(|it| *it < TOO_GOOD);
    let named: Vec<String> =
        slos.values().filter(|it| impossible(it)).map(|it| text(&it.labels, &Labels::new())).collect();
    if named.len() == slos.len() && !named.is_empty() {
        let problem = "has more events than `total`: every good event must be one of `total`".to_owned();
        return Err(ToolError::Invalid { argument: "good", problem });
    }
    for labels in named.iter().take(5) {
        found.not_looked_at.push(format!("{}: `good` has more events than `total`", short(labels, 100)));
    }
    if named.len() > 5 {
        found.not_looked_at.push(format!("and {} more with more good events than events", named.len() - 5));
    }
    slos.retain(|_, it| !impossible(it));
    // Two counters are read one after the other: a little less than nothing is nothing.
    for failed in slos.values_mut().flat_map(|it| it.failed.iter_mut()).flatten() {
        *failed = failed.max(0.0);
    }
    Ok(())
}
