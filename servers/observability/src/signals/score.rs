//! Did a measure move beyond what its baseline explains, since when, and by how much?
//!
//! The baseline's median and spread (the larger of the scaled median deviation and the 5 to 95 % range, never below a
//! floor) make every value a distance. A one-sided cumulative sum with drift finds the stretch of the window that stands
//! out most; for independent noise its maximum exceeds `h` with a chance of about `n·exp(-2·DRIFT·h)`, so `h` follows from
//! the chance that all measures together may accuse anything, stretched by how long the baseline's noise lasts.

use std::ops::Range;

use super::{Aspect, Frame, measure::Measure};

/// What moved, and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Movement {
    /// Median of the baseline.
    pub(super) before: f64,
    /// Where it went: of what still goes on, its latest part.
    pub(super) after: f64,
    /// Spreads from before to the median since; negative when it fell.
    pub(super) effect: f64,
    /// Change in proportion to what was there before or would count as much.
    pub(super) relative: f64,
    /// First moment, in the frame.
    pub(super) from: usize,
    /// Moment after the last.
    pub(super) to: usize,
}

pub(super) struct Scorer<'f> {
    frame: &'f Frame,
    /// Logarithm of how often one in so many comparisons may go wrong.
    odds: f64,
    /// How many measures had no baseline.
    pub(super) baseless: usize,
    sorted: Vec<f64>,
}

/// What the baseline shows.
#[derive(Clone, Copy, Debug)]
struct Usual {
    median: f64,
    spread: f64,
    /// By how much it rises from one moment to the next, when it does so all along.
    slope: f64,
    /// Moments of the baseline.
    baseline: usize,
    /// How many values tell as much as one that is independent of the one before.
    lasting: f64,
    /// The most that the baseline itself stands out.
    excess: f64,
}

/// A stretch that stands out to one side.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    excess: f64,
    from: usize,
    to: usize,
}

/// Spreads that a value may be off without counting.
const DRIFT: f64 = 1.0;
/// Distances beyond this count as this, so that one spike is not a stretch.
const CLIP: f64 = 8.0;
/// Fewer values are no baseline.
const BASELINE_MIN: usize = 6;
/// A shorter stretch is a spike.
const POINTS_MIN: usize = 3;
/// Spreads between before and after, at least.
const EFFECT_MIN: f64 = 3.0;
/// How much more than the baseline ever did a stretch must stand out.
const BEYOND: f64 = 2.0;
/// Further away is as far as this: the spread of what never moved is only a floor.
const FAR: f64 = 100.0;
/// A moment that passes is no matter of spreads: it counts as this many.
const RUN_OUT: f64 = 50.0;
/// It begins where this part of the way is gone.
const ONSET: f64 = 0.2;
/// Of a normal distribution, spreads between the 5 and the 95 % quantile; and of one spread, median deviations.
const RANGE: f64 = 3.29;
const DEVIATION: f64 = 1.4826;

