//! What does a line of a list mean? Lists become Cedar, so that one engine decides everything.
//!
//! `deny` is a forbid. `approve` is a permit and a forbid that approvals lift; `ask` the same with a confirmation, which
//! an approval stands in for. Forbids win, so deny beats approve beats ask beats allow, and order cannot matter.

use std::collections::BTreeMap;

use globset::{Glob, GlobMatcher};

use crate::{
    Effect, ListEntry, Lists, UNKNOWN, Vocabulary,
    family::{Action, Family},
    problem::{Problem, did_you_mean},
    schema::quote,
};

/// One rule that an entry stands for.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Cedar, with its `@id`.
    pub(crate) text: String,
    /// Where the entry stands.
    pub(crate) place: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Allow,
    Ask,
    Approve,
    Deny,
}

/// What an entry says about tools.
enum Selector {
    Name(String),
    Glob(GlobMatcher),
    Effect(String),
}

/// An entry taken apart.
struct Parsed {
    selector: Selector,
    environment: Option<String>,
    /// The words in order, so that one meaning has one id.
    words: String,
}

/// Compiles every entry; entries that say nothing true become problems.
pub(crate) fn compile(
    lists: &Lists,
    family: &Family,
    vocabulary: &Vocabulary,
    problems: &mut Vec<Problem>,
) -> Vec<Compiled> {
    let all = [
        (List::Allow, &lists.allow),
        (List::Ask, &lists.ask),
        (List::Approve, &lists.approve),
        (List::Deny, &lists.deny),
    ];
    let mut compiled = Vec::new();
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for (list, entry) in all.iter().flat_map(|(list, entries)| entries.iter().map(|it| (*list, it))) {
        let line = Line { list, entry, family, vocabulary };
        let rules = line.parse().and_then(|parsed| {
            let id = line.id(&parsed);
            if let Some(before) = first.get(&id) {
                let found = line.problem(&entry.text, "the same entry again");
                return Err(found.hint(format!("the first stands at {before}; keep one")));
            }
            first.insert(id, line.place());
            line.rules(&parsed)
        });
        match rules {
            Ok(rules) => compiled.extend(rules),
            Err(found) => problems.push(found),
        }
    }
    let asks = !lists.ask.is_empty() || !lists.approve.is_empty();
    if asks && family.tools().any(|(name, _)| name == AWAIT) {
        compiled.push(waiting());
    }
    compiled
}

/// What an agent waits with for people.
const AWAIT: &str = "await_approval";

/// Whoever may ask people may wait for their answer: a list that asks and forgets to let wait would help nobody.
fn waiting() -> Compiled {
    let text = format!(
        "@id(\"lists:{AWAIT}\")\n@reason(\"whoever asks people may wait for their answer\")\n\
         permit (principal, action == Action::\"{AWAIT}\", resource);"
    );
    Compiled { text, place: "the lists that ask people".to_owned() }
}

struct Line<'a> {
    list: List,
    entry: &'a ListEntry,
    family: &'a Family,
    vocabulary: &'a Vocabulary,
}

