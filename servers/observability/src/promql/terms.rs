//! Of which conditions is a rule's expression made?

use promql_parser::parser::{
    BinaryExpr, Expr, ParenExpr,
    token::{T_SUB, TokenType},
    value::ValueType,
};

use super::{Query, trouble};

/// The conditions of an expression, and how they are joined.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Each can be asked by itself.
    pub(crate) terms: Vec<Term>,
    /// `1 and (2 unless 3)`; none when there is one only.
    pub(crate) logic: Option<String>,
}

/// One condition: it holds for every series that it has.
#[derive(Debug)]
pub(crate) struct Term {
    /// The condition as a query.
    pub(crate) query: Query,
    /// What is tested in it.
    pub(crate) test: Test,
}

/// What a condition tests.
#[derive(Debug)]
pub(crate) enum Test {
    /// Whether there is anything: `absent(up)`.
    Present,
    /// How a value compares.
    Compare {
        /// The value, without the comparison.
        value: Box<Query>,
        /// `>`, `>=`, `<`, `<=`, `==` or `!=`, with the value on its left.
        relation: &'static str,
        /// With what.
        against: Against,
    },
}

/// What a value is compared with.
#[derive(Debug)]
pub(crate) enum Against {
    /// A number.
    Constant(f64),
    /// Another value: the query is the distance from it.
    Moving(Box<Query>),
}

/// Most conditions told apart: each costs three questions.
const TERMS_MAX: usize = 12;

impl Query {
    /// Splits a query at its outermost `and`, `or`, `unless` and comparisons. What cannot be taken apart faithfully stays
    /// one condition.
    pub(crate) fn terms(&self) -> Terms {
        let mut found = Vec::new();
        match split(&self.expr, &mut found) {
            Some(logic) if found.len() <= TERMS_MAX => {
                let logic = (found.len() > 1).then_some(logic.text);
                Terms { terms: found, logic }
            }
            _ => Terms { terms: vec![Term { query: self.clone(), test: Test::Present }], logic: None },
        }
    }

    /// The query of a part of a tree; none when printing it would change it.
    fn of(expr: &Expr) -> Option<Query> {
        let text = expr.to_string();
        let again = trouble::guarded(&text).ok()?;
        (again == *expr).then_some(Query { text, expr: again })
    }
}

/// How conditions are joined, as text.
struct Logic {
    text: String,
    joined: bool,
}

impl Logic {
    fn in_brackets(self) -> String {
        if self.joined { format!("({})", self.text) } else { self.text }
    }
}

fn split(expr: &Expr, found: &mut Vec<Term>) -> Option<Logic> {
    match expr {
        Expr::Paren(paren) => split(&paren.expr, found),
        Expr::Binary(binary) if binary.op.is_set_operator() => {
            let left = split(&binary.lhs, found)?;
            let right = split(&binary.rhs, found)?;
            let operator = binary.op.to_string();
            Some(Logic {
                text: format!("{} {operator} {}", left.in_brackets(), right.in_brackets()),
                joined: true,
            })
        }
        Expr::Binary(binary) if binary.op.is_comparison_operator() && !binary.return_bool() => {
            compared(binary, expr, found)
        }
        _ => push(Term { query: Query::of(expr)?, test: Test::Present }, found),
    }
}

fn push(term: Term, found: &mut Vec<Term>) -> Option<Logic> {
    found.push(term);
    Some(Logic { text: found.len().to_string(), joined: false })
}

/// A comparison. One of a comparison (`0 < x < 1`) is two conditions, of which the outer compares the same value.
fn compared(binary: &BinaryExpr, whole: &Expr, found: &mut Vec<Term>) -> Option<Logic> {
    let relation = relation(&binary.op.to_string())?;
    if let Some(inner) = filtering(&binary.lhs)
        && constant(&binary.rhs).is_some()
    {
        let left = split(&binary.lhs, found)?;
        let outer = BinaryExpr { lhs: Box::new(value_of(inner).clone()), ..binary.clone() };
        let right = compared(&outer, &Expr::Binary(outer.clone()), found)?;
        return Some(Logic { text: format!("{} and {}", left.text, right.text), joined: true });
    }
    let query = Query::of(whole)?;
    let (value, relation, against) = match (constant(&binary.lhs), constant(&binary.rhs)) {
        (_, Some(number)) => (Query::of(&binary.lhs)?, relation, Against::Constant(number)),
        (Some(number), None) => (Query::of(&binary.rhs)?, flipped(relation), Against::Constant(number)),
        (None, None) => {
            let distance = BinaryExpr {
                op: TokenType::new(T_SUB),
                lhs: bracketed(&binary.lhs),
                rhs: bracketed(&binary.rhs),
                modifier: binary.modifier.clone(),
            };
            let distance = Query::of(&Expr::Binary(distance))?;
            (Query::of(&binary.lhs)?, relation, Against::Moving(Box::new(distance)))
        }
    };
    // A number on both sides has no series.
    let measured = value.kind() == ValueType::Vector || matches!(against, Against::Moving(_));
    let test =
        if measured { Test::Compare { value: Box::new(value), relation, against } } else { Test::Present };
    push(Term { query, test }, found)
}

