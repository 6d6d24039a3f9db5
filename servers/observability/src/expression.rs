//! Is a regular expression small enough to be compiled, and to be held against many values?

use regex::{Error, Regex, RegexBuilder};

/// Most bytes that one may take once it is compiled. Twenty words of any letters fit; `\\w{100}` is far beyond.
const SIZE_MAX: usize = 512 << 10;

/// Refuses what is none, or what would keep a thread busy that others wait for.
pub(crate) fn refuse_large(expression: &str) -> Result<(), String> {
    let build = |text: &str| -> Result<Regex, Error> {
        RegexBuilder::new(&format!("^(?:{text})$")).size_limit(SIZE_MAX).build()
    };
    // Elsewhere a brace that begins no repetition stands for itself.
    let built = build(expression).or_else(|error| match error {
        Error::CompiledTooBig(_) => Err(error),
        _ => build(&literal_braces(expression)),
    });
    let shown = crate::labels::short(expression, 60);
    match built {
        Ok(_) => Ok(()),
        Err(Error::CompiledTooBig(_)) => {
            Err(format!("`{shown}` is too large a regular expression: write it with fewer repetitions"))
        }
        Err(_) => Err(format!("`{shown}` is not a regular expression")),
    }
}

fn literal_braces(expression: &str) -> String {
    let mut text = String::new();
    let mut letters = expression.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '{' && !letters.peek().is_some_and(char::is_ascii_digit) {
            text.push('\\');
        }
        text.push(letter);
        if letter == '\\' {
            text.extend(letters.next());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_small_enough_and_what_keeps_a_thread_busy_is_not() {
        for usual in [
            "a|b",
            "10\\.0\\.\\d+\\.\\d+:(9100|9090)",
            "(?i)[\\w-]+\\.[\\w-]+",
            ".{0,50}x",
            "aaa{bbb}ccc",
            "/v\\d+/.*",
        ] {
            assert_eq!(refuse_large(usual), Ok(()), "{usual}");
        }
        for (large, said) in [
            ("\\w{100}", "too large"),
            ("(?:\\w{1,9}){1,9}x{bbb}", "too large"),
            ("((a{100}){100}){100}", "too large"),
            ("(", "not a regular expression"),
        ] {
            let error = refuse_large(large).expect_err(large);
            assert!(error.contains(said), "{error}");
        }
    }
}
