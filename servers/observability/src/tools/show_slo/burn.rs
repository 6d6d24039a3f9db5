//! How fast does a service use up its error budget, and should somebody be woken?
//!
//! Method: <https://sre.google/workbook/alerting-on-slos/>, "Multiwindow, Multi-Burn-Rate Alerts".

use std::cmp::Reverse;

use serde_json::{Value, json};
use tool::{Column, Row};

use crate::{
    figure::Figure,
    grid::lasting,
    labels::{Labels, short, text},
};

/// Windows over which errors are looked at, shortest first: name and hours.
pub(super) const WINDOWS: [(&str, f64); 5] =
    [("5m", 1.0 / 12.0), ("30m", 0.5), ("1h", 1.0), ("6h", 6.0), ("3d", 72.0)];

/// Over which long and short window (by their place in [`WINDOWS`]) which share of the budget must be used for whom.
const ALERTS: [(&str, usize, usize, f64); 3] =
    [("page", 2, 0, 0.02), ("page", 3, 1, 0.05), ("ticket", 4, 3, 0.10)];

/// One objective, and what share of its events failed.
#[derive(Debug, Default)]
pub(super) struct Slo {
    pub(super) labels: Labels,
    /// From 0 to 1.
    pub(super) objective: f64,
    /// Over each of [`WINDOWS`]; none without events.
    pub(super) failed: [Option<f64>; 5],
    /// Over the whole period.
    pub(super) failed_in_period: Option<f64>,
}

impl Slo {
    /// How many times faster than sustainable the budget is used, for each of [`WINDOWS`].
    fn burns(&self) -> [Option<f64>; 5] {
        self.failed.map(|it| it.map(|failed| failed / self.budget()))
    }

    /// The share of events that may fail.
    fn budget(&self) -> f64 {
        1.0 - self.objective
    }

    /// The share of the period's budget that is left; below 0 it is overdrawn.
    fn left(&self) -> Option<f64> {
        self.failed_in_period.map(|it| 1.0 - it / self.budget())
    }

    /// Who should be told, and by which windows.
    fn alert(&self, days: f64) -> Option<(&'static str, String)> {
        let burns = self.burns();
        ALERTS.into_iter().find_map(|(whom, long, short, _)| {
            let limit = limit(long, days)?;
            let beyond = |at: usize| burns[at].is_some_and(|it| it >= limit);
            let told =
                || format!("{whom}: ≥ {} over {} and {}", Figure(limit), WINDOWS[long].0, WINDOWS[short].0);
            (beyond(long) && beyond(short)).then(|| (whom, told()))
        })
    }

    /// How long the budget lasts at the rate of the last hour, in seconds.
    fn lasts(&self, days: f64) -> Option<f64> {
        let (left, burn) = (self.left()?, self.burns()[2]?);
        (left > 0.0 && burn > 0.0).then(|| left * days * 86_400.0 / burn)
    }

    /// Pages first, then what burns most.
    fn rank(&self, days: f64) -> (u8, Reverse<i64>, String) {
        let urgency = match self.alert(days) {
            Some(("page", _)) => 0,
            Some(_) => 1,
            None if self.left().is_some_and(|it| it <= 0.0) => 2,
            None => 3,
        };
        let most = self.burns().into_iter().flatten().fold(0.0, f64::max);
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let most = (most * 1_000.0) as i64;
        (urgency, Reverse(most), text(&self.labels, &Labels::new()))
    }
}

/// The rate of burning from which an alert's long window counts; none where the period is too short for it. Who burns
/// slower than 1 keeps the objective: nobody is told of that, and it is no reason to wake somebody.
fn limit(long: usize, days: f64) -> Option<f64> {
    let (whom, _, _, share) = *ALERTS.iter().find(|it| it.1 == long)?;
    let hours = WINDOWS[long].1;
    let limit = share * days * 24.0 / hours;
    let limit = if whom == "ticket" { limit.max(1.0) } else { limit };
    (hours * 2.0 <= days * 24.0 && limit >= 1.0).then_some(limit)
}

/// What the numbers mean, in one sentence.
pub(super) fn meaning(days: f64) -> String {
    let told = ALERTS.iter().filter_map(|(whom, long, short, _)| {
        let limit = Figure(limit(*long, days)?);
        Some(format!("{whom} from {limit} over {} and {}", WINDOWS[*long].0, WINDOWS[*short].0))
    });
    let told: Vec<String> = told.collect();
    let told = if told.is_empty() { "too short to tell anybody early".to_owned() } else { told.join(", ") };
    format!("a burn of 1 uses the budget up in exactly {days} days; {told}")
}

