//! Where in the file is it wrong? Text, tree and places of one TOML file.

use std::ops::Range;

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    ConfigError, Invalid,
    node::{Fault, Node, Value},
    schema, words,
};

/// One parsed file.
pub(crate) struct Document<'i> {
    label: String,
    text: &'i str,
    root: Value<'i>,
}

/// Whether an excerpt may show the value that is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excerpt {
    /// It cannot be a secret.
    ShowsValue,
    /// It may be one.
    HidesValue,
}

impl<'i> Document<'i> {
    /// Parses the text of a file that people know as `label`.
    pub(crate) fn parse(label: String, text: &'i str) -> Result<Document<'i>, ConfigError> {
        match DeTable::parse(text) {
            Ok(table) => {
                let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
                Ok(Document { label, text, root })
            }
            Err(error) => Err(syntax(label, text, &error)),
        }
    }

    /// Name of the file for people.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Reads all of it.
    pub(crate) fn read<'de, T: Deserialize<'de>>(&self) -> Result<T, ConfigError> {
        T::deserialize(Node(&self.root)).map_err(|fault| self.report(fault))
    }

    /// Keys of the table at a path.
    pub(crate) fn keys(&self, path: &[&str]) -> Vec<String> {
        match self.find(path).map(|(_, value)| value.get_ref()) {
            Some(DeValue::Table(table)) => table.iter().map(|(key, _)| key.get_ref().to_string()).collect(),
            _ => Vec::new(),
        }
    }

    /// Line of the value at a path, from 1; 1 if there is none.
    pub(crate) fn line(&self, path: &[&str]) -> usize {
        self.find(path).map_or(1, |(_, value)| position(self.text, value.span().start).0)
    }

    /// The value at a path is wrong.
    pub(crate) fn wrong(&self, path: &[&str], problem: impl Into<String>, excerpt: Excerpt) -> ConfigError {
        let span = self.find(path).map(|(_, value)| value.span());
        self.invalid(path, span, problem.into(), excerpt)
    }

    /// The key at a path is wrong.
    pub(crate) fn wrong_key(&self, path: &[&str], problem: impl Into<String>) -> ConfigError {
        let span = self.find(path).map(|(key, value)| key.unwrap_or_else(|| value.span()));
        self.invalid(path, span, problem.into(), Excerpt::HidesValue)
    }

    fn report(&self, fault: Fault) -> ConfigError {
        let path: Vec<&str> = fault.path.iter().map(String::as_str).collect();
        let problem = match path[..] {
            ["connections", name, key] if fault.problem.starts_with("unknown key") => {
                self.other_kind(name, key).unwrap_or(fault.problem)
            }
            _ => fault.problem,
        };
        self.invalid(&path, fault.span, problem, Excerpt::HidesValue)
    }

    /// A key that only another kind of connection has.
    fn other_kind(&self, name: &str, key: &str) -> Option<String> {
        let (_, kind) = self.find(&["connections", name, "kind"])?;
        let DeValue::String(kind) = kind.get_ref() else { return None };
        let others = schema::kinds_with(key);
        (!others.is_empty()).then(|| {
            let others = others.join("\" or \"");
            format!("\"{key}\" belongs to kind \"{others}\", and this connection is of kind \"{kind}\"")
        })
    }

    fn find(&self, path: &[&str]) -> Option<(Option<Range<usize>>, &Value<'i>)> {
        let mut found = (None, &self.root);
        for step in path {
            found = match found.1.get_ref() {
                DeValue::Table(table) => {
                    let (key, value) = table.get_key_value(*step)?;
                    (Some(key.span()), value)
                }
                DeValue::Array(items) => (None, items.get(step.parse::<usize>().ok()?)?),
                _ => return None,
            };
        }
        Some(found)
    }

    fn invalid(
        &self,
        path: &[&str],
        span: Option<Range<usize>>,
        problem: String,
        excerpt: Excerpt,
    ) -> ConfigError {
        let span = span.unwrap_or(0..0);
        let (line, column) = position(self.text, span.start);
        let mut hidden = Vec::new();
        leaves(&self.root, &mut hidden);
        if excerpt == Excerpt::ShowsValue {
            hidden.retain(|it| *it != span);
        }
        hidden.sort_by_key(|it| it.start);
        let path = path.iter().map(|it| words::clean(it)).collect::<Vec<_>>().join(".");
        let excerpt = Some(drawn(self.text, &span, line, &hidden));
        ConfigError::Invalid(Box::new(Invalid {
            file: self.label.clone(),
            line,
            column,
            path,
            problem,
            excerpt,
        }))
    }
}

/// Not TOML. Without a tree nobody knows where a string ends, so a line is shown only up to a key that we know.
fn syntax(label: String, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |it| it.start).min(text.len());
    let (line, column) = position(text, start);
    let source = text.lines().nth(line - 1).unwrap_or_default();
    let excerpt = source.split_once('=').map(|(key, _)| key.trim()).filter(|key| schema::is_key(key));
    ConfigError::Invalid(Box::new(Invalid {
        file: label,
        line,
        column,
        path: String::new(),
        problem: format!("this is not TOML: {}", words::clean(&error.message().replace('\n', "; "))),
        excerpt: excerpt.map(|key| format!("{line:>4} | {key} = …")),
    }))
}

/// Line and column, from 1, in characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let line = before.iter().filter(|it| **it == b'\n').count() + 1;
    let start = before.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
    (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
}

/// Places of everything that is neither a table nor an array.
fn leaves(value: &Value<'_>, places: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => table.iter().for_each(|(_, value)| leaves(value, places)),
        DeValue::Array(items) => items.iter().for_each(|value| leaves(value, places)),
        _ => places.push(value.span()),
    }
}

/// The line and a caret under what is wrong. Values are drawn as `…`, and a comment is left out: it may hold an old one.
fn drawn(text: &str, span: &Range<usize>, line: usize, hidden: &[Range<usize>]) -> String {
    let start = text[..span.start].rfind('\n').map_or(0, |it| it + 1);
    let end = text[start..].find('\n').map_or(text.len(), |it| start + it);
    let mut source = String::new();
    let (mut before, mut width) = (None, 0);
    let mut next = start;
    while next < end {
        if next >= span.start {
            before.get_or_insert(source.chars().count());
        }
        let letter = text[next..].chars().next().unwrap_or('\n');
        let (drawn, after) = match hidden.iter().find(|it| it.contains(&next)) {
            Some(place) => ("…".to_owned(), place.end),
            None if letter == '#' && !span.contains(&next) => break,
            None if letter == '\t' => (" ".to_owned(), next + 1),
            None => (words::clean(letter.encode_utf8(&mut [0; 4])), next + letter.len_utf8()),
        };
        if next >= span.start && next < span.end {
            width += drawn.chars().count();
        }
        source.push_str(&drawn);
        next = after;
    }
    let before = before.unwrap_or_else(|| source.chars().count());
    let caret = "^".repeat(width.max(1));
    format!("{line:>4} | {}\n     | {:before$}{caret}", source.trim_end(), "")
}
