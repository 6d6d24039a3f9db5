//! `explain_alert`: why does it fire, or how far is it from firing?

mod condition;
mod facts;
mod past;
mod telling;

use futures::future::join_all;
use jiff::Timestamp;
use outbound::Deadline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Context, Effect, Row, Span, Suggestion, Target, Tool, ToolError, Window,
    args::{Slug, Text},
};

use self::{condition::Measured, facts::AlertFacts};
use crate::{
    Backends,
    backends::prometheus::{Inquiry, Moments, Prometheus, Rule, RuleAlert},
    cost::Cost,
    grid::Grid,
    labels::{Labels, short, text},
    matcher::LabelMatchers,
    promql::{Query, Terms},
};

/// Why an alert fires or not: each condition of its rule now and over the window, distance to the threshold, `for`
/// progress, past firing, flapping, runbook.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainAlert {
    /// Prometheus, if several.
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// Name of the rule.
    #[schemars(with = "String")]
    alert: Text<1, 200>,
    /// Labels of the rule or its alerts: `severity="critical"`.
    #[serde(default)]
    filter: LabelMatchers<0, 8>,
    /// Else `24h`.
    #[schemars(with = "Option<String>")]
    window: Option<Window>,
}

const WINDOW: &str = "24h";
const SUGGESTIONS_MAX: usize = 5;
/// How alike a name must be to be offered.
const ALIKE: f64 = 0.7;
const EXPRESSION_MAX: usize = 600;
const SENTENCE_MAX: usize = 200;

/// The conditions of a rule, and what each came to.
#[derive(Default)]
struct Evaluated {
    terms: Option<Terms>,
    measured: Vec<(usize, Measured)>,
    grid: Option<Grid>,
    not_looked_at: Vec<String>,
    notes: Vec<String>,
}

impl Tool for ExplainAlert {
    const NAME: &'static str = "explain_alert";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "alerting, investigate, triggered, paged, cause, expression, reason";
    const UNTRUSTED_FACTS: &'static [&'static str] =
        &["verdict", "alerts", "runbook", "expression", "rule", "summary", "notes", "not_looked_at"];
    type Backends = Backends;
    type Facts = AlertFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        let prometheus = backends.prometheus(self.connection.as_ref())?;
        Ok(vec![prometheus.connection().target("alerts", &*self.alert)])
    }

    fn examples() -> Vec<Value> {
        vec![
            json!({ "alert": "HighErrorRate" }),
            json!({ "alert": "HighErrorRate", "filter": ["severity=\"critical\""], "window": "6h" }),
        ]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<AlertFacts>, ToolError> {
        let prometheus = backends.prometheus(self.connection.as_ref())?;
        self.answer(prometheus, context.now(), Some(context.deadline())).await
    }
}

