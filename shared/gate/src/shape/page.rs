//! What stands on a page, and how much of it fits?

use serde_json::{Map, Value, json};

use super::{
    listing::{Kind, Listing},
    outlet::Outlet,
};
use crate::tokens::{prefix, upper_bound};

/// Everything that could be told, before it is known what fits.
pub(super) struct Draft<'a> {
    pub(super) facts: Map<String, Value>,
    pub(super) hidden: u64,
    pub(super) not_looked_at: Vec<Value>,
    pub(super) listing: Option<Listing>,
    pub(super) tool: &'a str,
    pub(super) max_tokens: u64,
}

/// What is told.
#[derive(Default)]
pub(super) struct Page {
    head: Vec<(String, Value)>,
    hidden: u64,
    body: Option<Shown>,
    omitted: String,
    left_out: u64,
    next: Option<Value>,
}

/// Rows or lines that are told.
struct Shown {
    columns: Option<Vec<&'static str>>,
    untrusted: Vec<String>,
    /// A row could pass for a line of the page's own, unless it is marked.
    marked: bool,
    rows: Vec<Vec<Value>>,
    first: u64,
}

/// Tokens below which no value is shortened further.
const CAP_MIN: u64 = 12;
/// Most tokens of the line that counts hidden rows.
const HIDDEN_ROOM: u64 = 20;
/// Longest list of rows, in bytes, after which it is clear enough what is missing from what is said before them.
const REPEAT_MIN: usize = 1000;

