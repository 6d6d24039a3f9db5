//! What a tool answers: facts, and rows or lines in the order of their importance. The gate drops what policy hides,
//! redacts, cleans, cuts at the budget and says so; a tool never cuts silently.
//!
//! A tool has no way to answer pixels: it describes a plot, and the gate draws what is left of it once policy and masking
//! have been over it.

use policy::Target;
use serde_json::Value;

/// A successful answer.
pub struct Answer<F> {
    /// Few, flat, always shown whole.
    pub facts: F,
    /// What may be long.
    pub body: Body,
    /// What was not looked at, and why: `connection staging: timed out`.
    pub not_looked_at: Vec<String>,
    /// A picture for people, beside what is told.
    pub plot: Option<Plot>,
}

/// What a picture shows. A description and no pixels, so that policy and masking come before the drawing.
pub struct Plot {
    /// What is drawn, e.g. a query.
    pub title: String,
    /// Of the values; empty when it is not known.
    pub unit: &'static str,
    /// First moment, Unix seconds.
    pub from: i64,
    /// Last moment, Unix seconds.
    pub to: i64,
    /// Distance of the points, seconds: what lies further apart is not joined.
    pub step: i64,
    /// At most eight are drawn.
    pub lines: Vec<Line>,
}

/// One line of a plot.
pub struct Line {
    /// As in the row that tells of it.
    pub label: String,
    /// Moments in Unix seconds and values, earliest first.
    pub points: Vec<(f64, f64)>,
    /// As in the row that tells of it: policy may hide it.
    pub target: Option<Target>,
}

/// The part of an answer that may be long.
pub enum Body {
    /// Facts are all there is.
    None,
    /// Rows under columns.
    Table(Table),
    /// Lines of a text.
    Lines(Lines),
}

/// Rows under columns, the most important row first.
pub struct Table {
    /// What the cells of a row mean.
    pub columns: Vec<Column>,
    /// Most important first.
    pub rows: Vec<Row>,
    /// How many there are in all, when more than the rows given.
    pub seen: u64,
    /// What a row is, plural: `commits`.
    pub noun: &'static str,
    /// How to ask for the rows after the first `n`.
    pub next: Option<Next>,
}

/// Makes the arguments of the call that continues after the first `n` rows or lines shown; none when nothing would. They
/// depend on `n` alone or on rows without targets: the `n`th row given may be one that policy hides.
pub type Next = Box<dyn Fn(usize) -> Option<Value> + Send>;

/// One column.
#[derive(Clone, Copy)]
pub struct Column {
    /// Field-like name with its unit: `latency_ms`.
    pub name: &'static str,
    /// Whether outsiders write what stands in it (commit messages, annotations).
    pub untrusted: bool,
}

/// One row.
pub struct Row {
    /// As many as there are columns; null where there is nothing.
    pub cells: Vec<Value>,
    /// What it shows, when rows show different things; policy may hide it.
    pub target: Option<Target>,
}

/// Consecutive lines of one untrusted text.
pub struct Lines {
    /// Without line ends.
    pub lines: Vec<String>,
    /// Number of the first line, from 1.
    pub first: u64,
    /// How many lines there are in all.
    pub seen: u64,
    /// How to ask for what follows the first `n` lines shown.
    pub next: Option<Next>,
}

impl Column {
    /// A column of our own or structured values.
    pub const fn new(name: &'static str) -> Column {
        Column { name, untrusted: false }
    }

    /// A column of text from outside.
    pub const fn untrusted(name: &'static str) -> Column {
        Column { name, untrusted: true }
    }
}

impl<F> Answer<F> {
    /// An answer of facts alone.
    pub fn facts(facts: F) -> Answer<F> {
        Answer { facts, body: Body::None, not_looked_at: Vec::new(), plot: None }
    }

    /// An answer of facts and rows.
    pub fn table(facts: F, table: Table) -> Answer<F> {
        Answer { facts, body: Body::Table(table), not_looked_at: Vec::new(), plot: None }
    }

    /// An answer of facts and lines.
    pub fn lines(facts: F, lines: Lines) -> Answer<F> {
        Answer { facts, body: Body::Lines(lines), not_looked_at: Vec::new(), plot: None }
    }
}
