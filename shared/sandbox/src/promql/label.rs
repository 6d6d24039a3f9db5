//! How are labels made of other labels?

use promql_parser::parser::Call;
use regex::Regex;

use super::{Evaluated, Evaluation, Moments, QueryError, Row};

pub(super) fn evaluate(evaluation: &Evaluation<'_>, call: &Call, moments: Moments) -> Evaluated<Vec<Row>> {
    let [vector, texts @ ..] = call.args.args.as_slice() else { return Ok(Vec::new()) };
    let mut rows = evaluation.vector(vector, moments)?;
    let texts: Vec<String> = texts.iter().map(|it| evaluation.text(it)).collect::<Evaluated<_>>()?;
    match (call.func.name, texts.as_slice()) {
        ("label_replace", [into, by, from, pattern]) => {
            let wrong = |_| {
                let text = format!("invalid regular expression in label_replace(): {pattern}");
                QueryError::Execution(text)
            };
            let regex = Regex::new(&format!("^(?:{pattern})$")).map_err(wrong)?;
            check(into, "label_replace")?;
            for row in &mut rows {
                let replaced = regex.captures(row.labels.get(from)).map(|found| {
                    let mut text = String::new();
                    found.expand(by, &mut text);
                    text
                });
                if let Some(text) = replaced {
                    row.labels = row.labels.with(into, &text);
                }
            }
        }
        (_, [into, between, from @ ..]) => {
            check(into, "label_join")?;
            if let Some(wrong) = from.iter().find(|it| !is_name(it)) {
                let text = format!("invalid source label name in label_join(): {wrong}");
                return Err(QueryError::Execution(text));
            }
            for row in &mut rows {
                let values: Vec<&str> = from.iter().map(|it| row.labels.get(it)).collect();
                row.labels = row.labels.with(into, &values.join(between));
            }
        }
        _ => return Err(QueryError::Wrong(format!("wrong number of arguments in {}", call.func.name))),
    }
    Ok(rows)
}

fn check(into: &str, function: &str) -> Evaluated<()> {
    let wrong = || QueryError::Execution(format!("invalid destination label name in {function}(): {into}"));
    is_name(into).then_some(()).ok_or_else(wrong)
}

/// Whether a label may be called so.
pub(crate) fn is_name(text: &str) -> bool {
    let letter = |it: char| it.is_ascii_alphabetic() || it == '_';
    text.starts_with(letter) && text.chars().all(|it| letter(it) || it.is_ascii_digit())
}
