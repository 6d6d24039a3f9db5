//! Of which words is a query made, whether it is right or wrong?

/// A token: where it starts, and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) text: &'a str,
}

/// Splits as the language does, coarsely: words and numbers, quoted strings, operators of two characters, the rest
/// one by one. Comments are left out.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let word = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | ':' | '.');
        let length = match letter {
            it if it.is_whitespace() => {
                at += it.len_utf8();
                continue;
            }
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            '"' | '\'' | '`' => quoted(rest),
            it if word(it) => rest.find(|it| !word(it)).unwrap_or(rest.len()),
            _ if ["=~", "!~", "!=", "==", ">=", "<="].iter().any(|it| rest.starts_with(it)) => 2,
            it => it.len_utf8(),
        };
        tokens.push(Token { at, text: &rest[..length] });
        at += length;
    }
    tokens
}

/// Length of a string with its quotes, or of all that follows when it does not end.
fn quoted(text: &str) -> usize {
    let quote = text.chars().next();
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quote != Some('`') => escaped = true,
            it if Some(it) == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

pub(super) fn closed(text: &str) -> bool {
    text.len() > 1 && quoted(text) == text.len() && text.chars().next() == text.chars().next_back()
}

/// The strings that are regular expressions, numbered.
pub(super) fn expressions<'a>(tokens: &[Token<'a>]) -> impl Iterator<Item = (usize, Token<'a>)> {
    let after = tokens.windows(2).filter(|it| matches!(it[0].text, "=~" | "!~")).map(|it| it[1]);
    after.filter(|it| it.text.starts_with(['"', '\'', '`'])).enumerate()
}

/// The same with nothing in its regular expressions, each of which takes time to compile; places stay as they are.
pub(super) fn bland(text: &str, tokens: &[Token<'_>]) -> String {
    let mut bland = text.to_owned();
    for (_, it) in expressions(tokens) {
        if it.text.len() > 2 && closed(it.text) {
            bland.replace_range(it.at + 1..it.at + it.text.len() - 1, &"x".repeat(it.text.len() - 2));
        }
    }
    bland
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_made_bland_and_what_follows_stays_in_its_place() {
        let text = "a{b=~\"é\\\\w{9}\",c=\"d\",e!~`\\w`} + sum(f{g=~\"";
        let bland = bland(text, &tokens(text));
        assert_eq!(bland, "a{b=~\"xxxxxxxx\",c=\"d\",e!~`xx`} + sum(f{g=~\"");
        assert_eq!(bland.len(), text.len());
    }
}
