//! How do many alerts become few rows?

use jiff::Timestamp;
use serde_json::{Value, json};
use tool::{Column, Row, Target};

use crate::{
    backends::alertmanager::Alert,
    figure::Figure,
    grid::utc,
    labels::{self, Labels, short, text},
};

/// Alerts of one name, severity, connection and team.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) target: Target,
    severity: String,
    states: [usize; 3],
    since: Timestamp,
    labels: Vec<Labels>,
    values: Vec<f64>,
    summary: String,
}

/// Why nobody is told of an alert, or that somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Active,
    Silenced,
    Inhibited,
}

/// What a label cell may take.
const LABELS_MAX: usize = 90;
const SUMMARY_MAX: usize = 100;

impl State {
    pub(super) const ALL: [State; 3] = [State::Active, State::Silenced, State::Inhibited];

    /// A silence is what people decided, so it is told before an inhibition.
    pub(super) fn of(alert: &Alert) -> State {
        match (&alert.status.silenced_by.is_empty(), &alert.status.inhibited_by.is_empty()) {
            (false, _) => State::Silenced,
            (true, false) => State::Inhibited,
            (true, true) => State::Active,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Silenced => "silenced",
            State::Inhibited => "inhibited",
        }
    }
}

/// Groups alerts, the most pressing group first. `place` says what touching an alert touches, `value` what it measures.
pub(super) fn group(
    alerts: Vec<Alert>,
    place: impl Fn(&Labels) -> Target,
    value: impl Fn(&Labels) -> Option<f64>,
    groups: &mut Vec<Group>,
) {
    let first = groups.len();
    for alert in alerts {
        let target = place(&alert.labels);
        let severity = alert.labels.get("severity").cloned().unwrap_or_default();
        let known = groups[first..].iter().position(|it| it.target == target && it.severity == severity);
        let at = known.map_or(groups.len(), |it| first + it);
        if known.is_none() {
            let summary =
                ["summary", "description", "message"].iter().find_map(|it| alert.annotations.get(*it));
            groups.push(Group {
                target,
                severity,
                states: [0; 3],
                since: alert.starts_at,
                labels: Vec::new(),
                values: Vec::new(),
                summary: summary.map_or_else(String::new, |it| short(it, SUMMARY_MAX)),
            });
        }
        let group = &mut groups[at];
        group.states[State::of(&alert) as usize] += 1;
        group.since = group.since.min(alert.starts_at);
        let annotated = || alert.annotations.get("value").and_then(|it| it.trim().parse().ok());
        group.values.extend(value(&alert.labels).or_else(annotated));
        group.labels.push(alert.labels);
    }
}

/// Active before silenced, critical before the rest, many before few, old before new.
pub(super) fn sort(groups: &mut [Group]) {
    groups.sort_by_key(|it| {
        (it.states[0] == 0, rank(&it.severity), std::cmp::Reverse(it.count()), it.since, it.target.id.clone())
    });
}

/// How urgent a word for severity is; a word nobody knows stands between warning and information.
fn rank(severity: &str) -> u8 {
    match severity.to_ascii_lowercase().as_str() {
        "critical" | "page" | "emergency" | "fatal" | "disaster" | "sev1" | "p1" => 0,
        "error" | "high" | "major" | "sev2" | "p2" => 1,
        "warning" | "warn" | "medium" | "minor" | "sev3" | "p3" => 2,
        "info" | "information" | "notice" | "low" | "none" => 4,
        _ => 3,
    }
}

impl Group {
    fn count(&self) -> usize {
        self.states.iter().sum()
    }

    fn severity(&self) -> &str {
        if self.severity.is_empty() { "none" } else { &self.severity }
    }

