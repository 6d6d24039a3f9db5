//! May they see this row? One question, asked of every row of its answer.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use crate::{Caller, Policy, Question, Target, decide::Asked, slice::Slice};

/// What one caller may see of an answer. Made once for a question, then asked of each row.
pub struct Viewer<'a> {
    /// None when the question itself is refused: then nothing is shown.
    look: Option<Look<'a>>,
    /// The caller without teams, where these are only declared and the question is about an effect.
    without: Option<Look<'a>>,
    policy: &'a Policy,
}

/// One caller, and what was asked about rows so far.
struct Look<'a> {
    asked: Asked<'a>,
    /// By slice, where none of its rules looks at the target itself. Each slice is held, so no other takes its address.
    known: RefCell<HashMap<*const Slice, (Arc<Slice>, bool)>>,
}

impl Policy {
    /// Who looks at the answer to a question. The question's own targets do not matter.
    pub fn viewer<'a>(&'a self, question: &'a Question<'a>) -> Viewer<'a> {
        let Question { caller, tool, input, circumstances, .. } = question;
        let look = |caller: Cow<'a, Caller>| {
            let asked = Asked::with(self, caller, tool, Some(input), circumstances).ok()?;
            Some(Look { asked, known: RefCell::default() })
        };
        let without = self.teamless(caller, tool, Some(input)).map(|it| look(Cow::Owned(it)));
        Viewer {
            // Whoever could not be asked about without their teams sees nothing either.
            look: look(Cow::Borrowed(caller)).filter(|_| !matches!(without, Some(None))),
            without: without.flatten(),
            policy: self,
        }
    }
}

impl Viewer<'_> {
    /// Whether a row about a target may be shown: exactly if the call would be permitted, were this its only target.
    pub fn shows(&self, target: &Target) -> bool {
        let without = || match &self.without {
            Some(look) if !self.policy.is_development(target) => look.shows(target),
            _ => true,
        };
        self.look.as_ref().is_some_and(|it| it.shows(target)) && without()
    }
}

impl Look<'_> {
    fn shows(&self, target: &Target) -> bool {
        let asked = &self.asked;
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
        let places = self.look.as_ref().map_or(0, |it| it.known.borrow().len());
        out.debug_struct("Viewer").field("places", &places).finish_non_exhaustive()
    }
}
