//! What is compared: series become measures by the kind of their metric.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Aspect, Frame, Series,
    kind::{self, Ending, Family, Part},
    quantile,
};
use crate::labels::Labels;

/// One thing that has a value at every moment.
#[derive(Debug)]
pub(super) struct Measure<'a> {
    pub(super) metric: &'a str,
    pub(super) aspect: Aspect,
    pub(super) labels: Labels,
    pub(super) values: Cow<'a, [f64]>,
    /// Series that it is made of.
    pub(super) series: usize,
    /// Events of which one value is a share or a quantile: few of them scatter by chance alone.
    pub(super) events: f64,
    /// Seconds for which one value counts events one by one; 0 when it does not.
    pub(super) seconds: f64,
    /// Moments that one value is made of.
    pub(super) smooth: usize,
    /// What is small in this family: what changes by less than a part of it does not matter.
    pub(super) scale: f64,
}

/// Groups of one family; with more, the label with most values is summed over.
const GROUPS_MAX: usize = 64;
/// Seconds over which increments are taken together, so that scrapes that fall between two moments even out.
const SMOOTH_S: i64 = 120;
const SMOOTH_MAX: i64 = 8;
/// A share or a quantile of fewer events than this is left out.
const EVENTS_MIN: f64 = 5.0;
/// Part of a stretch in which a copy has to be for its own course to be compared.
const WHOLE: f64 = 0.5;