impl Draft<'_> {
    /// The fullest page within the budget. Rows matter more than long facts: when the first row does not fit, facts make
    /// room.
    pub(super) fn page(mut self, outlet: &mut Outlet) -> Page {
        let whole = (self.facts.clone(), self.not_looked_at.clone());
        let Some(mut listing) = self.listing.take() else {
            let notes = self.fit_head(self.room() * 4 / 5);
            let omitted = sentence(notes.into_iter().chain(cleaned(outlet.cleaned)));
            return Page { head: self.head(None), omitted, hidden: self.hidden, ..Page::default() };
        };
        let mut part = 2;
        loop {
            (self.facts, self.not_looked_at) = whole.clone();
            let notes = self.fit_head(self.room() / part);
            let page = self.fit_rows(&mut listing, outlet, &notes);
            if page.rows() > 0 || listing.given == 0 || part > 8 {
                self.count(&page, &mut listing, outlet);
                return Page { hidden: self.hidden, ..page };
            }
            part *= 2;
        }
    }

    /// The page with the most rows under these facts: whole if all of them fit, else with long values shortened, and as
    /// short as it takes to keep the first.
    fn fit_rows(&self, listing: &mut Listing, outlet: &Outlet, notes: &[String]) -> Page {
        let whole = self.fill(listing, outlet, None, notes);
        if whole.rows() == listing.given {
            return whole;
        }
        let mut cap = if listing.given == 1 { self.room() * 3 / 4 } else { self.room() / 4 };
        loop {
            let page = self.fill(listing, outlet, Some(cap), notes);
            if page.rows() > 0 || cap <= CAP_MIN {
                return page;
            }
            cap /= 2;
        }
    }

    /// What there is room for beside the line that counts hidden rows. That line never takes from the room, or what is
    /// shown would depend on whether something is hidden.
    fn room(&self) -> u64 {
        self.max_tokens.saturating_sub(HIDDEN_ROOM)
    }

    /// Counts what was done to the rows that are told.
    fn count(&self, page: &Page, listing: &mut Listing, outlet: &mut Outlet) {
        for index in 0..page.rows() {
            let traces = listing.row(index, outlet).map(|it| it.traces.clone()).unwrap_or_default();
            outlet.count(&traces);
        }
    }

    /// As many rows as fit when no cell takes more than the cap.
    fn fill(&self, listing: &mut Listing, outlet: &Outlet, cap: Option<u64>, notes: &[String]) -> Page {
        let empty = self.assemble(listing, outlet, Vec::new(), 0, notes);
        let room = self.room().saturating_sub(empty.cost());
        let (mut rows, mut shortened, mut text, mut structured) = (Vec::new(), Vec::new(), 0, 0);
        while let Some(ready) = listing.row(rows.len(), outlet) {
            let mut cells = ready.cells.clone();
            let short = cap.map_or(0, |cap| cells.iter_mut().filter_map(|it| shorten(it, cap)).count());
            text += tokens_of(&line(&cells));
            structured += tokens_of(&json!(cells).to_string());
            // The estimate is rough on purpose; what is kept is measured below.
            if text.max(structured) > room + room / 4 + 64 {
                break;
            }
            rows.push(cells);
            shortened.push(short);
        }
        loop {
            let short = shortened[..rows.len()].iter().sum();
            let page = self.assemble(listing, outlet, rows, short, notes);
            let cost = page.cost();
            if cost <= self.room() || page.rows() == 0 {
                return page;
            }
            rows = page.body.map(|it| it.rows).unwrap_or_default();
            // Takes away about as many rows as are too many, and never all but by ones.
            let excess = (cost - self.room()) as usize * rows.len() / (2 * cost as usize);
            rows.truncate(rows.len() - excess.max(1));
        }
    }

    /// The page with these rows.
    fn assemble(
        &self,
        listing: &mut Listing,
        outlet: &Outlet,
        rows: Vec<Vec<Value>>,
        shortened: usize,
        notes: &[String],
    ) -> Page {
        let shown = rows.len();
        let left_out = (listing.given - shown) as u64;
        let mut told = outlet.cleaned;
        for index in 0..shown {
            told += listing.row(index, outlet).map_or(0, |it| it.traces.cleaned());
        }
        let mut next = None;
        let mut notes = notes.to_vec();
        if shown > 0 && listing.continues(shown) {
            let arguments = listing.next.as_ref().and_then(|it| it(shown));
            let call = arguments.map(|it| json!({ "tool": self.tool, "arguments": it }));
            next = call
                .filter(|it| outlet.leaves_alone(it) && upper_bound(&it.to_string()) <= self.max_tokens / 3);
        }
        notes.splice(0..0, missing(listing, left_out, self.max_tokens));
        notes.extend(plural(shortened as u64, "long value shortened", "long values shortened"));
        notes.extend(cleaned(told));
        let head = self.head(Some((listing.seen, shown)));
        let body = Some(Shown::of(listing, rows));
        Page { head, hidden: 0, body, omitted: sentence(notes), left_out, next }
    }

    /// Facts and counts.
    fn head(&self, counts: Option<(u64, usize)>) -> Vec<(String, Value)> {
        let mut head: Vec<_> = self.facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if let Some((seen, shown)) = counts {
            head.push(("seen".to_owned(), seen.into()));
            head.push(("shown".to_owned(), shown.into()));
        }
        if !self.not_looked_at.is_empty() {
            head.push(("not_looked_at".to_owned(), self.not_looked_at.clone().into()));
        }
        head
    }

    /// Shortens facts that take more than the room, then leaves out the last of them; says what it did.
    fn fit_head(&mut self, room: u64) -> Vec<String> {
        let fits = |draft: &Draft| Page { head: draft.head(Some((0, 0))), ..Page::default() }.cost() <= room;
        let whole = (self.facts.clone(), self.not_looked_at.clone());
        let (mut shortened, mut dropped) = (0, 0);
        let mut cap = self.max_tokens / 2;
        while !fits(self) && cap >= CAP_MIN {
            (self.facts, self.not_looked_at) = whole.clone();
            let mut looked = Value::Array(std::mem::take(&mut self.not_looked_at));
            let values = self.facts.values_mut().chain([&mut looked]);
            shortened = values.filter_map(|it| shorten(it, cap)).count() as u64;
            self.not_looked_at = match looked {
                Value::Array(values) => values,
                value => vec![value],
            };
            cap /= 2;
        }
        while !fits(self) {
            let Some(last) = self.facts.keys().next_back().cloned() else { break };
            self.facts.remove(&last);
            dropped += 1;
        }
        let shortened = plural(shortened, "long fact shortened", "long facts shortened");
        shortened.into_iter().chain(plural(dropped, "fact left out", "facts left out")).collect()
    }
}

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

    pub(super) fn omitted(&self) -> u64 {
        self.left_out
    }

    fn head_lines(&self) -> impl Iterator<Item = (&str, Value)> {
        let hidden = (self.hidden > 0).then(|| ("hidden_by_policy", Value::from(self.hidden)));
        let omitted = (!self.omitted.is_empty()).then(|| ("omitted", Value::String(self.omitted.clone())));
        self.head.iter().map(|(name, value)| (name.as_str(), value.clone())).chain(hidden).chain(omitted)
    }

    fn rows(&self) -> usize {
        self.body.as_ref().map_or(0, |it| it.rows.len())
    }

    /// Tokens of the larger of the two.
    fn cost(&self) -> u64 {
        upper_bound(&self.text()).max(upper_bound(&Value::Object(self.structured()).to_string()))
    }
}

