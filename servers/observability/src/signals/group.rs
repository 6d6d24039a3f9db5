//! In which order does a reader hear of what moved? Causes come before symptoms: what began early and moved far first.
//!
//! Calls say more of the order than seconds do. Waiting and failing go from who is called to who calls, so the calls at the
//! end of a chain come before those that wait for them; demand goes the other way, so calls that are made because more is
//! asked of their caller come after that.

use std::collections::BTreeSet;

use std::collections::BTreeMap;

use super::{Aspect, Frame, Signal, kind, limit::Limit, score::Movement};
use crate::labels::Labels;

/// A limit that is used to this part and more weighs.
const SATURATED: f64 = 0.85;
/// Onsets within this part of the window are one event.
const NEAR: f64 = 0.1;
/// What begins this part of the window after the first of its event is a symptom to a third.
const LATER: f64 = 0.03;

/// What it is worth that others wait for it and it for none of them: the chain of calls ends here.
const ENDS: f64 = 1.5;

/// What calls are worth that are made because more is asked of their caller.
const FOLLOWS: f64 = 0.7;

/// What a second view of the same kind is worth.
const AGAIN: f64 = 0.7;

/// How telling a movement is, whenever it began.
pub(super) fn strength(aspect: Aspect, movement: &Movement, limit: Option<&Limit>) -> f64 {
    let kind = match aspect {
        Aspect::Remaining => 2.0,
        Aspect::Failed => 1.2,
        Aspect::P50 | Aspect::P99 | Aspect::Mean | Aspect::Value => 1.0,
        Aspect::Refused | Aspect::Rate => 0.9,
    };
    let saturated = limit.is_some_and(|it| movement.effect > 0.0 && movement.after >= SATURATED * it.value);
    let size = 1.0 + 0.5 * movement.relative.ln_1p().min(2.0);
    movement.effect.abs().ln_1p() * size * kind * if saturated { 1.6 } else { 1.0 }
}

/// Merges what is the same movement seen several times, then orders.
pub(super) fn ordered(frame: &Frame, mut signals: Vec<Signal>) -> Vec<Signal> {
    let length = frame.step as f64 * frame.window as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a part of a window's seconds")]
    let near = (NEAR * length) as i64;
    let near = near.max(2 * frame.step);
    let begins = number(&mut signals, near);
    for it in &mut signals {
        let first = begins[it.together - 1];
        it.rank *= later(frame, it.onset - first);
        it.rank *= (-((first - begins[0]) as f64) / length).exp();
    }
    let counters: Vec<Signal> =
        signals.iter().filter(|it| it.counts && it.metric.ends_with("_total")).cloned().collect();
    signals
        .retain(|it| it.metric.ends_with("_total") || !counters.iter().any(|counter| counter.counts_as(it)));
    let mut kept = merged(signals, frame, near);
    for it in kept.iter_mut().filter(|it| it.aspect == Aspect::Rate && it.counts && it.after > it.before) {
        // Demand that rises in many places at once comes from outside: everything else follows from it.
        it.rank *= 1.0 + 0.1 * (it.elsewhere.len() as f64).min(8.0);
    }
    let asked: Vec<Signal> =
        kept.iter().filter(|it| it.counts && it.aspect == Aspect::Rate).cloned().collect();
    for it in kept.iter_mut().filter(|it| asked.iter().any(|other| it.follows(other, near))) {
        it.rank *= FOLLOWS;
    }
    varied(kept)
}

/// A metric that moved in several places is told once, by the place that speaks for the others.
fn merged(mut signals: Vec<Signal>, frame: &Frame, near: i64) -> Vec<Signal> {
    signals.sort_by(|a, b| a.onset.cmp(&b.onset).then_with(|| a.labels.cmp(&b.labels)));
    let mut groups: Vec<Vec<Signal>> = Vec::new();
    for signal in signals {
        match groups.iter_mut().find(|it| same(&it[0], &signal, near)) {
            Some(group) => group.push(signal),
            None => groups.push(vec![signal]),
        }
    }
    let lead = |mut group: Vec<Signal>| {
        // A moment or two earlier or later is chance.
        let first = group[0].onset + 2 * frame.step;
        let leads = |it: &Signal| it.leads() * later(frame, (it.onset - first).max(0)).powi(2);
        let places: BTreeSet<String> =
            group.iter().flat_map(|it| kind::owners(&it.labels)).cloned().collect();
        let explained = |it: &Signal| it.waits_for().is_some_and(|it| places.contains(it));
        group.sort_by(|a, b| explained(a).cmp(&explained(b)).then_with(|| leads(b).total_cmp(&leads(a))));
        let mut group = group.into_iter();
        let mut leader = group.next()?;
        let waiting = |it: &Signal| {
            it.waits_for().is_some_and(|called| kind::owners(&leader.labels).any(|it| it == called))
        };
        if !explained(&leader) && group.as_slice().iter().any(waiting) {
            leader.rank *= ENDS;
        }
        group.for_each(|it| join(&mut leader, it));
        Some(leader)
    };
    groups.into_iter().filter_map(lead).collect()
}

