//! `find_signals`: what moved in a scope, since when, and beside which limit?

mod asking;
mod look;
mod threshold;

use jiff::{Timestamp, tz::TimeZone};
use outbound::Deadline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Column, Context, Effect, Next, Row, Target, Tool, ToolError, Window,
    args::{MaxTokens, Slug},
};

use crate::{
    Backends,
    backends::prometheus::Prometheus,
    figure::Figure,
    grid::utc,
    labels::{self, Labels},
    matcher::LabelMatchers,
    signals::{self, Event, Findings, Signal},
};
use look::Looked;

/// What moved: all metrics in `scope` against their past, likely causes first.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindSignals {
    /// Which, if several.
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// `service="cart"`, `team=~"a|b"`.
    #[serde(default)]
    scope: LabelMatchers<0, 8>,
    /// `2h`, `FROM/TO`, `around=TIME±30m`.
    #[serde(default = "hour")]
    #[schemars(with = "String")]
    window: Window,
    /// Compared with.
    #[serde(default)]
    baseline: Baseline,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

// With what a window is compared; the words say it to a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Baseline {
    #[default]
    Previous,
    Yesterday,
    LastWeek,
}

/// What was compared, and what it came to.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(super) struct SignalsFacts {
    /// How much moved, of how much that was compared; or that nothing did.
    verdict: String,
    /// The window and what it was compared with; UTC.
    time: String,
    /// New, vanished, restarted and interrupted series, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<String>,
    /// What the rows have in common, and what was summed up or has no baseline.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Most rows that any budget shows.
const ROWS_MAX: usize = 60;
/// Most events told.
const EVENTS_MAX: usize = 8;
/// Places told of a metric that moved in several.
const ELSEWHERE_MAX: usize = 3;
/// Characters of one cell that outsiders' words may take.
const WORDS_MAX: usize = 160;

fn hour() -> Window {
    Window::parse("1h").expect("a window as people write it")
}

impl Tool for FindSignals {
    const NAME: &'static str = "find_signals";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str =
        "anomaly, incident, root cause, regression, spike, latency, errors, investigate";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["events", "notes", "not_looked_at"];
    type Backends = Backends;
    type Facts = SignalsFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        Ok(vec![backends.prometheus(self.connection.as_ref())?.connection().whole("metrics")])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![
            json!({ "scope": ["service=\"checkout-api\""] }),
            json!({ "window": "2h", "baseline": "yesterday" }),
        ]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<SignalsFacts>, ToolError> {
        let prometheus = backends.prometheus(self.connection.as_ref())?;
        self.answer(prometheus, context.now(), Some(context.deadline())).await
    }
}

