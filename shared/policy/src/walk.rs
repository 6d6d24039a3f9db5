//! What does a condition look at? Walks Cedar's syntax trees.

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, PatternElem, Var};

/// What the conditions of a rule depend on beside its scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// The arguments.
    pub(crate) input: bool,
    /// Approvals or a confirmation.
    pub(crate) agreement: bool,
    /// The target, beyond its scope.
    pub(crate) resource: bool,
    /// The target as itself: more than its connection, its kind and what it is in.
    pub(crate) object: bool,
    /// Anything that differs from call to call.
    pub(crate) context: bool,
    /// The instant of the call.
    pub(crate) now: bool,
    /// How lately a witness has cosigned the log.
    pub(crate) witnessed: bool,
    /// How often the caller has called.
    pub(crate) usage: bool,
    /// The change ticket that the call names.
    pub(crate) change: bool,
    /// Whether whoever asks must be in the target's team.
    pub(crate) own_team: bool,
}

impl Uses {
    /// Whether it depends on what is not known before a call is made.
    pub(crate) fn call(&self) -> bool {
        self.input || self.usage || self.change
    }
}

/// Every part of an expression, outermost first.
pub(crate) fn parts(root: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let mut ahead = vec![root];
    while let Some(expr) = ahead.pop() {
        found.push(expr);
        ahead.extend(children(expr));
    }
    found
}

/// What stands directly below an expression.
pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. }
        | Expr::Is { expr, in_expr: None, .. } => vec![expr],
        Expr::Is { expr, in_expr: Some(within), .. } => vec![expr, within],
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::IfThenElse { cond, then_expr, else_expr } => vec![cond, then_expr, else_expr],
        Expr::Set(items) => items.iter().map(AsRef::as_ref).collect(),
        Expr::Record(fields) => fields.values().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}

/// The path below `context`, if that is all an expression is: `context.input.window` is `["input", "window"]`.
pub(crate) fn path(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Var(Var::Context) => Some(Vec::new()),
        Expr::GetAttr { expr, attr } => {
            let mut path = path(expr)?;
            path.push(attr);
            Some(path)
        }
        _ => None,
    }
}

/// A path below `context` that an expression reads, or only asks for with `has`.
#[derive(Debug)]
pub(crate) struct Mention<'a> {
    pub(crate) path: Vec<&'a str>,
    pub(crate) asked: bool,
}

/// Every path below `context` in an expression, longest forms only.
pub(crate) fn mentions(root: &Expr) -> Vec<Mention<'_>> {
    let mut found = Vec::new();
    let mut ahead = vec![root];
    while let Some(expr) = ahead.pop() {
        if let Some(path) = path(expr) {
            found.push(Mention { path, asked: false });
        } else if let Expr::HasAttr { expr: of, attrs } = expr
            && let Some(mut path) = path(of)
        {
            path.extend(attrs.iter().map(|it| it.as_str()));
            found.push(Mention { path, asked: true });
        } else {
            ahead.extend(children(expr));
        }
    }
    found
}

/// What some clauses depend on.
pub(crate) fn uses(clauses: &[Clause]) -> Uses {
    let mut uses = Uses { own_team: demands_own_team(clauses), ..Uses::default() };
    for (_, expr) in clauses.iter().map(sides) {
        let count = |of: fn(&Expr) -> bool| parts(expr).into_iter().filter(|it| of(it)).count();
        let resources = count(|it| matches!(it, Expr::Var(Var::Resource)));
        uses.resource |= resources > 0;
        uses.object |= resources > count(is_about_place) || count(is_target) > 0;
        uses.context |= count(|it| matches!(it, Expr::Var(Var::Context))) > 0;
        for mention in mentions(expr) {
            match mention.path.first() {
                Some(&"input") => uses.input = true,
                Some(&"approvals" | &"confirmed") => uses.agreement = true,
                Some(&"now") => uses.now = true,
                Some(&"witnessed_seconds") => uses.witnessed = true,
                Some(&"usage") => uses.usage = true,
                Some(&"change") => uses.change = true,
                Some(_) => {}
                // The whole context: anything in it.
                None => {
                    (uses.input, uses.agreement, uses.now, uses.witnessed) = (true, true, true, true);
                    (uses.usage, uses.change) = (true, true);
                }
            }
        }
    }
    uses
}

/// Whether clauses demand that whoever asks is in the target's team.
fn demands_own_team(clauses: &[Clause]) -> bool {
    fn demands(expr: &Expr) -> bool {
        match expr {
            Expr::BinaryOp { op: BinaryOp::And, left, right } => demands(left) || demands(right),
            Expr::BinaryOp { op: BinaryOp::In, left, right } => {
                let is = |it: &Expr, var: Var| matches!(it, Expr::Var(it) if *it == var);
                let of_target = |it: &Expr| matches!(it, Expr::GetAttr { expr, attr } if attr == "team" && is(expr, Var::Resource));
                is(left, Var::Principal) && of_target(right)
            }
            _ => false,
        }
    }
    clauses.iter().any(|it| matches!(it, Clause::When(expr) if demands(expr)))
}

