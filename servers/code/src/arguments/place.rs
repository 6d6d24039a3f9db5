//! Which lines are meant? Lines of one file, or all that a stack trace names.

use serde::{Serialize, Serializer};

use super::{LineRange, RepositoryPath, shown};

/// `src/pay.rs:120`, `src/pay.rs:10-20`, or a stack trace as it was printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Lines(RepositoryPath, LineRange),
    Trace(String),
}

const BYTES_MAX: usize = 20_000;

impl Place {
    pub(crate) fn parse(text: &str) -> Result<Place, String> {
        if text.trim().is_empty() || text.len() > BYTES_MAX {
            return Err(format!(
                "expected `path:line`, `path:from-to` or a stack trace of at most {BYTES_MAX} bytes, got {}",
                text.len()
            ));
        }
        if let Some((path, lines)) = of_file(text) {
            match RepositoryPath::parse(path) {
                Ok(path) => return Ok(Place::Lines(path, LineRange::parse(lines)?)),
                // The path of a running program: looked for as a frame's is.
                Err(_) if path.starts_with('/') => {}
                Err(problem) => return Err(problem),
            }
        }
        // Terminals colour traces, and some end lines with CR LF.
        let kept = |it: &char| !it.is_control() || matches!(it, '\n' | '\t');
        match text.chars().filter(kept).collect::<String>() {
            trace if !trace.trim().is_empty() => Ok(Place::Trace(trace)),
            _ => Err(format!("expected `path:line` or a stack trace, got `{}`", shown(text))),
        }
    }
}

/// A path and its lines.
fn of_file(text: &str) -> Option<(&str, &str)> {
    let (path, lines) = text.rsplit_once(':')?;
    let is_lines = !lines.is_empty() && lines.bytes().all(|it| it.is_ascii_digit() || it == b'-');
    (is_lines && !path.contains([':', '\n'])).then_some((path, lines))
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Place::Lines(path, lines) => serializer.collect_str(&format_args!("{}:{lines}", path.text())),
            Place::Trace(text) => serializer.serialize_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file_are_told_from_traces() {
        assert!(matches!(
            Place::parse("src/pay.rs:120"),
            Ok(Place::Lines(_, LineRange { first: 120, last: 120 }))
        ));
        assert!(matches!(
            Place::parse("a b/pay.rs:1-9"),
            Ok(Place::Lines(_, LineRange { first: 1, last: 9 }))
        ));
        for trace in [
            "/app/src/pay.rs:12",
            "  File \"a.py\", line 3",
            "at x (a.ts:1:2)\r\nat y",
            "panicked at a.rs:1:2:",
        ] {
            assert!(matches!(Place::parse(trace), Ok(Place::Trace(_))), "{trace}");
        }
        assert_eq!(Place::parse("a\r\n\u{1b}[31mb"), Ok(Place::Trace("a\n[31mb".to_owned())));
        for wrong in ["", " \n", "./src/pay.rs:1", "src/pay.rs:9-1", "src/pay.rs:0", &"a".repeat(30_000)] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