impl FindSignals {
    /// Looks, compares, tells.
    async fn answer(
        &self,
        prometheus: &Prometheus,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Answer<SignalsFacts>, ToolError> {
        let looked =
            look::look(prometheus, self.scope.as_slice(), &self.window, self.baseline, now, deadline).await?;
        // Half a second of arithmetic at the most: not on a thread that others wait for.
        let scored = tokio::task::spawn_blocking(move || {
            let findings = signals::find(&looked.frame, &looked.series, &looked.hints);
            (findings, looked)
        });
        let (findings, looked) = scored.await.map_err(|_| ToolError::Unavailable {
            backend: prometheus.connection().name.clone(),
            problem: "what it answered could not be compared".to_owned(),
        })?;
        Ok(self.tell(prometheus, findings, looked))
    }

    fn tell(&self, prometheus: &Prometheus, findings: Findings, looked: Looked) -> Answer<SignalsFacts> {
        let common = labels::common(findings.signals.iter().map(|it| &it.labels));
        let clock =
            Clock { short: looked.frame.step * i64::try_from(looked.frame.window).unwrap_or(0) <= 86_400 };
        let rows: Vec<Row> =
            findings.signals.iter().take(ROWS_MAX).map(|it| row(it, &common, clock)).collect();
        let facts = SignalsFacts {
            verdict: verdict(&findings, &looked),
            time: format!("{}, beside {}", looked.window, looked.baseline),
            events: events(&findings.events, clock),
            notes: notes(prometheus, &findings, &looked, &common),
        };
        let columns = vec![
            Column::untrusted("signal"),
            Column::untrusted("labels"),
            Column::new("before"),
            Column::new("after"),
            Column::new("onset"),
            Column::new("score"),
            Column::untrusted("limit"),
            Column::new("event"),
            Column::untrusted("also"),
        ];
        let seen = findings.signals.len() as u64;
        let table = tool::Table { columns, rows, seen, noun: "signals", next: self.next() };
        Answer { not_looked_at: looked.not_looked_at, ..Answer::table(facts, table) }
    }

    /// The same with more room, as long as there is more to have.
    fn next(&self) -> Option<Next> {
        if self.max_tokens.get() >= 8_000 {
            return None;
        }
        let mut arguments = serde_json::to_value(self).ok()?;
        let fields = arguments.as_object_mut()?;
        fields.retain(|_, value| !value.is_null());
        fields.insert("max_tokens".to_owned(), json!(8_000));
        Some(Box::new(move |shown| (shown < ROWS_MAX).then(|| arguments.clone())))
    }
}

/// How moments are told: within a day the date is the window's.
#[derive(Clone, Copy)]
struct Clock {
    short: bool,
}

impl Clock {
    fn tell(self, at: i64) -> String {
        let at = Timestamp::from_second(at).unwrap_or_default();
        match self.short {
            true => at.to_zoned(TimeZone::UTC).strftime("%H:%M:%SZ").to_string(),
            false => utc(at),
        }
    }
}

fn row(signal: &Signal, common: &Labels, clock: Clock) -> Row {
    let began = clock.tell(signal.onset);
    let onset = match signal.until {
        Some(until) => format!("{began} to {}", clock.tell(until)),
        None => began,
    };
    let limit = signal.limit.as_ref().map(|it| format!("{} {}", it.by, Figure(it.value)));
    let mut also: Vec<String> = signal.also.iter().map(ToString::to_string).collect();
    if !signal.elsewhere.is_empty() {
        let places = signal
            .elsewhere
            .iter()
            .take(ELSEWHERE_MAX)
            .map(|it| labels::text(&differing(it, signal), common));
        let places: Vec<String> = places.collect();
        let more = signal.elsewhere.len().saturating_sub(ELSEWHERE_MAX);
        let more = if more > 0 { format!("; {more} more") } else { String::new() };
        also.push(format!("at {}{more}", places.join("; ")));
    } else if signal.series > 1 && signal.aspect == signals::Aspect::Value {
        also.push(format!("{} series", signal.series));
    }
    let cells = vec![
        json!(format!("{}{}", signal.metric, aspect(signal))),
        json!(labels::text(&signal.labels, common)),
        Figure(signal.before).cell(),
        Figure(signal.after).cell(),
        json!(onset),
        Figure(signal.score.round()).cell(),
        limit.map_or(Value::Null, |it| json!(labels::short(&it, WORDS_MAX))),
        json!(signal.together),
        if also.is_empty() { Value::Null } else { json!(labels::short(&also.join(", "), WORDS_MAX)) },
    ];
    Row { cells, target: None }
}

/// Labels of another place that are not those of the first.
fn differing(other: &Labels, signal: &Signal) -> Labels {
    let differs = |it: &(&String, &String)| signal.labels.get(it.0) != Some(it.1);
    other.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn aspect(signal: &Signal) -> String {
    match signal.aspect {
        signals::Aspect::Value => String::new(),
        signals::Aspect::Rate => " per second".to_owned(),
        other => format!(" {other}"),
    }
}

fn verdict(findings: &Findings, looked: &Looked) -> String {
    let (signals, series) = (findings.signals.len(), looked.series.len());
    let compared = findings.measures - findings.baseless;
    if series == 0 {
        return "nothing to compare: no series meet `scope` in that time".to_owned();
    }
    if compared == 0 {
        return format!("nothing to compare: none of {series} series has values in the baseline");
    }
    if signals == 0 {
        return format!(
            "nothing moved: {compared} measures of {series} series stayed within what their baseline explains"
        );
    }
    let events = findings.signals.iter().map(|it| it.together).max().unwrap_or(0);
    let events = if events == 1 { "one event".to_owned() } else { format!("{events} events") };
    format!("{signals} moved in {events}, of {compared} measures of {series} series")
}

fn events(events: &[Event], clock: Clock) -> Vec<String> {
    let tell = |it: &Event| {
        let series = if it.series > 1 { format!(" ({} series)", it.series) } else { String::new() };
        let labels = labels::text(&it.labels, &Labels::new());
        format!(
            "{} {} {}{{{}}}{series}",
            clock.tell(it.at),
            it.what,
            it.metric,
            labels::short(&labels, WORDS_MAX)
        )
    };
    let mut told: Vec<String> = events.iter().take(EVENTS_MAX).map(tell).collect();
    if events.len() > EVENTS_MAX {
        told.push(format!("and {} more", events.len() - EVENTS_MAX));
    }
    told
}

fn notes(prometheus: &Prometheus, findings: &Findings, looked: &Looked, common: &Labels) -> Vec<String> {
    let mut notes = looked.notes.clone();
    if !common.is_empty() {
        notes.push(format!("all of these: {}", labels::text(common, &Labels::new())));
    }
    if findings.baseless > 0 && findings.baseless < findings.measures {
        notes.push(format!("{} measures have no baseline to compare with", findings.baseless));
    }
    if let Some(forced) = prometheus.forced().selector("").filter(|_| !prometheus.forced().is_empty()) {
        notes.push(format!("everything was kept within {forced}"));
    }
    notes
}

#[cfg(test)]
mod tests;
