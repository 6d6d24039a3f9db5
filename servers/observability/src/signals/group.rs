//! In which order does a reader hear of what moved? Causes come before symptoms: what began early and moved far first.

use super::{Aspect, Frame, Signal, kind, limit::Limit, score::Movement};
use crate::labels::Labels;

/// A limit that is used to this part and more weighs.
const SATURATED: f64 = 0.85;

/// How telling a movement is, whenever it began.
pub(super) fn strength(aspect: Aspect, movement: &Movement, limit: Option<&Limit>) -> f64 {
    let kind = match aspect {
        Aspect::Remaining => 3.0,
        Aspect::Failed => 1.5,
        Aspect::P50 | Aspect::P99 | Aspect::Mean | Aspect::Value => 1.0,
        Aspect::Refused | Aspect::Rate => 0.9,
    };
    let saturated = limit.is_some_and(|it| movement.effect > 0.0 && movement.after >= SATURATED * it.value);
    let size = movement.relative.ln_1p().min(2.5);
    movement.effect.abs().min(40.0).sqrt() * (0.5 + size) * kind * if saturated { 1.6 } else { 1.0 }
}

/// Merges what is the same movement seen several times, then orders.
pub(super) fn ordered(frame: &Frame, mut signals: Vec<Signal>) -> Vec<Signal> {
    let Some(earliest) = signals.iter().map(|it| it.onset).min() else { return signals };
    let length = frame.step as f64 * frame.window as f64;
    for it in &mut signals {
        it.rank *= (-((it.onset - earliest) as f64) / (0.5 * length)).exp();
    }
    signals.sort_by(|a, b| b.rank.total_cmp(&a.rank));
    let near = (length * 0.1) as i64;
    let mut kept: Vec<Signal> = Vec::new();
    for signal in signals {
        match kept.iter_mut().find(|it| same(it, &signal, near)) {
            Some(leader) => join(leader, &signal),
            None => kept.push(signal),
        }
    }
    number(&mut kept, near.max(2 * frame.step));
    kept
}

/// Whether two are one movement: the same metric of copies of one thing, or two views of one distribution.
fn same(a: &Signal, b: &Signal, near: i64) -> bool {
    let shape = |it: Aspect| matches!(it, Aspect::P50 | Aspect::P99 | Aspect::Mean);
    let aspects = a.aspect == b.aspect || shape(a.aspect) && shape(b.aspect);
    let rises = |it: &Signal| it.after > it.before;
    a.metric == b.metric
        && aspects
        && rises(a) == rises(b)
        && (a.onset - b.onset).abs() <= near
        && owner(&a.labels).eq(owner(&b.labels))
}

fn owner(labels: &Labels) -> impl Iterator<Item = (&String, &String)> {
    labels.iter().filter(|it| !kind::is_copy(it.0))
}

fn join(leader: &mut Signal, other: &Signal) {
    if leader.aspect == other.aspect {
        leader.series += other.series;
    } else if !leader.also.contains(&other.aspect) {
        leader.also.push(other.aspect);
    }
}

/// Numbers what began at about the same time, in the order of time.
fn number(signals: &mut [Signal], near: i64) {
    let mut onsets: Vec<i64> = signals.iter().map(|it| it.onset).collect();
    onsets.sort_unstable();
    let begins: Vec<i64> = onsets
        .iter()
        .enumerate()
        .filter(|(at, it)| *at == 0 || **it - onsets[at - 1] > near)
        .map(|it| *it.1)
        .collect();
    for signal in signals {
        signal.together = begins.iter().filter(|it| **it <= signal.onset).count();
    }
}
