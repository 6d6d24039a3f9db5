//! What happened to a series, in a few numbers and one line of blocks?

/// A moment in Unix seconds, and the value then.
pub(crate) type Point = (f64, f64);

/// One series over a window. NaN and infinities count for `first` and `last` only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) first: f64,
    pub(crate) last: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    /// `last` less `first`.
    pub(crate) change: f64,
    median: f64,
}

/// Many values at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Distribution {
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    pub(crate) sum: f64,
}

/// Shown for a stretch without a value.
const GAP: char = '·';
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Summary {
    /// None without points.
    pub(crate) fn of(points: &[Point]) -> Option<Summary> {
        let (first, last) = (points.first()?.1, points.last()?.1);
        let spread = Distribution::of(points.iter().map(|it| it.1));
        let finite = points.iter().filter(|it| it.1.is_finite()).count();
        let nothing =
            Distribution { min: f64::NAN, p50: f64::NAN, p90: 0.0, p99: 0.0, max: f64::NAN, sum: f64::NAN };
        let spread = spread.unwrap_or(nothing);
        Some(Summary {
            first,
            last,
            min: spread.min,
            max: spread.max,
            mean: spread.sum / finite as f64,
            change: last - first,
            median: spread.p50,
        })
    }

    /// How much it moved for its own size. `scale` is the size of the largest series: what is tiny beside it does not
    /// count as moving for jumping between nothing and next to nothing.
    pub(crate) fn movement(&self, scale: f64) -> f64 {
        let spread = self.max - self.min;
        if !spread.is_finite() || spread == 0.0 {
            return 0.0;
        }
        spread / (self.median.abs() + 0.02 * scale)
    }

    /// Its size, for [`Summary::movement`].
    pub(crate) fn size(&self) -> f64 {
        let size = self.max.abs().max(self.min.abs());
        if size.is_finite() { size } else { 0.0 }
    }
}

impl Distribution {
    /// Of the finite values; none when there is none.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Distribution> {
        let mut values: Vec<f64> = values.filter(|it| it.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        // Nearest rank: always a value that really occurs.
        let at = |percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
        Some(Distribution { min, p50: at(50), p90: at(90), p99: at(99), max, sum: values.iter().sum() })
    }
}

/// The course of a series from `from` to `to` in `width` blocks; each is the mean of its stretch.
pub(crate) fn sparkline(points: &[Point], from: f64, to: f64, width: usize) -> String {
    let mut stretches = vec![(0.0, 0_u32); width];
    let scale = width as f64 / (to - from).max(f64::MIN_POSITIVE);
    for (at, value) in points.iter().filter(|it| it.1.is_finite()) {
        let place = ((at - from) * scale).clamp(0.0, width as f64 - 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the width")]
        let stretch = &mut stretches[place as usize];
        stretch.0 += value;
        stretch.1 += 1;
    }
    let means: Vec<Option<f64>> =
        stretches.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect();
    let least = means.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let most = means.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let block = |mean: f64| {
        let height = if most > least { (mean - least) / (most - least) } else { 0.4 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
        let level = (height * 7.0).round().clamp(0.0, 7.0) as usize;
        BLOCKS[level]
    };
    means.into_iter().map(|it| it.map_or(GAP, block)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect()
    }

    #[test]
    fn a_summary_says_where_it_went() {
        let summary = Summary::of(&series(&[1.0, 2.0, f64::NAN, 6.0, 3.0])).expect("points");
        assert_eq!((summary.first, summary.last, summary.change), (1.0, 3.0, 2.0));
        assert_eq!((summary.min, summary.max, summary.mean), (1.0, 6.0, 3.0));
        assert_eq!(Summary::of(&[]), None);
        let nothing = Summary::of(&series(&[f64::NAN, f64::INFINITY])).expect("points");
        assert!(nothing.min.is_nan() && nothing.mean.is_nan() && nothing.movement(1.0) == 0.0);
    }

    #[test]
    fn an_incident_moves_more_than_noise_or_a_slow_wave() {
        let incident = Summary::of(&series(&[0.1, 0.1, 0.1, 12.0, 12.0])).expect("points");
        let wave = Summary::of(&series(&[40.0, 50.0, 60.0, 50.0, 40.0])).expect("points");
        let noise = Summary::of(&series(&[0.001, 0.0, 0.002, 0.0, 0.001])).expect("points");
        let flat = Summary::of(&series(&[7.0; 5])).expect("points");
        let scale = wave.size();
        let moved = [incident, wave, noise, flat].map(|it| it.movement(scale));
        assert!(moved.is_sorted_by(|a, b| a > b), "{moved:?}");
    }

    #[test]
    fn a_sparkline_shows_the_shape_and_the_gaps() {
        let points: Vec<Point> = (0..8).map(|at| (f64::from(at), f64::from(at))).collect();
        assert_eq!(sparkline(&points, 0.0, 7.0, 8), "▁▂▃▄▅▆▇█");
        let gap: Vec<Point> = points.iter().copied().filter(|it| !(2.0..5.0).contains(&it.0)).collect();
        assert_eq!(sparkline(&gap, 0.0, 7.0, 8), "▁▂···▆▇█");
        assert_eq!(sparkline(&series(&[5.0; 4]), 0.0, 3.0, 4), "▄▄▄▄");
        assert_eq!(sparkline(&[], 0.0, 3.0, 4), "····");
    }

    proptest! {
        #[test]
        fn quantiles_are_values_in_order(values in proptest::collection::vec(-1e9..1e9_f64, 1..50)) {
            let it = Distribution::of(values.iter().copied()).expect("values");
            prop_assert!([it.min, it.p50, it.p90, it.p99, it.max].is_sorted());
            prop_assert!(values.contains(&it.p50) && values.contains(&it.p99));
        }

        #[test]
        fn a_sparkline_is_as_wide_as_asked(
            points in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..40),
            width in 1..24_usize,
        ) {
            prop_assert_eq!(sparkline(&points, 0.0, 10.0, width).chars().count(), width);
        }
    }
}
