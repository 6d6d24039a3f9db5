//! Which changed files matter first? Those whose few lines change what production does.

use std::collections::BTreeMap;

use gix::bstr::ByteSlice;

use crate::{
    backends::{Edit, Opened, Stop, Touched},
    closed::{self, Rule},
    excerpt,
    purpose::Purpose,
};

/// A changed file and what is known of the change.
pub(super) struct Ranked {
    pub(super) path: String,
    pub(super) purpose: Purpose,
    /// What happened to it: `modified`, `renamed from a.rs`.
    pub(super) change: String,
    /// Added and removed; none when not counted.
    pub(super) lines: Option<(u64, u64)>,
    /// The changed lines themselves, when they are few and matter.
    pub(super) changed: Vec<String>,
}

/// All changed files, the riskiest first.
pub(super) struct Ranking {
    pub(super) files: Vec<Ranked>,
    pub(super) added: u64,
    pub(super) removed: u64,
    uncounted: u64,
    late: u64,
    closed: u64,
}

/// Of one file and of a whole call, what is read to count lines.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const CALL_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// As many changed lines stand in the list itself.
const CHANGED_MAX: u64 = 4;
const CHANGED_WIDTH: usize = 100;
/// What code that asks for a feature flag looks like, in lower case.
const FLAG_MARKS: [&str; 7] = [
    "feature_flag",
    "featureflag",
    "feature-flag",
    "isenabled(",
    "is_enabled(",
    "feature_enabled",
    "variation(",
];

impl Ranking {
    /// Reads the riskiest first, so that they are read when not all can be.
    pub(super) fn of(opened: &Opened<'_>, touched: Vec<Touched>, stop: &Stop) -> Ranking {
        let mut touched: Vec<(Purpose, Touched)> =
            touched.into_iter().map(|it| (Purpose::of(&it.path.to_str_lossy()), it)).collect();
        touched.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
        let mut ranking =
            Ranking { files: Vec::new(), added: 0, removed: 0, uncounted: 0, late: 0, closed: 0 };
        let mut left = CALL_BYTES_MAX;
        for (purpose, it) in touched {
            let file = ranking.file(opened, purpose, &it, &mut left, stop);
            ranking.files.push(file);
        }
        let size = |it: &Ranked| it.lines.map_or(u64::MAX, |it| it.0 + it.1);
        ranking.files.sort_by(|a, b| {
            a.purpose.cmp(&b.purpose).then_with(|| size(b).cmp(&size(a))).then_with(|| a.path.cmp(&b.path))
        });
        ranking
    }

    fn file(
        &mut self,
        opened: &Opened<'_>,
        purpose: Purpose,
        it: &Touched,
        left: &mut u64,
        stop: &Stop,
    ) -> Ranked {
        let path = it.path.to_str_lossy().into_owned();
        let mut file = Ranked { path, purpose, change: change(it), lines: None, changed: Vec::new() };
        if closed_by_name(it).is_some() {
            self.closed += 1;
            file.change.push_str(", secret file: closed");
            return file;
        }
        let Some((before, after)) = it.blobs() else { return file };
        if !it.is_edited() {
            file.lines = Some((0, 0));
            return file;
        }
        let cost = opened.sizes([before, after]).filter(|it| it.iter().all(|it| *it <= FILE_BYTES_MAX));
        let rest = cost.and_then(|it| left.checked_sub(it.iter().sum()));
        if stop.is_reached_now() {
            self.late += 1;
            return file;
        }
        let (Some(rest), Ok(before), Ok(after)) = (rest, opened.content(before), opened.content(after))
        else {
            self.uncounted += 1;
            return file;
        };
        *left = rest;
        if closed_by_content(it, [&before, &after]).is_some() {
            self.closed += 1;
            file.change.push_str(", holds secrets: closed");
            return file;
        }
        let was = if it.before.is_some() { purpose.with_content(&before) } else { Purpose::Generated };
        // A change that only now says that it is generated is as risky as it was.
        if was == Purpose::Generated && it.after.is_some() {
            file.purpose = purpose.with_content(&after);
        } else if it.after.is_none() {
            file.purpose = was;
        }
        match Edit::between(&before, &after) {
            Some(edit) => self.count(&mut file, purpose, &edit),
            None => file.change.push_str(", binary"),
        }
        file
    }

