//! How does a question look to Cedar? Entities, and a context that is typed by the schema.

use std::{collections::HashMap, sync::LazyLock};

use cedar_policy::{Context, Entities, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::{
    Caller, Change, Circumstances, Target, Usage,
    family::{Action, Field, Kind, Record},
    question::WEEKDAYS,
    rule::Entity,
};

/// The person's and other people's consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub(crate) approvals: u8,
    pub(crate) confirmed: bool,
}

impl Agreement {
    /// What a call brings along.
    pub(crate) fn of(circumstances: &Circumstances) -> Agreement {
        Agreement { approvals: circumstances.approvals, confirmed: circumstances.confirmed }
    }

    /// More agreement, least first: a confirmation, then one to three people, each without and with a confirmation.
    pub(crate) fn more(self) -> impl Iterator<Item = Agreement> {
        (self.approvals..=self.approvals.max(3))
            .flat_map(|approvals| [false, true].map(|confirmed| Agreement { approvals, confirmed }))
            .filter(move |it| (it.confirmed || !self.confirmed) && *it != self)
    }

    /// More than which nobody can agree.
    pub(crate) fn all(self) -> Agreement {
        Agreement { approvals: self.approvals.max(3), confirmed: true }
    }
}

/// The agent, as policies name it.
pub(crate) fn principal(caller: &Caller) -> Entity {
    Entity::new("Agent", &caller.agent)
}

/// Whom the agent is in: the person it acts for, and the teams.
pub(crate) fn principal_parents(caller: &Caller) -> Vec<Entity> {
    let person = caller.on_behalf_of.iter().map(|it| Entity::new("User", it));
    person.chain(caller.teams.iter().map(|it| Entity::new("Team", it))).collect()
}

/// A target, as policies name it: `Target::"connection/kind/id"`.
pub(crate) fn resource(target: &Target) -> Entity {
    Entity { kind: "Target".to_owned(), id: format!("{}/{}/{}", target.connection, target.kind, target.id) }
}

/// What a target is in.
pub(crate) fn resource_parents(target: &Target) -> [Entity; 4] {
    [
        Entity::new("Environment", &target.environment),
        Entity::new("Region", &target.region),
        Entity::new("Team", &target.team),
        Entity::new("Tier", &target.tier),
    ]
}

/// Types that every question names: Cedar runs its whole grammar to read one.
static TYPES: LazyLock<HashMap<&'static str, EntityTypeName>> = LazyLock::new(|| {
    let names = ["Action", "Agent", "DataClass", "Environment", "Region", "Target", "Team", "Tier", "User"];
    names.into_iter().filter_map(|it| Some((it, it.parse().ok()?))).collect()
});

/// An entity's name in Cedar's own form.
pub(crate) fn uid(entity: &Entity) -> Result<EntityUid, String> {
    let kind = match TYPES.get(entity.kind.as_str()) {
        Some(known) => known.clone(),
        None => entity.kind.parse().map_err(|_| format!("`{}` is no entity type", entity.kind))?,
    };
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(&entity.id)))
}

/// The caller and the action, with all that they are in.
pub(crate) fn caller_entities(caller: &Caller, name: &str, action: &Action) -> Result<Entities, String> {
    let bare = |uid, parents| cedar_policy::Entity::new_no_attrs(uid, parents);
    let uids = |of: &[Entity]| of.iter().map(uid).collect::<Result<_, _>>();
    let teams: Vec<Entity> = caller.teams.iter().map(|it| Entity::new("Team", it)).collect();
    let groups: Vec<Entity> = action.groups.iter().map(|it| Entity::new("Action", it)).collect();
    let mut all = vec![
        bare(uid(&principal(caller))?, uids(&principal_parents(caller))?),
        bare(uid(&Entity::new("Action", name))?, uids(&groups)?),
    ];
    if let Some(person) = &caller.on_behalf_of {
        all.push(bare(uid(&Entity::new("User", person))?, uids(&teams)?));
    }
    Entities::from_entities(all, None).map_err(|it| it.to_string())
}

/// The same, with a target beside them.
pub(crate) fn with_target(entities: &Entities, target: &Target) -> Result<Entities, String> {
    let text = |it: &str| RestrictedExpression::new_string(it.to_owned());
    let attributes = [
        ("kind".to_owned(), text(&target.kind)),
        ("id".to_owned(), text(&target.id)),
        ("connection".to_owned(), text(&target.connection)),
        ("team".to_owned(), RestrictedExpression::new_entity_uid(uid(&Entity::new("Team", &target.team))?)),
    ];
    let parents = resource_parents(target).iter().map(uid).collect::<Result<_, _>>()?;
    let entity = cedar_policy::Entity::new(uid(&resource(target))?, attributes.into(), parents)
        .map_err(|it| it.to_string())?;
    entities.clone().add_entities([entity], None).map_err(|it| it.to_string())
}