impl ExplainAlert {
    async fn answer(
        &self,
        prometheus: &Prometheus,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Answer<AlertFacts>, ToolError> {
        let span = self.span(now)?;
        let inquiry = &Inquiry::until(deadline);
        let rules = prometheus.rules(inquiry).await?;
        let named: Vec<&Rule> = rules.iter().filter(|it| it.name == *self.alert).collect();
        let rule = self.chosen(&named)?;
        let interval = rule.map_or(60.0, |it| it.interval);
        let past = past::look(prometheus, &self.alert, self.filter.as_slice(), span, interval, inquiry);
        let Some(rule) = rule else {
            return match past.await? {
                history if history.is_empty() => match inquiry.incomplete(prometheus.connection()) {
                    Some(error) => Err(error),
                    None => Err(self.not_found(prometheus, &rules)),
                },
                history => {
                    let facts = AlertFacts {
                        verdict: "its rule is not evaluated by this connection, so only its past is known"
                            .to_owned(),
                        history,
                        window: span.to_string(),
                        ..AlertFacts::default()
                    };
                    Ok(Answer { not_looked_at: inquiry.warnings(), ..Answer::facts(facts) })
                }
            };
        };
        let (past, mut evaluated) = tokio::join!(past, evaluate(prometheus, rule, span, now, inquiry));
        let history = past.unwrap_or_else(|error| {
            evaluated.not_looked_at.push(format!("history: {error}"));
            Vec::new()
        });
        let others = named.iter().filter(|it| !std::ptr::eq(**it, rule)).map(|it| {
            format!("another rule has this name: {}, {}", text(&it.labels, &Labels::new()), it.state.word())
        });
        evaluated.notes.extend(others.take(3));
        if !prometheus.forced().is_empty() {
            let forced = prometheus.forced().selector("").unwrap_or_default();
            evaluated.notes.push(format!("every selector was kept within {forced}"));
        }
        evaluated.not_looked_at.extend(inquiry.warnings());
        let facts = self.facts(rule, &evaluated, history, span, now);
        Ok(evaluated.table(facts))
    }

    fn span(&self, now: Timestamp) -> Result<Span, ToolError> {
        let invalid = |problem| ToolError::Invalid { argument: "window", problem };
        match &self.window {
            Some(window) => window.at(now),
            None => Window::parse(WINDOW).and_then(|it| it.at(now)),
        }
        .map_err(invalid)
    }

    /// Of the rules with this name and the labels asked for, the most pressing one; none when no rule has the name.
    fn chosen<'a>(&self, named: &[&'a Rule]) -> Result<Option<&'a Rule>, ToolError> {
        // What the rule does not set, its alerts may have.
        let filter = self.filter.filter();
        let fitting = named.iter().filter(|it| filter.allows(&it.labels));
        let chosen = fitting.max_by_key(|it| (it.state, it.alerts.len(), std::cmp::Reverse(&it.labels)));
        if chosen.is_none() && !named.is_empty() {
            let labels: Vec<String> =
                named.iter().take(4).map(|it| text(&it.labels, &Labels::new())).collect();
            let problem = format!("no rule of this name has such labels; there are: {}", labels.join("; "));
            return Err(ToolError::Invalid { argument: "filter", problem });
        }
        Ok(chosen.copied())
    }

    fn not_found(&self, prometheus: &Prometheus, rules: &[Rule]) -> ToolError {
        if rules.is_empty() {
            return ToolError::Invalid {
                argument: "connection",
                problem: format!(
                    "{} evaluates no alerting rules that may be seen, and no such alert left a trace in it",
                    prometheus.connection().name
                ),
            };
        }
        let wanted = self.alert.to_ascii_lowercase();
        let mut near: Vec<(f64, &str)> = rules
            .iter()
            .map(|it| (strsim::jaro_winkler(&it.name.to_ascii_lowercase(), &wanted), it.name.as_str()))
            .filter(|it| it.0 > ALIKE)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        near.dedup_by(|a, b| a.1 == b.1);
        let suggestion = |(_, name): &(f64, &str)| Suggestion {
            text: (*name).to_owned(),
            target: Some(prometheus.connection().target("alerts", *name)),
        };
        let suggestions = near.iter().take(SUGGESTIONS_MAX).map(suggestion).collect();
        ToolError::NotFound { kind: "alerting rule", name: self.alert.to_string(), suggestions }
    }

    fn facts(
        &self,
        rule: &Rule,
        evaluated: &Evaluated,
        history: Vec<String>,
        span: Span,
        now: Timestamp,
    ) -> AlertFacts {
        let filter = self.filter.filter();
        let mut alerts: Vec<&RuleAlert> = rule.alerts.iter().filter(|it| filter.meets(&it.labels)).collect();
        alerts.sort_by_key(|it| (std::cmp::Reverse(it.state), it.active_at));
        let annotation = |names: &[&str]| {
            let found = names.iter().find_map(|it| rule.annotations.get(*it));
            found.map(|it| short(it, SENTENCE_MAX))
        };
        AlertFacts {
            verdict: telling::verdict(rule, &alerts, evaluated, now),
            alerts: telling::listed(rule, &alerts, now),
            history,
            runbook: annotation(&["runbook_url", "runbook", "runbookUrl"]),
            expression: Some(short(&rule.query, EXPRESSION_MAX)),
            logic: evaluated.terms.as_ref().and_then(|it| it.logic.clone()),
            rule: Some(telling::about(rule)),
            summary: annotation(&["summary", "description", "message"]),
            notes: evaluated.notes.clone(),
            window: span.to_string(),
        }
    }
}

