//! What leaves the gate? Rows that policy shows, without secrets and without what hides in a text, no more than the budget,
//! and word of everything that was left out. Every result and every refusal becomes a page, and a page becomes both what a
//! program reads and what a person reads, because some clients show a model only the one and some only the other.

mod cut;
mod draft;
mod listing;
mod outlet;
mod page;
mod picture;

use policy::Target;
use serde_json::{Map, Value, json};
use tool::{RawAnswer, Suggestion};

use crate::Masked;
use draft::Draft;
use listing::Listing;
use outlet::Outlet;
use page::Page;
pub use picture::Image;

/// What a caller is told, as structure and as text: the same facts in both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shaped {
    /// For programs, and for clients that show a model only this.
    pub structured: Map<String, Value>,
    /// For people, and for clients that show a model only this.
    pub text: String,
    /// Names of what holds text from outside: columns, `text`, `message`.
    pub untrusted: Vec<String>,
    /// Secrets and personal details masked in what is told.
    pub masked: Masked,
    /// Characters removed from what is told because they hide or change others.
    pub cleaned: u64,
    /// Rows that policy hides.
    pub hidden: u64,
    /// Rows or lines that policy shows and the budget does not.
    pub omitted: u64,
    /// Whether this is a refusal.
    pub is_error: bool,
    /// A picture for people. It holds nothing that is not told, and no budget of tokens bounds it.
    pub image: Option<Image>,
}

/// What shaping needs to know of the call.
pub(crate) struct Frame<'a> {
    /// For the call that continues.
    pub(crate) tool: &'a str,
    /// Most tokens that structure and text may each take.
    pub(crate) max_tokens: u64,
    /// Whether policy shows what touches this.
    pub(crate) shows: &'a dyn Fn(&Target) -> bool,
    /// Whether policy reveals personal details to this caller.
    pub(crate) reveal_pii: bool,
}

/// Why a call has no result, before it is shaped.
pub(crate) struct RefusalText {
    /// Stable word.
    pub(crate) code: &'static str,
    /// What to change.
    pub(crate) message: String,
    /// Facts that a program needs beside the message.
    pub(crate) fields: Map<String, Value>,
    /// What exists instead; what policy hides is left out without a word.
    pub(crate) suggestions: Vec<Suggestion>,
    /// Whether the message quotes a system of record.
    pub(crate) untrusted: bool,
}

/// Shapes a result.
///
/// Rows that policy hides go first, so that nothing later can depend on them: the result is the one that would be if they
/// did not exist, but for `hidden_by_policy`.
pub(crate) fn shape(answer: RawAnswer, frame: &Frame) -> Shaped {
    let (listing, hidden) = Listing::of(answer.body, frame.shows);
    let picture = answer.plot.and_then(|it| picture::draw(it, frame));
    let mut outlet = Outlet::new(frame.reveal_pii);
    let facts = outlet.fields(answer.facts);
    let not_looked_at = answer.not_looked_at.into_iter().map(|it| outlet.text(it).into()).collect();
    let draft = Draft {
        facts,
        hidden,
        not_looked_at,
        listing,
        next: None,
        tool: frame.tool,
        max_tokens: frame.max_tokens,
    };
    let mut shaped = Shaped { hidden, ..finish(draft.page(&mut outlet), outlet) };
    if let Some((image, masked)) = picture {
        shaped.image = Some(image);
        shaped.masked.merge(&masked);
        shaped.untrusted.push("image".to_owned());
    }
    shaped
}

/// Shapes a refusal.
pub(crate) fn refuse(refusal: RefusalText, frame: &Frame) -> Shaped {
    let mut outlet = Outlet::new(frame.reveal_pii);
    let mut fields = Map::new();
    fields.insert("error".to_owned(), refusal.code.into());
    fields.insert("message".to_owned(), refusal.message.into());
    fields.extend(refusal.fields);
    let next = fields.shift_remove("next");
    let shown = refusal.suggestions.into_iter().filter(|it| it.target.as_ref().is_none_or(frame.shows));
    let suggestions: Vec<String> = shown.map(|it| it.text).collect();
    if !suggestions.is_empty() {
        fields.insert("suggestions".to_owned(), json!(suggestions));
    }
    let facts = outlet.fields(fields);
    let (tool, max_tokens) = (frame.tool, frame.max_tokens);
    let draft = Draft { facts, hidden: 0, not_looked_at: Vec::new(), listing: None, next, tool, max_tokens };
    let mut shaped = finish(draft.page(&mut outlet), outlet);
    shaped.is_error = true;
    if refusal.untrusted {
        shaped.untrusted.push("message".to_owned());
    }
    shaped
}

/// The one place where structure and text are made.
fn finish(page: Page, outlet: Outlet) -> Shaped {
    Shaped {
        text: page.text(),
        structured: page.structured(),
        untrusted: page.untrusted(),
        omitted: page.left_out,
        cleaned: outlet.cleaned,
        masked: outlet.masked(),
        hidden: 0,
        is_error: false,
        image: None,
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
