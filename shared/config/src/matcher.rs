//! Is it one PromQL matcher? Checked here so that a forced matcher cannot be left out by a mistake in it.

/// Accepts exactly one `label="value"`, with `=`, `!=`, `=~` or `!~`.
pub(crate) fn check(text: &str) -> Result<(), String> {
    match is_matcher(text.trim()) {
        true => Ok(()),
        false => Err("expected one matcher, such as 'cluster=\"eu\"'".to_owned()),
    }
}

fn is_matcher(text: &str) -> bool {
    let end = text.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(text.len());
    let (label, rest) = text.split_at(end);
    if label.is_empty() || label.as_bytes()[0].is_ascii_digit() {
        return false;
    }
    let rest = rest.trim_start();
    let operators = ["=~", "!~", "!=", "="];
    let value = operators.iter().find_map(|it| rest.strip_prefix(it)).map(str::trim_start);
    value.is_some_and(is_quoted)
}

/// One string in double quotes, and nothing after it.
fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"') else { return false };
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return letters.as_str().is_empty(),
            '\\' if letters.next().is_none() => return false,
            it if it.is_control() => return false,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_matcher_is_one_matcher_and_nothing_else() {
        for good in ["cluster=\"eu\"", "a != \"\"", "_x=~\"a|b\"", "x=\"\\\"\""] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in
            ["", "cluster", "cluster=eu", "1=\"a\"", "a=\"b\"} or x", "a=\"b\",c=\"d\"", "a=\"b", "a=\"b\\\""]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
