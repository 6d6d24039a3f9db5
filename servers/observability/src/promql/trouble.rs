//! Where does a query go wrong, and what would be right?

use promql_parser::parser::{self, Expr};

use super::tokens::{Token, bland, closed, expressions, tokens};
use crate::{expression::refuse_large, matcher::unquoted};

/// More tokens than this nest deeper than a thread's stack may bear.
const TOKENS_MAX: usize = 1_500;
/// Deeper nesting of brackets than anybody writes.
const DEPTH_MAX: usize = 64;
/// The parser panics on numbers and durations that overflow; nobody means one.
const DIGITS_MAX: usize = 18;
/// More regular expressions than anybody writes into one query.
const EXPRESSIONS_MAX: usize = 32;
/// Beyond this, looking for the place of an error would take longer than it helps.
const TOKENS_SEARCHED: usize = 300;

/// The parser's word for "no idea where".
const SYNTAX: &str = "invalid promql query";

/// Refuses what could hurt the parser, before it sees it.
pub(super) fn refuse_outrageous(text: &str) -> Result<(), String> {
    let tokens = tokens(text);
    if tokens.len() > TOKENS_MAX {
        return Err(format!("{} tokens; at most {TOKENS_MAX}: split the query", tokens.len()));
    }
    refuse_large_expressions(text, &tokens)?;
    let (mut depth, mut unary) = (0_usize, 0_usize);
    for token in &tokens {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        unary = if matches!(token.text, "-" | "+") { unary + 1 } else { 0 };
        let digits = token.text.chars().filter(char::is_ascii_digit).count();
        if depth > DEPTH_MAX || unary > DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} deep at {}", place(text, token.at)));
        }
        if !token.text.starts_with(['"', '\'', '`'])
            && digits > DIGITS_MAX
            && token.text.starts_with(|it: char| it.is_ascii_digit())
        {
            return Err(format!("number of more than {DIGITS_MAX} digits at {}", place(text, token.at)));
        }
    }
    Ok(())
}

