//! How do thousands of targets become few rows? Those of one job that are in the same state for the same reason are one.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;
use serde_json::{Value, json};
use tool::{Column, Row, Target};

use crate::{
    backends::prometheus::{Scrape, Scrapes, Vanished},
    grid::lasting,
    labels::{Labels, short},
};

/// Targets of one job in one state, for one reason.
#[derive(Debug)]
pub(super) struct Group {
    target: Target,
    job: String,
    state: State,
    instances: Vec<String>,
    /// All targets of the job.
    of: usize,
    /// When the one looked at longest ago was looked at.
    last: Option<Timestamp>,
    problem: String,
}

/// How telemetry of a target fares, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Down,
    Vanished,
    Empty,
    Stale,
    Unknown,
    Up,
}

/// A target that was not looked at for this many intervals is stale.
const STALE_INTERVALS: f64 = 3.0;
/// Unless it was looked at within so many seconds.
const STALE_MIN: f64 = 60.0;
const INSTANCES_MAX: usize = 3;
const PROBLEM_MAX: usize = 140;

impl State {
    fn of(scrape: &Scrape, now: Timestamp) -> State {
        let age = scrape.last_scrape.map_or(0.0, |it| it.duration_until(now).as_secs_f64());
        let late = scrape.interval().is_some_and(|it| age > (it * STALE_INTERVALS).max(STALE_MIN));
        match scrape.health.as_str() {
            "down" => State::Down,
            "up" if late => State::Stale,
            "up" => State::Up,
            _ => State::Unknown,
        }
    }

    fn word(self) -> &'static str {
        match self {
            State::Down => "down",
            State::Vanished => "vanished",
            State::Empty => "no targets",
            State::Stale => "stale",
            State::Unknown => "not yet scraped",
            State::Up => "up",
        }
    }
}

/// Groups what one connection tells. `matches` says which targets are asked about, `vanished` holds those that were there
/// an hour before.
pub(super) fn group(
    found: Scrapes,
    vanished: &Vanished,
    matches: impl Fn(&Labels) -> bool,
    target: &Target,
    now: Timestamp,
    groups: &mut Vec<Group>,
) {
    let mut there: BTreeMap<String, u64> = BTreeMap::new();
    for scrape in &found.scrapes {
        *there.entry(scrape.job().to_owned()).or_default() += 1;
    }
    let scrapes: Vec<Scrape> = found.scrapes.into_iter().filter(|it| matches(&it.labels)).collect();
    let mut of: BTreeMap<String, usize> = BTreeMap::new();
    for scrape in &scrapes {
        *of.entry(scrape.job().to_owned()).or_default() += 1;
    }
    let mut known: BTreeMap<(String, State, String), Group> = BTreeMap::new();
    let mut add = |job: &str, state, problem: &str, instance: Option<&str>, last: Option<Timestamp>| {
        let key = (job.to_owned(), state, alike(problem));
        let group = known.entry(key).or_insert_with(|| Group {
            target: target.clone(),
            job: job.to_owned(),
            state,
            instances: Vec::new(),
            of: of.get(job).copied().unwrap_or(0),
            last,
            problem: problem.to_owned(),
        });
        group.instances.extend(instance.map(str::to_owned));
        group.last = group.last.min(last);
    };
    for scrape in &scrapes {
        let problem = bare(&scrape.last_error);
        add(scrape.job(), State::of(scrape, now), problem, Some(scrape.instance()), scrape.last_scrape);
    }
    for labels in vanished.gone.iter().filter(|it| matches(it)) {
        let [job, instance] = ["job", "instance"].map(|it| labels.get(it).map_or("", String::as_str));
        // As many others in its place are a rollout, not a loss.
        if vanished.before.get(job).copied() > Some(there.get(job).copied().unwrap_or(0)) {
            add(job, State::Vanished, "was there an hour ago", Some(instance), None);
        }
    }
    for job in
        found.empty.iter().flatten().filter(|it| matches(&Labels::from([("job".to_owned(), (*it).clone())])))
    {
        add(job, State::Empty, "discovery and relabeling leave nothing to scrape", None, None);
    }
    groups.extend(known.into_values());
}

/// Whole jobs first, then the worst state, then the most targets.
pub(super) fn sort(groups: &mut [Group]) {
    groups.sort_by_key(|it| {
        let whole = it.state == State::Down && it.instances.len() == it.of;
        (it.state, !whole, Reverse(it.instances.len()), it.job.clone())
    });
}

/// Columns and rows.
pub(super) fn table(groups: Vec<Group>, several: bool, now: Timestamp) -> (Vec<Column>, Vec<Row>) {
    let mut columns = vec![
        Column::untrusted("job"),
        Column::new("state"),
        Column::new("count"),
        Column::new("of"),
        Column::new("scraped"),
        Column::untrusted("problem"),
        Column::untrusted("instances"),
    ];
    columns.extend(several.then(|| Column::new("connection")));
    let row = |it: Group| {
        let mut cells = vec![
            json!(short(&it.job, 80)),
            json!(it.state.word()),
            json!(it.instances.len()),
            json!(it.of),
            it.scraped(now),
            json!(short(&it.problem, PROBLEM_MAX)),
            it.named(),
        ];
        cells.extend(several.then(|| json!(it.target.connection)));
        Row { cells, target: Some(it.target) }
    };
    (columns, groups.into_iter().map(row).collect())
}

impl Group {
    fn scraped(&self, now: Timestamp) -> Value {
        // A target that nobody has looked at yet was looked at in the year 1.
        let known = self.last.filter(|it| it.as_second() > 0);
        known
            .map_or(Value::Null, |it| json!(format!("{} ago", lasting(it.duration_until(now).as_secs_f64()))))
    }

    /// The first few; which of many are up is what nobody asks.
    fn named(&self) -> Value {
        if self.state == State::Up && self.instances.len() > 1 {
            return Value::Null;
        }
        let mut names: Vec<&str> = self.instances.iter().map(String::as_str).collect();
        names.sort_unstable();
        let more = names.len().saturating_sub(INSTANCES_MAX);
        let more = if more > 0 { format!(", +{more}") } else { String::new() };
        json!(format!("{}{more}", names.into_iter().take(INSTANCES_MAX).collect::<Vec<_>>().join(", ")))
    }
}

/// An error without the address that was asked, which may hold a token: `Get "http://…": EOF`.
fn bare(error: &str) -> &str {
    match error.strip_prefix("Get \"").and_then(|it| it.split_once("\": ")) {
        Some((_, rest)) => rest,
        None => error,
    }
}

/// What the same problem of several targets has in common: numbers differ.
fn alike(problem: &str) -> String {
    let mut alike = String::new();
    for letter in problem.chars() {
        match letter.is_ascii_digit() {
            true if alike.ends_with('#') => {}
            true => alike.push('#'),
            false => alike.push(letter),
        }
    }
    alike
}