impl<'f> Scorer<'f> {
    /// For so many measures, none of which shall be accused wrongly with more than this chance.
    pub(super) fn new(frame: &'f Frame, measures: usize, error_rate: f64) -> Scorer<'f> {
        let comparisons = measures.max(1) as f64 * frame.window.max(1) as f64;
        Scorer { frame, odds: (comparisons / error_rate).ln(), baseless: 0, sorted: Vec::new() }
    }

    /// None when its baseline explains it, or when there is no baseline.
    pub(super) fn movement(&mut self, measure: &Measure<'_>) -> Option<Movement> {
        if measure.aspect == Aspect::Remaining {
            return self.run_out(&measure.values);
        }
        let usual = self.usual(measure)?;
        let (first, end) = (self.frame.baseline, self.frame.points());
        let stretch = stretch(&measure.values, first..end, &usual);
        let enough = self.odds / (2.0 * DRIFT) * usual.lasting;
        let points = stretch.to - stretch.from;
        let goes_on = stretch.to + measure.smooth.max(2) >= end;
        // One odd scrape shows in as many values as are taken together; a blip that is over is no movement.
        let least =
            if goes_on { POINTS_MIN + measure.smooth - 1 } else { 2 * (POINTS_MIN + measure.smooth - 1) };
        if stretch.excess < enough.max(BEYOND * usual.excess) || points < least {
            return None;
        }
        let latest = if goes_on { stretch.to - points.div_ceil(3) } else { stretch.from };
        let after = self.median(measure.values[latest..stretch.to].iter().copied())?;
        let offs = (stretch.from..stretch.to).map(|it| usual.off(it, measure.values[it]));
        let off = self.median(offs)?;
        let effect = (off / usual.spread).clamp(-FAR, FAR);
        if effect.abs() < EFFECT_MIN || !measure.matters(usual.median, after) {
            return None;
        }
        let least = usual.median.abs().min(after.abs());
        Some(Movement {
            before: usual.median,
            after,
            effect,
            relative: (after - usual.median).abs() / measure.size(least),
            from: began(&measure.values, first, &stretch, off, &usual),
            to: if goes_on { end } else { stretch.to },
        })
    }

    /// A moment that came within the window.
    fn run_out(&self, values: &[f64]) -> Option<Movement> {
        let from = values.iter().position(|it| *it <= 0.0).filter(|it| *it >= self.frame.baseline)?;
        let before = *values[..from].iter().rev().find(|it| it.is_finite())?;
        let after = *values.iter().rev().find(|it| it.is_finite())?;
        (after <= 0.0).then_some(Movement {
            before,
            after,
            effect: -RUN_OUT,
            relative: 1.0,
            from,
            to: self.frame.points(),
        })
    }

    fn usual(&mut self, measure: &Measure<'_>) -> Option<Usual> {
        let end = self.frame.baseline;
        let baseline = &measure.values[..end];
        let present = baseline.iter().filter(|it| it.is_finite()).count();
        if present < BASELINE_MIN.max(end / 5) {
            self.baseless += 1;
            return None;
        }
        let median = self.median(baseline.iter().copied())?;
        let third = end / 3;
        let ends = (
            self.median(baseline[..third].iter().copied()),
            self.median(baseline[end - third..].iter().copied()),
        );
        let slope = match ends {
            (Some(first), Some(last)) if self.frame.contiguous() => (last - first) / (end - third) as f64,
            _ => 0.0,
        };
        let mut usual = Usual { median, slope, baseline: end, spread: 0.0, lasting: 1.0, excess: 0.0 };
        self.sorted.clear();
        self.sorted.extend(
            baseline.iter().enumerate().map(|(at, it)| usual.off(at, *it)).filter(|it| it.is_finite()),
        );
        self.sorted.sort_unstable_by(f64::total_cmp);
        let range = self.sorted[present - 1 - present / 20] - self.sorted[present / 20];
        let deviation = self.median_of_sizes();
        // Of a small whole number one more or less says nothing, once it was ever other than it is.
        let whole =
            range > 0.0 && median.abs() < 100.0 && measure.aspect == Aspect::Value && median.fract() == 0.0;
        let floor = measure.floor(median).max(if whole { 0.5 } else { 0.0 }).max(f64::MIN_POSITIVE);
        usual.spread = (DEVIATION * deviation).max(range / RANGE).max(floor);
        usual.lasting = lasting(baseline, &usual);
        usual.excess = stretch(&measure.values, 0..end, &usual).excess;
        Some(usual)
    }

    /// Of what stands in the buffer.
    fn median_of_sizes(&mut self) -> f64 {
        self.sorted.iter_mut().for_each(|it| *it = it.abs());
        let middle = self.sorted.len() / 2;
        *self.sorted.select_nth_unstable_by(middle, f64::total_cmp).1
    }

    fn median(&mut self, values: impl Iterator<Item = f64>) -> Option<f64> {
        self.sorted.clear();
        self.sorted.extend(values.filter(|it| it.is_finite()));
        let middle = self.sorted.len() / 2;
        (!self.sorted.is_empty()).then(|| *self.sorted.select_nth_unstable_by(middle, f64::total_cmp).1)
    }
}

impl Usual {
    /// How far a value is from what was to be expected at that moment. After the baseline its trend may go on or end:
    /// whatever lies between is expected.
    fn off(&self, at: usize, value: f64) -> f64 {
        let trend = self.median + self.slope * (at as f64 - self.baseline as f64 / 2.0);
        if at < self.baseline {
            return value - trend;
        }
        let (low, high) = if trend < self.median { (trend, self.median) } else { (self.median, trend) };
        if value < low { value - low } else { (value - high).max(0.0 * value) }
    }
}

impl Measure<'_> {
    /// No spread is taken to be less: what is flat would otherwise make a giant of the least ripple.
    fn floor(&self, median: f64) -> f64 {
        let usual = median.abs();
        match self.aspect {
            Aspect::Failed | Aspect::Refused => {
                let events = self.events.max(1.0);
                (usual.max(1.0 / events) / events).sqrt().max(0.001)
            }
            Aspect::Rate => {
                let small = (0.02 * usual).max(0.01 * self.scale);
                match self.seconds > 0.0 {
                    // What comes by chance scatters by the root of its number, and one is always possible.
                    true => small.max((usual.max(1.0 / self.seconds) / self.seconds).sqrt()),
                    false => small.max(0.01),
                }
            }
            Aspect::P50 | Aspect::P99 | Aspect::Mean => 0.04 * usual,
            Aspect::Value | Aspect::Remaining => {
                (0.02 * usual).max(0.02 * self.scale.min(10.0 * usual.max(1.0)))
            }
        }
        .max(f64::MIN_POSITIVE)
    }

