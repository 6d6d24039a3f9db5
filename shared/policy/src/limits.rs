//! What does a limit mean? `silence_alert 3 per hour` becomes a forbid that holds once the caller's count is over the number.

use std::collections::BTreeMap;

use crate::{
    Effect, ListEntry,
    family::Family,
    lists::{self, Compiled},
    problem::{Problem, did_you_mean},
    schema::quote,
};

/// What entries of the list stand under.
const LIST: &str = "limits";
/// Higher than this a limit limits nothing.
const COUNT_MAX: u64 = 1_000_000;
/// How a limit is written.
const FORM: &str = "write what, how many and in which time: `silence_alert 3 per hour`, `effect:mitigate 10 per hour` or `* 2000 per day`";

/// One limit.
struct Limit<'a> {
    /// The attribute of `context.usage` that is compared.
    counted: &'static str,
    count: u64,
    tools: Vec<&'a str>,
    /// What is counted, for people.
    what: String,
    period: &'static str,
}

/// Compiles every entry; entries that say nothing true become problems.
pub(crate) fn compile(entries: &[ListEntry], family: &Family, problems: &mut Vec<Problem>) -> Vec<Compiled> {
    let mut compiled = Vec::new();
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for entry in entries {
        let line = Line { entry, family };
        let rule = line.limit().and_then(|limit| {
            let (id, place) = (line.id(), lists::place(entry, LIST));
            if let Some(before) = first.insert(id.clone(), place.clone()) {
                let found = line.problem(&entry.text, "the same entry again");
                return Err(found.hint(format!("the first stands at {before}; keep one")));
            }
            Ok(Compiled { text: limit.rule(&id), place })
        });
        match rule {
            Ok(rule) => compiled.push(rule),
            Err(found) => problems.push(found),
        }
    }
    compiled
}

struct Line<'a> {
    entry: &'a ListEntry,
    family: &'a Family,
}

impl<'a> Line<'a> {
    fn limit(&self) -> Result<Limit<'a>, Problem> {
        let text = &self.entry.text;
        let words: Vec<&str> = text.split_whitespace().collect();
        let &[selector, count, "per", period] = words.as_slice() else {
            let place = words.iter().find(|it| it.starts_with("environment:"));
            return Err(match place {
                Some(word) => self
                    .problem(word, "calls are counted wherever they reach")
                    .hint("leave the environment out, or write the limit in Cedar with a scope of its own"),
                None => self.problem(text, "no limit").hint(FORM),
            });
        };
        let period = ["hour", "day"].into_iter().find(|it| *it == period).ok_or_else(|| {
            let found = self.problem(period, format!("nothing is counted by the {period}"));
            found.hint(did_you_mean(period, ["hour", "day"]))
        })?;
        let count = count.parse().ok().filter(|it| (1..=COUNT_MAX).contains(it)).ok_or_else(|| {
            let found = self.problem(count, format!("`{count}` is no count: expected 1 to {COUNT_MAX}"));
            found.hint("what may not be done at all stands under `deny`")
        })?;
        self.counted(selector, count, period)
    }

    /// Which count a selector is about: the caller's calls, those that mitigate, or those of one tool.
    fn counted(&self, selector: &str, count: u64, period: &'static str) -> Result<Limit<'a>, Problem> {
        let all = || self.family.tools().map(|(name, _)| name);
        let hourly = period == "hour";
        let limit =
            |counted, tools: Vec<&'a str>, what: String| Ok(Limit { counted, count, tools, what, period });
        if selector == "*" {
            let counted = if hourly { "calls_hour" } else { "calls_day" };
            return limit(counted, all().collect(), "calls".to_owned());
        }
        if let Some(effect) = selector.strip_prefix("effect:") {
            let mitigates = Effect::Mitigate.word();
            if effect != mitigates {
                let found = self.problem(
                    selector,
                    format!("calls of the effect `{effect}` are not counted by themselves"),
                );
                return Err(found.hint("write `effect:mitigate`, or one entry for each tool"));
            }
            if !hourly {
                let found = self.problem(period, "mitigations are counted by the hour");
                return Err(found
                    .hint(format!("write `effect:mitigate {count} per hour`, or one entry for each tool")));
            }
            let tools: Vec<&str> = self
                .family
                .tools()
                .filter(|(_, it)| it.has_effect(mitigates))
                .map(|(name, _)| name)
                .collect();
            return match tools.is_empty() {
                true => Err(self.problem(selector, "no tool matches")),
                false => limit("mitigations_hour", tools, "mitigations".to_owned()),
            };
        }
        if selector.starts_with("environment:") {
            let found = self.problem(selector, "calls are counted wherever they reach");
            return Err(
                found.hint("leave the environment out, or write the limit in Cedar with a scope of its own")
            );
        }
        if selector.contains(['*', '?', '[', ']', '{', '}']) {
            let found = self.problem(selector, "a glob is not counted by itself");
            return Err(found.hint("write one entry for each tool, or `*` for all calls together"));
        }
        match all().find(|it| *it == selector) {
            Some(tool) => {
                limit(if hourly { "tool_hour" } else { "tool_day" }, vec![tool], format!("calls of {tool}"))
            }
            None => {
                let hint = match Effect::ALL.map(Effect::word).contains(&selector) {
                    true => "did you mean `effect:mitigate`?".to_owned(),
                    false => did_you_mean(selector, all()),
                };
                Err(self.problem(selector, format!("no tool is called `{selector}`")).hint(hint))
            }
        }
    }

    /// Stable: made of what the entry says and nothing else.
    fn id(&self) -> String {
        let words: Vec<&str> = self.entry.text.split_whitespace().collect();
        format!("{LIST}:{}{}", words.join(" "), lists::suffix(self.entry))
    }

    fn problem(&self, part: &str, message: impl Into<String>) -> Problem {
        lists::problem(self.entry, LIST, part, message)
    }
}

impl Limit<'_> {
    fn rule(&self, id: &str) -> String {
        let Limit { counted, count, tools, what, period } = self;
        let tools: Vec<String> = tools.iter().map(|it| format!("Action::{}", quote(it))).collect();
        let (reason, instead) = (
            format!("the configuration limits a caller to {count} {what} per {period}"),
            format!("wait: calls count for one {period}"),
        );
        format!(
            "@id({}) @reason({}) @instead({}) forbid (principal, action in [{}], resource) when {{ context.usage.{counted} > {count} }};",
            quote(id),
            quote(&reason),
            quote(&instead),
            tools.join(", "),
        )
    }
}
