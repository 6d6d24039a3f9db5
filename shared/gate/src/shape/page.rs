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

    /// Whether both fit. No text takes more tokens than [`ceiling`] says, and most are far below: they are not even made.
    pub(super) fn fits(&self, room: u64) -> bool {
        let fits = |text: &str| ceiling(text.len()) <= room || upper_bound(text) <= room;
        let small = self.body.is_none() && ceiling(self.bytes_max()) <= room;
        small || fits(&self.text()) && fits(&Value::Object(self.structured()).to_string())
    }

    /// No form of a page without body has more bytes.
    fn bytes_max(&self) -> usize {
        let head = self.head_lines().map(|(name, value)| field(name, &value)).sum::<usize>();
        head + self.next.as_ref().map_or(0, |it| field("next", it)) + "{}".len()
    }

    /// Tokens of the larger of the two.
    pub(super) fn cost(&self) -> u64 {
        upper_bound(&self.text()).max(upper_bound(&Value::Object(self.structured()).to_string()))
    }
}

/// As much as `"name":value,` takes, or `name: value` on a line.
fn field(name: &str, value: &Value) -> usize {
    quoted(name) + json_bytes_max(value) + 2
}

fn json_bytes_max(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => "false".len(),
        // The longest float has 24.
        Value::Number(_) => 32,
        Value::String(text) => quoted(text),
        Value::Array(items) => items.iter().map(|it| json_bytes_max(it) + 1).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(name, it)| field(name, it)).sum::<usize>() + 2,
    }
}

/// With its quotes and escapes.
fn quoted(text: &str) -> usize {
    let bytes = text.bytes().map(|it| match it {
        b'"' | b'\\' => 2,
        it if it.is_ascii_control() => 6,
        _ => 1,
    });
    bytes.sum::<usize>() + 2
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_form_of_a_page_is_longer_than_was_said_without_making_it(
            head in prop::collection::vec(("[a-z_]{1,12}", any_value()), 0..5),
            (hidden, omitted, next) in (0..2_u64, any::<String>(), prop::option::of(any_value())),
        ) {
            let page = Page { head, hidden, omitted, next, ..Page::default() };
            let most = page.bytes_max();
            prop_assert!(page.text().len() <= most);
            prop_assert!(Value::Object(page.structured()).to_string().len() <= most);
        }
    }
}
