//! Where in a file does it stand? Just enough of Cedar's tokens to cut a file into rules and point into them.

/// A token's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// One rule of a file: from its first token to its semicolon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Cuts a text into tokens; comments and white space fall away.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                // Cedar ends a comment at either: a rule after a lone carriage return must not vanish.
                at = text[at..].find(['\n', '\r']).map_or(bytes.len(), |it| at + it);
                continue;
            }
            b'"' => string_end(bytes, at),
            byte if is_word(byte) => at + bytes[at..].iter().take_while(|it| is_word(**it)).count(),
            _ => {
                let pair = bytes.get(at..at + 2).unwrap_or_default();
                let double = [b"::", b"==", b"!=", b">=", b"<=", b"&&", b"||"].iter().any(|it| *it == pair);
                at + if double { 2 } else { 1 }
            }
        };
        found.push(Token { start: at, end });
        at = end;
    }
    found
}

/// Cuts a file into its rules. What follows the last semicolon is a piece too, for the parser to complain about.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut start = None;
    let mut last = 0;
    for token in tokens(text) {
        let first = *start.get_or_insert(token.start);
        last = token.end;
        if &text[token.start..token.end] == ";" {
            found.push(Piece { start: first, end: token.end });
            start = None;
        }
    }
    found.extend(start.map(|start| Piece { start, end: last }));
    found
}

/// First place where some tokens stand in a row, from the `from`th of them on.
pub(crate) fn find(text: &str, row: &[&str], from: usize) -> Option<Token> {
    let tokens = tokens(text);
    let words: Vec<&str> = tokens.iter().map(|it| &text[it.start..it.end]).collect();
    let at = words.windows(row.len()).position(|it| it == row)?;
    let last = tokens.get(at + row.len() - 1)?;
    Some(Token { start: tokens.get(at + from)?.start, end: last.end })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_in_a_string_or_a_comment_ends_no_rule() {
        let text = "// a; b\n@reason(\"x; \\\"y\\\";\") permit(principal); // c;\nforbid(é)";
        let cut: Vec<&str> = pieces(text).iter().map(|it| &text[it.start..it.end]).collect();
        assert_eq!(cut, ["@reason(\"x; \\\"y\\\";\") permit(principal);", "forbid(é)"]);
    }

    #[test]
    fn an_open_string_runs_to_the_end() {
        assert_eq!(pieces("permit \"a\\"), [Piece { start: 0, end: 10 }]);
    }
}