/// Whether an expression mentions the target once, and only for its connection, its kind, its team or what it is in.
fn is_about_place(expr: &Expr) -> bool {
    let is_resource = |it: &Expr| matches!(it, Expr::Var(Var::Resource));
    match expr {
        Expr::GetAttr { expr, attr } => {
            is_resource(expr) && ["connection", "kind", "team"].contains(&attr.as_str())
        }
        Expr::BinaryOp { op: BinaryOp::In, left, right } => {
            is_resource(left) && matches!(&**right, Expr::Literal(Literal::EntityUID(_)))
        }
        _ => false,
    }
}

/// Whether an expression names one target.
fn is_target(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(Literal::EntityUID(uid)) if uid.ty.to_string() == "Target")
}

/// Whether a clause is `when`, and its expression.
pub(crate) fn sides(clause: &Clause) -> (bool, &Expr) {
    match clause {
        Clause::When(expr) => (true, expr),
        Clause::Unless(expr) => (false, expr),
    }
}

/// One expression that holds exactly when all clauses do.
pub(crate) fn condition(clauses: &[Clause]) -> Option<String> {
    let each = clauses.iter().map(|it| match sides(it) {
        (true, expr) => format!("({expr})"),
        (false, expr) => format!("!({expr})"),
    });
    each.reduce(|all, one| format!("{all} && {one}"))
}

/// First part of an expression that makes its truth fall, or do anything but grow, when people agree.
///
/// Only `context.confirmed` and `context.approvals >= 1..3` under `&&`, `||` and the branches of `if` are sure to grow.
pub(crate) fn misplaced_agreement(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        _ if path(expr).as_deref() == Some(&["confirmed"]) => None,
        Expr::BinaryOp { op: BinaryOp::GreaterEq, left, right }
            if path(left).as_deref() == Some(&["approvals"])
                && matches!(&**right, Expr::Literal(Literal::Long(1..=3))) =>
        {
            None
        }
        Expr::BinaryOp { op: BinaryOp::And | BinaryOp::Or, left, right } => {
            misplaced_agreement(left).or_else(|| misplaced_agreement(right))
        }
        Expr::IfThenElse { cond, then_expr, else_expr } => any_agreement(cond)
            .or_else(|| misplaced_agreement(then_expr))
            .or_else(|| misplaced_agreement(else_expr)),
        _ => any_agreement(expr),
    }
}

/// First mention of what was used that does anything but compare it with a number. An equation would hold for one call and
/// not for the next, and what is always there need not be asked for.
pub(crate) fn misplaced_usage(expr: &Expr) -> Option<Vec<&str>> {
    use BinaryOp::{Greater, GreaterEq, Less, LessEq};
    let is_usage = |it: &Expr| path(it).is_some_and(|it| matches!(*it, ["usage", _]));
    let is_number = |it: &Expr| matches!(it, Expr::Literal(Literal::Long(_)));
    match expr {
        Expr::BinaryOp { op: Greater | GreaterEq | Less | LessEq, left, right }
            if is_usage(left) && is_number(right) || is_number(left) && is_usage(right) =>
        {
            None
        }
        // As a whole it is no word of policies anyway.
        _ if path(expr).is_some() => path(expr).filter(|it| it.len() > 1 && it[0] == "usage"),
        Expr::HasAttr { .. } => {
            mentions(expr).into_iter().map(|it| it.path).find(|it| it.first() == Some(&"usage"))
        }
        _ => children(expr).into_iter().find_map(misplaced_usage),
    }
}

/// First mention of approvals, a confirmation or the whole context.
pub(crate) fn any_agreement(expr: &Expr) -> Option<Vec<&str>> {
    let agrees = |it: &Vec<&str>| matches!(it.first(), None | Some(&"approvals" | &"confirmed"));
    mentions(expr).into_iter().map(|it| it.path).find(agrees)
}

/// A text literal.
pub(crate) fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}

/// Whether `like` holds.
pub(crate) fn like(pattern: &[PatternElem], text: &str) -> bool {
    // Which beginnings of the text, by their length, are like the pattern so far: no pattern takes long.
    let mut alike = vec![false; text.chars().count() + 1];
    alike[0] = true;
    for element in pattern {
        match element {
            PatternElem::Wildcard => {
                let mut reached = false;
                for it in &mut alike {
                    reached |= *it;
                    *it = reached;
                }
            }
            PatternElem::Char(one) => {
                let longer = text.chars().zip(&alike).map(|(letter, before)| *before && letter == *one);
                alike = std::iter::once(false).chain(longer).collect();
            }
        }
    }
    alike.ends_with(&[true])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_like_any_letters_or_none() {
        let like = |pattern: &str, text: &str| {
            let element = |it| if it == '*' { PatternElem::Wildcard } else { PatternElem::Char(it) };
            super::like(&pattern.chars().map(element).collect::<Vec<_>>(), text)
        };
        for (pattern, text) in
            [("", ""), ("*", ""), ("*", "a"), ("a*", "a"), ("*b*", "abc"), ("a*c", "abbc"), ("é", "é")]
        {
            assert!(like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("a", ""), ("a", "ab"), ("a*c", "ab"), ("*b", "abc"), ("b*", "abc")]
        {
            assert!(!like(pattern, text), "{pattern} {text}");
        }
        assert!(!like(&"*a".repeat(40), &"a".repeat(39)));
    }
}