impl Line<'_> {
    fn parse(&self) -> Result<Parsed, Problem> {
        let (mut selector, mut environment) = (None, None);
        for word in self.entry.text.split_whitespace() {
            if let Some(name) = word.strip_prefix("environment:") {
                let known = self.vocabulary.members("Environment").unwrap_or_default();
                if !known.contains(name) {
                    let found = self.problem(word, format!("no environment is called `{name}`"));
                    return Err(found.hint(did_you_mean(name, known)));
                }
                if environment.replace((name.to_owned(), word)).is_some() {
                    return Err(self.problem(word, "a second environment").hint("write one entry for each"));
                }
            } else if selector.replace((self.selector(word)?, word)).is_some() {
                let found = self.problem(word, "a second tool, glob or effect");
                return Err(found.hint("a call is of one tool: write one entry for each"));
            }
        }
        let Some((selector, word)) = selector else {
            let found = self.problem(&self.entry.text, "no tool, glob or effect");
            return Err(
                found.hint("say which tools, e.g. `list_*`, `effect:mitigate` or, for all of them, `*`")
            );
        };
        let words = match &environment {
            Some((_, environment)) => format!("{word} {environment}"),
            None => word.to_owned(),
        };
        Ok(Parsed { selector, environment: environment.map(|(name, _)| name), words })
    }

    fn selector(&self, word: &str) -> Result<Selector, Problem> {
        if let Some(name) = word.strip_prefix("effect:") {
            let words = Effect::ALL.map(Effect::word);
            return match words.contains(&name) {
                true => Ok(Selector::Effect(name.to_owned())),
                false => {
                    let found = self.problem(word, format!("no effect is called `{name}`"));
                    Err(found.hint(did_you_mean(name, words)))
                }
            };
        }
        if word.contains(['*', '?', '[', ']', '{', '}']) {
            let glob =
                Glob::new(word).map_err(|it| self.problem(word, format!("not a glob: {}", it.kind())))?;
            return Ok(Selector::Glob(glob.compile_matcher()));
        }
        let mut names = self.family.tools().map(|(name, _)| name);
        if names.any(|it| it == word) {
            return Ok(Selector::Name(word.to_owned()));
        }
        let hint = did_you_mean(word, self.family.tools().map(|(name, _)| name));
        Err(self.problem(word, format!("no tool is called `{word}`")).hint(hint))
    }

    /// Tools that an entry matches: what its forbid covers.
    fn matched(&self, selector: &Selector) -> Vec<(&str, &Action)> {
        let matches = |name: &str, action: &Action| match selector {
            Selector::Name(exact) => exact == name,
            Selector::Glob(glob) => glob.is_match(name),
            Selector::Effect(word) => action.has_effect(word),
        };
        self.family.tools().filter(|(name, action)| matches(name, action)).collect()
    }

    /// Stable: made of what the entry says and nothing else. A file that may only narrow may say what the configuration
    /// says too, and an id names one rule.
    fn id(&self, parsed: &Parsed) -> String {
        format!("{}:{}{}", self.list.word(), parsed.words, suffix(self.entry))
    }

    /// Whether an entry may open a tool: a glob opens reads only, an effect anything but what cannot be undone.
    /// What other people approve is open to any of them.
    fn opens(&self, selector: &Selector, action: &Action) -> bool {
        match (self.list, selector) {
            _ if self.entry.narrow => false,
            (List::Deny, _) => false,
            (List::Approve, _) | (_, Selector::Name(_)) => true,
            (_, Selector::Glob(_)) => action.has_effect(Effect::Read.word()),
            (_, Selector::Effect(_)) => !action.has_effect(Effect::Destroy.word()),
        }
    }

    fn rules(&self, parsed: &Parsed) -> Result<Vec<Compiled>, Problem> {
        let matched = self.matched(&parsed.selector);
        let opened: Vec<&str> = matched
            .iter()
            .filter(|(_, action)| self.opens(&parsed.selector, action))
            .map(|(name, _)| *name)
            .collect();
        let matched: Vec<&str> = matched.iter().map(|(name, _)| *name).collect();
        if matched.is_empty() {
            let found = self.problem(&self.entry.text, "no tool matches");
            return Err(found.hint(did_you_mean(&parsed.words, self.family.tools().map(|(name, _)| name))));
        }
        if self.list == List::Allow && self.entry.narrow {
            let found = self.problem(&self.entry.text, "this file may only narrow");
            return Err(found.hint("write ask, approve or deny here; allow in your own configuration"));
        }
        if self.list == List::Allow && opened.is_empty() {
            let found = self.problem(&self.entry.text, "opens no tool");
            return Err(found.hint(match parsed.selector {
                Selector::Effect(_) => "what cannot be undone is allowed by its tool's name only",
                _ => "a glob allows reads only: give the tool's name, or effect:mitigate or effect:propose",
            }));
        }
        if self.list == List::Approve && !(1..=3).contains(&self.entry.approvals) {
            let found = format!("{} approvals", self.entry.approvals);
            return Err(self.problem(&self.entry.text, found).hint("expected 1, 2 or 3"));
        }
        let id = self.id(parsed);
        let mut rules = Vec::new();
        let places = self.places(parsed);
        for (suffix, scope) in &places {
            if self.list == List::Allow {
                rules.push(self.rule(&format!("{id}{suffix}"), "permit", &opened, scope));
            } else {
                if !opened.is_empty() {
                    rules.push(self.rule(&format!("{id}{suffix}/permit"), "permit", &opened, scope));
                }
                rules.push(self.rule(&format!("{id}{suffix}"), "forbid", &matched, scope));
            }
        }
        Ok(rules)
    }

    /// Resource scopes of an entry and what they add to its id. What is mapped nowhere may be anywhere, so an entry that
    /// restricts covers it too; one that allows does not.
    fn places(&self, parsed: &Parsed) -> Vec<(&str, String)> {
        let within = |name: &str| format!("resource in Environment::{}", quote(name));
        match parsed.environment.as_deref() {
            None => vec![("", "resource".to_owned())],
            Some(name) if self.list == List::Allow || name == UNKNOWN => vec![("", within(name))],
            Some(name) => vec![("", within(name)), ("/unknown", within(UNKNOWN))],
        }
    }

    fn rule(&self, id: &str, effect: &str, tools: &[&str], resource: &str) -> Compiled {
        let approvals = self.entry.approvals;
        let tools: Vec<String> = tools.iter().map(|it| format!("Action::{}", quote(it))).collect();
        let (reason, unless) = match (effect, self.list) {
            ("permit", _) => (None, String::new()),
            (_, List::Ask) => (
                Some("the configuration wants it confirmed".to_owned()),
                // Whoever approves sees more than whoever confirms: no second question.
                " unless { context.confirmed || context.approvals >= 1 }".to_owned(),
            ),
            (_, List::Approve) => {
                let reason = "the configuration wants it approved".to_owned();
                (Some(reason), format!(" unless {{ context.approvals >= {approvals} }}"))
            }
            _ => (Some("the configuration denies it".to_owned()), String::new()),
        };
        let reason = reason.map(|it| format!("@reason({}) ", quote(&it))).unwrap_or_default();
        let text = format!(
            "@id({}) {reason}{effect} (principal, action in [{}], {resource}){unless};",
            quote(id),
            tools.join(", "),
        );
        Compiled { text, place: self.place() }
    }

    fn place(&self) -> String {
        place(self.entry, self.list.word())
    }

    fn problem(&self, part: &str, message: impl Into<String>) -> Problem {
        problem(self.entry, self.list.word(), part, message)
    }
}

/// What tells the entries of a repository from others that say the same.
pub(crate) fn suffix(entry: &ListEntry) -> &'static str {
    if entry.narrow { "/narrow" } else { "" }
}

/// Where an entry stands.
pub(crate) fn place(entry: &ListEntry, list: &str) -> String {
    entry.place.clone().unwrap_or_else(|| format!("list `{list}`"))
}

/// A problem at a part of an entry.
pub(crate) fn problem(entry: &ListEntry, list: &str, part: &str, message: impl Into<String>) -> Problem {
    let place = place(entry, list);
    let (file, line) = match place.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
        Some((file, Ok(line))) => (file, line),
        _ => (place.as_str(), 1),
    };
    let text = entry.text.as_str();
    let start = text.rfind(part).unwrap_or(0);
    let found = Problem::at(file, text, start, start + part.len(), message.into());
    Problem { line, message: format!("{list}: {}", found.message), ..found }
}

impl List {
    fn word(self) -> &'static str {
        match self {
            List::Allow => "allow",
            List::Ask => "ask",
            List::Approve => "approve",
            List::Deny => "deny",
        }
    }
}