/// Whether arguments fit the schema. What does not is refused before any rule is asked: rules were checked against the
/// schema only.
pub(crate) fn fits(action: &Action, input: Option<&Map<String, Value>>) -> Result<(), String> {
    let fields = action.input().ok_or("it is no tool")?;
    input.map_or(Ok(()), |it| fits_record(fields, it, ""))
}

/// The context of a call whose arguments fit.
pub(crate) fn context(
    action: &Action,
    input: Option<&Map<String, Value>>,
    moment: &Moment,
    agreement: Agreement,
) -> Result<Context, String> {
    let fields = action.input().ok_or("it is no tool")?;
    let mut pairs = circumstance_pairs(moment);
    pairs.extend(call_pairs(moment)?);
    if let Some(input) = input {
        pairs.push(("input".to_owned(), record(fields, input)?));
    }
    pairs.push(("approvals".to_owned(), RestrictedExpression::new_long(agreement.approvals.into())));
    pairs.push(("confirmed".to_owned(), RestrictedExpression::new_bool(agreement.confirmed)));
    Context::from_pairs(pairs).map_err(|it| it.to_string())
}

/// What rules look at, and in which zone.
#[derive(Clone, Copy)]
pub(crate) struct Clock<'a> {
    pub(crate) zone: &'a TimeZone,
    /// Whether a rule looks at `now`, which Cedar takes as long to read as all the rest.
    pub(crate) now: bool,
    /// Whether a rule looks at `witnessed_seconds`, which is another every second.
    pub(crate) witnessed: bool,
    /// Whether a rule about the action looks at `usage`, which is another at every call.
    pub(crate) usage: bool,
    /// Whether a rule about the action looks at `change`.
    pub(crate) change: bool,
}

/// What a context says of the circumstances, but for agreement. Equal moments make equal contexts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    assurance: &'static str,
    channel: &'static str,
    weekday: &'static str,
    minute_of_day: i64,
    now: Option<jiff::Timestamp>,
    witnessed_seconds: Option<i64>,
    usage: Option<Usage>,
    change: Option<Change>,
}

impl Moment {
    pub(crate) fn of(circumstances: &Circumstances, clock: Clock<'_>, assurance: &'static str) -> Moment {
        // Named one by one, so that what is added to them is not left out here.
        let Circumstances { channel, now, approvals: _, confirmed: _, witnessed_seconds, usage, change } =
            circumstances;
        let (now, witnessed_seconds, usage) = (*now, *witnessed_seconds, *usage);
        let witnessed_seconds = witnessed_seconds.filter(|_| clock.witnessed);
        let local = now.to_zoned(clock.zone.clone());
        Moment {
            assurance,
            channel: channel.word(),
            weekday: WEEKDAYS[usize::from(local.weekday().to_monday_zero_offset().unsigned_abs())],
            minute_of_day: i64::from(local.hour()) * 60 + i64::from(local.minute()),
            now: clock.now.then_some(now),
            witnessed_seconds: witnessed_seconds.map(long),
            usage: usage.filter(|_| clock.usage),
            change: change.clone().filter(|_| clock.change),
        }
    }
}

/// The part of a context that only calls have. What nobody counted is left out, so that no rule about it can be evaluated: then a
/// forbid forbids, and a permit permits nothing.
fn call_pairs(moment: &Moment) -> Result<Vec<(String, RestrictedExpression)>, String> {
    let text = |it: &str| RestrictedExpression::new_string(it.to_owned());
    let record = |pairs: Vec<(String, RestrictedExpression)>| {
        RestrictedExpression::new_record(pairs).map_err(|it| it.to_string())
    };
    let mut pairs = Vec::new();
    if let Some(usage) = moment.usage {
        let attribute =
            |(name, count): (&str, u64)| (name.to_owned(), RestrictedExpression::new_long(long(count)));
        pairs.push(("usage".to_owned(), record(usage.attributes().map(attribute).to_vec())?));
    }
    if let Some(Change { id, state, approved }) = &moment.change {
        let approved = RestrictedExpression::new_bool(*approved);
        let attributes = [("id", text(id)), ("state", text(state)), ("approved", approved)];
        let attributes = attributes.map(|(name, it)| (name.to_owned(), it));
        pairs.push(("change".to_owned(), record(attributes.to_vec())?));
    }
    Ok(pairs)
}

