//! Which changes does a world's history hold, and which of them is guilty?

use jiff::Timestamp;

use super::{
    Change, ChangeKind, Edit,
    guilty::guilty,
    innocent::{INNOCENT, Snippet},
    repository::{image, place},
};
use crate::{Plan, estate::Estate, fault::Course, random::Draw};

const MINUTE_S: i64 = 60;
/// Innocent changes an hour, beside those that stand near the onset on purpose.
const INNOCENT_PER_HOUR: f64 = 1.2;
/// Around the onset the struck service has no innocent change: minutes before, to the end of history.
const QUIET_BEFORE_S: i64 = 50 * MINUTE_S;

/// Changes of a history, oldest first, and the id of the guilty one.
pub(crate) fn timeline(
    plan: &Plan,
    estate: &Estate,
    course: Option<&Course>,
) -> (Vec<Change>, Option<String>) {
    let mut entries = innocents(plan, estate, course);
    let fault = plan.fault.zip(course);
    if let Some((course, (snippet, more))) = fault.and_then(|(fault, course)| Some((course, guilty(fault)?)))
    {
        let at_s = course.onset_s - Draw::of(plan.seed, "guilty").whole(60, 170) as i64;
        entries.push(Entry { at_s, service: course.service, snippet, more, guilty: true });
    }
    entries.sort_by_key(|it| (it.at_s, it.service));
    write(plan.seed, estate, &entries)
}

/// A change before it has a version and an author.
struct Entry {
    at_s: i64,
    service: usize,
    snippet: Snippet,
    more: &'static [(&'static str, &'static str)],
    guilty: bool,
}