impl Shown {
    fn of(listing: &Listing, rows: Vec<Vec<Value>>) -> Shown {
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

/// What is missing, how much of it and why.
fn missing(listing: &Listing, left_out: u64, max_tokens: u64) -> Option<String> {
    let (noun, beyond) = (listing.noun, listing.beyond());
    match (left_out, beyond) {
        (0, 0) => None,
        (_, 0) => Some(format!("{left_out} {noun} left out to stay within {max_tokens} tokens")),
        (0, _) => Some(format!("{beyond} {noun} beyond what one call lists")),
        _ => Some(format!(
            "{left_out} {noun} left out to stay within {max_tokens} tokens, {beyond} more beyond what one call lists"
        )),
    }
}

fn cleaned(count: u64) -> Option<String> {
    plural(count, "invisible or control character removed", "invisible or control characters removed")
}

fn plural(count: u64, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {many}")),
    }
}

fn sentence(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join("; ")
}

/// A row on one line.
fn line(cells: &[Value]) -> String {
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

fn tokens_of(text: &str) -> u64 {
    upper_bound(text).saturating_sub(upper_bound("")) + 1
}

/// Shortens a value that takes more tokens than the cap, and says in it how much was left out. Lists lose their last
/// elements, everything else becomes text.
fn shorten(value: &mut Value, cap: u64) -> Option<()> {
    let whole = match &*value {
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let escaped = Value::String(whole.clone()).to_string();
    if tokens_of(&escaped) <= cap {
        return None;
    }
    if let Value::Array(values) = value
        && values.len() > 1
    {
        let mut left = cap.saturating_sub(CAP_MIN);
        let fits = |it: &&Value| {
            let cost = tokens_of(&it.to_string());
            let fits = cost <= left;
            left = left.saturating_sub(cost);
            fits
        };
        let kept = values.iter().take_while(fits).count();
        let gone = values.len() - kept;
        if kept > 0 {
            values.truncate(kept);
            values.push(format!("…[+{gone} more]").into());
            return Some(());
        }
    }
    // What a prefix costs once it is escaped is found by trying.
    let mut length = prefix(&whole, cap.saturating_sub(CAP_MIN));
    while length > 0 && tokens_of(&Value::String(whole[..length].to_owned()).to_string()) > cap {
        length = whole.floor_char_boundary(length * 3 / 4);
    }
    let gone = whole[length..].chars().count();
    *value = format!("{}…[+{} characters]", &whole[..length], grouped(gone)).into();
    Some(())
}

/// A number with its thousands apart: `1,234`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut result = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            result.push(',');
        }
        result.push(digit);
    }
    result
}