    /// Counts lines. A flag in the changed lines shows what the file is for, whatever it says of itself.
    fn count(&mut self, file: &mut Ranked, by_path: Purpose, edit: &Edit<'_>) {
        let (added, removed) = edit.counts();
        self.added += added;
        self.removed += removed;
        file.lines = Some((added, removed));
        let says_flag = |line: String| {
            let line = line.to_lowercase();
            FLAG_MARKS.iter().any(|it| line.contains(it))
        };
        if by_path == Purpose::Source && edit.changed().any(says_flag) {
            file.purpose = Purpose::Flag;
        }
        if file.purpose.is_risky() && added + removed <= CHANGED_MAX {
            file.changed = edit.changed().map(|it| squeezed(&it)).collect();
        }
    }

    /// How many files of which purpose: `1 migration, 3 configuration, 180 source`.
    pub(super) fn purposes(&self) -> Option<String> {
        let mut counts: BTreeMap<Purpose, u64> = BTreeMap::new();
        self.files.iter().for_each(|it| *counts.entry(it.purpose).or_default() += 1);
        let said: Vec<String> =
            counts.iter().map(|(purpose, count)| format!("{count} {}", purpose.word())).collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    pub(super) fn say_what_is_missing(&self, not_looked_at: &mut Vec<String>) {
        if self.uncounted > 0 {
            not_looked_at.push(format!("lines of {} large or unreadable files: not counted", self.uncounted));
        }
        if self.late > 0 {
            not_looked_at.push(format!("lines of {} files: the time of the call was used up", self.late));
        }
        if self.closed > 0 {
            not_looked_at.push(format!("{} secret files: closed to everyone", self.closed));
        }
    }
}

/// What happened to a file.
pub(super) fn change(it: &Touched) -> String {
    let what = match (it.before, it.after) {
        (None, _) => "added".to_owned(),
        (_, None) => "deleted".to_owned(),
        (Some(before), Some(after)) => match &it.from {
            Some(from) if it.is_edited() => format!("renamed from {} and edited", from.to_str_lossy()),
            Some(from) => format!("renamed from {}", from.to_str_lossy()),
            None if before.id == after.id => "mode changed".to_owned(),
            None => "modified".to_owned(),
        },
    };
    let side = it.after.or(it.before);
    match side {
        Some(side) if side.mode.is_commit() => format!("{what}, submodule at {}", side.id),
        Some(side) if side.mode.is_link() => format!("{what}, symbolic link"),
        _ => what,
    }
}

/// The rule that closes either of a file's names.
pub(super) fn closed_by_name(it: &Touched) -> Option<Rule> {
    let by_name = |path: &[u8]| closed::by_name(&path.to_str_lossy());
    by_name(&it.path).or_else(|| it.from.as_ref().and_then(|it| by_name(it)))
}

/// The rule that closes either of a file's contents.
pub(super) fn closed_by_content(it: &Touched, contents: [&[u8]; 2]) -> Option<Rule> {
    let before = it.from.as_ref().unwrap_or(&it.path).to_str_lossy();
    closed::by_content(&before, contents[0])
        .or_else(|| closed::by_content(&it.path.to_str_lossy(), contents[1]))
}

/// The start of a line with its sign, without what indents it.
fn squeezed(line: &str) -> String {
    let (sign, text) = line.split_at(1);
    if !matches!(sign, "-" | "+") {
        return line.to_owned();
    }
    format!("{sign}{}", excerpt::beginning(text.trim().as_bytes(), CHANGED_WIDTH))
}
