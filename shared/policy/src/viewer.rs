//! May they see this row? One question, asked of every row of its answer.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use crate::{Policy, Question, Target, decide::Asked, slice::Slice};

/// What one caller may see of an answer. Made once for a question, then asked of each row.
pub struct Viewer<'a> {
    /// None when the question itself is refused: then nothing is shown.
    asked: Option<Asked<'a>>,
    /// By slice, where none of its rules looks at the target itself. Each slice is held, so no other takes its address.
    known: RefCell<HashMap<*const Slice, (Arc<Slice>, bool)>>,
}

impl Policy {
    /// Who looks at the answer to a question. The question's own targets do not matter.
    pub fn viewer<'a>(&'a self, question: &'a Question<'a>) -> Viewer<'a> {
        Viewer { asked: Asked::new(self, question).ok(), known: RefCell::default() }
    }
}

impl Viewer<'_> {
    /// Whether a row about a target may be shown: exactly if the call would be permitted, were this its only target.
    pub fn shows(&self, target: &Target) -> bool {
        let Some(asked) = &self.asked else { return false };
        let Ok(slice) = asked.slice(target) else { return false };
        if slice.resource {
            return asked.permits(&slice, target);
        }
        match self.known.borrow_mut().entry(Arc::as_ptr(&slice)) {
            Entry::Occupied(known) => known.get().1,
            Entry::Vacant(place) => {
                let shown = asked.permits(&slice, target);
                place.insert((slice, shown)).1
            }
        }
    }
}

impl fmt::Debug for Viewer<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Viewer").field("places", &self.known.borrow().len()).finish_non_exhaustive()
    }
}