fn filtering(expr: &Expr) -> Option<&BinaryExpr> {
    match expr {
        Expr::Paren(paren) => filtering(&paren.expr),
        Expr::Binary(it) if it.op.is_comparison_operator() && !it.return_bool() => Some(it),
        _ => None,
    }
}

/// The side whose values a comparison lets through: the left, unless it is a number.
fn value_of(comparison: &BinaryExpr) -> &Expr {
    match comparison.lhs.value_type() {
        ValueType::Scalar => &comparison.rhs,
        _ => filtering(&comparison.lhs).map_or(&comparison.lhs, value_of),
    }
}

fn bracketed(expr: &Expr) -> Box<Expr> {
    match expr {
        Expr::Paren(_) | Expr::VectorSelector(_) | Expr::NumberLiteral(_) => Box::new(expr.clone()),
        other => Box::new(Expr::Paren(ParenExpr { expr: Box::new(other.clone()) })),
    }
}

/// The number that an expression without selectors is, such as `10 * 1024`.
fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Paren(paren) => constant(&paren.expr),
        Expr::Unary(unary) => constant(&unary.expr).map(|it| -it),
        Expr::Binary(binary) => {
            let (left, right) = (constant(&binary.lhs)?, constant(&binary.rhs)?);
            match binary.op.to_string().as_str() {
                "+" => Some(left + right),
                "-" => Some(left - right),
                "*" => Some(left * right),
                "/" => Some(left / right),
                "%" => Some(left % right),
                "^" => Some(left.powf(right)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn relation(word: &str) -> Option<&'static str> {
    [">", ">=", "<", "<=", "==", "!="].into_iter().find(|it| *it == word)
}

fn flipped(relation: &'static str) -> &'static str {
    match relation {
        ">" => "<",
        ">=" => "<=",
        "<" => ">",
        "<=" => ">=",
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let terms = Query::parse(text).expect(text).terms();
        let each = terms.terms.iter().map(|it| match &it.test {
            Test::Present => format!("{} ?", it.query.text()),
            Test::Compare { value, relation, against: Against::Constant(number) } => {
                format!("{} {relation} {number}", value.text())
            }
            Test::Compare { relation, against: Against::Moving(distance), .. } => {
                format!("{} {relation} 0", distance.text())
            }
        });
        terms.logic.clone().into_iter().chain(each).collect()
    }

    #[test]
    fn a_rule_is_taken_apart_where_people_read_it_apart() {
        for (rule, expected) in [
            ("up == 0", vec!["up == 0"]),
            ("0 < up", vec!["up > 0"]),
            ("absent(up{job=\"a\"})", vec!["absent(up{job=\"a\"}) ?"]),
            ("a > 10 * 1024 ^ 2", vec!["a > 10485760"]),
            ("a > -1", vec!["a > -1"]),
            (
                "(a / b > 0.05 and on (x) rate(c[5m]) > 1) unless d",
                vec!["(1 and 2) unless 3", "a / b > 0.05", "rate(c[5m]) > 1", "d ?"],
            ),
            ("0.1 < a < 0.5", vec!["1 and 2", "a > 0.1", "a < 0.5"]),
            ("a > on (x) group_left () b + c", vec!["a - on (x) group_left () (b + c) > 0"]),
            ("a + b > c * 2", vec!["(a + b) - (c * 2) > 0"]),
            ("count(up == 0) > 2", vec!["count(up == 0) > 2"]),
            ("(a > bool 1) * b", vec!["(a > bool 1) * b ?"]),
            ("vector(1)", vec!["vector(1) ?"]),
        ] {
            assert_eq!(told(rule), expected, "{rule}");
        }
    }

    #[test]
    fn every_part_keeps_what_was_forced_into_the_whole() {
        let forced = super::super::Forced::parse(&["team=\"a\"".to_owned()]).expect("a matcher");
        let query = Query::parse("x / y > 1 and z > w unless absent(v)").expect("a query");
        let terms = forced.confine(query).expect("confined").terms();
        assert_eq!(terms.terms.len(), 3);
        for term in &terms.terms {
            let mut queries = vec![&term.query];
            if let Test::Compare { value, against, .. } = &term.test {
                queries.push(value);
                queries.extend(if let Against::Moving(it) = against { Some(&**it) } else { None });
            }
            for selector in queries.into_iter().flat_map(Query::selectors) {
                assert!(selector.text.contains("team=\"a\""), "{}", selector.text);
            }
        }
    }
}
