//! How long does it take when it is busy, and how is that spread?
//!
//! Response times are log-normal. Waiting for one of several servers follows Sakasegawa's approximation of an M/M/c
//! queue: flat while there is room, steep towards full. Beyond full the queue is bounded and the rest is turned away.

/// How full a queue is taken to be at most; beyond, the formula has no answer.
const FULL: f64 = 0.97;

/// Response times of somebody who is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Mean, milliseconds.
    pub(super) mean_ms: f64,
    /// Deviation of the logarithm.
    pub(super) spread: f64,
}

impl Times {
    /// Share that takes no longer.
    pub(super) fn within(self, limit_ms: f64) -> f64 {
        normal((limit_ms.ln() - self.location()) / self.spread)
    }

    /// Mean when nobody waits longer than the limit.
    pub(super) fn mean_up_to(self, limit_ms: f64) -> f64 {
        let distance = (limit_ms.ln() - self.location()) / self.spread;
        self.mean_ms * normal(distance - self.spread) + limit_ms * (1.0 - normal(distance))
    }

    /// Of the logarithm.
    fn location(self) -> f64 {
        self.mean_ms.ln() - self.spread * self.spread / 2.0
    }
}

/// Time spent waiting, for each unit of time being served, by `servers` of which this share is busy.
pub(super) fn waiting(busy: f64, servers: f64) -> f64 {
    let busy = busy.clamp(0.0, FULL);
    busy.powf((2.0 * (servers + 1.0)).sqrt() - 1.0) / (servers * (1.0 - busy))
}

/// Between 0 where all are served and 1 where the queue is as long as it gets.
pub(super) fn overload(busy: f64) -> f64 {
    ((busy - FULL) / 0.3).clamp(0.0, 1.0)
}

/// Share that is turned away since there is no room.
pub(super) fn shed(busy: f64) -> f64 {
    (1.0 - 1.0 / busy.max(1.0)).max(0.0)
}

/// Share of a normal distribution below: Abramowitz and Stegun 7.1.26, right to 1e-7.
fn normal(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let upper = poly * (-x * x).exp() / 2.0;
    match z < 0.0 {
        true => upper,
        false => 1.0 - upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_normal_distribution_is_below_its_middle() {
        assert!((normal(0.0) - 0.5).abs() < 1e-6);
        assert!((normal(1.0) - 0.841_345).abs() < 1e-5);
        assert!((normal(-2.0) - 0.022_750).abs() < 1e-5);
    }

    #[test]
    fn a_distant_limit_changes_no_mean() {
        let times = Times { mean_ms: 80.0, spread: 0.5 };
        assert!((times.mean_up_to(60_000.0) - 80.0).abs() < 0.01);
        assert!(times.mean_up_to(50.0) < 50.0);
        assert!(times.within(200.0) > 0.97);
    }

    #[test]
    fn waiting_is_steeper_the_busier_it_gets() {
        let steps: Vec<f64> = (1..19).map(|it| waiting(f64::from(it) * 0.05, 4.0)).collect();
        let rises: Vec<f64> = steps.windows(2).map(|it| it[1] - it[0]).collect();
        assert!(rises.iter().all(|it| *it > 0.0));
        assert!(rises.windows(2).all(|it| it[1] > it[0]), "{rises:?}");
    }

    #[test]
    fn nobody_is_turned_away_while_there_is_room() {
        assert_eq!(shed(0.99), 0.0);
        assert!((shed(2.0) - 0.5).abs() < 1e-9);
        assert_eq!(overload(0.9), 0.0);
        assert_eq!(overload(3.0), 1.0);
    }
}
