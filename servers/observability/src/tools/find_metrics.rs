//! `find_metrics`: which metrics are there, of what type, with how many series and which labels?

mod labelled;

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use outbound::Deadline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Column, Context, Effect, Next, Row, Target, Tool, ToolError,
    args::{MaxTokens, Slug, Text},
};

use crate::{
    Backends,
    backends::prometheus::{Described, Inquiry, Prometheus},
    grid::Grid,
    labels::short,
    matcher::{LabelMatcher, LabelMatchers, Relation},
};

/// Prometheus metrics by name, help or label: type, series, labels with a few values; nearest names when nothing fits.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindMetrics {
    /// Which, if several.
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// Words in its name or help, e.g. `request duration`; else all.
    #[schemars(with = "Option<String>")]
    words: Option<Text<1, 100>>,
    /// What its series must have: `service="cart"`, `le!=""`.
    #[serde(default)]
    scope: LabelMatchers<0, 8>,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// Where was looked.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(super) struct FoundFacts {
    /// UTC: metrics with series in this hour.
    time: String,
    /// What was not found, and what is near.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// A metric, its parts taken together.
#[derive(Debug, PartialEq)]
struct Metric {
    name: String,
    kind: String,
    help: String,
    series: u64,
}

/// Most rows that any budget shows.
const ROWS_MAX: usize = 100;
/// Labels are told of this many.
const LABELLED_MAX: usize = 12;
/// Names offered when nothing is found.
const NEAR_MAX: usize = 5;
/// Questions under way at once.
const AT_ONCE: usize = 4;
const HELP_MAX: usize = 100;
const HOUR_S: i64 = 3_600;

impl Tool for FindMetrics {
    const NAME: &'static str = "find_metrics";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "discover, list, available, catalog, explore, cardinality, search";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["notes", "not_looked_at"];
    type Backends = Backends;
    type Facts = FoundFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        Ok(vec![backends.prometheus(self.connection.as_ref())?.connection().whole("metrics")])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![json!({ "words": "request duration" }), json!({ "scope": ["service=\"checkout-api\""] })]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<FoundFacts>, ToolError> {
        let prometheus = backends.prometheus(self.connection.as_ref())?;
        self.answer(prometheus, context.now(), Some(context.deadline())).await
    }
}

