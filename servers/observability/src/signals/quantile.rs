//! Which value do so many of the observations in a histogram's buckets not exceed?

/// The upper bound that a `le` label names.
pub(super) fn bound(le: &str) -> Option<f64> {
    match le {
        "+Inf" | "Inf" | "inf" => Some(f64::INFINITY),
        text => text.parse().ok().filter(|it: &f64| it.is_finite()),
    }
}

/// A quantile of cumulative buckets in the order of their bounds, the last one infinite. Within a bucket observations are
/// taken to be spread evenly, as PromQL's `histogram_quantile` does.
pub(super) fn of(share: f64, buckets: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    // Scrapes of buckets are not of one moment: a bucket never holds less than the one below it.
    let mut most = 0.0_f64;
    let mut rising = |count: f64| {
        most = most.max(if count.is_finite() { count } else { 0.0 });
        most
    };
    let all = buckets.clone().map(|it| it.1).filter(|it| it.is_finite()).fold(0.0, f64::max);
    let wanted = share * all;
    if all <= 0.0 {
        return f64::NAN;
    }
    let (mut below, mut from) = (0.0, 0.0);
    for (bound, count) in buckets {
        let count = rising(count);
        if count >= wanted && count > below {
            return match bound.is_finite() {
                // Of what is beyond the last bound only that bound is known.
                false => from,
                true => from + (bound - from) * (wanted - below) / (count - below),
            };
        }
        (below, from) = (count, if bound.is_finite() { bound } else { from });
    }
    from
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let buckets = [(0.1, 50.0), (0.5, 90.0), (1.0, 100.0), (f64::INFINITY, 100.0)];
        let at = |share| of(share, buckets.into_iter());
        assert!((at(0.5) - 0.1).abs() < 1e-12);
        assert!((at(0.7) - 0.3).abs() < 1e-12);
        assert!((at(0.95) - 0.75).abs() < 1e-12);
        assert!(of(0.5, [(0.1, 0.0), (f64::INFINITY, 0.0)].into_iter()).is_nan());
        assert_eq!(of(0.99, [(0.1, 1.0), (f64::INFINITY, 100.0)].into_iter()), 0.1);
        assert_eq!((bound("+Inf"), bound("0.25"), bound("x")), (Some(f64::INFINITY), Some(0.25), None));
    }

    proptest! {
        #[test]
        fn a_higher_share_is_never_a_lower_value(counts in proptest::collection::vec(0.0..50.0_f64, 2..12)) {
            let mut sum = 0.0;
            let mut buckets: Vec<(f64, f64)> = counts.iter().enumerate().map(|(at, count)| {
                sum += count;
                ((at + 1) as f64, sum)
            }).collect();
            buckets.push((f64::INFINITY, sum));
            let at: Vec<f64> = (0..=10).map(|it| of(f64::from(it) / 10.0, buckets.iter().copied())).collect();
            prop_assert!(sum == 0.0 || at.is_sorted(), "{at:?}");
        }
    }
}
