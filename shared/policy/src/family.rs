//! What can a rule be about? The family's actions and their arguments, read back from the committed schema.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::SchemaFragment;
use serde_json::Value;

use crate::schema::SEPARATOR;

/// Every action of the schema, by name.
#[derive(Debug)]
pub(crate) struct Family {
    actions: BTreeMap<String, Action>,
}

/// One action, or a group of them.
#[derive(Debug)]
pub(crate) struct Action {
    /// Groups it is in, directly and through them.
    pub(crate) groups: BTreeSet<String>,
    /// Its context; none for a group.
    pub(crate) context: Option<Record>,
}

/// A record's attributes.
pub(crate) type Record = BTreeMap<String, Field>;

/// One attribute.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) kind: Kind,
    pub(crate) required: bool,
}

/// What an attribute can hold.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A text; of these words only, if they are known.
    Text(Option<Vec<String>>),
    Long,
    Bool,
    Set(Box<Kind>),
    Record(Record),
    /// A date or an entity: rules may use it, arguments cannot hold it.
    Other,
}

impl Family {
    /// Reads a schema. The error is what Cedar says.
    pub(crate) fn read(fragment: SchemaFragment) -> Result<Family, String> {
        let json = fragment.to_json_value().map_err(|it| it.to_string())?;
        let Some(declared) = json.pointer("//actions").and_then(Value::as_object) else {
            return Err("it declares no actions outside a namespace".to_owned());
        };
        let parents = |name: &str| -> Vec<String> {
            let of = declared.get(name).and_then(|it| it.get("memberOf")).and_then(Value::as_array);
            of.into_iter().flatten().filter_map(|it| Some(it.get("id")?.as_str()?.to_owned())).collect()
        };
        let named = json.pointer("//commonTypes");
        let mut actions = BTreeMap::new();
        for (name, action) in declared {
            let mut groups = BTreeSet::new();
            let mut ahead = parents(name);
            while let Some(group) = ahead.pop() {
                if groups.insert(group.clone()) {
                    ahead.extend(parents(&group));
                }
            }
            let context = match action.pointer("/appliesTo/context") {
                Some(context) => {
                    Some(record(context, named).ok_or(format!("context of `{name}` is no record"))?)
                }
                None => None,
            };
            actions.insert(name.clone(), Action { groups, context });
        }
        Ok(Family { actions })
    }

    /// An action or group.
    pub(crate) fn action(&self, name: &str) -> Option<&Action> {
        self.actions.get(name)
    }

    /// Names of all actions and groups.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.actions.keys().map(String::as_str)
    }

    /// Names of all actions that are not groups.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (&str, &Action)> {
        self.actions.iter().filter(|(_, it)| it.context.is_some()).map(|(name, it)| (name.as_str(), it))
    }

    /// Names of all tools.
    pub(crate) fn tools(&self) -> impl Iterator<Item = (&str, &Action)> {
        self.leaves().filter(|(_, it)| it.groups.contains("call"))
    }

    /// An action itself, or the actions of a group, at any depth. Nothing for an unknown name.
    pub(crate) fn reached(&self, name: &str) -> BTreeSet<&str> {
        self.leaves()
            .filter(|(leaf, it)| *leaf == name || it.groups.contains(name))
            .map(|(leaf, _)| leaf)
            .collect()
    }
}

impl Action {
    /// Whether it is in the group of an effect.
    pub(crate) fn has_effect(&self, word: &str) -> bool {
        self.groups.iter().any(|it| it.strip_prefix("effect:") == Some(word))
    }

    /// The arguments of a tool.
    pub(crate) fn input(&self) -> Option<&Record> {
        match &self.context.as_ref()?.get("input")?.kind {
            Kind::Record(input) => Some(input),
            _ => None,
        }
    }

    /// What stands at a path of the context, e.g. `["input", "window"]`.
    pub(crate) fn field(&self, path: &[&str]) -> Option<&Field> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.context.as_ref()?.get(*first)?, |field, name| match &field.kind {
            Kind::Record(inner) => inner.get(*name),
            _ => None,
        })
    }
}

impl Kind {
    /// The only words that it, or each of its items, can hold.
    pub(crate) fn words(&self) -> Option<&[String]> {
        match self {
            Kind::Text(words) => words.as_deref(),
            Kind::Set(items) => items.words(),
            _ => None,
        }
    }
}

/// `named` are the types that the schema gives a name.
fn record(json: &Value, named: Option<&Value>) -> Option<Record> {
    let attributes = json.get("attributes")?.as_object()?;
    attributes
        .iter()
        .map(|(name, field)| {
            let required = field.get("required").and_then(Value::as_bool).unwrap_or(true);
            let words = field.pointer("/annotations/values").and_then(Value::as_str);
            let words = words.map(|it| it.split(SEPARATOR).map(str::to_owned).collect());
            Some((name.clone(), Field { kind: kind(field, words, named)?, required }))
        })
        .collect()
}

fn kind(json: &Value, words: Option<Vec<String>>, named: Option<&Value>) -> Option<Kind> {
    let word = json.get("type")?.as_str()?;
    let word = if word == "EntityOrCommon" { json.get("name")?.as_str()? } else { word };
    // Cedar refuses types that name each other in a circle.
    if let Some(meant) = named.and_then(|it| it.get(word)) {
        return kind(meant, words, named);
    }
    Some(match word.strip_prefix("__cedar::").unwrap_or(word) {
        "String" => Kind::Text(words),
        "Long" => Kind::Long,
        "Bool" | "Boolean" => Kind::Bool,
        "Set" => Kind::Set(Box::new(kind(json.get("element")?, words, named)?)),
        "Record" => Kind::Record(record(json, named)?),
        _ => Kind::Other,
    })
}
