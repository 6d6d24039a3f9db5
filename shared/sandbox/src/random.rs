//! Where do numbers come from that nobody chose?
//!
//! Draws are functions of seed, purpose and place, not of what was drawn before: so an act on the world changes what
//! it acts on and no other noise, and a tick by tick history is the same as one in a single go.

use std::f64::consts::TAU;

/// A place to draw from. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    state: u64,
}

impl Draw {
    pub(crate) fn of(seed: u64, purpose: &str) -> Draw {
        let state =
            purpose.bytes().fold(mixed(seed ^ 0x6261_696c), |state, byte| mixed(state ^ u64::from(byte)));
        Draw { state }
    }

    /// The same purpose at one of many places: a service, a pod, a moment.
    pub(crate) fn at(self, place: impl Into<u64>) -> Draw {
        Draw { state: mixed(self.state ^ mixed(place.into().wrapping_add(0x9e37))) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.state)
    }

    /// At least 0, below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        // The upper 53 bits are what a float holds exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// At least `low`, at most `high`.
    pub(crate) fn whole(&mut self, low: u64, high: u64) -> u64 {
        low + (self.unit() * (high - low + 1) as f64) as u64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(crate) fn one_of<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.whole(0, among.len() as u64 - 1) as usize]
    }

    /// Mean 0, deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    /// How many of something that happens `mean` times on average.
    pub(crate) fn count(&mut self, mean: f64) -> u64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let (floor, mut product, mut count) = ((-mean.max(0.0)).exp(), self.unit(), 0);
        while product > floor {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// How many of `total` that each happen with this probability.
    pub(crate) fn share(&mut self, total: u64, probability: f64) -> u64 {
        let probability = probability.clamp(0.0, 1.0);
        if probability > 0.5 {
            return total - self.share(total, 1.0 - probability);
        }
        let mean = total as f64 * probability;
        if mean > 30.0 {
            let spread = (mean * (1.0 - probability)).sqrt();
            return ((mean + spread * self.normal()).round().max(0.0) as u64).min(total);
        }
        self.count(mean).min(total)
    }
}

/// The finaliser of splitmix64.
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_of_a_place_are_the_same_every_time() {
        let draw = || Draw::of(7, "latency").at(3_u64).at(9_u64).unit();
        assert_eq!(draw(), draw());
        assert_ne!(draw(), Draw::of(7, "latency").at(9_u64).at(3_u64).unit());
        assert_ne!(draw(), Draw::of(8, "latency").at(3_u64).at(9_u64).unit());
    }

    #[test]
    fn counts_and_shares_have_the_mean_that_was_asked_for() {
        let mut draw = Draw::of(1, "mean");
        for mean in [0.4, 6.0, 80.0] {
            let sum: u64 = (0..4_000).map(|_| draw.count(mean)).sum();
            assert!((sum as f64 / 4_000.0 / mean - 1.0).abs() < 0.1, "{mean}: {sum}");
        }
        for share in [0.01, 0.3, 0.97] {
            let sum: u64 = (0..4_000).map(|_| draw.share(200, share)).sum();
            assert!((sum as f64 / 800_000.0 / share - 1.0).abs() < 0.1, "{share}: {sum}");
        }
        assert_eq!(draw.share(10, 0.0), 0);
        assert_eq!(draw.share(10, 1.0), 10);
    }
}