fn innocents(plan: &Plan, estate: &Estate, course: Option<&Course>) -> Vec<Entry> {
    let mut draw = Draw::of(plan.seed, "innocent");
    let (from_s, until_s) = (plan.from().as_second(), plan.until.as_second());
    let mut wanted: Vec<(Option<usize>, i64)> = Vec::new();
    // Keyed to the end, as everything is, so that a longer history only adds to its far side.
    let total = (f64::from(plan.hours) * INNOCENT_PER_HOUR).round() as u64;
    for slot in 0..total {
        let middle_s = until_s - ((slot as f64 + 0.5) / INNOCENT_PER_HOUR * 3_600.0) as i64;
        wanted.push((None, middle_s + draw.between(-1_300.0, 1_300.0) as i64));
    }
    if let Some(course) = course {
        // Somebody else changed something shortly before and shortly after, and the struck service was changed earlier.
        wanted.push((None, course.onset_s - draw.whole(150, 900) as i64));
        wanted.push((None, course.onset_s + draw.whole(60, 480) as i64));
        wanted.push((Some(course.service), course.onset_s - draw.whole(60, 120) as i64 * MINUTE_S));
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (service, at_s) in wanted {
        let quiet = |it: usize| {
            course.is_some_and(|course| it == course.service && at_s > course.onset_s - QUIET_BEFORE_S)
        };
        let candidates: Vec<(usize, Snippet)> = (0..estate.services.len())
            .filter(|it| service.is_none_or(|wanted| wanted == *it) && !quiet(*it))
            .flat_map(|it| INNOCENT.iter().map(move |snippet| (it, *snippet)))
            .filter(|(it, snippet)| fits(estate, *it, snippet) && is_new(&entries, *it, snippet))
            .collect();
        if at_s < from_s + 10 * MINUTE_S || at_s > until_s - MINUTE_S || candidates.is_empty() {
            continue;
        }
        let (service, snippet) = *draw.one_of(&candidates);
        entries.push(Entry { at_s, service, snippet, more: &[], guilty: false });
    }
    entries
}

fn fits(estate: &Estate, service: usize, snippet: &Snippet) -> bool {
    snippet.kind != ChangeKind::Migration || estate.builds[service].connections > 0
}

fn is_new(entries: &[Entry], service: usize, snippet: &Snippet) -> bool {
    !entries.iter().any(|it| it.service == service && it.snippet.title == snippet.title)
}

/// Gives every change its number, author, version and edits.
fn write(seed: u64, estate: &Estate, entries: &[Entry]) -> (Vec<Change>, Option<String>) {
    let mut versions: Vec<String> = estate.services.iter().map(|it| it.version.clone()).collect();
    let (mut changes, mut found) = (Vec::new(), None);
    for (index, entry) in entries.iter().enumerate() {
        let mut draw = Draw::of(seed, "author").at(index as u64);
        let service = estate.services[entry.service].name;
        let snippet = entry.snippet;
        let version = &mut versions[entry.service];
        let path = place(service, snippet.file);
        let edit = |before: &str, after: &str| Edit {
            path: path.clone(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        let mut edits = vec![edit(snippet.before, snippet.after)];
        edits.extend(entry.more.iter().map(|(before, after)| edit(before, after)));
        match snippet.kind {
            ChangeKind::Deploy => {
                let next = next_release(version, draw.chance(0.4));
                let [before, after] = [code_of(version), &next].map(|it| image(service, it));
                edits.push(Edit { path: place(service, "deploy.yaml"), before, after });
                *version = next;
            }
            ChangeKind::Config => *version = next_configuration(version),
            ChangeKind::Migration | ChangeKind::Certificate | ChangeKind::RollBack => {}
        }
        let id = format!("chg-{}", 1_001 + index);
        if entry.guilty {
            found = Some(id.clone());
        }
        changes.push(Change {
            id,
            service: service.to_owned(),
            kind: snippet.kind,
            at: Timestamp::from_second(entry.at_s).expect("it lies within history"),
            version: version.clone(),
            author: *draw.one_of(estate.people(entry.service)),
            title: format!("{service}: {}", lower(snippet.title)),
            body: snippet.body.to_owned(),
            edits,
        });
    }
    (changes, found)
}

/// Part of a version that says which code runs.
fn code_of(version: &str) -> &str {
    version.split_once('+').map_or(version, |it| it.0)
}

/// `v2.31.4` → `v2.32.0`, or, when it is small, `v2.31.5`.
fn next_release(version: &str, small: bool) -> String {
    let mut parts = code_of(version).trim_start_matches('v').split('.').map(|it| it.parse().unwrap_or(0_u32));
    let mut part = || parts.next().unwrap_or(0);
    let (major, minor, patch) = (part(), part(), part());
    match small {
        true => format!("v{major}.{minor}.{}", patch + 1),
        false => format!("v{major}.{}.0", minor + 1),
    }
}

/// `v2.31.4` → `v2.31.4+c1` → `v2.31.4+c2`.
fn next_configuration(version: &str) -> String {
    let number: u32 = version.split_once("+c").and_then(|it| it.1.parse().ok()).unwrap_or(0);
    format!("{}+c{}", code_of(version), number + 1)
}

fn lower(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map(|it| it.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fault, World};

    #[test]
    fn versions_go_on_from_each_other() {
        assert_eq!(next_release("v2.31.4", true), "v2.31.5");
        assert_eq!(next_release("v2.31.4+c2", false), "v2.32.0");
        assert_eq!(next_configuration("v2.31.4"), "v2.31.4+c1");
        assert_eq!(next_configuration("v2.31.4+c1"), "v2.31.4+c2");
    }

    #[test]
    fn edits_apply_in_order() {
        for seed in 0..20 {
            let world = World::new(Plan::drawn(seed).hours(24));
            let mut files = world.repository();
            for change in world.changes() {
                for edit in &change.edits {
                    let text = files.entry(edit.path.clone()).or_default();
                    match edit.before.is_empty() {
                        true => assert!(text.is_empty(), "{} makes {}", change.id, edit.path),
                        false => assert_eq!(text.matches(&edit.before).count(), 1, "{change:?}"),
                    }
                    *text = text.replacen(&edit.before, &edit.after, 1);
                }
            }
        }
    }

    #[test]
    fn the_guilty_change_stands_shortly_before_the_onset_among_innocent_ones() {
        for (seed, fault) in (0..8).flat_map(|seed| Fault::ALL.map(|it| (seed, it))) {
            let world = World::new(Plan::with(seed, fault));
            let truth = world.truth();
            assert_eq!(truth.change.is_some(), fault.is_ours(), "{fault}");
            let Some(id) = &truth.change else { continue };
            let guilty = world.changes().iter().find(|it| it.id == *id).unwrap();
            let seconds = truth.onset.as_second() - guilty.at.as_second();
            assert_eq!(guilty.service, truth.place);
            assert!((60..=170).contains(&seconds), "{fault}: {seconds} s");
            let near = |it: &&Change| (it.at.as_second() - truth.onset.as_second()).abs() < 1_200;
            let others = world.changes().iter().filter(near).filter(|it| it.service != truth.place);
            assert!(others.count() >= 2, "{fault} {seed}");
            let earlier = world.changes().iter().filter(|it| it.service == truth.place && it.at < guilty.at);
            assert!(earlier.count() >= 1, "{fault} {seed}");
        }
    }

    #[test]
    fn a_longer_history_has_the_same_end() {
        let until = Timestamp::from_second(1_800_000_000).unwrap();
        let [short, long] =
            [6, 24].map(|it| World::new(Plan::with(4, Fault::MemoryLeak).until(until).hours(it)));
        assert_eq!(short.truth().onset, long.truth().onset);
        assert_eq!(short.truth().place, long.truth().place);
        assert!(long.changes().len() > short.changes().len());
    }
}
