//! Which rows or lines may be told? Those that policy shows, made fit to leave one by one as far as the budget reaches.

use policy::Target;
use redact::Redactor;
use serde_json::Value;
use tool::{Body, Next};

use super::outlet::{Outlet, Traces, cleanse};

/// Rows or lines that policy shows, most important first.
pub(super) struct Listing {
    pub(super) kind: Kind,
    pub(super) noun: &'static str,
    /// How many there are in all, given or not; without those that policy hides.
    pub(super) seen: u64,
    /// How many were given.
    pub(super) given: usize,
    pub(super) next: Option<Next>,
    raw: std::vec::IntoIter<Vec<Value>>,
    ready: Vec<Ready>,
    redactors: Vec<Redactor>,
}

/// What a row is.
pub(super) enum Kind {
    /// Cells under columns, and which columns outsiders write.
    Table { columns: Vec<&'static str>, untrusted: Vec<bool> },
    /// One numbered line.
    Lines { first: u64 },
}

/// A row that is fit to leave.
pub(super) struct Ready {
    pub(super) cells: Vec<Value>,
    pub(super) traces: Traces,
}

impl Listing {
    /// What of a body policy shows, and how many rows it hides.
    pub(super) fn of(body: Body, shows: &dyn Fn(&Target) -> bool) -> (Option<Listing>, u64) {
        match body {
            Body::None => (None, 0),
            Body::Table(table) => {
                let all = table.rows.len() as u64;
                let shown = table.rows.into_iter().filter(|it| it.target.as_ref().is_none_or(shows));
                let width = table.columns.len();
                let rows: Vec<_> = shown.map(|it| as_wide(it.cells, width)).collect();
                let hidden = all - rows.len() as u64;
                let kind = Kind::Table {
                    columns: table.columns.iter().map(|it| it.name).collect(),
                    untrusted: table.columns.iter().map(|it| it.untrusted).collect(),
                };
                let seen = table.seen.max(all) - hidden;
                (Some(Listing::new(kind, table.noun, seen, rows, table.next)), hidden)
            }
            Body::Lines(lines) => {
                let rows: Vec<_> = lines.lines.into_iter().map(|it| vec![Value::String(it)]).collect();
                let kind = Kind::Lines { first: lines.first };
                let seen = lines.seen.max((lines.first.max(1) - 1).saturating_add(rows.len() as u64));
                (Some(Listing::new(kind, "lines", seen, rows, lines.next)), 0)
            }
        }
    }

    fn new(kind: Kind, noun: &'static str, seen: u64, rows: Vec<Vec<Value>>, next: Option<Next>) -> Listing {
        let given = rows.len();
        Listing {
            kind,
            noun,
            seen,
            given,
            next,
            raw: rows.into_iter(),
            ready: Vec::new(),
            redactors: Vec::new(),
        }
    }

    /// The row at an index, fit to leave. Rows are asked for in order: no work is done for those beyond the budget.
    pub(super) fn row(&mut self, index: usize, outlet: &Outlet) -> Option<&Ready> {
        while self.ready.len() <= index {
            let mut cells = self.raw.next()?;
            if self.redactors.is_empty() {
                self.redactors = outlet.columns(cells.len(), matches!(self.kind, Kind::Lines { first: 2.. }));
            }
            let names = match &self.kind {
                Kind::Table { columns, .. } => columns.as_slice(),
                Kind::Lines { .. } => &["text"],
            };
            let traces = cleanse(&mut cells, names, &mut self.redactors);
            self.ready.push(Ready { cells, traces });
        }
        self.ready.get(index)
    }

    /// How many are beyond those given, and were not left out by the budget.
    pub(super) fn beyond(&self) -> u64 {
        match self.kind {
            Kind::Table { .. } => self.seen - self.given as u64,
            Kind::Lines { .. } => 0,
        }
    }

    /// Whether something follows the first `shown`.
    pub(super) fn continues(&self, shown: usize) -> bool {
        let before = match self.kind {
            Kind::Table { .. } => 0,
            Kind::Lines { first } => first.max(1) - 1,
        };
        shown < self.given || before.saturating_add(shown as u64) < self.seen
    }
}

/// Exactly as many cells as there are columns.
fn as_wide(mut cells: Vec<Value>, width: usize) -> Vec<Value> {
    cells.resize(width, Value::Null);
    cells
}
