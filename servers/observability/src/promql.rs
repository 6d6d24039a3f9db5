//! What does a query select, and how is it kept within a connection's forced matchers?
//!
//! Language: <https://prometheus.io/docs/prometheus/latest/querying/basics/>

mod forced;
mod terms;
mod tokens;
mod trouble;
mod unit;

use std::time::Duration;

use promql_parser::{
    label::{METRIC_NAME, MatchOp},
    parser::{Expr, SubqueryExpr, VectorSelector, value::ValueType},
};

pub(crate) use forced::{Confined, Forced};
pub(crate) use terms::{Against, Term, Terms, Test};

/// A query whose syntax and types are right.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    text: String,
    expr: Expr,
}

/// One vector selector of a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selector {
    /// In canonical form, without a range.
    pub(crate) text: String,
    /// The metric, when it is one.
    pub(crate) metric: Option<String>,
    /// Whether any matcher is an equality with something.
    pub(crate) equality: bool,
    /// Whether an aggregation stands around it.
    pub(crate) aggregated: bool,
    /// Where it stands, as far as that decides what it loads.
    reach: Reach,
}

/// Of how much time a selector needs the samples, for one evaluation of the whole query.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Reach {
    /// Its own range, seconds; 0 without one.
    range: f64,
    /// Ranges of the subqueries around it, seconds in all.
    within: f64,
    /// How often they evaluate it.
    times: f64,
}

/// Where a selector stands.
#[derive(Clone, Copy)]
struct Place {
    aggregated: bool,
    reach: Reach,
}

impl Query {
    /// Parses a query; what is wrong is said with its place and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Query, String> {
        trouble::refuse_outrageous(text)?;
        let expr = trouble::guarded(text).map_err(|problem| trouble::explain(text, &problem))?;
        // A comment at the end would take in what is written behind the query, such as a bracket.
        Ok(Query { text: text[..trouble::end(text)].trim().to_owned(), expr })
    }

    /// As it is sent.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A query put together here of such as were parsed before: it may be longer than one that somebody writes.
    pub(crate) fn composed(text: &str) -> Result<Query, String> {
        trouble::guarded(text).map(|expr| Query { text: text.to_owned(), expr })
    }

    /// Whether it is a selector of series as they are now, and nothing else.
    pub(crate) fn is_plain_selector(&self) -> bool {
        matches!(&self.expr, Expr::VectorSelector(it) if it.offset.is_none() && it.at.is_none())
    }

    /// What kind of value it has.
    pub(crate) fn kind(&self) -> ValueType {
        self.expr.value_type()
    }

    /// Whether the order of its rows means something: `sort`, `topk` and their kin.
    pub(crate) fn is_ordered(&self) -> bool {
        match &self.expr {
            Expr::Call(call) => call.func.name.starts_with("sort"),
            Expr::Aggregate(aggregate) => matches!(aggregate.op.to_string().as_str(), "topk" | "bottomk"),
            _ => false,
        }
    }

    /// Unit of its values, guessed from the metrics' names.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        unit::guess(&self.expr)
    }

    /// Its vector selectors, each once.
    pub(crate) fn selectors(&self) -> Vec<Selector> {
        let mut found: Vec<Selector> = Vec::new();
        each_selector(&self.expr, Place::OUTSIDE, &mut |selector, place| {
            let selector = Selector::of(selector, place);
            match found.iter_mut().find(|it| it.text == selector.text) {
                Some(same) => {
                    same.aggregated &= place.aggregated;
                    same.reach = same.reach.or(place.reach);
                }
                None => found.push(selector),
            }
        });
        found
    }

    /// How often its innermost part is evaluated for one point of the result: once, but for subqueries.
    pub(crate) fn evaluations(&self) -> u64 {
        evaluations(&self.expr)
    }

    /// An expression that counts the series of the result; none when there is one value at most.
    pub(crate) fn count_of_result(&self) -> Option<String> {
        match &self.expr {
            Expr::MatrixSelector(matrix) => Some(format!("count({})", matrix.vs)),
            // An outermost aggregation over everything has one series, unless it picks or makes several.
            Expr::Aggregate(aggregate)
                if aggregate.modifier.is_none() && SINGLE.contains(&aggregate.op.to_string().as_str()) =>
            {
                None
            }
            _ if self.kind() == ValueType::Vector => Some(format!("count({})", self.text)),
            _ => None,
        }
    }
}

