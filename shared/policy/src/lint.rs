//! Which rules are refused although Cedar would take them? Everything that could mean less than it seems to say.

use std::collections::BTreeSet;

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, PrincipalConstraint, ResourceConstraint,
    pst::{BinaryOp, Expr, PatternElem},
};

use crate::{
    Scope, Usage, Vocabulary, connections,
    family::{Action, Family, Field, Kind},
    problem::{Problem, did_you_mean},
    rule,
    schema::quote,
    source::Draft,
    walk,
};

const ANNOTATIONS: [&str; 3] = ["id", "reason", "instead"];

/// Says all that is wrong with one rule.
pub(crate) fn check(draft: &Draft<'_>, family: &Family, vocabulary: &Vocabulary) -> Vec<Problem> {
    let lint = Lint { draft, family, vocabulary };
    let reached = rule::actions(&draft.policy.action_constraint(), family);
    let actions: Vec<&Action> = reached.iter().filter_map(|it| family.action(it)).collect();
    let mut found = lint.annotations();
    found.extend(lint.entities());
    found.extend(lint.scope());
    found.extend(lint.action_scope(actions.is_empty()));
    found.extend(lint.approve(&reached));
    found.extend(connections::check(draft, vocabulary));
    if !actions.is_empty() {
        for (when, expr) in draft.clauses.iter().map(walk::sides) {
            found.extend(lint.mentions(expr, &actions));
            found.extend(lint.literals(expr, &actions));
            found.extend(lint.agreement(when, expr));
            found.extend(lint.usage(expr));
        }
    }
    found
}

struct Lint<'a> {
    draft: &'a Draft<'a>,
    family: &'a Family,
    vocabulary: &'a Vocabulary,
}

