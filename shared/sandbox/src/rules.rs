//! Which alerts are there, and since when?
//!
//! The rules are evaluated as Prometheus evaluates them: first over all of history, so that alerts have been active for
//! as long as their cause, then live. `ALERTS` and `ALERTS_FOR_STATE` are written like any other series.

mod list;
mod template;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use crate::{
    promql::{self, Moments, Outcome, Parsed},
    store::{Labels, NAME, Place, Store},
};

pub(crate) use list::{GROUPS, Rule};

/// Time between two evaluations.
pub(crate) const INTERVAL_MS: i64 = 30_000;
/// Rules of our own take milliseconds; a machine that is very busy may take longer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// All rules, in groups, and what they came to.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) groups: Vec<Group>,
    /// When they are evaluated next.
    next_ms: i64,
}

/// Rules that are evaluated one after the other.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) rules: Vec<Evaluated>,
}

/// A rule and what it came to.
#[derive(Debug)]
pub(crate) struct Evaluated {
    pub(crate) rule: &'static Rule,
    pub(crate) query: Parsed,
    /// By labels, those of the rule included.
    pub(crate) alerts: BTreeMap<Labels, Alert>,
    pub(crate) last_ms: i64,
    /// Why the last evaluation failed, if it did.
    pub(crate) error: Option<String>,
    /// Series written last time, which end when they are not written again.
    written: HashMap<Labels, Place>,
}

/// An alert that is pending or fires.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) annotations: Labels,
    pub(crate) value: f64,
    /// When its condition began to hold.
    pub(crate) active_ms: i64,
    /// Since when it fires, if it does.
    pub(crate) fired_ms: Option<i64>,
}

impl Rules {
    /// The rules of the house, not yet evaluated; the first evaluation is due at `from`.
    pub(crate) fn new(from_ms: i64) -> Rules {
        let evaluated = |rule: &'static Rule| Evaluated {
            rule,
            query: Parsed::new(rule.query).expect("a test parses every rule"),
            alerts: BTreeMap::new(),
            last_ms: 0,
            error: None,
            written: HashMap::new(),
        };
        let groups =
            GROUPS.iter().map(|(name, rules)| Group { name, rules: rules.iter().map(evaluated).collect() });
        Rules {
            groups: groups.collect(),
            next_ms: from_ms.div_euclid(INTERVAL_MS) * INTERVAL_MS + INTERVAL_MS,
        }
    }

    /// Evaluates at every moment that is due up to `now`.
    pub(crate) fn catch_up(&mut self, store: &mut Store, now_ms: i64) {
        let moments = Moments::over(self.next_ms, now_ms, INTERVAL_MS);
        if moments.count == 0 {
            return;
        }
        self.next_ms = moments.last() + INTERVAL_MS;
        for rule in self.groups.iter_mut().flat_map(|it| &mut it.rules) {
            rule.evaluate(store, moments);
        }
    }

    /// Every rule.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Evaluated> {
        self.groups.iter().flat_map(|it| &it.rules)
    }
}

impl Evaluated {
    fn evaluate(&mut self, store: &mut Store, moments: Moments) {
        self.last_ms = moments.last();
        let rows = match promql::evaluate(store, &self.query, moments, TIMEOUT) {
            Ok(Outcome::Vector(rows)) => rows,
            Ok(_) => Vec::new(),
            Err(error) => {
                self.error = Some(error.to_string());
                return;
            }
        };
        self.error = None;
        let labelled: Vec<_> = rows.into_iter().map(|it| (self.labels(&it.labels), it)).collect();
        for (at, moment) in moments.iter().enumerate() {
            let active =
                labelled.iter().filter_map(|(labels, row)| Some((labels, &row.labels, row.values[at]?)));
            let active: Vec<_> = active.collect();
            self.step(moment, &active);
            self.write(store, moment);
        }
    }

    /// One evaluation: who is still active, who begins, who has been pending for long enough.
    fn step(&mut self, at_ms: i64, active: &[(&Labels, &Labels, f64)]) {
        let still: HashSet<&Labels> = active.iter().map(|it| it.0).collect();
        self.alerts.retain(|labels, _| still.contains(labels));
        for &(labels, own, value) in active {
            let annotations = || {
                let expand =
                    |&(name, text): &(&'static str, &'static str)| (name, template::expand(text, own, value));
                Labels::new(self.rule.annotations.iter().map(expand))
            };
            let begins = || Alert { annotations: Labels::default(), value, active_ms: at_ms, fired_ms: None };
            let alert = self.alerts.entry(labels.clone()).or_insert_with(begins);
            (alert.annotations, alert.value) = (annotations(), value);
            if alert.fired_ms.is_none() && at_ms - alert.active_ms >= self.rule.for_s * 1_000 {
                alert.fired_ms = Some(at_ms);
            }
        }
    }

