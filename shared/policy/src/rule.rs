//! One rule: whom, what and where it is about, and what it says when it matches.

use std::{collections::BTreeSet, sync::OnceLock};

use cedar_policy::{
    ActionConstraint, EntityUid, Expression, PrincipalConstraint, ResourceConstraint, pst::Clause,
};

use crate::{RuleEffect, RuleLine, family::Family, walk, walk::Uses};

/// A rule that was checked.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) line: RuleLine,
    pub(crate) instead: Option<String>,
    /// Actions it is about, groups resolved.
    pub(crate) actions: BTreeSet<String>,
    pub(crate) principal: Reach,
    pub(crate) resource: Reach,
    pub(crate) uses: Uses,
    /// Its clauses as one condition; none when the scope is all there is.
    pub(crate) condition: Option<Condition>,
}

/// A condition as text, and parsed when it is first asked for by itself.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) text: String,
    parsed: OnceLock<Option<Expression>>,
}

/// An entity as policies name it: `Team::"checkout"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entity {
    pub(crate) kind: String,
    pub(crate) id: String,
}

/// Which entities a scope is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// `is Target`.
    pub(crate) kind: Option<String>,
    pub(crate) entity: Pinned,
}

/// Which entity a scope names, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// None.
    No,
    /// `== Target::"…"`.
    Is(Entity),
    /// `in Team::"…"`.
    In(Entity),
}

impl Rule {
    /// Takes from Cedar's syntax tree what deciding needs: the tree itself is many times as large as its text.
    pub(crate) fn new(
        policy: &cedar_policy::Policy,
        clauses: &[Clause],
        family: &Family,
        place: String,
    ) -> Rule {
        let annotation = |key: &str| policy.annotation(key).filter(|it| !it.is_empty()).map(str::to_owned);
        let effect = match policy.effect() {
            cedar_policy::Effect::Permit => RuleEffect::Permit,
            cedar_policy::Effect::Forbid => RuleEffect::Forbid,
        };
        let line = RuleLine { id: policy.id().to_string(), effect, place, reason: annotation("reason") };
        Rule {
            line,
            instead: annotation("instead"),
            actions: actions(&policy.action_constraint(), family),
            principal: Reach::principal(&policy.principal_constraint()),
            resource: Reach::resource(&policy.resource_constraint()),
            uses: walk::uses(clauses),
            condition: walk::condition(clauses).map(|text| Condition { text, parsed: OnceLock::new() }),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.line.id
    }

    pub(crate) fn forbids(&self) -> bool {
        self.line.effect == RuleEffect::Forbid
    }
}

/// Names of the actions that a scope reaches.
pub(crate) fn actions(scope: &ActionConstraint, family: &Family) -> BTreeSet<String> {
    let owned = |it: BTreeSet<&str>| it.into_iter().map(str::to_owned).collect();
    match scope {
        ActionConstraint::Any => owned(family.leaves().map(|(name, _)| name).collect()),
        ActionConstraint::Eq(uid) => owned(family.reached(uid.id().unescaped())),
        ActionConstraint::In(uids) => {
            owned(uids.iter().flat_map(|it| family.reached(it.id().unescaped())).collect())
        }
    }
}

impl Condition {
    /// Parsed; `None` if Cedar cannot read what it wrote, which every caller treats as an error of evaluation.
    pub(crate) fn expression(&self) -> Option<&Expression> {
        self.parsed.get_or_init(|| self.text.parse().ok()).as_ref()
    }
}

impl Entity {
    pub(crate) fn new(kind: &str, id: &str) -> Entity {
        Entity { kind: kind.to_owned(), id: id.to_owned() }
    }
}

impl From<&EntityUid> for Entity {
    fn from(uid: &EntityUid) -> Entity {
        Entity { kind: uid.type_name().to_string(), id: uid.id().unescaped().to_owned() }
    }
}

impl Reach {
    fn principal(scope: &PrincipalConstraint) -> Reach {
        let (kind, entity) = match scope {
            PrincipalConstraint::Any => (None, Pinned::No),
            PrincipalConstraint::Is(kind) => (Some(kind.to_string()), Pinned::No),
            PrincipalConstraint::Eq(uid) => (None, Pinned::Is(uid.into())),
            PrincipalConstraint::In(uid) => (None, Pinned::In(uid.into())),
            PrincipalConstraint::IsIn(kind, uid) => (Some(kind.to_string()), Pinned::In(uid.into())),
        };
        Reach { kind, entity }
    }

    fn resource(scope: &ResourceConstraint) -> Reach {
        let (kind, entity) = match scope {
            ResourceConstraint::Any => (None, Pinned::No),
            ResourceConstraint::Is(kind) => (Some(kind.to_string()), Pinned::No),
            ResourceConstraint::Eq(uid) => (None, Pinned::Is(uid.into())),
            ResourceConstraint::In(uid) => (None, Pinned::In(uid.into())),
            ResourceConstraint::IsIn(kind, uid) => (Some(kind.to_string()), Pinned::In(uid.into())),
        };
        Reach { kind, entity }
    }

    /// Whether an entity with these parents, at any height, is among them.
    pub(crate) fn covers(&self, entity: &Entity, parents: &[Entity]) -> bool {
        self.kind.as_ref().is_none_or(|it| *it == entity.kind)
            && match &self.entity {
                Pinned::No => true,
                Pinned::Is(named) => named == entity,
                Pinned::In(named) => named == entity || parents.contains(named),
            }
    }
}
