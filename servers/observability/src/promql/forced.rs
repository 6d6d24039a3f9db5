//! How does every selector come to carry the matchers that the connection forces?

use std::ops::Deref;

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{Expr, VectorSelector},
};

use super::{Place, Query, each_selector, trouble};
use crate::{labels::Labels, matcher::LabelMatcher};

/// Matchers that a connection forces into every selector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forced {
    given: Vec<LabelMatcher>,
    compiled: Vec<Matcher>,
}

/// A query that a connection may be asked: every selector of it carries what is forced. Only [`Forced::confine`] makes
/// one, and nothing else is sent.
#[derive(Clone, Debug)]
pub(crate) struct Confined(Query);

impl Deref for Confined {
    type Target = Query;

    fn deref(&self) -> &Query {
        &self.0
    }
}

impl Forced {
    /// Parses the configured matchers.
    pub(crate) fn parse(texts: &[String]) -> Result<Forced, String> {
        let given = texts.iter().map(|it| LabelMatcher::parse(it)).collect::<Result<Vec<_>, _>>()?;
        let compiled = given.iter().map(LabelMatcher::compiled).collect::<Result<Vec<_>, _>>()?;
        Ok(Forced { given, compiled })
    }

    /// Whether nothing is forced.
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// As arguments, to add to filters and silences.
    pub(crate) fn matchers(&self) -> &[LabelMatcher] {
        &self.given
    }

    /// `{team="checkout"}` with `more` in front; none when there would be nothing in it.
    pub(crate) fn selector(&self, more: &str) -> Option<String> {
        let forced = self.given.iter().map(ToString::to_string);
        let parts: Vec<String> =
            (!more.is_empty()).then(|| more.to_owned()).into_iter().chain(forced).collect();
        (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(",")))
    }

    /// Whether a thing with these labels lies within.
    pub(crate) fn admits(&self, labels: &Labels) -> bool {
        self.compiled.iter().all(|it| it.is_match(labels.get(&it.name).map_or("", String::as_str)))
    }

    /// Whether a thing with these labels, and perhaps more, may lie within.
    pub(crate) fn allows(&self, labels: &Labels) -> bool {
        self.compiled.iter().all(|it| labels.get(&it.name).is_none_or(|value| it.is_match(value)))
    }

    /// The query with the matchers in every selector. What is sent is printed from the tree, parsed again, and must be
    /// the same tree with the matchers everywhere: whatever cannot be printed faithfully is refused, not sent. What has
    /// them already keeps them once.
    pub(crate) fn confine(&self, query: Query) -> Result<Confined, String> {
        if self.is_empty() {
            return Ok(Confined(query));
        }
        let refuse = |what: &str| {
            Err(format!("this connection forces matchers into every selector, and {what} cannot carry them"))
        };
        if uses_hidden_selector(&query.expr) {
            return refuse("`info()`, which selects series by itself,");
        }
        let mut expr = query.expr;
        let mut alternatives = false;
        each_selector_mut(&mut expr, &mut |selector| {
            alternatives |= !selector.matchers.or_matchers.is_empty();
            let has = &mut selector.matchers.matchers;
            let lacking = self.compiled.iter().filter(|it| !has.iter().any(|has| same(it, has)));
            let lacking: Vec<Matcher> = lacking.cloned().collect();
            has.extend(lacking);
            // The order in which they are printed, so that the printed query parses to the same tree.
            selector.matchers.matchers.sort_by_cached_key(ToString::to_string);
        });
        if alternatives {
            return refuse("`or` between matchers");
        }
        let text = expr.to_string();
        let again = trouble::guarded(&text).ok().filter(|it| *it == expr && self.holds_in(it));
        match again {
            Some(expr) => Ok(Confined(Query { text, expr })),
            None => refuse("a part of this query"),
        }
    }

    fn holds_in(&self, expr: &Expr) -> bool {
        let mut holds = true;
        each_selector(expr, Place::OUTSIDE, &mut |selector, _| {
            holds &= selector.matchers.or_matchers.is_empty()
                && self.compiled.iter().all(|it| selector.matchers.matchers.iter().any(|has| same(it, has)));
        });
        holds
    }
}