impl Evaluated {
    /// One row for each condition, in the order of the expression.
    fn table(self, facts: AlertFacts) -> Answer<AlertFacts> {
        let Some(terms) = &self.terms else {
            return Answer { not_looked_at: self.not_looked_at, ..Answer::facts(facts) };
        };
        let rows: Vec<Row> =
            self.measured.iter().map(|(at, it)| it.row(at + 1, &terms.terms[*at], self.grid)).collect();
        let seen = rows.len() as u64;
        let columns = condition::columns();
        let table = tool::Table { columns, rows, seen, noun: "conditions", next: None };
        Answer { not_looked_at: self.not_looked_at, ..Answer::table(facts, table) }
    }
}

/// Takes a rule's expression apart and measures every condition of it.
async fn evaluate(
    prometheus: &Prometheus,
    rule: &Rule,
    span: Span,
    now: Timestamp,
    inquiry: &Inquiry,
) -> Evaluated {
    let mut evaluated = Evaluated::default();
    let query = match Query::parse(&rule.query).and_then(|it| prometheus.confine(it)) {
        Ok(query) => query,
        Err(problem) => {
            evaluated.not_looked_at.push(format!("its conditions: {}", short(&problem, SENTENCE_MAX)));
            return evaluated;
        }
    };
    match affordable(prometheus, &query, span, now, inquiry).await {
        Ok((grid, dear)) => {
            evaluated.grid = grid;
            evaluated.not_looked_at.extend(dear.map(|it| format!("the course of its conditions: {it}")));
        }
        Err(problem) => {
            evaluated.not_looked_at.push(format!("its conditions: {problem}"));
            return evaluated;
        }
    }
    let terms = query.terms();
    let grid = evaluated.grid;
    let measured = terms.terms.iter().map(|it| condition::measure(prometheus, it, now, grid, inquiry));
    for (at, measured) in join_all(measured).await.into_iter().enumerate() {
        match measured {
            Ok(measured) => evaluated.measured.push((at, measured)),
            Err(error) => evaluated.not_looked_at.push(format!("part {}: {error}", at + 1)),
        }
    }
    evaluated.terms = Some(terms);
    evaluated
}

/// The grid that its cost allows, or why there is none; an error when even one moment is too much.
async fn affordable(
    prometheus: &Prometheus,
    query: &Query,
    span: Span,
    now: Timestamp,
    inquiry: &Inquiry,
) -> Result<(Option<Grid>, Option<String>), String> {
    let selectors = query.selectors();
    let counts = prometheus.count_selectors(&selectors, Moments::At(now), inquiry).await;
    let counts = counts.map_err(|it| it.to_string())?;
    let excess = |points: u64| {
        let selected = selectors.iter().zip(counts.iter().copied()).collect();
        // Every condition is asked for one series, whatever it is of.
        let seconds = if points > 1 { span.seconds() as f64 } else { 0.0 };
        Cost { selected, result: 1, points, evaluations: query.evaluations(), seconds }.excess(query.text())
    };
    if let Some(excess) = excess(1) {
        return Err(excess.problem);
    }
    let grid = Grid::over(span, None)?;
    Ok(match excess(grid.points()) {
        Some(excess) => (None, Some(excess.problem)),
        None => (Some(grid), None),
    })
}

#[cfg(test)]
mod tests;
