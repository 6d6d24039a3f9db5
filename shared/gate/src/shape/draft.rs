//! How much of an answer fits? Facts and rows until the budget is reached, and a sentence about the rest.

use serde_json::{Map, Value, json};

use super::{
    cut::{CAP_MIN, shorten},
    listing::Listing,
    outlet::Outlet,
    page::{Page, Shown, line},
};
use crate::tokens::{hundredths, upper_bound};

/// Everything that could be told, before it is known what fits.
pub(super) struct Draft<'a> {
    pub(super) facts: Map<String, Value>,
    pub(super) hidden: u64,
    pub(super) not_looked_at: Vec<Value>,
    pub(super) listing: Option<Listing>,
    /// Ready to send.
    pub(super) next: Option<Value>,
    pub(super) tool: &'a str,
    pub(super) max_tokens: u64,
}

/// Most tokens of the line that counts hidden rows.
const HIDDEN_ROOM: u64 = 20;

impl Draft<'_> {
    /// The fullest page within the budget. Rows matter more than long facts: when the first row does not fit, facts make
    /// room.
    pub(super) fn page(mut self, outlet: &mut Outlet) -> Page {
        let Some(mut listing) = self.listing.take() else {
            let notes = self.fit_head(self.room() * 4 / 5);
            let next = self.next.take().filter(|it| self.is_sendable(it, outlet));
            let omitted = sentence(notes.into_iter().chain(cleaned(outlet.cleaned)));
            return Page { next, head: self.head(None), omitted, hidden: self.hidden, ..Page::default() };
        };
        let whole = (self.facts.clone(), self.not_looked_at.clone());
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

    /// As many rows as fit when no cell takes more than the cap; without a cap all of them or none.
    fn fill(&self, listing: &mut Listing, outlet: &Outlet, cap: Option<u64>, notes: &[String]) -> Page {
        let empty = self.assemble(listing, outlet, Vec::new(), 0, notes);
        let room = 100 * self.room().saturating_sub(empty.cost());
        let (mut rows, mut shortened, mut text, mut structured) = (Vec::new(), Vec::new(), 0, 0);
        while let Some(ready) = listing.row(rows.len(), outlet) {
            let mut cells = ready.cells.clone();
            let short = cap.map_or(0, |cap| cells.iter_mut().filter_map(|it| shorten(it, cap)).count());
            text += hundredths(&line(&cells)) + 100;
            structured += hundredths(&json!(cells).to_string());
            // The first is kept if it can be; what the sum of the parts leaves open is measured below.
            if text.max(structured) > room && !rows.is_empty() {
                break;
            }
            rows.push(cells);
            shortened.push(short);
        }
        if cap.is_none() && rows.len() < listing.given {
            return empty;
        }
        loop {
            let short = shortened[..rows.len()].iter().sum();
            let page = self.assemble(listing, outlet, rows, short, notes);
            let cost = page.cost();
            if cost <= self.room() || page.rows() == 0 || cap.is_none() {
                return if cost <= self.room() { page } else { empty };
            }
            rows = page.body.map(|it| it.rows).unwrap_or_default();
            // Takes away about half as many rows as are too many, and one at least.
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
        // Counted without hidden rows, so that it tells nothing about them; where some are hidden the next answer may repeat
        // rows, but never skips one.
        let mut notes = notes.to_vec();
        if shown > 0 && listing.continues(shown) {
            let arguments = listing.next.as_ref().and_then(|it| it(shown));
            let call = arguments.map(|it| json!({ "tool": self.tool, "arguments": it }));
            next = call.filter(|it| self.is_sendable(it, outlet));
        }
        notes.splice(0..0, missing(listing, left_out, self.max_tokens));
        notes.extend(plural(shortened as u64, "long value shortened", "long values shortened"));
        notes.extend(cleaned(told));
        let head = self.head(Some((listing.seen, shown)));
        let body = Some(Shown::of(listing, rows));
        Page { head, hidden: 0, body, omitted: sentence(notes), left_out, next }
    }

    /// Whether a call may stand on the page: only as it is, neither masked nor shortened.
    fn is_sendable(&self, call: &Value, outlet: &Outlet) -> bool {
        outlet.leaves_alone(call) && upper_bound(&call.to_string()) <= self.max_tokens / 3
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
        let fits = |draft: &Draft| Page { head: draft.head(Some((0, 0))), ..Page::default() }.fits(room);
        if fits(self) {
            return Vec::new();
        }
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
