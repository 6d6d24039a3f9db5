//! How is something said to whoever started us? Data on standard output, words for people on standard error.

use std::io::{self, Write};

/// Writes a text and a line end. A reader that has left is no failure: it has what it wanted.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes a text and a line end to standard error. Nobody there to read it is no failure: what was done stays done.
pub(crate) fn note(text: &str) {
    let mut out = io::stderr().lock();
    let _nobody_reads = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Standard error, where nobody there to read it is no failure either.
pub(crate) struct Words(io::StderrLock<'static>);

impl Words {
    pub(crate) fn new() -> Words {
        Words(io::stderr().lock())
    }
}

impl Write for Words {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).or(Ok(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().or(Ok(()))
    }
}

/// Writes a value as indented JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(&escaped(&serde_json::to_string_pretty(value)?))
}

/// The same JSON without what would move a terminal's cursor or hide letters: an agent may have written what a person reads
/// here, and JSON itself escapes only the first of the control characters.
pub(crate) fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter != '\n' && config::hides(letter) {
            true => letter.encode_utf16(&mut [0; 2]).iter().for_each(|it| escaped += &format!("\\u{it:04x}")),
            false => escaped.push(letter),
        }
    }
    escaped
}

/// Several lines that may quote what others wrote, as a terminal may see them.
pub(crate) fn clean(text: &str) -> String {
    let line = |it: &str| it.split('\t').map(config::clean).collect::<Vec<_>>().join("\t");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_a_person_reads_moves_no_cursor_and_says_the_same() {
        let value = serde_json::json!({ "a\u{9b}31m\u{7f}": "\u{202e}x\u{e0041}\u{1b}ü🙂\n" });
        let told = escaped(&serde_json::to_string_pretty(&value).expect("plain data"));
        assert!(!told.chars().any(|it| it != '\n' && config::hides(it)), "{told:?}");
        assert!(
            told.contains("\\u009b31m\\u007f") && told.contains("\\udb40\\udc41") && told.contains("ü🙂")
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&told).expect("JSON"), value);
    }

    #[test]
    fn lines_and_tabs_stay_where_they_are() {
        assert_eq!(clean("a\tb\n\u{1b}[1mc"), "a\tb\n\\u{1b}[1mc");
    }
}