impl Lint<'_> {
    fn annotations(&self) -> Vec<Problem> {
        let unknown = self.draft.policy.annotations().filter(|(key, _)| !ANNOTATIONS.contains(key));
        let say = |key: &str| {
            let found = self.draft.problem(&["@", key], 0, format!("unknown annotation @{key}"));
            found.hint(did_you_mean(key, ANNOTATIONS))
        };
        unknown.map(|(key, _)| say(key)).collect()
    }

    /// Entities of enumerated types must be among their members, and actions of the family.
    fn entities(&self) -> Vec<Problem> {
        let policy = &self.draft.policy;
        let mut named: Vec<EntityUid> = policy.entity_literals();
        named.sort();
        named.dedup();
        named.iter().filter_map(|it| self.entity(it)).collect()
    }

    fn entity(&self, uid: &EntityUid) -> Option<Problem> {
        let (kind, id) = (uid.type_name().to_string(), uid.id().unescaped());
        let (what, names): (_, BTreeSet<&str>) = match kind.as_str() {
            "Action" => ("action", self.family.names().collect()),
            _ => ("member", self.vocabulary.members(&kind)?),
        };
        if names.contains(id) {
            return None;
        }
        let message = match what {
            "action" => format!("no tool or group of tools is called `{id}`"),
            _ if kind == "DataClass" => format!("no class of data that can be revealed is called `{id}`"),
            _ => format!("no {} is called `{id}`", kind.to_lowercase()),
        };
        let found = self.draft.problem(&[&kind, "::", &quote(id)], 0, message);
        Some(found.hint(did_you_mean(id, names)))
    }

    /// Files of one team, and files that may only narrow.
    fn scope(&self) -> Option<Problem> {
        let policy = &self.draft.policy;
        match self.draft.origin.scope {
            Scope::Full => None,
            Scope::Narrow if policy.effect() == Effect::Forbid => None,
            Scope::Narrow => {
                let found = self.draft.problem(&["permit", "("], 0, "this file may only narrow");
                Some(found.hint("write forbid rules here; permit in your own policy files"))
            }
            Scope::Team(team) => {
                let within = match policy.resource_constraint() {
                    ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => Some(uid),
                    _ => None,
                };
                if within
                    .is_some_and(|it| it.type_name().to_string() == "Team" && it.id().unescaped() == team)
                {
                    return None;
                }
                let message = format!("a rule of team `{team}` that reaches beyond its targets");
                let found = self.draft.problem(&["resource"], 0, message);
                Some(found.hint(format!("write resource in Team::{}", quote(team))))
            }
        }
    }

    /// A rule about no action says nothing.
    fn action_scope(&self, nothing: bool) -> Option<Problem> {
        let named: Vec<EntityUid> = match self.draft.policy.action_constraint() {
            ActionConstraint::Any => Vec::new(),
            ActionConstraint::Eq(uid) => vec![uid],
            ActionConstraint::In(uids) => uids,
        };
        if named.is_empty() && nothing {
            let found = self.draft.problem(&["action"], 0, "a rule that matches no tool");
            return Some(found.hint("say which: action == Action::\"…\" or action in Action::\"call\""));
        }
        let exact = matches!(self.draft.policy.action_constraint(), ActionConstraint::Eq(_));
        let reaches = |uid: &EntityUid| {
            let id = uid.id().unescaped();
            let reached = self.family.reached(id);
            // `==` a group matches no call: calls are of tools.
            if exact { reached.contains(id) } else { !reached.is_empty() }
        };
        let idle =
            named.iter().find(|it| self.family.action(it.id().unescaped()).is_some() && !reaches(it))?;
        let id = idle.id().unescaped();
        let found = self.draft.problem(
            &["Action", "::", &quote(id)],
            0,
            format!("`{id}` matches no tool of the family"),
        );
        Some(found.hint(match exact && !self.family.reached(id).is_empty() {
            true => format!("it is a group: write action in Action::{}", quote(id)),
            false => "leave the rule out until there is such a tool".to_owned(),
        }))
    }

    /// Only a person approves and breaks the glass: no rule may let an agent, and none the latter that does not name it.
    fn approve(&self, reached: &BTreeSet<String>) -> Option<Problem> {
        let policy = &self.draft.policy;
        let persons = ["approve", "break_glass"].iter().any(|it| reached.contains(*it));
        if policy.effect() != Effect::Permit || !persons {
            return None;
        }
        let is_user = |kind: &str| kind == "User";
        let only_people = match policy.principal_constraint() {
            PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => is_user(&kind.to_string()),
            PrincipalConstraint::Eq(uid) => is_user(&uid.type_name().to_string()),
            PrincipalConstraint::Any | PrincipalConstraint::In(_) => false,
        };
        let any = matches!(policy.action_constraint(), ActionConstraint::Any);
        if only_people && any {
            let found = self.draft.problem(&["action"], 0, "this permits breaking the glass too");
            return Some(found.hint("name what is meant, e.g. action == Action::\"approve\""));
        }
        if only_people {
            return None;
        }
        if any {
            let found = self.draft.problem(&["action"], 0, "this permits approving and revealing too");
            return Some(found.hint("for every tool, write action in Action::\"call\""));
        }
        let what = if reached.contains("approve") { "approve" } else { "break the glass" };
        let found = self.draft.problem(&["principal"], 0, format!("an agent could {what} by this rule"));
        Some(
            found.hint(
                "write principal is User, principal == User::\"…\" or principal is User in Team::\"…\"",
            ),
        )
    }

    /// Every path below `context` must be one that an action in scope has; Cedar lets `has` ask for anything.
    fn mentions(&self, expr: &Expr, actions: &[&Action]) -> Vec<Problem> {
        walk::mentions(expr).iter().filter_map(|it| self.mention(it, actions)).collect()
    }

    fn mention(&self, mention: &walk::Mention<'_>, actions: &[&Action]) -> Option<Problem> {
        let path = mention.path.as_slice();
        let fields: Vec<&Field> = actions.iter().filter_map(|it| it.field(path)).collect();
        let whole = fields.iter().any(|it| matches!(it.kind, Kind::Record(_)));
        match path.split_last() {
            None => {
                let found = self.draft.problem(&["context"], 0, "the whole context is no word of policies");
                Some(found.hint("name what you mean, e.g. context.input.…"))
            }
            Some((last, _)) if whole && !mention.asked => {
                let found =
                    self.at(last, format!("`context.{}` as a whole is no word of policies", path.join(".")));
                Some(found.hint("compare its attributes one by one"))
            }
            Some((last, parent)) if fields.is_empty() => {
                let mut names = BTreeSet::new();
                for action in actions {
                    names.extend(names_at(action, parent));
                }
                let message = match parent {
                    ["input"] => format!("no tool in scope has an argument `{last}`"),
                    _ => format!("nothing in scope has `context.{}`", path.join(".")),
                };
                Some(self.at(last, message).hint(did_you_mean(last, names)))
            }
            _ => None,
        }
    }

    /// A problem at an attribute, however it is written.
    fn at(&self, attribute: &str, message: String) -> Problem {
        let quoted = quote(attribute);
        let rows: [(&[&str], usize); 6] = [
            (&[".", attribute], 1),
            (&["has", attribute], 1),
            (&["[", &quoted], 1),
            (&["has", &quoted], 1),
            (&[attribute], 0),
            (&[&quoted], 0),
        ];
        let text = self.draft.text();
        let row = rows.iter().find(|(row, from)| crate::syntax::find(text, row, *from).is_some());
        let (row, from) = row.copied().unwrap_or((&["context"], 0));
        self.draft.problem(row, from, message)
    }

    /// Texts that a closed set of words is compared with must be among them.
    fn literals(&self, expr: &Expr, actions: &[&Action]) -> Vec<Problem> {
        let mut found = Vec::new();
        for part in walk::parts(expr) {
            let (attribute, literals) = match part {
                Expr::BinaryOp { op: BinaryOp::Eq | BinaryOp::NotEq, left, right } => {
                    match walk::path(left) {
                        Some(path) => (path, vec![&**right]),
                        None => (walk::path(right).unwrap_or_default(), vec![&**left]),
                    }
                }
                Expr::BinaryOp {
                    op: BinaryOp::Contains | BinaryOp::ContainsAll | BinaryOp::ContainsAny,
                    left,
                    right,
                } => match walk::path(left) {
                    Some(path) => (path, vec![&**right]),
                    None => (walk::path(right).unwrap_or_default(), vec![&**left]),
                },
                Expr::Like { expr, pattern } => {
                    found.extend(walk::path(expr).and_then(|path| self.pattern(&path, pattern, actions)));
                    continue;
                }
                _ => continue,
            };
            let Some(words) = words(&attribute, actions) else { continue };
            let texts = literals.into_iter().flat_map(walk::parts).filter_map(walk::text);
            for text in texts.filter(|it| !words.contains(it)) {
                let message = format!("`context.{}` is never {}", attribute.join("."), quote(text));
                let hint = did_you_mean(text, words.iter().copied());
                found.push(self.draft.problem(&[&quote(text)], 0, message).hint(hint));
            }
        }
        found
    }

    fn pattern(&self, path: &[&str], pattern: &[PatternElem], actions: &[&Action]) -> Option<Problem> {
        let words = words(path, actions)?;
        if words.iter().any(|it| walk::like(pattern, it)) {
            return None;
        }
        let message = format!("`context.{}` is never like this", path.join("."));
        let hint = format!("there are: {}", words.into_iter().collect::<Vec<_>>().join(", "));
        Some(self.draft.problem(&["like"], 0, message).hint(hint))
    }

    /// More agreement must never deny more, so it may stand only where it opens.
    fn agreement(&self, when: bool, expr: &Expr) -> Option<Problem> {
        let opens = when == (self.draft.policy.effect() == Effect::Permit);
        let path = if opens { walk::misplaced_agreement(expr) } else { walk::any_agreement(expr) }?;
        let (last, message) = match path.first() {
            Some(&"approvals") => {
                ("approvals", "approvals may only open: un-negated, and in `>= 1` to `>= 3`")
            }
            Some(_) => ("confirmed", "a confirmation may only open: un-negated, and by itself"),
            None => return None,
        };
        let hint = match self.draft.policy.effect() {
            Effect::Permit => "write when { … && context.approvals >= 1 } or when { … && context.confirmed }",
            Effect::Forbid => "write unless { context.approvals >= 1 } or unless { context.confirmed }",
        };
        Some(self.at(last, message.to_owned()).hint(hint))
    }
}

