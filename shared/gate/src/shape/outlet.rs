//! How is a string made fit to leave? What hides in it is removed first, so that a secret it broke up is whole when it is
//! looked for; then secrets are masked.

use std::borrow::Cow;

use redact::{Masked, Redactor, clean, clean_value};
use serde_json::{Map, Value};

/// Cleans and masks strings, and counts.
pub(super) struct Outlet {
    redactor: Redactor,
    masked: Masked,
    pub(super) cleaned: u64,
    reveal_pii: bool,
}

/// What was done to one row.
#[derive(Clone, Debug, Default)]
pub(super) struct Traces {
    masked: Masked,
    cleaned: u64,
}

impl Outlet {
    pub(super) fn new(reveal_pii: bool) -> Outlet {
        Outlet { redactor: Redactor::new(reveal_pii), masked: Masked::default(), cleaned: 0, reveal_pii }
    }

    pub(super) fn text(&mut self, text: String) -> String {
        let (cleaned, removed) = clean(&text);
        self.cleaned += removed;
        match self.redactor.text(&cleaned) {
            Cow::Owned(masked) => masked,
            Cow::Borrowed(_) => cleaned.into_owned(),
        }
    }

    pub(super) fn fields(&mut self, fields: Map<String, Value>) -> Map<String, Value> {
        let mut value = Value::Object(fields);
        self.cleaned += clean_value(&mut value);
        self.redactor.value(&mut value);
        match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// Whether a value may leave as it is; one that a caller is to send again must not be changed.
    pub(super) fn leaves_alone(&self, value: &Value) -> bool {
        let mut copy = value.clone();
        clean_value(&mut copy);
        Redactor::new(self.reveal_pii).value(&mut copy);
        copy == *value
    }

    /// One redactor for each column: what follows in a column may continue what began there.
    pub(super) fn columns(&self, count: usize, continuing: bool) -> Vec<Redactor> {
        let one = if continuing { Redactor::continuing } else { Redactor::new };
        (0..count).map(|_| one(self.reveal_pii)).collect()
    }

    /// Counts what was done to a row that is told.
    pub(super) fn count(&mut self, traces: &Traces) {
        self.masked.merge(&traces.masked);
        self.cleaned += traces.cleaned;
    }

    pub(super) fn masked(mut self) -> Masked {
        self.masked.merge(&self.redactor.masked);
        self.masked
    }
}

impl Traces {
    /// Characters removed.
    pub(super) fn cleaned(&self) -> u64 {
        self.cleaned
    }
}

/// Cleans and masks one row, cell by cell.
pub(super) fn cleanse(cells: &mut [Value], names: &[&str], columns: &mut [Redactor]) -> Traces {
    let mut traces = Traces::default();
    for ((cell, name), redactor) in cells.iter_mut().zip(names).zip(columns) {
        traces.cleaned += clean_value(cell);
        redactor.named(name, cell);
        traces.masked.merge(&std::mem::take(&mut redactor.masked));
    }
    traces
}