impl FindMetrics {
    /// Counts, ranks, looks at the labels of the first.
    async fn answer(
        &self,
        prometheus: &Prometheus,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Answer<FoundFacts>, ToolError> {
        let hour = Grid { from: now.as_second() - HOUR_S, to: now.as_second(), step: 60 };
        let inquiry = Inquiry::until(deadline);
        let scope = prometheus.scope(self.scope.as_slice())?;
        let (families, described) =
            tokio::join!(prometheus.families(&scope, hour, &inquiry), prometheus.described(&inquiry));
        // Some stores know no types: names tell enough.
        let all = metrics(families?, &described.unwrap_or_default());
        let words = self.words.as_ref().map_or("", |it| &**it).to_lowercase();
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut found: Vec<(u32, &Metric)> =
            all.iter().filter_map(|it| Some((fit(it, &words)?, it))).collect();
        found.sort_by(|a, b| {
            b.0.cmp(&a.0).then(b.1.series.cmp(&a.1.series)).then_with(|| a.1.name.cmp(&b.1.name))
        });
        let mut notes = Vec::new();
        let seen = found.len();
        if seen == 0 {
            notes.push(missing(&all, &words));
            found = near(&all, &words).into_iter().map(|it| (0, it)).collect();
        }
        let shown: Vec<&Metric> = found.iter().take(ROWS_MAX).map(|it| it.1).collect();
        let looks = shown.iter().take(LABELLED_MAX).map(|it| self.labels(prometheus, it, hour, &inquiry));
        let looks: Vec<_> = looks.collect();
        let labels: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let mut not_looked_at = Vec::new();
        let mut labels = shown.iter().zip(labels).map(|(metric, it)| match it {
            Ok(labels) => labels,
            Err(error) => {
                not_looked_at.push(format!("labels of {}: {error}", metric.name));
                String::new()
            }
        });
        let rows: Vec<Row> = shown.iter().map(|it| row(it, labels.next())).collect();
        drop(labels);
        not_looked_at.extend(inquiry.warnings());
        if let Some(forced) = prometheus.forced().selector("").filter(|_| !prometheus.forced().is_empty()) {
            notes.push(format!("only series within {forced} were counted"));
        }
        let facts = FoundFacts { time: hour.to_string(), notes };
        let columns = vec![
            Column::untrusted("metric"),
            Column::new("type"),
            Column::new("series"),
            Column::untrusted("labels"),
            Column::untrusted("help"),
        ];
        let seen = seen.max(rows.len()) as u64;
        let table = tool::Table { columns, rows, seen, noun: "metrics", next: self.next() };
        Ok(Answer { not_looked_at, ..Answer::table(facts, table) })
    }

    async fn labels(
        &self,
        prometheus: &Prometheus,
        metric: &Metric,
        hour: Grid,
        inquiry: &Inquiry,
    ) -> Result<String, ToolError> {
        let mut matchers = self.scope.as_slice().to_vec();
        let name = LabelMatcher {
            name: "__name__".to_owned(),
            relation: Relation::Equal,
            value: metric.name.clone(),
        };
        matchers.push(name);
        labelled::tell(prometheus, &prometheus.scope(&matchers)?, metric.series, hour, inquiry).await
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

fn row(metric: &Metric, labels: Option<String>) -> Row {
    let text = |it: &str| if it.is_empty() { Value::Null } else { json!(it) };
    let cells = vec![
        json!(metric.name),
        text(&metric.kind),
        json!(metric.series),
        labels.as_deref().map_or(Value::Null, text),
        text(&short(&metric.help, HELP_MAX)),
    ];
    Row { cells, target: None }
}

/// Families by name, the sum and the count of a histogram or summary beside its buckets or its count.
fn metrics(families: BTreeMap<String, u64>, described: &BTreeMap<String, Vec<Described>>) -> Vec<Metric> {
    let has = |name: String| families.contains_key(&name);
    let metric = |(name, series): (&String, &u64)| {
        let part =
            ["_bucket", "_sum", "_count"].into_iter().find_map(|it| Some((it, name.strip_suffix(it)?)));
        let histogram = part.is_some_and(|it| has(format!("{}_bucket", it.1)));
        let summary = !histogram
            && part.is_some_and(|it| has(format!("{}_sum", it.1)) && has(format!("{}_count", it.1)));
        match part {
            Some(("_sum", _)) if histogram || summary => return None,
            Some(("_count", _)) if histogram => return None,
            _ => {}
        }
        let bare = part.filter(|_| histogram || summary).map_or(name.as_str(), |it| it.1);
        let known = [bare, bare.strip_suffix("_total").unwrap_or(bare)]
            .into_iter()
            .find_map(|it| described.get(it)?.first());
        let guessed = match (histogram, summary, name.ends_with("_total")) {
            (true, _, _) => "histogram",
            (_, true, _) => "summary",
            (_, _, true) => "counter",
            _ => "",
        };
        let kind = known.map(|it| it.kind.as_str()).filter(|it| KINDS.contains(it)).unwrap_or(guessed);
        let help = known.map(|it| it.help.clone()).unwrap_or_default();
        Some(Metric { name: name.clone(), kind: kind.to_owned(), help, series: *series })
    };
    families.iter().filter_map(metric).collect()
}

/// Types that are told; a target may write any word there.
const KINDS: [&str; 7] = ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

/// How well a metric fits; none when a word is nowhere in it.
fn fit(metric: &Metric, words: &[&str]) -> Option<u32> {
    let (name, help) = (metric.name.to_lowercase(), metric.help.to_lowercase());
    let mut sum = 0;
    for word in words {
        sum += match (name == *word, name.starts_with(word), name.contains(word), help.contains(word)) {
            (true, _, _, _) => 100,
            (_, true, _, _) => 12,
            (_, _, true, _) => 10,
            (_, _, _, true) => 1,
            _ => return None,
        };
    }
    Some(sum)
}

fn missing(all: &[Metric], words: &[&str]) -> String {
    match (all.is_empty(), words.is_empty()) {
        (true, _) => "no series meet `scope` in this hour".to_owned(),
        (false, _) => format!(
            "of {} metrics none has all of these words in its name or help; the nearest names:",
            all.len()
        ),
    }
}

fn near<'a>(all: &'a [Metric], words: &[&str]) -> Vec<&'a Metric> {
    let wanted = words.join("_");
    let alike = |it: &Metric| {
        let whole = strsim::jaro_winkler(&it.name, &wanted);
        let parts = it
            .name
            .split('_')
            .flat_map(|part| words.iter().map(move |word| strsim::jaro_winkler(part, word)));
        whole.max(0.9 * parts.fold(0.0, f64::max))
    };
    let mut near: Vec<(f64, &Metric)> =
        all.iter().map(|it| (alike(it), it)).filter(|it| it.0 > 0.7).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().take(NEAR_MAX).map(|it| it.1).collect()
}

#[cfg(test)]
mod tests;
