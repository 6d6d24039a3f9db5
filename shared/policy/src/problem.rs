//! What is wrong with a policy, said the way a compiler says it.

use std::fmt;

/// Every problem that kept a policy from loading. Nothing was loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
pub struct LoadErrors {
    /// In the order of the sources, then by line. Never empty.
    pub problems: Vec<Problem>,
}

/// One problem, where it stands, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// File as people see it, or the list of the configuration.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Characters, counted from 1.
    pub column: usize,
    /// The line itself.
    pub excerpt: String,
    /// How many characters the caret marks.
    pub width: usize,
    /// What would be right.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let lead: String =
            self.excerpt.chars().take(self.column - 1).map(|it| if it == '\t' { it } else { ' ' }).collect();
        writeln!(out, "error: {}", self.message)?;
        writeln!(out, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(out, "{margin} |")?;
        writeln!(out, "{number} | {}", self.excerpt)?;
        write!(out, "{margin} | {lead}{}", "^".repeat(self.width.max(1)))?;
        match &self.hint {
            Some(hint) => write!(out, "\n{margin} = {hint}"),
            None => Ok(()),
        }
    }
}

impl Problem {
    /// A problem at a byte range of a text. Ranges that run over the line's end are cut there.
    pub(crate) fn at(file: &str, text: &str, start: usize, end: usize, message: String) -> Problem {
        let start = floor(text, start.min(text.len()));
        let end = floor(text, end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |it| it + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |it| start + it);
        Problem {
            message,
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            excerpt: shown(text[line_start..line_end].trim_end_matches('\r')),
            width: text[start..end.min(line_end)].trim_end().chars().count().max(1),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe(mut self, hint: Option<String>) -> Problem {
        self.hint = hint.or(self.hint);
        self
    }
}

/// The nearest of some names, if one is near enough to have been meant.
pub(crate) fn nearest<'a>(meant: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|it| (strsim::jaro_winkler(it, meant), it))
        .filter(|(near, _)| *near > 0.75)
        .max_by(|(a, x), (b, y)| a.total_cmp(b).then(y.cmp(x)))
        .map(|(_, it)| it)
}

/// `did you mean …?`, or all there is to choose from.
pub(crate) fn did_you_mean<'a>(meant: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match nearest(meant, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "there is none".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    }
}

/// A line as a terminal may see it: what would move or recolour the cursor is replaced.
fn shown(line: &str) -> String {
    line.chars().map(|it| if it.is_control() && it != '\t' { '\u{fffd}' } else { it }).collect()
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
