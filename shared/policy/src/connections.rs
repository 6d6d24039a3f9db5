//! Which connections does a rule mean? One that is not configured is a misspelling, and its rule would never hold.

use cedar_policy::{
    EntityUid,
    pst::{BinaryOp, Expr, PatternElem, Var},
};

use crate::{
    Vocabulary,
    problem::{Problem, did_you_mean},
    schema::quote,
    source::Draft,
    walk,
};

/// Says which connections of a rule there are not, and where it names them in a way that nobody can check.
pub(crate) fn check(draft: &Draft<'_>, vocabulary: &Vocabulary) -> Vec<Problem> {
    let lint = Lint { draft, vocabulary };
    let mut named = draft.policy.entity_literals();
    named.retain(|it| it.type_name().to_string() == "Target");
    let mut found: Vec<Problem> = named.iter().filter_map(|it| lint.target(it)).collect();
    for (_, expr) in draft.clauses.iter().map(walk::sides) {
        lint.expression(expr, &mut found);
    }
    found
}

struct Lint<'a> {
    draft: &'a Draft<'a>,
    vocabulary: &'a Vocabulary,
}

/// The two sides of a comparison, taken apart: what is compared, and what only chooses it.
#[derive(Default)]
struct Compared<'a> {
    values: Vec<&'a Expr>,
    choices: Vec<&'a Expr>,
}

impl Lint<'_> {
    /// `Target::"connection/kind/id"`.
    fn target(&self, uid: &EntityUid) -> Option<Problem> {
        let name = uid.id().unescaped();
        let quoted = quote(name);
        let row = ["Target", "::", &quoted];
        match *name.splitn(3, '/').collect::<Vec<_>>() {
            [connection, kind, id] if ![connection, kind, id].contains(&"") => self.name(connection, &row),
            _ => {
                let found = self.draft.problem(&row, 0, format!("no target is called `{name}`"));
                Some(found.hint("expected its connection, its kind and its id: Target::\"…/…/…\""))
            }
        }
    }

    /// A connection's name must be a configured one.
    fn name(&self, name: &str, row: &[&str]) -> Option<Problem> {
        let known = &self.vocabulary.connections;
        if known.is_empty() || known.contains(name) {
            return None;
        }
        let found = self.draft.problem(row, 0, format!("no connection is called `{name}`"));
        Some(found.hint(did_you_mean(name, known.iter().map(String::as_str))))
    }

    fn expression(&self, root: &Expr, found: &mut Vec<Problem>) {
        let mut ahead = vec![root];
        while let Some(expr) = ahead.pop() {
            let Some(compared) = Compared::in_(expr) else {
                // Not in a comparison: nobody can tell which names it will meet.
                found.extend(is_any_connection(expr).then(|| self.unchecked()));
                ahead.extend(walk::children(expr));
                continue;
            };
            ahead.extend(&compared.choices);
            if !compared.values.iter().any(|it| is_connection(it)) {
                ahead.extend(compared.values);
                continue;
            }
            match expr {
                Expr::Like { pattern, .. } => found.extend(self.pattern(pattern)),
                _ => {
                    let texts = compared.values.iter().filter_map(|it| walk::text(it));
                    found.extend(texts.filter_map(|it| self.name(it, &[&quote(it)])));
                }
            }
            let opaque = |it: &&Expr| walk::text(it).is_none() && !is_attribute(it);
            found.extend(compared.values.into_iter().find(opaque).map(|_| self.unchecked()));
        }
    }

    fn pattern(&self, pattern: &[PatternElem]) -> Option<Problem> {
        let known = &self.vocabulary.connections;
        if known.is_empty() || known.iter().any(|it| walk::like(pattern, it)) {
            return None;
        }
        let found = self.draft.problem(&["like"], 0, "no connection is called like this");
        Some(found.hint(format!("there are: {}", known.iter().cloned().collect::<Vec<_>>().join(", "))))
    }

    fn unchecked(&self) -> Problem {
        let found =
            self.draft.problem(&["connection"], 0, "a connection compared in a way that cannot be checked");
        found.hint("write resource.connection == \"…\", [\"…\"].contains(resource.connection) or resource.connection like \"…\"")
    }
}

impl<'a> Compared<'a> {
    /// What an expression compares, if it does.
    fn in_(expr: &'a Expr) -> Option<Compared<'a>> {
        use BinaryOp::{Contains, ContainsAll, ContainsAny, Eq, NotEq};
        let mut compared = Compared::default();
        match expr {
            Expr::BinaryOp { op: Eq | NotEq | Contains | ContainsAll | ContainsAny, left, right } => {
                compared.add(left);
                compared.add(right);
            }
            Expr::Like { expr, .. } => compared.add(expr),
            _ => return None,
        }
        Some(compared)
    }

    fn add(&mut self, side: &'a Expr) {
        match side {
            Expr::Set(items) => items.iter().for_each(|it| self.add(it)),
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.choices.push(cond);
                self.add(then_expr);
                self.add(else_expr);
            }
            value => self.values.push(value),
        }
    }
}

/// Whether an expression is a connection's name: the target's, or the one that a tool is told.
fn is_connection(expr: &Expr) -> bool {
    match expr {
        Expr::GetAttr { expr: of, attr } if attr == "connection" => {
            matches!(&**of, Expr::Var(Var::Resource)) || walk::path(of).as_deref() == Some(&["input"])
        }
        _ => false,
    }
}

/// Whether an expression could be one, however it comes by its target.
fn is_any_connection(expr: &Expr) -> bool {
    let named = matches!(expr, Expr::GetAttr { attr, .. } if attr == "connection");
    is_connection(expr) || named && walk::path(expr).is_none()
}

/// Whether an expression is an attribute of the target or the context, and no text that stands in the rule.
fn is_attribute(expr: &Expr) -> bool {
    match expr {
        Expr::GetAttr { expr: of, .. } => matches!(&**of, Expr::Var(_)) || is_attribute(of),
        _ => false,
    }
}