/// Everything that can be compared, in the order of the families.
pub(super) fn all<'a>(frame: &Frame, series: &'a [Series], families: &[Family<'a>]) -> Vec<Measure<'a>> {
    let maker = Maker { frame, series, smooth: smoothing(frame) };
    let mut measures = Vec::new();
    for family in families {
        let before = measures.len();
        match family.part {
            Part::Gauge => maker.gauges(family, &mut measures),
            Part::Stamp | Part::Countdown => maker.remaining(family, &mut measures),
            Part::Counter => maker.counters(family, &mut measures),
            Part::Bucket => maker.histograms(family, &mut measures),
            Part::Sum => maker.means(family, families, &mut measures),
            Part::Count
                if !families.iter().any(|it| it.metric == family.metric && it.part == Part::Bucket) =>
            {
                maker.rates(family, &maker.groups(family, None), &mut measures);
            }
            Part::Count | Part::Info => {}
        }
        scale(frame, &mut measures[before..]);
    }
    measures
}

fn smoothing(frame: &Frame) -> usize {
    usize::try_from((SMOOTH_S + frame.step - 1) / frame.step.max(1))
        .unwrap_or(1)
        .clamp(1, SMOOTH_MAX as usize)
}

/// The size of what is usual in a family, from a few values of each.
fn scale(frame: &Frame, measures: &mut [Measure<'_>]) {
    let middle = |it: &Measure<'_>| {
        let some = it.values[..frame.baseline].iter().step_by((frame.baseline / 8).max(1));
        some.copied().filter(|it| it.is_finite()).map(f64::abs).fold(0.0, f64::max)
    };
    for aspect in [Aspect::Value, Aspect::Rate] {
        let mut sizes: Vec<f64> = measures.iter().filter(|it| it.aspect == aspect).map(middle).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let usual = sizes.get(sizes.len() / 2).copied().unwrap_or(0.0);
        measures.iter_mut().filter(|it| it.aspect == aspect).for_each(|it| it.scale = usual);
    }
}

/// Series by the labels that remain when copies and parts are taken together.
type Groups = BTreeMap<Labels, Vec<usize>>;

struct Maker<'a, 'f> {
    frame: &'f Frame,
    series: &'a [Series],
    smooth: usize,
}

impl<'a> Maker<'a, '_> {
    fn labels(&self, index: usize) -> &'a Labels {
        &self.series[index].labels
    }

    /// Takes copies together, and with more than a few dozen groups the label with most values too.
    fn groups(&self, family: &Family<'a>, parts: Option<&str>) -> Groups {
        let mut left_out: BTreeSet<&str> = parts.into_iter().chain(["__name__", "le"]).collect();
        if family.members.iter().all(|it| kind::has_owner(self.labels(*it))) {
            let names = family.members.iter().flat_map(|it| self.labels(*it).keys());
            left_out.extend(names.map(String::as_str).filter(|it| kind::is_copy(it)));
        }
        loop {
            let mut groups = Groups::new();
            for index in &family.members {
                let kept = self.labels(*index).iter().filter(|it| !left_out.contains(it.0.as_str()));
                let key = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
                groups.entry(key).or_default().push(*index);
            }
            match most_valued(groups.keys()).filter(|_| groups.len() > GROUPS_MAX) {
                Some(label) => left_out.extend(
                    family
                        .members
                        .iter()
                        .flat_map(|it| self.labels(*it).keys())
                        .map(String::as_str)
                        .find(|it| *it == label),
                ),
                None => return groups,
            };
        }
    }

    fn measure(&self, family: &Family<'a>, aspect: Aspect, labels: &Labels, values: Vec<f64>) -> Measure<'a> {
        Measure {
            metric: family.metric,
            aspect,
            labels: labels.clone(),
            values: Cow::Owned(values),
            series: 1,
            events: 0.0,
            seconds: 0.0,
            smooth: self.smooth,
            scale: 0.0,
        }
    }

    /// Each as it is; where copies come and go, the highest of them as well.
    fn gauges(&self, family: &Family<'a>, into: &mut Vec<Measure<'a>>) {
        let whole = |index: usize| {
            let (before, after) = self.series[index].values.split_at(self.frame.baseline);
            let share =
                |it: &[f64]| it.iter().filter(|it| it.is_finite()).count() as f64 / it.len().max(1) as f64;
            share(before) >= WHOLE && share(after) >= WHOLE
        };
        for index in family.members.iter().copied().filter(|it| whole(*it)) {
            let mut labels = self.labels(index).clone();
            labels.remove("__name__");
            into.push(Measure {
                values: Cow::Borrowed(&self.series[index].values),
                smooth: 1,
                ..self.measure(family, Aspect::Value, &labels, Vec::new())
            });
        }
        if family.members.iter().all(|it| whole(*it)) {
            return;
        }
        for (labels, members) in self.groups(family, None) {
            if members.len() < 2 || members.iter().all(|it| whole(*it)) {
                continue;
            }
            let highest = |at| {
                members.iter().map(|it| self.series[*it].values[at]).reduce(f64::max).unwrap_or(f64::NAN)
            };
            let values = (0..self.frame.points()).map(highest).collect();
            let made = self.measure(family, Aspect::Value, &labels, values);
            into.push(Measure { smooth: 1, series: members.len(), ..made });
        }
    }

    /// Seconds until a moment that is yet to come when the baseline begins.
    fn remaining(&self, family: &Family<'a>, into: &mut Vec<Measure<'a>>) {
        for index in &family.members {
            let stored = &self.series[*index].values;
            let values: Vec<f64> = match family.part {
                Part::Stamp => {
                    stored.iter().enumerate().map(|(at, it)| it - self.frame.at(at) as f64).collect()
                }
                _ => stored.clone(),
            };
            if values.iter().find(|it| it.is_finite()).is_some_and(|it| *it > 0.0) {
                let mut labels = self.labels(*index).clone();
                labels.remove("__name__");
                into.push(Measure { smooth: 1, ..self.measure(family, Aspect::Remaining, &labels, values) });
            }
        }
    }

    /// Rates of all together, and where a label tells endings apart the shares of those that are not fine.
    fn counters(&self, family: &Family<'a>, into: &mut Vec<Measure<'a>>) {
        let outcome = kind::outcome_label(self.series, &family.members);
        let groups = self.groups(family, outcome);
        self.rates(family, &groups, into);
        let Some(outcome) = outcome else { return };
        for (labels, members) in &groups {
            let all = self.smooth(&self.flow(family, members));
            for (aspect, ending) in [(Aspect::Failed, Ending::Failed), (Aspect::Refused, Ending::Refused)] {
                let ended = |it: &&usize| {
                    let value = self.labels(**it).get(outcome).map(String::as_str);
                    value.and_then(|it| kind::ending(outcome, it)) == Some(ending)
                };
                let such: Vec<usize> = members.iter().filter(ended).copied().collect();
                if such.is_empty() || such.len() == members.len() {
                    continue;
                }
                let part = self.smooth(&self.flow(family, &such));
                let (values, events) = self.share(&part, &all);
                let made = self.measure(family, aspect, labels, values);
                into.push(Measure { series: such.len(), events, ..made });
            }
        }
    }

    fn rates(&self, family: &Family<'a>, groups: &Groups, into: &mut Vec<Measure<'a>>) {
        // What is counted in seconds or bytes comes in no known pieces.
        let pieces =
            !["seconds", "bytes"].iter().any(|it| family.name.contains(it)) || family.part == Part::Count;
        for (labels, members) in groups {
            let per_moment = self.smooth(&self.flow(family, members));
            let values = per_moment.iter().map(|it| it / self.frame.step as f64).collect();
            let made = self.measure(family, Aspect::Rate, labels, values);
            let seconds = if pieces { self.smooth as f64 * self.frame.step as f64 } else { 0.0 };
            into.push(Measure { series: members.len(), seconds, ..made });
        }
    }

    fn histograms(&self, family: &Family<'a>, into: &mut Vec<Measure<'a>>) {
        for (labels, members) in self.groups(family, None) {
            let mut bounds: Vec<(f64, Vec<usize>)> = Vec::new();
            for index in &members {
                let Some(bound) = self.labels(*index).get("le").and_then(|it| quantile::bound(it)) else {
                    continue;
                };
                match bounds.iter_mut().find(|it| it.0 == bound) {
                    Some(same) => same.1.push(*index),
                    None => bounds.push((bound, vec![*index])),
                }
            }
            bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            let flows: Vec<(f64, Vec<f64>)> =
                bounds.iter().map(|(bound, of)| (*bound, self.smooth(&self.flow(family, of)))).collect();
            let Some((_, all)) = flows.last().filter(|it| it.0 == f64::INFINITY) else { continue };
            let events = median(all) * self.smooth as f64;
            for (aspect, share) in [(Aspect::P50, 0.5), (Aspect::P99, 0.99)] {
                let values =
                    (0..self.frame.points()).map(|at| match all[at] * self.smooth as f64 >= EVENTS_MIN {
                        true => quantile::of(share, flows.iter().map(|it| (it.0, it.1[at]))),
                        false => f64::NAN,
                    });
                let made = self.measure(family, aspect, &labels, values.collect());
                into.push(Measure { series: members.len(), events, ..made });
            }
            let values = all.iter().map(|it| it / self.frame.step as f64).collect();
            let made = self.measure(family, Aspect::Rate, &labels, values);
            let seconds = self.smooth as f64 * self.frame.step as f64;
            into.push(Measure { series: members.len(), seconds, ..made });
        }
    }

    /// The mean of what is measured, from its sum and its count.
    fn means(&self, sums: &Family<'a>, families: &[Family<'a>], into: &mut Vec<Measure<'a>>) {
        let counts = families.iter().find(|it| it.metric == sums.metric && it.part == Part::Count);
        let Some(counts) = counts else { return };
        let counts_by = self.groups(counts, None);
        for (labels, members) in self.groups(sums, None) {
            let Some(count) = counts_by.get(&labels) else { continue };
            let all = self.smooth(&self.flow(counts, count));
            let sum = self.smooth(&self.flow(sums, &members));
            let (values, events) = self.share(&sum, &all);
            let made = self.measure(sums, Aspect::Mean, &labels, values);
            into.push(Measure { series: members.len(), events, ..made });
        }
    }

    /// One in proportion to the other, where the other is enough; and how much of the other there usually is.
    fn share(&self, part: &[f64], all: &[f64]) -> (Vec<f64>, f64) {
        let enough = EVENTS_MIN / self.smooth as f64;
        let share = |(part, all): (&f64, &f64)| match *all >= enough {
            // What was never counted while the rest was, is none.
            true => {
                if part.is_finite() {
                    part / all
                } else {
                    0.0
                }
            }
            false => f64::NAN,
        };
        (part.iter().zip(all).map(share).collect(), median(all) * self.smooth as f64)
    }

    /// By how much some counters together rose since the moment before; NaN where none of them tells. What was counted
    /// while a series was not seen is spread evenly over that time.
    fn flow(&self, family: &Family<'a>, members: &[usize]) -> Vec<f64> {
        let mut flow = vec![f64::NAN; self.frame.points()];
        let mut add =
            |at: usize, rise: f64| flow[at] = if flow[at].is_nan() { rise } else { flow[at] + rise };
        for index in members {
            let values = &self.series[*index].values;
            let mut last = None;
            for (at, value) in values.iter().enumerate().filter(|it| it.1.is_finite()) {
                if family.rated {
                    add(at, value * self.frame.step as f64);
                    continue;
                }
                let seam = at >= self.frame.baseline && !self.frame.contiguous();
                let before = last.replace((at, value)).filter(|it| !seam || it.0 >= self.frame.baseline);
                let Some((from, before)) = before else { continue };
                let rise = if value < before { *value } else { value - before };
                (from + 1..=at).for_each(|it| add(it, rise / (at - from) as f64));
            }
        }
        flow
    }

    /// Means over the moments before and including each, within one stretch.
    fn smooth(&self, flow: &[f64]) -> Vec<f64> {
        let seam = if self.frame.contiguous() { 0 } else { self.frame.baseline };
        let mean = |at: usize| {
            let start = if at >= seam { seam } else { 0 };
            let from = (at + 1).saturating_sub(self.smooth).max(start);
            let (mut sum, mut count) = (0.0, 0_usize);
            for it in flow[from..=at].iter().filter(|it| it.is_finite()) {
                sum += it;
                count += 1;
            }
            if count * 2 >= self.smooth { sum / count as f64 } else { f64::NAN }
        };
        (0..flow.len()).map(mean).collect()
    }
}

fn most_valued<'l>(keys: impl Iterator<Item = &'l Labels>) -> Option<String> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for key in keys {
        for (name, value) in key {
            values.entry(name).or_default().insert(value);
        }
    }
    values.into_iter().max_by_key(|it| it.1.len()).map(|it| it.0.to_owned())
}

fn median(values: &[f64]) -> f64 {
    let mut finite: Vec<f64> = values.iter().copied().filter(|it| it.is_finite()).collect();
    let middle = finite.len() / 2;
    match finite.is_empty() {
        true => 0.0,
        false => *finite.select_nth_unstable_by(middle, f64::total_cmp).1,
    }
}
