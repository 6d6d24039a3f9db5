//! Is this a query that the engine knows?

use std::panic;

use promql_parser::{
    label::Matchers,
    parser::{self, Expr, VectorSelector},
};

use super::QueryError;

/// Longer queries are nobody's.
const BYTES_MAX: usize = 64 * 1024;
/// Deeper nesting than anybody writes, and less than a thread's stack bears.
const DEPTH_MAX: usize = 64;
/// Operators in one query; the parser's tree leans to one side, so this is depth too.
const OPERATORS_MAX: usize = 500;

/// What Prometheus 2.42 has not, though the parser knows it.
const LATER: [&str; 21] = [
    "end",
    "double_exponential_smoothing",
    "first_over_time",
    "histogram_avg",
    "histogram_quantiles",
    "histogram_stddev",
    "histogram_stdvar",
    "info",
    "integral",
    "mad_over_time",
    "max_of",
    "min_of",
    "range",
    "sort_by_label",
    "sort_by_label_desc",
    "start",
    "start_timestamp",
    "step",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
];

/// A query whose syntax and types are right and of which every part can be evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    expr: Expr,
}

impl Parsed {
    /// Parses and checks.
    pub(crate) fn new(text: &str) -> Result<Parsed, QueryError> {
        let wrong = |problem: String| QueryError::Wrong(format!("parse error: {problem}"));
        refuse_outrageous(text).map_err(wrong)?;
        // The parser panics on numbers that overflow: a refusal like any other.
        let expr = panic::catch_unwind(|| parser::parse(text)).unwrap_or_else(|_| Err("number".to_owned()));
        let expr = expr.map_err(wrong)?;
        known(&expr).map_err(wrong)?;
        Ok(Parsed { expr })
    }

    pub(crate) fn expr(&self) -> &Expr {
        &self.expr
    }
}

/// A series selector, as `match[]` takes it.
pub(crate) fn selector(text: &str) -> Result<VectorSelector, QueryError> {
    match Parsed::new(text)?.expr {
        Expr::VectorSelector(it) if it.offset.is_none() && it.at.is_none() => Ok(it),
        _ => Err(QueryError::Wrong("parse error: expected a series selector".to_owned())),
    }
}

fn refuse_outrageous(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("no expression found in input".to_owned());
    }
    if text.len() > BYTES_MAX {
        return Err(format!("query of more than {BYTES_MAX} bytes"));
    }
    let (mut depth, mut deepest, mut operators) = (0_usize, 0, 0_usize);
    for letter in text.bytes() {
        match letter {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'=' | b'<' | b'>' | b'!' => operators += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    // Words that are operators, too many rather than too few.
    operators += text.split_whitespace().filter(|it| matches!(*it, "and" | "or" | "unless")).count();
    match deepest > DEPTH_MAX || operators > OPERATORS_MAX {
        true => Err(format!("nested more than {DEPTH_MAX} deep, or more than {OPERATORS_MAX} operators")),
        false => Ok(()),
    }
}

/// Refuses what the engine would have to guess.
fn known(expr: &Expr) -> Result<(), String> {
    match expr {
        Expr::Paren(it) => known(&it.expr),
        Expr::Unary(it) => known(&it.expr),
        Expr::Subquery(it) => match it.step {
            Some(step) if step.as_millis() == 0 => Err("subquery step of zero".to_owned()),
            _ => known(&it.expr),
        },
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
        Expr::VectorSelector(it) => known_matchers(&it.matchers),
        Expr::MatrixSelector(it) => known_matchers(&it.vs.matchers),
        Expr::Binary(it) => {
            let fills = it.modifier.as_ref().is_some_and(|modifier| {
                modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some()
            });
            if fills {
                return Err("`fill` is not known to this version".to_owned());
            }
            known(&it.lhs)?;
            known(&it.rhs)
        }
        Expr::Aggregate(it) => {
            if matches!(it.op.to_string().as_str(), "limitk" | "limit_ratio") {
                return Err(format!("`{}` is not known to this version", it.op));
            }
            it.param.as_deref().map_or(Ok(()), known)?;
            known(&it.expr)
        }
        Expr::Call(it) => {
            let name = it.func.name;
            if LATER.contains(&name) || it.func.experimental || name.starts_with("ts_of_") {
                return Err(format!("unknown function with name {name:?}"));
            }
            it.args.args.iter().try_for_each(|it| known(it))
        }
        Expr::Extension(_) => Err("unknown kind of expression".to_owned()),
    }
}

fn known_matchers(matchers: &Matchers) -> Result<(), String> {
    match matchers.or_matchers.is_empty() {
        true => Ok(()),
        false => Err("`or` between matchers is not known to this version".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_would_have_to_guess_is_refused() {
        for (query, why) in [
            ("limitk(2, up)", "limitk"),
            ("info(up)", "info"),
            ("mad_over_time(up[5m])", "mad_over_time"),
            ("holt_winters(up[5m], 0.5, 0.5)", "holt_winters"),
            (r#"up{a="1" or b="2"}"#, "between matchers"),
            ("up[5m:0s]", ""),
            ("99999999999999999999999d", ""),
            ("", "no expression"),
            (&"(".repeat(500), "nested"),
            (&"-1".repeat(5_000), "operators"),
        ] {
            let refused = Parsed::new(query).expect_err(query).to_string();
            assert!(refused.starts_with("parse error: ") && refused.contains(why), "{query:.60}: {refused}");
        }
    }
}