/// Regular expressions that would take long to compile: the parser compiles each, and again for each place where an error
/// may be.
fn refuse_large_expressions(text: &str, tokens: &[Token<'_>]) -> Result<(), String> {
    for (count, token) in expressions(tokens) {
        if count >= EXPRESSIONS_MAX {
            let at = place(text, token.at);
            return Err(format!("more than {EXPRESSIONS_MAX} regular expressions at {at}: split the query"));
        }
        if let Some(expression) = unquoted(token.text) {
            // What is none is left to the parser, which says where.
            refuse_large(&expression)
                .or_else(|it| if it.contains("too large") { Err(it) } else { Ok(()) })?;
        }
    }
    Ok(())
}

/// Where the last token ends; what follows is space and comments.
pub(super) fn end(text: &str) -> usize {
    tokens(text).last().map_or(0, |it| it.at + it.text.len())
}

/// The parser, which panics on some input: a panic is a refusal like any other.
pub(super) fn guarded(text: &str) -> Result<Expr, String> {
    std::panic::catch_unwind(|| parser::parse(text)).unwrap_or_else(|_| Err(SYNTAX.to_owned()))
}

/// What is wrong, where, and what would be right.
pub(super) fn explain(text: &str, problem: &str) -> String {
    let tokens = tokens(text);
    if let Some((at, hint)) = unbalanced(&tokens).or_else(|| habit(&tokens)) {
        return said(text, at, hint);
    }
    if problem == SYNTAX {
        let hint = "a selector looks like `metric{label=\"value\"}`, a rate like `rate(metric[5m])`";
        return said(text, stuck(text, &tokens), hint);
    }
    let hint = match unknown_function(problem).and_then(nearest_function) {
        Some(near) => format!("{problem}; did you mean `{near}`?"),
        None if problem.contains("expected type matrix") => {
            format!("{problem}; give it a range, as in `metric[5m]`")
        }
        None => problem.to_owned(),
    };
    let named = problem.split('\'').nth(1).and_then(|name| tokens.iter().find(|it| it.text == name));
    match named {
        Some(token) => said(text, token.at, &hint),
        None => format!("not valid PromQL: {hint}"),
    }
}

fn said(text: &str, at: usize, hint: &str) -> String {
    let at = at.min(text.len());
    let near: String = text[at..].chars().take(20).collect();
    let near = if near.trim().is_empty() { "the end".to_owned() } else { format!("`{}`", near.trim()) };
    format!("not valid PromQL at {}, near {near}: {hint}", place(text, at))
}

/// Brackets and quotes that do not pair up.
fn unbalanced(tokens: &[Token<'_>]) -> Option<(usize, &'static str)> {
    let mut open: Vec<Token<'_>> = Vec::new();
    for token in tokens {
        match token.text {
            "(" | "[" | "{" => open.push(*token),
            ")" | "]" | "}" => {
                let closes =
                    |it: Token<'_>| matches!((it.text, token.text), ("(", ")") | ("[", "]") | ("{", "}"));
                if !open.pop().is_some_and(closes) {
                    return Some((token.at, "this bracket closes nothing"));
                }
            }
            it if it.starts_with(['"', '\'', '`']) && !closed(it) => {
                return Some((token.at, "this quote is not closed"));
            }
            _ => {}
        }
    }
    open.pop().map(|it| (it.at, "this bracket is not closed"))
}

/// What people bring along from other languages.
fn habit(tokens: &[Token<'_>]) -> Option<(usize, &'static str)> {
    let mut braces = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |it| it.text);
        let hint = match (token.text, next) {
            ("{", _) => {
                braces += 1;
                continue;
            }
            ("}", _) => {
                braces = braces.saturating_sub(1);
                continue;
            }
            ("&", _) => "use `and`",
            ("|", _) => "use `or`",
            ("!", it) if it != "=" && it != "~" => "use `unless`, or `!=` between matchers",
            ("=" | "!=" | "=~" | "!~", it) if braces > 0 && !it.starts_with(['"', '\'', '`']) => {
                "the value of a matcher stands in quotes"
            }
            ("=", _) if braces == 0 => "to compare, use `==`",
            ("[", it)
                if it.bytes().all(|it| it.is_ascii_digit())
                    || !it.starts_with(|it: char| it.is_ascii_digit()) =>
            {
                "a range looks like `[5m]`"
            }
            _ => continue,
        };
        return Some((token.at, hint));
    }
    None
}

/// Where the longest beginning ends that parses once its brackets are closed.
fn stuck(text: &str, tokens: &[Token<'_>]) -> usize {
    let text = &bland(text, tokens);
    let mut good = 0;
    for (count, token) in tokens.iter().enumerate().take(TOKENS_SEARCHED) {
        let end = token.at + token.text.len();
        let mut open: Vec<&str> = Vec::new();
        for token in &tokens[..=count] {
            match token.text {
                "(" => open.push(")"),
                "[" => open.push("]"),
                "{" => open.push("}"),
                ")" | "]" | "}" => drop(open.pop()),
                _ => {}
            }
        }
        let closed: String = std::iter::once(&text[..end]).chain(open.into_iter().rev()).collect();
        if guarded(&closed).err().as_deref() != Some(SYNTAX) {
            good = count + 1;
        }
    }
    tokens.get(good).map_or(text.len(), |it| it.at)
}

fn place(text: &str, at: usize) -> String {
    let before = &text[..at.min(text.len())];
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    match before.matches('\n').count() {
        0 => format!("column {column}"),
        lines => format!("line {}, column {column}", lines + 1),
    }
}

fn unknown_function(problem: &str) -> Option<&str> {
    problem.contains("unknown function").then(|| problem.split('\'').nth(1)).flatten()
}

fn nearest_function(name: &str) -> Option<&'static str> {
    const COMMON: [&str; 30] = [
        "abs",
        "absent",
        "avg_over_time",
        "ceil",
        "changes",
        "clamp_max",
        "clamp_min",
        "count_over_time",
        "delta",
        "deriv",
        "floor",
        "histogram_quantile",
        "hour",
        "idelta",
        "increase",
        "irate",
        "label_join",
        "label_replace",
        "max_over_time",
        "min_over_time",
        "predict_linear",
        "quantile_over_time",
        "rate",
        "resets",
        "round",
        "scalar",
        "sort_desc",
        "stddev_over_time",
        "sum_over_time",
        "timestamp",
    ];
    let near = |it: &&str| strsim::jaro_winkler(it, name);
    COMMON.into_iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|it| near(it) > 0.8)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::super::Query;

    #[test]
    fn a_mistake_is_shown_with_its_place_and_what_would_be_right() {
        let said: Vec<String> = [
            "sum(rate(foo[5m]) by (job)",
            "sum(rate(foo[5m]))) by (job)",
            "foo{bar=baz}",
            "foo{bar=\"baz}",
            "foo = 1",
            "foo && bar",
            "rate(foo[5 minutes])",
            "rate(foo)",
            "rat(foo[5m])",
            "foo + * bar",
            "sum by job (foo)\n  + )",
            "a\n+ b c",
            "{a=~\".*\"}",
        ]
        .into_iter()
        .map(|it| format!("{it:?}\n  {}", Query::parse(it).expect_err(it)))
        .collect();
        expect![[r#"
            "sum(rate(foo[5m]) by (job)"
              not valid PromQL at column 4, near `(rate(foo[5m]) by (j`: this bracket is not closed
            "sum(rate(foo[5m]))) by (job)"
              not valid PromQL at column 19, near `) by (job)`: this bracket closes nothing
            "foo{bar=baz}"
              not valid PromQL at column 8, near `=baz}`: the value of a matcher stands in quotes
            "foo{bar=\"baz}"
              not valid PromQL at column 9, near `"baz}`: this quote is not closed
            "foo = 1"
              not valid PromQL at column 5, near `= 1`: to compare, use `==`
            "foo && bar"
              not valid PromQL at column 5, near `&& bar`: use `and`
            "rate(foo[5 minutes])"
              not valid PromQL at column 9, near `[5 minutes])`: a range looks like `[5m]`
            "rate(foo)"
              not valid PromQL at column 1, near `rate(foo)`: expected type matrix in call to function 'rate', got vector; give it a range, as in `metric[5m]`
            "rat(foo[5m])"
              not valid PromQL at column 1, near `rat(foo[5m])`: unknown function with name 'rat'; did you mean `rate`?
            "foo + * bar"
              not valid PromQL at column 5, near `+ * bar`: a selector looks like `metric{label="value"}`, a rate like `rate(metric[5m])`
            "sum by job (foo)\n  + )"
              not valid PromQL at line 2, column 5, near `)`: this bracket closes nothing
            "a\n+ b c"
              not valid PromQL at line 2, column 5, near `c`: a selector looks like `metric{label="value"}`, a rate like `rate(metric[5m])`
            "{a=~\".*\"}"
              not valid PromQL: vector selector must contain at least one non-empty matcher"#]].assert_eq(&said.join("\n"));
    }

    #[test]
    fn what_would_break_the_parser_is_refused_first() {
        for text in [
            "(".repeat(2_000),
            "-".repeat(2_000) + "a",
            "a+".repeat(2_000) + "a",
            format!("a[{}s]", "9".repeat(60)),
            format!("a[{}y]", "9".repeat(18)),
            "a[1e300]".to_owned(),
            "0x".to_owned(),
            "a @ 99999999999999999".to_owned(),
        ] {
            let start: String = text.chars().take(20).collect();
            if let Ok(query) = Query::parse(&text) {
                assert!(!query.text().is_empty(), "{start}");
            }
        }
        let right = Query::parse(&vec!["a"; 700].join(" ^ ")).expect("deep to the right");
        assert_eq!(right.clone().selectors().len(), 1);
        let deep = format!("{}a{}", "(".repeat(60), ")".repeat(60));
        assert!(Query::parse(&deep).is_ok());
        let long = vec!["a"; 700].join(" or ");
        assert_eq!(Query::parse(&long).expect("long").selectors().len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,60}") {
            let _either = Query::parse(&text);
        }

        #[test]
        fn no_broken_query_breaks_it(text in "[a-c(){}\\[\\]\"'`=~!+*/<>@:, 0-9mhy.#-]{0,40}") {
            let _either = Query::parse(&text);
        }
    }
}
