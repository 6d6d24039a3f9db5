//! From files to rules: cutting, parsing, and pointing at what is wrong.

use cedar_policy::{ParseErrors, PolicyId, Template, pst};
use miette::Diagnostic;

use crate::{
    Scope,
    problem::Problem,
    syntax::{self, Piece},
};

/// One rule of a file or a list, parsed but not yet checked.
pub(crate) struct Draft<'a> {
    pub(crate) origin: Origin<'a>,
    pub(crate) policy: cedar_policy::Policy,
    pub(crate) clauses: Vec<pst::Clause>,
    pub(crate) piece: Piece,
    /// `policies/on-call.cedar:12`.
    pub(crate) place: String,
}

/// Where a rule comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// File as people see it.
    pub(crate) name: &'a str,
    /// The whole file.
    pub(crate) text: &'a str,
    /// How far its rules may reach.
    pub(crate) scope: &'a Scope,
}

impl<'a> Origin<'a> {
    pub(crate) fn problem(&self, start: usize, end: usize, message: impl Into<String>) -> Problem {
        Problem::at(self.name, self.text, start, end, message.into())
    }

    /// Parses every rule, and says what is wrong with those that are none.
    pub(crate) fn drafts(self, problems: &mut Vec<Problem>) -> Vec<Draft<'a>> {
        let mut drafts = Vec::new();
        for piece in syntax::pieces(self.text) {
            match self.draft(piece) {
                Ok(draft) => drafts.push(draft),
                Err(found) => problems.push(found),
            }
        }
        drafts
    }

    fn draft(self, piece: Piece) -> Result<Draft<'a>, Problem> {
        let text = &self.text[piece.start..piece.end];
        let policy = cedar_policy::Policy::parse(None, text).map_err(|it| self.unparsed(piece, &it))?;
        let id = match policy.annotation("id") {
            Some(id) if !id.trim().is_empty() => PolicyId::new(id),
            _ => {
                let end = syntax::tokens(text).first().map_or(text.len(), |it| it.end);
                let found = self.problem(piece.start, piece.start + end, "this rule has no @id");
                return Err(
                    found.hint("give it one: @id(\"what-it-does\") in front; denials and logs name it")
                );
            }
        };
        let policy = policy.new_id(id);
        match policy.to_pst() {
            Ok(pst::Policy::Static(rule)) => {
                let clauses = rule.body().clauses().clone();
                let line = self.text[..piece.start].matches('\n').count() + 1;
                Ok(Draft { origin: self, policy, clauses, piece, place: format!("{}:{line}", self.name) })
            }
            _ => Err(self.problem(piece.start, piece.end, "not a rule of its own")),
        }
    }

    fn unparsed(self, piece: Piece, error: &ParseErrors) -> Problem {
        let text = &self.text[piece.start..piece.end];
        let slots = [["?", "principal"], ["?", "resource"]];
        match slots.iter().find_map(|it| syntax::find(text, it, 0)) {
            Some(at) if Template::parse(None, text).is_ok() => self
                .problem(piece.start + at.start, piece.start + at.end, "a template: nothing fills its slots")
                .hint("name the entity itself, e.g. Team::\"checkout\""),
            _ => self.cedar(piece, error),
        }
    }

    /// A problem that Cedar found in a piece.
    pub(crate) fn cedar(&self, piece: Piece, error: &dyn Diagnostic) -> Problem {
        let label = error.labels().and_then(|mut it| it.next());
        let whole = piece.end - piece.start;
        let (start, width) = label.map_or((0, whole), |it| (it.offset(), it.len()));
        let start = piece.start + start.min(whole.saturating_sub(1));
        let message = error.to_string();
        // Cedar names the policy in front; the place says it better.
        let message = match message.strip_prefix("for policy `").and_then(|it| it.split_once("`, ")) {
            Some((_, rest)) => rest.to_owned(),
            None => message,
        };
        self.problem(start, start + width, message).maybe(error.help().map(|it| it.to_string()))
    }
}

impl Draft<'_> {
    pub(crate) fn id(&self) -> &str {
        self.policy.id().as_ref()
    }

    pub(crate) fn text(&self) -> &str {
        &self.origin.text[self.piece.start..self.piece.end]
    }

    /// A problem at the first place where these tokens stand in a row, or at the rule's first line.
    pub(crate) fn problem(&self, row: &[&str], from: usize, message: impl Into<String>) -> Problem {
        let text = self.text();
        let at = syntax::find(text, row, from);
        let line = text.find('\n').unwrap_or(text.len());
        let (start, end) = at.map_or((0, line), |it| (it.start, it.end));
        self.origin.problem(self.piece.start + start, self.piece.start + end, message)
    }
}