/// As many as Cedar counts.
pub(crate) fn long(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The part of a context that is the same for calls and for revealing.
pub(crate) fn circumstance_pairs(moment: &Moment) -> Vec<(String, RestrictedExpression)> {
    let text = |it: &str| RestrictedExpression::new_string(it.to_owned());
    let mut pairs = vec![
        ("assurance".to_owned(), text(moment.assurance)),
        ("channel".to_owned(), text(moment.channel)),
        ("weekday".to_owned(), text(moment.weekday)),
        ("minute_of_day".to_owned(), RestrictedExpression::new_long(moment.minute_of_day)),
    ];
    // Absent where no witness has cosigned: a rule must ask for it first, and whatever needs it is refused.
    if let Some(seconds) = moment.witnessed_seconds {
        pairs.push(("witnessed_seconds".to_owned(), RestrictedExpression::new_long(seconds)));
    }
    if let Some(now) = moment.now {
        pairs.push(("now".to_owned(), RestrictedExpression::new_datetime(instant(now))));
    }
    pairs
}

/// As Cedar reads it, e.g. `2026-11-22T01:30:00.000Z`.
fn instant(now: jiff::Timestamp) -> String {
    let utc = TimeZone::UTC.to_datetime(now);
    let (date, time) = (utc.date(), utc.time());
    format!("{date}T{:02}:{:02}:{:02}.{:03}Z", time.hour(), time.minute(), time.second(), time.millisecond())
}

fn fits_record(fields: &Record, input: &Map<String, Value>, path: &str) -> Result<(), String> {
    let missing = fields.iter().find(|(name, field)| field.required && !input.contains_key(*name));
    if let Some((name, _)) = missing {
        return Err(format!("argument `{path}{name}` is missing"));
    }
    input.iter().try_for_each(|(name, value)| match fields.get(name) {
        Some(Field { required: false, .. }) if value.is_null() => Ok(()),
        Some(field) => fits_kind(&field.kind, value, path, name),
        None => Err(format!("argument `{path}{name}` is not in the schema")),
    })
}

fn fits_kind(kind: &Kind, value: &Value, path: &str, name: &str) -> Result<(), String> {
    match (kind, value) {
        (Kind::Text(Some(words)), Value::String(text)) if !words.contains(text) => {
            Err(format!("argument `{path}{name}` is none of its words"))
        }
        (Kind::Text(_), Value::String(_)) | (Kind::Bool, Value::Bool(_)) => Ok(()),
        (Kind::Long, Value::Number(number)) if number.is_i64() => Ok(()),
        (Kind::Set(items), Value::Array(values)) => {
            values.iter().try_for_each(|it| fits_kind(items, it, path, name))
        }
        (Kind::Record(fields), Value::Object(values)) => {
            fits_record(fields, values, &format!("{path}{name}."))
        }
        _ => Err(format!("argument `{path}{name}` is not of its type")),
    }
}

fn record(fields: &Record, input: &Map<String, Value>) -> Result<RestrictedExpression, String> {
    let given = input.iter().filter(|(_, value)| !value.is_null());
    let pairs = given.map(|(name, value)| {
        let field = fields.get(name).ok_or_else(|| format!("argument `{name}` is not in the schema"))?;
        Ok((name.clone(), expression(&field.kind, value)?))
    });
    let pairs = pairs.collect::<Result<Vec<_>, String>>()?;
    RestrictedExpression::new_record(pairs).map_err(|it| it.to_string())
}

fn expression(kind: &Kind, value: &Value) -> Result<RestrictedExpression, String> {
    let wrong = || "an argument is not of its type".to_owned();
    match (kind, value) {
        (Kind::Text(_), Value::String(text)) => Ok(RestrictedExpression::new_string(text.clone())),
        (Kind::Long, Value::Number(number)) => {
            Ok(RestrictedExpression::new_long(number.as_i64().ok_or_else(wrong)?))
        }
        (Kind::Bool, Value::Bool(value)) => Ok(RestrictedExpression::new_bool(*value)),
        (Kind::Set(items), Value::Array(values)) => {
            let items: Result<Vec<_>, _> = values.iter().map(|it| expression(items, it)).collect();
            Ok(RestrictedExpression::new_set(items?))
        }
        (Kind::Record(fields), Value::Object(values)) => record(fields, values),
        _ => Err(wrong()),
    }
}