/// What is left of the weight of what began so many seconds after the first.
fn later(frame: &Frame, seconds: i64) -> f64 {
    let length = frame.step as f64 * frame.window as f64;
    (-(seconds as f64) / (LATER * length).max(4.0 * frame.step as f64)).exp()
}

/// Highest first, but each further view of one kind on one event counts for less: a reader wants its other sides too.
fn varied(mut left: Vec<Signal>) -> Vec<Signal> {
    let mut told: Vec<Signal> = Vec::new();
    let mut alike: BTreeMap<(usize, u8), i32> = BTreeMap::new();
    while !left.is_empty() {
        let view = |it: &Signal| (it.together, it.kind());
        let worth = |it: &Signal| it.rank * AGAIN.powi(alike.get(&view(it)).copied().unwrap_or(0));
        let best = (0..left.len()).max_by(|a, b| worth(&left[*a]).total_cmp(&worth(&left[*b]))).unwrap_or(0);
        let best = left.remove(best);
        *alike.entry(view(&best)).or_default() += 1;
        told.push(best);
    }
    told
}

impl Signal {
    /// How much it speaks for its metric elsewhere. Of demand a doubling is as much as any: more comes of repeated calls.
    fn leads(&self) -> f64 {
        let change = (self.after - self.before).abs();
        match self.kind() {
            // What waits for another moves by less in proportion than the other does.
            0 => change * change / self.before.abs().max(f64::MIN_POSITIVE),
            _ if self.counts => change.min(self.before),
            _ => change,
        }
    }

    /// Whom it waits for, and whose failures it passes on, where it is of calls to somebody else.
    fn waits_for(&self) -> Option<&String> {
        let passes_on = matches!(self.kind(), 0 | 1) && self.after > self.before;
        let called = kind::called(&self.labels).filter(|_| passes_on)?;
        kind::owners(&self.labels).all(|it| it != called).then_some(called)
    }

    /// Whether these are calls that a place makes more of because more is asked of it.
    fn follows(&self, asked: &Signal, near: i64) -> bool {
        let more = |it: &Signal| it.counts && it.aspect == Aspect::Rate && it.after > it.before;
        let is_caller = |it: &Labels| {
            kind::called(it).is_none()
                && kind::owners(&self.labels).any(|own| kind::owners(it).any(|it| it == own))
        };
        more(self)
            && more(asked)
            && kind::called(&self.labels).is_some()
            && (self.onset - asked.onset).abs() <= near
            && std::iter::once(&asked.labels).chain(&asked.elsewhere).any(is_caller)
    }

    /// What kind of view it is on what happened.
    fn kind(&self) -> u8 {
        match self.aspect {
            Aspect::P50 | Aspect::P99 | Aspect::Mean => 0,
            Aspect::Failed | Aspect::Refused => 1,
            Aspect::Rate if self.counts => 2,
            Aspect::Rate => 3,
            Aspect::Value => 4,
            Aspect::Remaining => 5,
        }
    }

    /// Whether another counts the same, so that one of the two is enough.
    fn counts_as(&self, other: &Signal) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= 0.03 * a.abs().max(b.abs());
        self.counts
            && other.counts
            && self.labels == other.labels
            && close(self.before, other.before)
            && close(self.after, other.after)
    }
}

/// Whether two are one movement: the same metric, or two views of its distribution, the same way at about the same time.
fn same(a: &Signal, b: &Signal, near: i64) -> bool {
    let shape = |it: Aspect| matches!(it, Aspect::P50 | Aspect::P99 | Aspect::Mean);
    let aspects = a.aspect == b.aspect || shape(a.aspect) && shape(b.aspect);
    let rises = |it: &Signal| it.after > it.before;
    a.metric == b.metric && aspects && rises(a) == rises(b) && (a.onset - b.onset).abs() <= near
}

fn join(leader: &mut Signal, other: Signal) {
    let owner = |it: &Labels| -> Labels {
        it.iter()
            .filter(|it| !kind::is_copy(it.0))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    if leader.aspect == other.aspect {
        leader.series += other.series;
    } else if !leader.also.contains(&other.aspect) {
        leader.also.push(other.aspect);
    }
    let other = owner(&other.labels);
    if other != owner(&leader.labels) && !leader.elsewhere.contains(&other) {
        leader.elsewhere.push(other);
    }
}

/// Numbers what began at about the same time, in the order of time; when each of those events began.
fn number(signals: &mut [Signal], near: i64) -> Vec<i64> {
    let mut onsets: Vec<i64> = signals.iter().map(|it| it.onset).collect();
    onsets.sort_unstable();
    let first = |it: &(usize, &i64)| it.0 == 0 || it.1 - onsets[it.0 - 1] > near;
    let begins: Vec<i64> = onsets.iter().enumerate().filter(first).map(|it| *it.1).collect();
    for signal in signals {
        signal.together = begins.iter().filter(|it| **it <= signal.onset).count();
    }
    begins
}