    fn write(&mut self, store: &mut Store, at_ms: i64) {
        let mut written = HashMap::with_capacity(self.written.len());
        for (labels, alert) in &self.alerts {
            let state = labels.with(NAME, "ALERTS").with("alertstate", alert.state());
            let since = labels.with(NAME, "ALERTS_FOR_STATE");
            for (labels, value) in [(state, 1.0), (since, (alert.active_ms / 1_000) as f64)] {
                let place = self.written.get(&labels).copied().unwrap_or_else(|| store.place(&labels));
                store.append(place, at_ms, value);
                written.insert(labels, place);
            }
        }
        for (labels, place) in std::mem::replace(&mut self.written, written) {
            if !self.written.contains_key(&labels) {
                store.end(place, at_ms);
            }
        }
    }

    /// Labels of an alert: the series' own, over which the rule's go.
    fn labels(&self, series: &Labels) -> Labels {
        let labels =
            self.rule.labels.iter().fold(series.unnamed(), |labels, (name, value)| labels.with(name, value));
        labels.with("alertname", self.rule.name)
    }

    /// `firing`, `pending` or `inactive`.
    pub(crate) fn state(&self) -> &'static str {
        match (self.alerts.is_empty(), self.alerts.values().any(|it| it.fired_ms.is_some())) {
            (true, _) => "inactive",
            (_, true) => "firing",
            _ => "pending",
        }
    }
}

impl Alert {
    /// `firing` or `pending`.
    pub(crate) fn state(&self) -> &'static str {
        if self.fired_ms.is_some() { "firing" } else { "pending" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(store: &mut Store, from_s: i64, to_s: i64, value: f64) {
        let place = store.place(&Labels::new([(NAME, "up"), ("instance", "cart-1"), ("service", "cart")]));
        (from_s..=to_s).step_by(30).for_each(|it| store.append(place, it * 1_000, value));
    }

    fn target_down(rules: &Rules) -> &Evaluated {
        rules.iter().find(|it| it.rule.name == "TargetDown").expect("there is such a rule")
    }

    #[test]
    fn an_alert_is_pending_for_its_time_and_then_fires() {
        let (mut store, mut rules) = (Store::new(), Rules::new(0));
        down(&mut store, 0, 600, 0.0);
        let hold = target_down(&rules).rule.for_s * 1_000;
        rules.catch_up(&mut store, hold);
        let alert = target_down(&rules).alerts.values().next().expect("active").clone();
        assert_eq!((alert.state(), alert.active_ms), ("pending", INTERVAL_MS));
        rules.catch_up(&mut store, hold + INTERVAL_MS);
        let alert = target_down(&rules).alerts.values().next().expect("active").clone();
        assert_eq!((alert.state(), alert.fired_ms), ("firing", Some(hold + INTERVAL_MS)));
    }

    #[test]
    fn history_at_once_comes_to_the_same_as_step_by_step() {
        let world = || {
            let (mut store, rules) = (Store::new(), Rules::new(0));
            down(&mut store, 0, 900, 0.0);
            down(&mut store, 930, 1_200, 1.0);
            down(&mut store, 1_230, 1_800, 0.0);
            (store, rules)
        };
        let ((mut at_once, mut one), (mut stepwise, mut other)) = (world(), world());
        one.catch_up(&mut at_once, 1_800_000);
        (0..=60).for_each(|it| other.catch_up(&mut stepwise, it * INTERVAL_MS));
        assert_eq!(format!("{:?}", target_down(&one).alerts), format!("{:?}", target_down(&other).alerts));
        assert_eq!(at_once.size(), stepwise.size());
        let states = |store: &Store| format!("{:?}", store.series_of(Some("ALERTS")).collect::<Vec<_>>());
        assert_eq!(states(&at_once), states(&stepwise));
        assert_eq!(target_down(&one).alerts.values().next().expect("active").active_ms, 1_230_000);
    }
}
