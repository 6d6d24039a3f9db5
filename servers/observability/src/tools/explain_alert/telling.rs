//! How does an alert stand, in a sentence each?

use jiff::Timestamp;

use super::{Evaluated, SENTENCE_MAX};
use crate::{
    backends::prometheus::{Rule, RuleAlert, RuleState},
    figure::Figure,
    grid::{lasting, utc},
    labels::{Labels, short, text},
};

const ALERTS_MAX: usize = 6;

pub(super) fn verdict(rule: &Rule, alerts: &[&RuleAlert], evaluated: &Evaluated, now: Timestamp) -> String {
    if !rule.last_error.is_empty() {
        return format!("it cannot be evaluated: {}", short(&rule.last_error, SENTENCE_MAX));
    }
    let of = |state: RuleState| alerts.iter().filter(move |it| it.state == state);
    let (firing, pending) = (of(RuleState::Firing).count(), of(RuleState::Pending).count());
    let held = |it: &RuleAlert| it.active_at.map_or(0.0, |since| since.duration_until(now).as_secs_f64());
    let waits = match pending {
        0 => String::new(),
        _ => {
            let longest = of(RuleState::Pending).map(|it| held(it)).fold(0.0, f64::max);
            format!("{pending} pending, {} of {} waited", lasting(longest), lasting(rule.duration))
        }
    };
    match (firing, pending) {
        (0, 0) => {}
        (0, _) => return waits,
        (_, 0) => return format!("{firing} firing"),
        _ => return format!("{firing} firing, {waits}"),
    }
    let lacking = evaluated.measured.iter().filter(|it| it.1.holding == 0);
    let lacking: Vec<String> =
        lacking.take(2).map(|(at, it)| format!("part {} {}", at + 1, it.lacks())).collect();
    match lacking.is_empty() {
        false => format!("does not fire: {}", lacking.join("; ")),
        true if evaluated.measured.is_empty() => "does not fire".to_owned(),
        true => {
            "does not fire, though every part holds now: for different labels, or since its last evaluation"
                .to_owned()
        }
    }
}

pub(super) fn listed(rule: &Rule, alerts: &[&RuleAlert], now: Timestamp) -> Vec<String> {
    let mut known = rule.labels.clone();
    known.insert("alertname".to_owned(), String::new());
    let one = |it: &&RuleAlert| {
        let labels = short(&text(&it.labels, &known), SENTENCE_MAX / 2);
        let value = it.value.parse().map_or_else(|_| it.value.clone(), |it| Figure(it).to_string());
        let since = it.active_at.map_or_else(String::new, |since| {
            let held = lasting(since.duration_until(now).as_secs_f64());
            match it.state {
                RuleState::Pending => format!(" for {held} of {}", lasting(rule.duration)),
                _ => format!(" since {} ({held})", utc(since)),
            }
        });
        format!("{}{since}, value {value}: {labels}", it.state.word())
    };
    let more = alerts.len().saturating_sub(ALERTS_MAX);
    let said = alerts.iter().take(ALERTS_MAX).map(one);
    said.chain((more > 0).then(|| format!("and {more} more"))).collect()
}

pub(super) fn about(rule: &Rule) -> String {
    let mut parts =
        vec![format!("group {}, evaluated every {}", short(&rule.group, 60), lasting(rule.interval))];
    if rule.duration > 0.0 {
        parts.push(format!("for {}", lasting(rule.duration)));
    }
    if rule.keep_firing_for > 0.0 {
        parts.push(format!("keeps firing for {}", lasting(rule.keep_firing_for)));
    }
    parts.extend(rule.last_evaluation.map(|it| format!("last at {}", utc(it))));
    parts.extend((!rule.labels.is_empty()).then(|| text(&rule.labels, &Labels::new())));
    short(&parts.join(", "), SENTENCE_MAX)
}