/// Columns and rows, the most urgent first.
pub(super) fn table(mut slos: Vec<Slo>, days: f64) -> (Vec<Column>, Vec<Row>) {
    slos.sort_by_cached_key(|it| it.rank(days));
    let mut columns = vec![Column::untrusted("slo"), Column::new("objective_percent"), Column::new("alert")];
    columns.extend(["burn_5m", "burn_30m", "burn_1h", "burn_6h", "burn_3d"].map(Column::new));
    columns.extend(["budget_left_percent", "lasts"].map(Column::new));
    let figure = |it: Option<f64>| it.map_or(Value::Null, |it| Figure(it).cell());
    let row = |it: &Slo| {
        let labels = text(&it.labels, &Labels::new());
        let mut cells = vec![
            json!(if labels.is_empty() { "all".to_owned() } else { short(&labels, 120) }),
            // Two more digits than a figure has: 99.995 is not 100.
            json!((it.objective * 1e8).round() / 1e6),
            it.alert(days).map_or(Value::Null, |it| json!(it.1)),
        ];
        cells.extend(it.burns().map(figure));
        cells.push(figure(it.left().map(|it| it * 100.0)));
        cells.push(it.lasts(days).map_or(Value::Null, |it| match it > days * 86_400.0 {
            true => json!(format!("longer than {days}d")),
            false => json!(lasting(it)),
        }));
        Row { cells, target: None }
    };
    (columns, slos.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slo(failed: [f64; 5], failed_in_period: f64) -> Slo {
        Slo {
            labels: Labels::new(),
            objective: 0.999,
            failed: failed.map(Some),
            failed_in_period: Some(failed_in_period),
        }
    }

    #[test]
    fn people_are_told_as_the_workbook_says() {
        let expected = "a burn of 1 uses the budget up in exactly 30 days; page from 14.4 over 1h and 5m, page from 6 over \
                        6h and 30m, ticket from 1 over 3d and 6h";
        assert_eq!(meaning(30.0), expected);
        assert_eq!(limit(4, 5.0), None, "three days are most of five");
        assert_eq!([limit(4, 28.0), limit(4, 7.0)], [Some(1.0); 2], "who keeps the objective hears nothing");
        assert_eq!([limit(2, 1.0), limit(3, 1.0)], [None; 2], "a day is too short to wake somebody early");
        let told = |days: f64| meaning(days).matches(" from ").count();
        assert_eq!([told(30.0), told(7.0), told(1.0)], [3, 3, 0]);
        assert!(
            meaning(1.0).ends_with("exactly 1 days; too short to tell anybody early"),
            "{}",
            meaning(1.0)
        );
        let calm = slo([0.0009; 5], 0.0);
        assert!((1..=90).all(|days| calm.alert(f64::from(days)).is_none()), "it burns slower than 1");
        let alert = |failed: [f64; 5]| slo(failed, 0.0).alert(30.0).map(|it| it.1);
        assert_eq!(alert([0.02, 0.02, 0.015, 0.001, 0.0]).as_deref(), Some("page: ≥ 14.4 over 1h and 5m"));
        assert_eq!(alert([0.0, 0.02, 0.015, 0.001, 0.0]), None, "it is over: the short window says so");
        assert_eq!(alert([0.0, 0.007, 0.007, 0.007, 0.0]).as_deref(), Some("page: ≥ 6 over 6h and 30m"));
        assert_eq!(alert([0.0, 0.0, 0.0, 0.002, 0.002]).as_deref(), Some("ticket: ≥ 1 over 3d and 6h"));
        assert_eq!(alert([0.0009; 5]), None);
    }

    #[test]
    fn the_budget_is_what_may_still_fail() {
        let half = slo([0.002; 5], 0.0005);
        assert!((half.left().expect("known") - 0.5).abs() < 1e-9);
        let lasts = half.lasts(30.0).expect("known");
        assert!((lasts - 7.5 * 86_400.0).abs() < 1.0, "half of 30 days at twice the rate: {lasts}");
        let gone = slo([0.002; 5], 0.003);
        assert!(gone.left().expect("known") < 0.0 && gone.lasts(30.0).is_none());
        let idle = Slo { objective: 0.999, ..Slo::default() };
        assert!(idle.left().is_none() && idle.alert(30.0).is_none());
    }

    #[test]
    fn the_most_urgent_comes_first() {
        let named = |name: &str, failed: [f64; 5], period: f64| Slo {
            labels: Labels::from([("service".to_owned(), name.to_owned())]),
            ..slo(failed, period)
        };
        let all = vec![
            named("calm", [0.0; 5], 0.0),
            named("spent", [0.0; 5], 0.002),
            named("burning", [0.05; 5], 0.0),
            named("slow", [0.002; 5], 0.0),
        ];
        let (_, rows) = table(all, 30.0);
        let names: Vec<&str> = rows.iter().filter_map(|it| it.cells[0].as_str()).collect();
        assert_eq!(names, ["service=burning", "service=slow", "service=spent", "service=calm"]);
        assert_eq!(rows[0].cells[1], json!(99.9));
    }
}
