//! Sums that lose nothing, and the value below which a share of values lies.

/// Kahan's sum, in Neumaier's form, which Prometheus uses too.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    pub(super) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        // With an infinity there is nothing to lose, and a NaN would come of looking.
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - total) + value;
        } else {
            self.lost += (value - total) + self.sum;
        }
        self.sum = total;
    }

    pub(super) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

/// The sum of all.
pub(super) fn sum(values: &[f64]) -> f64 {
    let mut sum = Sum::default();
    values.iter().for_each(|it| sum.add(*it));
    sum.total()
}

/// The mean, which no overflow of the sum may spoil.
pub(super) fn mean(values: &[f64]) -> f64 {
    let total = sum(values);
    match total.is_infinite() && values.iter().all(|it| it.is_finite()) {
        true => sum(&values.iter().map(|it| it / values.len() as f64).collect::<Vec<_>>()),
        false => total / values.len() as f64,
    }
}

/// Population variance.
pub(super) fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let delta = value - mean;
        mean += delta / (at + 1) as f64;
        squares += delta * (value - mean);
    }
    squares / values.len() as f64
}

/// The least; NaN only where all are.
pub(super) fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

/// The greatest; NaN only where all are.
pub(super) fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}

/// The quantile, between two values in proportion; NaN counts as the smallest.
pub(super) fn quantile(share: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || share.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&share) {
        return if share < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let rank = share * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}