/// Aggregations that come to one series.
const SINGLE: [&str; 9] = ["sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "quantile"];

impl Place {
    const OUTSIDE: Place = Place { aggregated: false, reach: Reach { range: 0.0, within: 0.0, times: 1.0 } };
}

impl Reach {
    /// The more of both.
    fn or(self, other: Reach) -> Reach {
        Reach {
            range: self.range.max(other.range),
            within: self.within.max(other.within),
            times: self.times.max(other.times),
        }
    }
}

impl Selector {
    /// Of how many seconds it loads samples, for points over so many seconds: never more than there are in all.
    pub(crate) fn loads(&self, seconds: f64, points: u64) -> f64 {
        let Reach { range, within, times } = self.reach;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let each = points as f64 * times * range;
        each.min(seconds + within + range)
    }

    fn of(selector: &VectorSelector, place: Place) -> Selector {
        let equals = |name: Option<&str>| {
            let matchers = selector.matchers.matchers.iter();
            matchers.clone().find(|it| {
                it.op == MatchOp::Equal && !it.value.is_empty() && name.is_none_or(|name| it.name == name)
            })
        };
        let metric = selector.name.clone().or_else(|| equals(Some(METRIC_NAME)).map(|it| it.value.clone()));
        let equality = metric.is_some() || equals(None).is_some();
        let Place { aggregated, reach } = place;
        Selector { text: selector.to_string(), metric, equality, aggregated, reach }
    }
}

/// Visits every vector selector. Spelt out rather than left to the parser's own walk, which skips the parameter of an
/// aggregation (`topk(scalar(x), y)`); a new kind of node does not compile until it has its place here.
fn each_selector<'a>(expr: &'a Expr, place: Place, visit: &mut impl FnMut(&'a VectorSelector, Place)) {
    let aggregated = Place { aggregated: true, ..place };
    match expr {
        Expr::VectorSelector(selector) => visit(selector, place),
        Expr::MatrixSelector(matrix) => {
            let reach = Reach { range: matrix.range.as_secs_f64(), ..place.reach };
            visit(&matrix.vs, Place { reach, ..place });
        }
        Expr::Aggregate(aggregate) => {
            each_selector(&aggregate.expr, aggregated, visit);
            if let Some(parameter) = &aggregate.param {
                each_selector(parameter, aggregated, visit);
            }
        }
        Expr::Unary(unary) => each_selector(&unary.expr, place, visit),
        Expr::Binary(binary) => {
            each_selector(&binary.lhs, place, visit);
            each_selector(&binary.rhs, place, visit);
        }
        Expr::Paren(paren) => each_selector(&paren.expr, place, visit),
        Expr::Subquery(subquery) => {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let times = place.reach.times * steps(subquery) as f64;
            let within = place.reach.within + subquery.range.as_secs_f64();
            let reach = Reach { within, times, ..place.reach };
            each_selector(&subquery.expr, Place { reach, ..place }, visit);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|it| each_selector(it, place, visit)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// How often a subquery evaluates what is in it.
fn steps(subquery: &SubqueryExpr) -> u64 {
    /// Step of a subquery that names none: how often Prometheus evaluates rules, unless it is told otherwise.
    const STEP: Duration = Duration::from_secs(60);
    let step = subquery.step.unwrap_or(STEP).as_millis().max(1);
    u64::try_from(subquery.range.as_millis() / step).unwrap_or(u64::MAX).max(1)
}

fn evaluations(expr: &Expr) -> u64 {
    match expr {
        Expr::Subquery(subquery) => steps(subquery).saturating_mul(evaluations(&subquery.expr)),
        Expr::Aggregate(it) => it.param.as_ref().map_or(1, |it| evaluations(it)).max(evaluations(&it.expr)),
        Expr::Unary(it) => evaluations(&it.expr),
        Expr::Binary(it) => evaluations(&it.lhs).max(evaluations(&it.rhs)),
        Expr::Paren(it) => evaluations(&it.expr),
        Expr::Call(it) => it.args.args.iter().map(|it| evaluations(it)).max().unwrap_or(1),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selectors(text: &str) -> Vec<(String, bool, bool)> {
        let query = Query::parse(text).expect(text);
        query.selectors().into_iter().map(|it| (it.text, it.equality, it.aggregated)).collect()
    }

    #[test]
    fn every_selector_is_found_wherever_it_stands() {
        let text = r#"topk(scalar(a), sum by (x) (rate(b{c="d"}[5m]))) / on () group_left () max_over_time((e - {f=~"g.+"})[1h:1m] offset 5m)"#;
        let found: Vec<String> = selectors(text).into_iter().map(|it| it.0).collect();
        assert_eq!(found, ["b{c=\"d\"}", "a", "e", "{f=~\"g.+\"}"]);
    }

    #[test]
    fn a_selector_says_how_selective_it_is() {
        assert_eq!(selectors("up"), [("up".to_owned(), true, false)]);
        assert!(selectors("{job=\"a\"}")[0].1);
        assert!(!selectors("{job=~\".+\"}")[0].1);
        assert!(!selectors("{job!=\"\"}")[0].1);
        assert!(selectors("sum(up)")[0].2);
        assert!(!selectors("sum(up) + up")[0].2, "once outside an aggregation is outside");
        let named = Query::parse("{__name__=\"up\"}").expect("a query");
        assert_eq!(named.selectors()[0].metric.as_deref(), Some("up"));
    }

    #[test]
    fn subqueries_within_subqueries_multiply() {
        let evaluations = |text: &str| Query::parse(text).expect(text).evaluations();
        assert_eq!(evaluations("sum(rate(a[5m]))"), 1);
        assert_eq!(evaluations("max_over_time(rate(a[5m])[1h:])"), 60);
        assert_eq!(evaluations("b / max_over_time((min_over_time(a[1h:1m]))[1d:1h])"), 24 * 60);
        assert_eq!(evaluations("max_over_time(rate(a[5m])[365d:1s])"), 365 * 86_400);
    }

    #[test]
    fn only_what_can_have_many_series_is_counted() {
        let count = |text: &str| Query::parse(text).expect(text).count_of_result();
        assert_eq!(count("up").as_deref(), Some("count(up)"));
        assert_eq!(count("up[5m]").as_deref(), Some("count(up)"));
        assert_eq!(count("sum by (a) (up)").as_deref(), Some("count(sum by (a) (up))"));
        assert_eq!(
            count("up # all of them").as_deref(),
            Some("count(up)"),
            "a comment does not take in the bracket"
        );
        assert_eq!(count("a{b=\"#c\"} #\n + d # e").as_deref(), Some("count(a{b=\"#c\"} #\n + d)"));
        assert_eq!(count("sum(up)"), None);
        for several in ["topk(5, up)", "count_values(\"v\", up)", "limitk(5, up)", "limit_ratio(0.5, up)"] {
            // Not every version of the language has all of them.
            if Query::parse(several).is_ok() {
                assert_eq!(count(several), Some(format!("count({several})")));
            }
        }
        assert_eq!(count("1 + 1"), None);
        assert_eq!(count("time()"), None);
    }
}
