//! Which losses of logs were accepted, and is what was left of them still there? Each is told for ever, whether or not anybody still shows
//! what was lost.

use std::path::Path;

use jiff::Timestamp;

use super::{
    leaf::{Head, Leaf},
    log_of,
    operator::Deeds,
    report::{Alteration, LogReport},
    seen::{Sighting, What},
};
use crate::{Digest, accept::digest_of_folder};

/// A loss that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// The largest heads that were given up.
    lost: Vec<Head>,
    record: String,
    time: Timestamp,
    reason: String,
    /// Folder below `logs` with what is left, and its digest.
    left: Option<(String, Digest)>,
}

/// What became of what was left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// There was nothing, or nobody can look.
    Unknown,
    Unchanged,
    Changed,
    Gone,
}

impl Loss {
    /// What a record of a loss says.
    pub(super) fn of(log: &str, leaf: &Leaf) -> Option<Loss> {
        (leaf.event == "lost").then(|| Loss {
            lost: leaf.lost.clone(),
            record: format!("{log}:{}", leaf.index),
            time: leaf.time,
            reason: leaf.reason.clone().unwrap_or_default(),
            left: leaf.left.clone(),
        })
    }

    /// What it gives up of a log.
    fn head(&self, origin: &str) -> Option<&Head> {
        self.lost.iter().find(|it| it.origin == origin)
    }

    fn left(&self, state: Option<&Path>) -> Left {
        let (Some((folder, digest)), Some(state)) = (&self.left, state) else { return Left::Unknown };
        match digest_of_folder(&state.join("logs").join(folder)) {
            Ok(now) if now == *digest => Left::Unchanged,
            Ok(_) => Left::Changed,
            Err(_) => Left::Gone,
        }
    }

    /// The loss in a sentence, and what became of what was left.
    fn told(&self, size: Option<u64>, left: Left) -> String {
        let Loss { record, time, reason, .. } = self;
        let kept = match (&self.left, left) {
            (None, _) => "nothing of it was left".to_owned(),
            (Some((folder, _)), Left::Unknown) => format!("what is left was put into logs/{folder}"),
            (Some((folder, _)), Left::Unchanged) => {
                format!("what is left stands in logs/{folder}, unchanged")
            }
            (Some((folder, _)), Left::Changed) => {
                format!("what is left stands in logs/{folder} and WAS CHANGED since")
            }
            (Some((folder, _)), Left::Gone) => {
                format!("what was left in logs/{folder} cannot be read any more")
            }
        };
        let with = size.map(|size| format!(" with {size} records")).unwrap_or_default();
        format!("lost{with}; record {record} accepted that at {time}: \"{reason}\"; {kept}")
    }
}

/// Reports every accepted loss: with the logs that are gone, as far as it covers what was seen of them, and by itself where nobody shows
/// them any more.
pub(super) fn report(
    gone: Vec<(LogReport, Sighting)>,
    deeds: &Deeds,
    state: Option<&Path>,
) -> Vec<LogReport> {
    let left: Vec<Left> = deeds.losses.iter().map(|it| it.left(state)).collect();
    let left = |at: usize| match left[at] {
        // A crash came between the record and the moving, and what was damaged was accepted, and moved, once more.
        Left::Gone if again(at, deeds).any(|it| left[it] == Left::Unchanged) => Left::Unknown,
        other => other,
    };
    let mut told = vec![false; deeds.losses.len()];
    let mut reports = Vec::new();
    for (mut report, seen) in gone {
        let heads =
            deeds.losses.iter().enumerate().filter_map(|(at, it)| Some((at, it, it.head(&report.origin)?)));
        if let Some((at, loss, head)) = heads.max_by_key(|(_, _, head)| head.size) {
            match covers(head, &seen) {
                true => {
                    told[at] = true;
                    let sentence = loss.told(Some(head.size), left(at));
                    settle(&mut report, sentence, left(at));
                }
                false => {
                    let likely = || format!("more was lost than record {} accepts", loss.record);
                    report.altered.iter_mut().for_each(|it| it.likely = likely());
                }
            }
        }
        reports.push(report);
    }
    for (at, loss) in deeds.losses.iter().enumerate().filter(|(at, _)| !told[*at]) {
        let origin = loss.lost.first().map(|it| it.origin.clone()).unwrap_or_default();
        let folder = loss.left.as_ref().map(|(folder, _)| folder.clone());
        let log = if loss.lost.is_empty() { folder.unwrap_or_default() } else { log_of(&origin).to_owned() };
        let mut report = LogReport { log, origin, gone: true, ..LogReport::default() };
        let size = loss.lost.first().map(|it| it.size);
        settle(&mut report, loss.told(size, left(at)), left(at));
        reports.push(report);
    }
    reports
}

/// Losses after one that left the very same.
fn again(at: usize, deeds: &Deeds) -> impl Iterator<Item = usize> {
    let digest = |at: usize| deeds.losses[at].left.as_ref().map(|(_, digest)| *digest);
    (at + 1..deeds.losses.len()).filter(move |it| digest(*it) == digest(at))
}

/// Whether what was seen is no more than what was accepted.
fn covers(head: &Head, seen: &Sighting) -> bool {
    seen.size < head.size
        || (seen.size == head.size && !matches!(seen.what, What::Root(root) if root != head.root))
}

/// An accepted loss is a finding; what was left of it is evidence, which nobody may touch.
fn settle(report: &mut LogReport, told: String, left: Left) {
    report.altered = None;
    match left {
        Left::Unknown | Left::Unchanged => report.findings = vec![told],
        Left::Changed | Left::Gone => {
            let likely = "what was put aside of a lost log was changed or removed".to_owned();
            let (file, offset) = (String::new(), 0);
            report.altered = Some(Alteration { index: 0, file, offset, problem: told, likely });
        }
    }
}
