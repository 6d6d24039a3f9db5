//! What stands on a page? One thing, told twice: by name for programs, in lines for readers.

use serde_json::{Map, Value, json};

use super::listing::{Kind, Listing};
use crate::tokens::{ceiling, upper_bound};

/// What is told.
#[derive(Default)]
pub(super) struct Page {
    pub(super) head: Vec<(String, Value)>,
    pub(super) hidden: u64,
    pub(super) body: Option<Shown>,
    pub(super) omitted: String,
    pub(super) left_out: u64,
    pub(super) next: Option<Value>,
}

/// Rows or lines that are told.
pub(super) struct Shown {
    columns: Option<Vec<&'static str>>,
    untrusted: Vec<String>,
    /// A row could pass for a line of the page's own, unless it is marked.
    marked: bool,
    pub(super) rows: Vec<Vec<Value>>,
    first: u64,
}

/// Longest list of rows, in bytes, after which it is clear enough what is missing from what is said before them.
const REPEAT_MIN: usize = 1000;

impl Page {
    /// Everything by its name.
    pub(super) fn structured(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        self.head_lines().for_each(|(name, value)| {
            fields.insert(name.to_owned(), value);
        });
        if let Some(body) = &self.body {
            match &body.columns {
                Some(columns) => {
                    fields.insert("columns".to_owned(), json!(columns));
                    fields.insert("rows".to_owned(), json!(body.rows));
                }
                None => {
                    fields.insert("text".to_owned(), body.lines().collect::<Vec<_>>().join("\n").into());
                }
            }
        }
        if let Some(next) = &self.next {
            fields.insert("next".to_owned(), next.clone());
        }
        fields
    }

    /// The same to be read: what matters first, and what is missing also last, as some clients cut the middle.
    pub(super) fn text(&self) -> String {
        let said = |(name, value): (&str, Value)| format!("{name}: {}", plain(&value));
        let mut lines: Vec<String> = self.head_lines().map(said).collect();
        if let Some(body) = &self.body {
            if let Some(columns) = body.columns.as_ref().filter(|_| !body.rows.is_empty()) {
                lines.push(columns.join(" | "));
            }
            let before = lines.len();
            lines.extend(body.lines());
            let long = lines[before..].iter().map(String::len).sum::<usize>() > REPEAT_MIN;
            if long && !self.omitted.is_empty() {
                lines.push(format!("omitted: {}", self.omitted));
            }
        }
        lines.extend(self.next.iter().map(|it| format!("next: {it}")));
        lines.join("\n")
    }

    pub(super) fn untrusted(&self) -> Vec<String> {
        self.body.as_ref().map(|it| it.untrusted.clone()).unwrap_or_default()
    }

    fn head_lines(&self) -> impl Iterator<Item = (&str, Value)> {
        let hidden = (self.hidden > 0).then(|| ("hidden_by_policy", Value::from(self.hidden)));
        let omitted = (!self.omitted.is_empty()).then(|| ("omitted", Value::String(self.omitted.clone())));
        self.head.iter().map(|(name, value)| (name.as_str(), value.clone())).chain(hidden).chain(omitted)
    }

    pub(super) fn rows(&self) -> usize {
        self.body.as_ref().map_or(0, |it| it.rows.len())
    }

    /// Whether both fit. No text takes more tokens than [`ceiling`] says, and most are far below.
    pub(super) fn fits(&self, room: u64) -> bool {
        let fits = |text: &str| ceiling(text) <= room || upper_bound(text) <= room;
        fits(&self.text()) && fits(&Value::Object(self.structured()).to_string())
    }

    /// Tokens of the larger of the two.
    pub(super) fn cost(&self) -> u64 {
        upper_bound(&self.text()).max(upper_bound(&Value::Object(self.structured()).to_string()))
    }
}

impl Shown {
    pub(super) fn of(listing: &Listing, rows: Vec<Vec<Value>>) -> Shown {
        match &listing.kind {
            Kind::Table { columns, untrusted } => {
                let outside =
                    columns.iter().zip(untrusted).filter(|(_, it)| **it).map(|(name, _)| (*name).to_owned());
                let untrusted = if rows.is_empty() { Vec::new() } else { outside.collect() };
                let marked = untrusted.first().is_some_and(|it| it == columns[0]);
                Shown { columns: Some(columns.clone()), untrusted, marked, rows, first: 1 }
            }
            Kind::Lines { first } => {
                let untrusted = if rows.is_empty() { Vec::new() } else { vec!["text".to_owned()] };
                Shown { columns: None, untrusted, marked: false, rows, first: *first }
            }
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.rows.iter().zip(self.first..).map(|(cells, number)| match (&self.columns, self.marked) {
            (None, _) => format!("{number} {}", line(cells)),
            (Some(_), true) => format!("| {}", line(cells)),
            (Some(_), false) => line(cells),
        })
    }
}

/// A row on one line.
pub(super) fn line(cells: &[Value]) -> String {
    match cells {
        [only] => plain(only),
        _ => cells.iter().map(|it| plain(it).replace(" | ", " \\| ")).collect::<Vec<_>>().join(" | "),
    }
}

/// A value on one line.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains('\n') => text.replace('\n', "\\n"),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