impl Lint<'_> {
    /// What was used is a number that grows: a rule compares it with another, or means something else than it says.
    fn usage(&self, expr: &Expr) -> Option<Problem> {
        let path = walk::misplaced_usage(expr)?;
        // A name that there is not is said once.
        if let ["usage", name] = *path
            && !Usage::FIRST.attributes().iter().any(|(known, _)| *known == name)
        {
            return None;
        }
        let last = path.last().copied().unwrap_or("usage");
        let message = match path.as_slice() {
            ["usage"] => "`context.usage` is always there, and is no word by itself".to_owned(),
            _ => format!(
                "`context.{}` may only be compared with a number by `>`, `>=`, `<` or `<=`",
                path.join(".")
            ),
        };
        let hint = "a limit is a forbid: when { context.usage.calls_hour > 100 }";
        Some(self.at(last, message).hint(hint))
    }
}

/// All that an attribute can hold over the actions in scope; nothing if one of them leaves it open.
fn words<'a>(path: &[&str], actions: &[&'a Action]) -> Option<BTreeSet<&'a str>> {
    let mut words = BTreeSet::new();
    for field in actions.iter().filter_map(|it| it.field(path)) {
        words.extend(field.kind.words()?.iter().map(String::as_str));
    }
    (!words.is_empty()).then_some(words)
}

fn names_at<'a>(action: &'a Action, parent: &[&str]) -> BTreeSet<&'a str> {
    let record = match parent {
        [] => action.context.as_ref(),
        _ => match action.field(parent).map(|it| &it.kind) {
            Some(Kind::Record(record)) => Some(record),
            _ => None,
        },
    };
    record.into_iter().flat_map(|it| it.keys().map(String::as_str)).collect()
}
