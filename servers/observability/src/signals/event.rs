//! What happened to series rather than to their values: new, gone, restarted, interrupted?

use super::{
    Event, Frame, Series,
    kind::{Family, Part},
};
use crate::labels::{self, Labels};

/// Something that happened to one series.
struct Seen<'a> {
    at: usize,
    what: &'static str,
    family: &'a Family<'a>,
    labels: &'a Labels,
}

/// A series counts as gone when it has no value for this long: the five minutes for which a value is good, and a little.
const GONE_S: i64 = 360;

/// Everything within the window, oldest first; what happened to many at once is one event.
pub(super) fn all(frame: &Frame, series: &[Series], families: &[Family<'_>]) -> Vec<Event> {
    let mut seen: Vec<Seen<'_>> = Vec::new();
    for family in families {
        for index in &family.members {
            let it = &series[*index];
            let found = of_series(frame, &it.values, family);
            seen.extend(found.map(|(at, what)| Seen { at, what, family, labels: &it.labels }));
        }
    }
    seen.sort_by_key(|it| (it.what, it.at));
    let near = |a: &Seen<'_>, b: &Seen<'_>| a.what == b.what && b.at - a.at <= 2;
    let mut events: Vec<Event> = seen.chunk_by(near).map(|it| together(frame, it)).collect();
    events.sort_by_key(|it| it.at);
    events
}

fn of_series<'a>(
    frame: &Frame,
    values: &'a [f64],
    family: &'a Family<'_>,
) -> impl Iterator<Item = (usize, &'static str)> + 'a {
    let present = |it: usize| values[it].is_finite();
    let (from, end) = (frame.baseline, frame.points());
    let first = (0..end).find(|it| present(*it));
    let last = (0..end).rev().find(|it| present(*it));
    let late = usize::try_from(GONE_S / frame.step.max(1)).unwrap_or(1).max(1);
    let new = first.filter(|it| *it > from).map(|it| (it, "new"));
    let gone = last.filter(|it| *it >= from && it + late < end - 1).map(|it| (it, "gone"));
    let inside = first.unwrap_or(end).max(from)..last.unwrap_or(0);
    let gap = inside.clone().find(|it| !present(*it)).map(|it| (it, "gap"));
    let falls = |at: &usize| match family.part {
        Part::Counter | Part::Bucket | Part::Count => !family.rated && values[*at] < values[*at - 1],
        Part::Stamp => family.name.contains("start") && values[*at] > values[*at - 1] + 1.0,
        _ => false,
    };
    let restart = (inside.start.max(1)..inside.end + 1).filter(move |it| *it < end).find(falls);
    [new, gone, gap, restart.map(|it| (it, "restarted"))].into_iter().flatten()
}

fn together(frame: &Frame, seen: &[Seen<'_>]) -> Event {
    // A version that comes or goes says most.
    let leader = seen.iter().find(|it| it.family.part == Part::Info);
    let shared = labels::common(seen.iter().map(|it| it.labels));
    let first = leader.unwrap_or(&seen[0]);
    let mut labels = if leader.is_some() || seen.len() == 1 { first.labels.clone() } else { shared };
    labels.remove("__name__");
    Event {
        at: frame.at(seen[0].at),
        what: first.what,
        metric: first.family.metric.to_owned(),
        labels,
        series: seen.len(),
    }
}