    fn state(&self) -> String {
        let some: Vec<(State, usize)> =
            State::ALL.into_iter().zip(self.states).filter(|it| it.1 > 0).collect();
        match some.as_slice() {
            [(state, _)] => state.word().to_owned(),
            several => several
                .iter()
                .map(|(it, count)| format!("{} {count}", it.word()))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    fn value(&self) -> Value {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        match (values.first(), values.last()) {
            (Some(least), Some(most)) if least == most => Figure(*least).cell(),
            (Some(least), Some(most)) => json!(format!("{}..{}", Figure(*least), Figure(*most))),
            _ => Value::Null,
        }
    }

    /// What its alerts share, or for several the values of the label that tells them apart best.
    fn labels(&self) -> String {
        let mut known = Labels::new();
        for name in ["alertname", "severity"] {
            known.insert(name.to_owned(), String::new());
        }
        let [only] = self.labels.as_slice() else {
            let common = labels::common(&self.labels);
            let shared = text(&common, &known);
            let mut differing = self.differing(&common);
            if !shared.is_empty() && !differing.is_empty() {
                differing.push(' ');
            }
            return short(&format!("{differing}{shared}"), LABELS_MAX);
        };
        short(&text(only, &known), LABELS_MAX)
    }

    /// `pod=a|b|c|…`: of the label with the fewest values that still differs.
    fn differing(&self, common: &Labels) -> String {
        let names = self.labels[0].keys().filter(|it| !common.contains_key(*it));
        let values = |name: &String| {
            let mut values: Vec<&str> =
                self.labels.iter().filter_map(|it| it.get(name)).map(String::as_str).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        let Some((name, values)) = names.map(|it| (it, values(it))).min_by_key(|it| it.1.len()) else {
            return String::new();
        };
        let more = values.len().saturating_sub(3);
        let more = if more > 0 { format!("|+{more}") } else { String::new() };
        format!("{name}={}{more}", values.iter().take(3).copied().collect::<Vec<_>>().join("|"))
    }
}

/// Columns and rows of groups. Which columns there are depends on nothing that policy may hide.
pub(super) fn table(groups: Vec<Group>, several: bool) -> (Vec<Column>, Vec<Row>) {
    let mut columns = vec![
        Column::untrusted("alert"),
        Column::untrusted("severity"),
        Column::new("count"),
        Column::new("state"),
        Column::new("since"),
        Column::new("value"),
        Column::untrusted("labels"),
        Column::untrusted("summary"),
    ];
    columns.extend(several.then(|| Column::new("connection")));
    let row = |it: Group| {
        let mut cells = vec![
            json!(it.target.id),
            json!(it.severity()),
            json!(it.count()),
            json!(it.state()),
            json!(utc(it.since)),
            it.value(),
            json!(it.labels()),
            json!(it.summary),
        ];
        cells.extend(several.then(|| json!(it.target.connection)));
        Row { cells, target: Some(it.target) }
    };
    (columns, groups.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(labels: &[(&str, &str)], since: &str, silenced: bool) -> Alert {
        let labels: Labels =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let silenced: &[&str] = if silenced { &["id"] } else { &[] };
        serde_json::from_value(json!({
            "labels": labels,
            "annotations": { "summary": "too many", "value": "3" },
            "startsAt": since,
            "status": { "silencedBy": silenced, "inhibitedBy": [] },
        }))
        .expect("an alert")
    }

    fn place(labels: &Labels) -> Target {
        let word = || "unknown".to_owned();
        Target {
            kind: "alerts".into(),
            id: labels["alertname"].clone(),
            connection: "prod".to_owned(),
            environment: word(),
            region: word(),
            team: word(),
            tier: word(),
        }
    }

    #[test]
    fn groups_are_pressing_first_and_say_what_differs() {
        let (old, new) = ("2026-01-31T10:00:00Z", "2026-01-31T11:00:00Z");
        let alerts = vec![
            alert(&[("alertname", "Slow"), ("severity", "warning"), ("pod", "a"), ("job", "x")], new, false),
            alert(&[("alertname", "Slow"), ("severity", "warning"), ("pod", "b"), ("job", "x")], old, true),
            alert(&[("alertname", "Odd"), ("severity", "purple")], old, false),
            alert(&[("alertname", "Down"), ("severity", "critical")], new, false),
            alert(&[("alertname", "Known"), ("severity", "critical")], old, true),
        ];
        let mut groups = Vec::new();
        let values = |it: &Labels| (it.get("pod").map(String::as_str) == Some("a")).then_some(9.5);
        group(alerts, place, values, &mut groups);
        sort(&mut groups);
        let (columns, rows) = table(groups, false);
        assert_eq!(columns.len(), 8);
        let rows: Vec<String> = rows.iter().map(|it| Value::from(it.cells.clone()).to_string()).collect();
        expect_test::expect![[r#"
            ["Down","critical",1,"active","2026-01-31T11:00:00Z",3,"","too many"]
            ["Slow","warning",2,"active 1, silenced 1","2026-01-31T10:00:00Z","3..9.5","pod=a|b job=x","too many"]
            ["Odd","purple",1,"active","2026-01-31T10:00:00Z",3,"","too many"]
            ["Known","critical",1,"silenced","2026-01-31T10:00:00Z",3,"","too many"]"#]]
        .assert_eq(&rows.join("\n"));
    }
}