fn same(a: &Matcher, b: &Matcher) -> bool {
    let kind = |it: &Matcher| match it.op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Re(_) => 2,
        MatchOp::NotRe(_) => 3,
    };
    kind(a) == kind(b) && a.name == b.name && a.value == b.value
}

/// The counterpart of [`each_selector`] that may change them.
fn each_selector_mut(expr: &mut Expr, visit: &mut impl FnMut(&mut VectorSelector)) {
    match expr {
        Expr::VectorSelector(selector) => visit(selector),
        Expr::MatrixSelector(matrix) => visit(&mut matrix.vs),
        Expr::Aggregate(aggregate) => {
            each_selector_mut(&mut aggregate.expr, visit);
            if let Some(parameter) = &mut aggregate.param {
                each_selector_mut(parameter, visit);
            }
        }
        Expr::Unary(unary) => each_selector_mut(&mut unary.expr, visit),
        Expr::Binary(binary) => {
            each_selector_mut(&mut binary.lhs, visit);
            each_selector_mut(&mut binary.rhs, visit);
        }
        Expr::Paren(paren) => each_selector_mut(&mut paren.expr, visit),
        Expr::Subquery(subquery) => each_selector_mut(&mut subquery.expr, visit),
        Expr::Call(call) => call.args.args.iter_mut().for_each(|it| each_selector_mut(it, visit)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Whether a part of the tree selects series that no selector in it names.
fn uses_hidden_selector(expr: &Expr) -> bool {
    match expr {
        Expr::Extension(_) => true,
        Expr::Call(call) => {
            call.func.name == "info" || call.args.args.iter().any(|it| uses_hidden_selector(it))
        }
        Expr::Aggregate(it) => {
            uses_hidden_selector(&it.expr) || it.param.as_ref().is_some_and(|it| uses_hidden_selector(it))
        }
        Expr::Unary(it) => uses_hidden_selector(&it.expr),
        Expr::Binary(it) => uses_hidden_selector(&it.lhs) || uses_hidden_selector(&it.rhs),
        Expr::Paren(it) => uses_hidden_selector(&it.expr),
        Expr::Subquery(it) => uses_hidden_selector(&it.expr),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn forced() -> Forced {
        Forced::parse(&["team=\"checkout\"".to_owned(), "env=~\"prod|stage\"".to_owned()]).expect("matchers")
    }

    fn confined(text: &str) -> Result<String, String> {
        forced().confine(Query::parse(text)?).map(|it| it.text().to_owned())
    }

    #[test]
    fn no_form_of_a_selector_escapes() {
        const F: &str = r#"env=~"prod|stage",team="checkout""#;
        for (given, expected) in [
            ("up", "up{F}"),
            (r#"up{team="other"}"#, r#"up{F,team="other"}"#),
            (r#"{__name__=~".+"}"#, r#"{__name__=~".+",F}"#),
            ("rate(a[5m])", "rate(a{F}[5m])"),
            ("a - b", "a{F} - b{F}"),
            ("a offset 5m", "a{F} offset 5m"),
            ("a @ 1000", "a{F} @ 1000.000"),
            ("a @ end() offset -1h", "a{F} @ end() offset -1h"),
            ("max_over_time(rate(a[1m])[1h:5m] @ start())", "max_over_time(rate(a{F}[1m])[1h:5m] @ start())"),
            ("topk(scalar(a), b)", "topk(scalar(a{F}), b{F})"),
            ("quantile(scalar(a), b)", "quantile(scalar(a{F}), b{F})"),
            ("absent(a) or vector(1) unless b", "absent(a{F}) or vector(1) unless b{F}"),
            ("-a", "-a{F}"),
            ("sum without (x) (a) > bool 1", "sum without (x) (a{F}) > bool 1"),
            ("a * on (x) group_left (y) b", "a{F} * on (x) group_left (y) b{F}"),
            (r#"label_replace(a, "d", "$1", "s", "(.*)")"#, r#"label_replace(a{F}, "d", "$1", "s", "(.*)")"#),
            ("count_values(\"v\", a)", "count_values(\"v\", a{F})"),
            ("a # comment {", "a{F}"),
            (r#"a{x="}",y='"',z=`{`}"#, r#"a{F,x="}",y="\"",z="{"}"#),
        ] {
            let sent = confined(given).unwrap_or_else(|it| panic!("{given}: {it}"));
            let spaceless = |it: &str| it.replace([' '], "");
            assert_eq!(spaceless(&sent), spaceless(&expected.replace('F', F)), "{given}");
        }
    }

    #[test]
    fn what_is_confined_already_stays_as_it_is() {
        for given in ["sum(a) / b", "a{team=\"other\"}", "max_over_time(rate(a[1m])[1h:5m])"] {
            let once = forced().confine(Query::parse(given).expect(given)).expect(given);
            let twice = forced().confine(Query::composed(once.text()).expect(given)).expect(given);
            assert_eq!(once.text(), twice.text());
        }
    }

    #[test]
    fn what_cannot_carry_them_is_refused() {
        for given in [r#"{a="b" or c="d"}"#, "info(up)", "sum(info(up))", "a @ -5"] {
            let error = confined(given).expect_err(given);
            assert!(error.contains("forces matchers into every selector"), "{given}: {error}");
        }
    }

    #[test]
    fn without_forced_matchers_a_query_leaves_as_it_came_but_for_a_comment_at_its_end() {
        let query = Forced::default().confine(Query::parse(" sum by () (up) # all ").expect("a query"));
        assert_eq!(query.expect("unchanged").text(), "sum by () (up)");
    }

    #[test]
    fn labels_are_admitted_when_every_matcher_holds() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(forced().admits(&labels(&[("team", "checkout"), ("env", "prod")])));
        assert!(!forced().admits(&labels(&[("team", "checkout"), ("env", "production")])));
        assert!(!forced().admits(&labels(&[])));
        assert_eq!(
            forced().selector("a=\"b\"").expect("some"),
            "{a=\"b\",team=\"checkout\",env=~\"prod|stage\"}"
        );
    }

    fn query() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("a".to_owned()),
            Just("b{x=\"y\"}".to_owned()),
            Just("{z=~\"w.+\"}".to_owned()),
            Just("c offset 5m".to_owned()),
            Just("rate(d[5m] @ end())".to_owned()),
        ];
        leaf.prop_recursive(4, 24, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} / {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("topk(scalar({a}), {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and on (x) {b}")),
                inner.clone().prop_map(|a| format!("sum by (x) ({a})")),
                inner.clone().prop_map(|a| format!("max_over_time(({a})[1h:1m])")),
                inner.prop_map(|a| format!("-({a})")),
            ]
        })
    }

    proptest! {
        #[test]
        fn confining_forces_every_selector_and_changes_nothing_else(text in query()) {
            let query = Query::parse(&text).expect("generated");
            let before = query.selectors().len();
            let confined = forced().confine(query).expect("printable");
            prop_assert!(confined.selectors().iter().all(|it| it.text.contains("team=\"checkout\"")));
            prop_assert_eq!(confined.selectors().len(), before);
            let stripped = confined.text().replace("{env=~\"prod|stage\",team=\"checkout\"}", "")
                .replace("env=~\"prod|stage\",team=\"checkout\",", "");
            let spaceless = |it: &str| it.replace(' ', "");
            prop_assert_eq!(spaceless(&stripped), spaceless(&text));
        }
    }
}
