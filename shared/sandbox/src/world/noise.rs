//! What moves although nothing is wrong?

use std::f64::consts::TAU;

use crate::random::Draw;

const DAY_S: f64 = 86_400.0;
/// In how long a stretch a service may have one spike.
const SPIKES_S: i64 = 1_800;
/// In how long a stretch a service may lose one pod.
const KILLS_S: i64 = 3_600;

/// A harmless spike: over before anybody would look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spike {
    /// Time of its own, for each second that a request would take otherwise.
    pub(super) slowness: f64,
    /// Share of requests that fail beside the usual ones.
    pub(super) failing: f64,
}

/// Noise of one world. Moments are seconds since the end of its history, so that a world is the same whenever it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    seed: u64,
    /// Hours from the busiest hour of the day to the end of history.
    after_peak: f64,
}

impl Noise {
    pub(super) fn drawn(seed: u64) -> Noise {
        // Around midday: incidents are looked at while people are there.
        Noise { seed, after_peak: Draw::of(seed, "day").between(-2.5, 2.5) }
    }

    /// A place to draw from for one purpose at one moment.
    pub(super) fn draw(self, purpose: &str, since_s: i64) -> Draw {
        Draw::of(self.seed, purpose).at(since_s as u64)
    }

    /// Share of the traffic of the busiest hour.
    pub(super) fn of_the_day(self, since_s: i64) -> f64 {
        let angle = TAU * (since_s as f64 + self.after_peak * 3_600.0) / DAY_S;
        0.66 + 0.30 * angle.cos() + 0.04 * (2.0 * angle).cos()
    }

    /// Moves slowly around 0, with about this period; deviation about 1.
    pub(super) fn slow(self, purpose: &str, place: u64, since_s: i64, period_s: i64) -> f64 {
        let (slot, into) = (since_s.div_euclid(period_s), since_s.rem_euclid(period_s));
        let knot = |slot: i64| Draw::of(self.seed, purpose).at(place).at(slot as u64).normal();
        let part = into as f64 / period_s as f64;
        let smooth = part * part * (3.0 - 2.0 * part);
        knot(slot) * (1.0 - smooth) + knot(slot + 1) * smooth
    }

    /// The spike that a service has at this moment.
    pub(super) fn spike(self, service: usize, since_s: i64) -> Option<Spike> {
        let slot = since_s.div_euclid(SPIKES_S);
        let mut draw = Draw::of(self.seed, "spike").at(service as u64).at(slot as u64);
        if !draw.chance(0.06) {
            return None;
        }
        let start_s = draw.whole(0, SPIKES_S as u64 - 90) as i64;
        let length_s = draw.whole(30, 70) as i64;
        let into = since_s.rem_euclid(SPIKES_S) - start_s;
        if !(0..length_s).contains(&into) {
            return None;
        }
        Some(match draw.chance(0.6) {
            true => Spike { slowness: draw.between(1.3, 2.0), failing: 0.0 },
            false => Spike { slowness: 1.0, failing: draw.between(0.01, 0.03) },
        })
    }

    /// Which pod of a service its node kills in the seconds up to this moment, for no reason of its own.
    pub(super) fn killed(self, service: usize, pods: usize, since_s: i64, step_s: i64) -> Option<usize> {
        let slot = since_s.div_euclid(KILLS_S);
        let mut draw = Draw::of(self.seed, "kill").at(service as u64).at(slot as u64);
        if !draw.chance(0.025) {
            return None;
        }
        // Within the slot by more than a step, so that no kill falls between two slots.
        let at_s = draw.whole(120, KILLS_S as u64 - 120) as i64;
        let into = since_s.rem_euclid(KILLS_S) - at_s;
        (0..step_s).contains(&into).then(|| draw.whole(0, pods as u64 - 1) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_one_busiest_hour() {
        let noise = Noise { seed: 1, after_peak: 0.0 };
        assert!((noise.of_the_day(0) - 1.0).abs() < 1e-9);
        assert!(noise.of_the_day(-43_200) < 0.45);
        assert!((noise.of_the_day(-86_400) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn spikes_are_rare_and_short() {
        let noise = Noise::drawn(5);
        let moments: Vec<i64> = (-100_000..0).map(|it| it * 30).collect();
        let spikes = moments.iter().filter(|&&it| noise.spike(2, it).is_some()).count();
        let share = spikes as f64 / moments.len() as f64;
        assert!((0.0005..0.004).contains(&share), "{share}");
    }

    #[test]
    fn a_pod_is_killed_once_whatever_the_step() {
        let kills = |noise: Noise, step: i64| -> Vec<usize> {
            let moments = -864_000 / step..0;
            moments.filter_map(|it| noise.killed(1, 3, it * step, step)).collect()
        };
        let mut sum = 0;
        for noise in (0..20).map(Noise::drawn) {
            assert_eq!(kills(noise, 15), kills(noise, 30));
            assert_eq!(kills(noise, 15), kills(noise, 60));
            sum += kills(noise, 15).len();
        }
        // One in forty of 4,800 hours.
        assert!((80..160).contains(&sum), "{sum}");
    }
}
