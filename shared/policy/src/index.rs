//! Which rules can apply? Found by action, by what the target is in, and by who asks; the rest cost nothing.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    Caller, Target, asked,
    rule::{Entity, Pinned, Rule},
    screen::Screen,
    slice::Slice,
};

/// Answers kept at once: callers × tools × places; more start over.
const KEPT: usize = 2048;

/// Rules by action and resource scope, and the slices that were asked for.
#[derive(Debug)]
pub(crate) struct Index {
    shelves: HashMap<String, Shelf>,
    slices: Kept<Slice>,
    screens: Kept<Screen>,
}

/// What was asked for lately, by everything that it depends on.
#[derive(Debug)]
struct Kept<T>(RwLock<HashMap<Vec<u8>, Arc<T>>>);

/// Rules about one action, as positions in the set.
#[derive(Debug, Default)]
struct Shelf {
    /// Whatever the target.
    anywhere: Vec<usize>,
    /// Where the target is, or is in, an entity.
    within: HashMap<Entity, Vec<usize>>,
    /// Whether some rule names one target, so that slices differ by target.
    single: bool,
}

impl Index {
    pub(crate) fn new(rules: &[Rule]) -> Index {
        let mut shelves: HashMap<String, Shelf> = HashMap::new();
        for (at, rule) in rules.iter().enumerate() {
            for action in &rule.actions {
                let shelf = shelves.entry(action.clone()).or_default();
                match &rule.resource.entity {
                    Pinned::No => shelf.anywhere.push(at),
                    Pinned::Is(entity) | Pinned::In(entity) => {
                        shelf.single |= entity.kind == "Target";
                        shelf.within.entry(entity.clone()).or_default().push(at);
                    }
                }
            }
        }
        Index { shelves, slices: Kept::new(), screens: Kept::new() }
    }

    /// Positions of all rules about an action, in order.
    pub(crate) fn about(&self, action: &str) -> Vec<usize> {
        let Some(shelf) = self.shelves.get(action) else { return Vec::new() };
        let mut found: Vec<usize> =
            shelf.anywhere.iter().chain(shelf.within.values().flatten()).copied().collect();
        found.sort_unstable();
        found
    }

    /// The rules whose scope covers a caller, a tool and a target. `make` turns them into a slice when it is not kept.
    pub(crate) fn slice(
        &self,
        rules: &[Rule],
        caller: &Caller,
        tool: &str,
        target: &Target,
        make: impl FnOnce(Vec<usize>) -> Result<Slice, String>,
    ) -> Result<Arc<Slice>, String> {
        let Some(shelf) = self.shelves.get(tool) else { return make(Vec::new()).map(Arc::new) };
        let key = key(caller, tool, Some((target, shelf.single)));
        self.slices.get(key, || make(shelf.covering(rules, caller, target)))
    }

    /// The rules about a tool whose scope covers a caller, wherever the target is.
    pub(crate) fn screen(&self, rules: &[Rule], caller: &Caller, tool: &str) -> Arc<Screen> {
        let make = || Ok::<_, Infallible>(Screen::new(rules, self.about(tool), caller));
        let Ok(screen) = self.screens.get(key(caller, tool, None), make);
        screen
    }
}

impl<T> Kept<T> {
    fn new() -> Kept<T> {
        Kept(RwLock::default())
    }

    fn get<E>(&self, key: Vec<u8>, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some(kept) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(kept.clone());
        }
        let made = Arc::new(make()?);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, made.clone());
        Ok(made)
    }
}

impl Shelf {
    fn covering(&self, rules: &[Rule], caller: &Caller, target: &Target) -> Vec<usize> {
        let (resource, within) = (asked::resource(target), asked::resource_parents(target));
        let (principal, parents) = (asked::principal(caller), asked::principal_parents(caller));
        let near = within.iter().chain([&resource]).filter_map(|it| self.within.get(it)).flatten();
        let mut found: Vec<usize> = (self.anywhere.iter().chain(near).copied())
            .filter(|at| {
                let rule = &rules[*at];
                rule.principal.covers(&principal, &parents) && rule.resource.covers(&resource, &within)
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Everything that a slice depends on, each part behind its length so that no two questions share a key.
fn key(caller: &Caller, tool: &str, place: Option<(&Target, bool)>) -> Vec<u8> {
    let mut key = Vec::with_capacity(192);
    let mut push = |part: &str| {
        key.extend_from_slice(&part.len().to_le_bytes());
        key.extend_from_slice(part.as_bytes());
    };
    let person = caller.on_behalf_of.as_deref();
    for part in [tool, &caller.agent, person.map_or("", |_| "person"), person.unwrap_or_default()] {
        push(part);
    }
    if let Some((target, single)) = place {
        let parts = [&target.environment, &target.region, &target.team, &target.tier, &target.connection];
        parts.into_iter().for_each(|it| push(it));
        push(&target.kind);
        push(if single { &target.id } else { "" });
    }
    for team in &caller.teams {
        push(team);
    }
    key
}
