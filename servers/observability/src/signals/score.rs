//! Did a measure move beyond what its baseline explains, since when, and by how much?
//!
//! The baseline's median and spread (the larger of the scaled median deviation and the 5 to 95 % range, never below a
//! floor) make every value a distance. A one-sided cumulative sum with drift finds the stretch of the window that stands
//! out most; for independent noise its maximum exceeds `h` with a chance of about `n·exp(-2·DRIFT·h)`, so `h` follows from
//! the chance that all measures together may accuse anything, stretched by how long the baseline's noise lasts.

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
    sorted: Vec<f64>,
}

/// What the baseline shows.
#[derive(Clone, Copy, Debug)]
struct Usual {
    median: f64,
    spread: f64,
    /// By how much it rises from one moment to the next, when it does so all along.
    slope: f64,
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
    rising: bool,
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
/// A moment that passes is no matter of spreads: it counts as this many.
const RUN_OUT: f64 = 20.0;
/// It begins where this part of the way is gone.
const ONSET: f64 = 0.2;
/// Of a normal distribution, spreads between the 5 and the 95 % quantile; and of one spread, median deviations.
const RANGE: f64 = 3.29;
const DEVIATION: f64 = 1.4826;

impl<'f> Scorer<'f> {
    /// For so many measures, none of which shall be accused wrongly with more than this chance.
    pub(super) fn new(frame: &'f Frame, measures: usize, error_rate: f64) -> Scorer<'f> {
        let comparisons = measures.max(1) as f64 * frame.window.max(1) as f64;
        Scorer { frame, odds: (comparisons / error_rate).ln(), sorted: Vec::new() }
    }

    /// None when its baseline explains it, or when there is no baseline.
    pub(super) fn movement(&mut self, measure: &Measure<'_>) -> Option<Movement> {
        if measure.aspect == Aspect::Remaining {
            return self.run_out(&measure.values);
        }
        let (baseline, window) = measure.values.split_at(self.frame.baseline);
        let usual = self.usual(baseline, measure)?;
        let stretch = stretch(window, &usual);
        let enough = self.odds / (2.0 * DRIFT) * usual.lasting;
        let points = stretch.to - stretch.from;
        if stretch.excess < enough.max(BEYOND * usual.excess) || points < POINTS_MIN.max(measure.smooth) {
            return None;
        }
        let middle = self.median(&window[stretch.from..stretch.to])?;
        let effect = unexplained(middle, &stretch, &usual, self.frame) / usual.spread;
        let relative = (middle - usual.median).abs() / measure.size(usual.median);
        if effect.abs() < EFFECT_MIN || !measure.matters(usual.median, middle) {
            return None;
        }
        let goes_on = stretch.to + measure.smooth.max(2) >= window.len();
        let after = match goes_on {
            true => self.median(&window[stretch.to - points.div_ceil(3)..stretch.to]).unwrap_or(middle),
            false => middle,
        };
        let to = self.frame.baseline + if goes_on { window.len() } else { stretch.to };
        let from = self.frame.baseline + began(window, &stretch, middle, &usual, baseline.len());
        Some(Movement { before: usual.median, after, effect, relative, from, to })
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

    fn usual(&mut self, baseline: &[f64], measure: &Measure<'_>) -> Option<Usual> {
        self.sorted.clear();
        self.sorted.extend(baseline.iter().filter(|it| it.is_finite()));
        let count = self.sorted.len();
        if count < BASELINE_MIN.max(baseline.len() / 5) {
            return None;
        }
        self.sorted.sort_unstable_by(f64::total_cmp);
        let median = self.sorted[count / 2];
        let range = self.sorted[count - 1 - count / 20] - self.sorted[count / 20];
        self.sorted.iter_mut().for_each(|it| *it = (*it - median).abs());
        let deviation = *self.sorted.select_nth_unstable_by(count / 2, f64::total_cmp).1;
        let spread = (DEVIATION * deviation).max(range / RANGE).max(measure.floor(median));
        let third = baseline.len() / 3;
        let ends = (self.median(&baseline[..third]), self.median(&baseline[baseline.len() - third..]));
        let slope = match ends {
            (Some(first), Some(last)) if self.frame.contiguous() => {
                (last - first) / (baseline.len() - third) as f64
            }
            _ => 0.0,
        };
        let mut usual = Usual { median, spread, slope, lasting: 1.0, excess: 0.0 };
        usual.lasting = lasting(baseline, &usual);
        usual.excess = stretch(baseline, &usual).excess;
        Some(usual)
    }

    fn median(&mut self, values: &[f64]) -> Option<f64> {
        self.sorted.clear();
        self.sorted.extend(values.iter().filter(|it| it.is_finite()));
        let middle = self.sorted.len() / 2;
        (!self.sorted.is_empty()).then(|| *self.sorted.select_nth_unstable_by(middle, f64::total_cmp).1)
    }
}

impl Measure<'_> {
    /// No spread is taken to be less: what is flat would otherwise make a giant of the least ripple.
    fn floor(&self, median: f64) -> f64 {
        let usual = median.abs();
        match self.aspect {
            Aspect::Failed | Aspect::Refused => {
                let events = self.events.unwrap_or(1.0).max(1.0);
                (usual.max(1.0 / events) / events).sqrt().max(0.001)
            }
            Aspect::Rate => match self.events {
                // Events by chance: their number scatters by its own root.
                Some(events) if usual > 0.0 => (usual / events.max(1.0).sqrt()).max(0.02 * usual),
                _ => (0.02 * usual).max(0.02 * self.scale),
            },
            Aspect::P50 | Aspect::P99 | Aspect::Mean => 0.04 * usual,
            Aspect::Value | Aspect::Remaining => {
                let whole = if usual < 1_000.0 && median.fract() == 0.0 { 0.3 } else { 0.0 };
                (0.02 * usual).max(0.01 * self.scale).max(whole)
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
            Aspect::Value | Aspect::Remaining => change >= 0.2 * self.size(before),
        }
    }
}

/// The stretch that stands out most: the largest sum of distances, each less the drift.
fn stretch(values: &[f64], usual: &Usual) -> Stretch {
    let mut best = Stretch::default();
    let (mut up, mut down) = ((0.0, 0), (0.0, 0));
    for (at, value) in values.iter().enumerate() {
        let distance = ((value - usual.median) / usual.spread).clamp(-CLIP, CLIP);
        if distance.is_nan() {
            continue;
        }
        for (sum, distance, rising) in [(&mut up, distance, true), (&mut down, -distance, false)] {
            if sum.0 <= 0.0 {
                *sum = (0.0, at);
            }
            sum.0 += distance - DRIFT;
            if sum.0 > best.excess {
                best = Stretch { excess: sum.0, from: sum.1, to: at + 1, rising };
            }
        }
    }
    best
}

/// From the autocorrelation of neighbours: noise that lasts makes long stretches by itself.
fn lasting(values: &[f64], usual: &Usual) -> f64 {
    let (mut last, mut both, mut square) = (f64::NAN, 0.0, 0.0);
    for value in values {
        let distance = ((value - usual.median) / usual.spread).clamp(-CLIP, CLIP);
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
    let size = (square / values.len().max(1) as f64).min(1.0);
    1.0 + size * ((1.0 + correlation) / (1.0 - correlation) - 1.0)
}

/// What is left of a change when the baseline's own trend goes on; what it explains altogether is no change.
fn unexplained(middle: f64, stretch: &Stretch, usual: &Usual, frame: &Frame) -> f64 {
    let change = middle - usual.median;
    let ahead = frame.baseline as f64 / 2.0 + (stretch.from + stretch.to) as f64 / 2.0;
    let trend = usual.slope * ahead;
    if trend * change <= 0.0 {
        return change;
    }
    let left = change - trend;
    if left * change <= 0.0 { 0.0 } else { left }
}

/// Walks back from where the stretch first reaches its middle to where it had hardly left the baseline: the sum alone may
/// have begun with a drift long before.
fn began(window: &[f64], stretch: &Stretch, middle: f64, usual: &Usual, baseline: usize) -> usize {
    let side = if stretch.rising { 1.0 } else { -1.0 };
    let trend = (side * usual.slope).max(0.0);
    let off = |at: usize| side * (window[at] - usual.median) - trend * (at as f64 + baseline as f64 / 2.0);
    let over = |at: usize, level: f64| off(at).is_nan() || off(at) >= level;
    let height = side * (middle - usual.median);
    let reached =
        (stretch.from..stretch.to).find(|it| side * (window[*it] - middle) >= 0.0).unwrap_or(stretch.from);
    let low = usual.spread.max(ONSET * height);
    let mut onset = reached;
    for at in (0..reached).rev() {
        match over(at, low) {
            true => onset = at,
            // One value alone may be noise.
            false if at == 0 || !over(at - 1, low) => break,
            false => {}
        }
    }
    onset
}