    /// What a change is measured against.
    fn size(&self, median: f64) -> f64 {
        let least = match self.aspect {
            Aspect::Failed | Aspect::Refused => 0.01,
            _ => 0.05 * self.scale,
        };
        median.abs().max(least).max(f64::MIN_POSITIVE)
    }

    /// Whether anyone would act on it, however sure it is.
    fn matters(&self, before: f64, after: f64) -> bool {
        let change = (after - before).abs();
        match self.aspect {
            Aspect::Failed => change >= 0.01 && change >= 0.5 * before,
            Aspect::Refused => change >= 0.03 && change >= 0.5 * before,
            Aspect::Rate => change >= 0.3 * self.size(before),
            Aspect::P50 | Aspect::P99 | Aspect::Mean => change >= 0.25 * self.size(before),
            // Where there are usually several, one more or less is nothing.
            Aspect::Value if before.fract() == 0.0 && self.scale > 1.0 && change <= 1.0 => false,
            Aspect::Value | Aspect::Remaining => change >= 0.2 * self.size(before),
        }
    }
}

/// The stretch that stands out most: the largest sum of distances, each less the drift.
fn stretch(values: &[f64], within: Range<usize>, usual: &Usual) -> Stretch {
    let mut best = Stretch::default();
    let (mut up, mut down) = ((0.0, 0), (0.0, 0));
    for at in within {
        let distance = (usual.off(at, values[at]) / usual.spread).clamp(-CLIP, CLIP);
        if distance.is_nan() {
            continue;
        }
        for (sum, distance) in [(&mut up, distance), (&mut down, -distance)] {
            if sum.0 <= 0.0 {
                *sum = (0.0, at);
            }
            sum.0 += distance - DRIFT;
            if sum.0 > best.excess {
                best = Stretch { excess: sum.0, from: sum.1, to: at + 1 };
            }
        }
    }
    best
}

/// From the autocorrelation of neighbours: noise that lasts makes long stretches by itself.
fn lasting(baseline: &[f64], usual: &Usual) -> f64 {
    let (mut last, mut both, mut square) = (f64::NAN, 0.0, 0.0);
    for (at, value) in baseline.iter().enumerate() {
        let distance = (usual.off(at, *value) / usual.spread).clamp(-CLIP, CLIP);
        if distance.is_nan() {
            continue;
        }
        square += distance * distance;
        if !last.is_nan() {
            both += last * distance;
        }
        last = distance;
    }
    let correlation = if square > 0.0 { (both / square).clamp(0.0, 0.95) } else { 0.0 };
    // Noise far below the floor lasts however long without standing out.
    let size = (square / baseline.len().max(1) as f64).min(1.0);
    1.0 + size * ((1.0 + correlation) / (1.0 - correlation) - 1.0)
}

/// Walks back from where the stretch first reaches its middle to where it had hardly left what was expected: the sum
/// alone may have begun with a drift long before.
fn began(values: &[f64], first: usize, stretch: &Stretch, middle: f64, usual: &Usual) -> usize {
    let off = |at: usize| middle.signum() * usual.off(at, values[at]);
    let reached = (stretch.from..stretch.to).find(|it| off(*it) >= middle.abs()).unwrap_or(stretch.from);
    let low = usual.spread.max(ONSET * middle.abs());
    let (mut onset, mut lows) = (reached, 0);
    for at in (first..reached).rev().filter(|it| values[*it].is_finite()) {
        match off(at) >= low {
            true => (onset, lows) = (at, 0),
            // One value alone may be noise.
            false if lows > 0 => break,
            false => lows += 1,
        }
    }
    onset
}
