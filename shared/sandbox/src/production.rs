//! What do all faces show? One world, what was measured of it, and who asked not to hear of its alerts.

use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard};

use jiff::Timestamp;

use crate::{
    Plan, Sample, World,
    faces::Silences,
    rules::Rules,
    store::{Labels, NAME, Place, Store},
};

/// Samples are kept for this long at least, and for as long as history was at the start.
const KEPT_MS: i64 = 12 * 3_600_000;

/// The state behind every face. Locks are taken in the order of the fields, and none is held across an await.
#[derive(Debug)]
pub(crate) struct Production {
    plan: Plan,
    world: Mutex<World>,
    measured: RwLock<Measured>,
    silences: Mutex<Silences>,
}

/// Samples, and the rules that are evaluated over them.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) store: Store,
    pub(crate) rules: Rules,
    /// By the world's number of a series.
    places: Vec<Option<Place>>,
}

impl Production {
    /// A world with all of its history, and what its rules made of it.
    pub(crate) fn new(plan: Plan) -> Production {
        let mut world = World::new(plan);
        let mut measured = Measured::new(plan.from());
        world.history(&mut |sample| measured.take(&sample));
        measured.evaluate(plan.to());
        Production::of(plan, world, measured)
    }

    fn of(plan: Plan, world: World, measured: Measured) -> Production {
        let (world, measured) = (Mutex::new(world), RwLock::new(measured));
        Production { plan, world, measured, silences: Mutex::default() }
    }

    /// Samples of another origin than a world's, and what the rules make of those that lie in the plan's time.
    #[cfg(test)]
    pub(crate) fn of_samples(store: Store) -> Production {
        let plan = Plan::healthy(1);
        let mut measured = Measured { store, ..Measured::new(plan.from()) };
        measured.evaluate(plan.to());
        Production::of(plan, World::new(plan), measured)
    }

    /// Goes on to a moment: what would have been scraped until then, then the rules.
    pub(crate) fn advance(&self, to: Timestamp) {
        let mut samples = Vec::new();
        let mut world = self.world();
        world.tick(to, &mut |sample| samples.push(sample));
        let mut measured = self.measured.write().unwrap_or_else(|it| it.into_inner());
        samples.iter().for_each(|it| measured.take(it));
        measured.evaluate(to);
        let history = self.plan.to().as_millisecond() - self.plan.from().as_millisecond();
        measured.store.forget(to.as_millisecond() - history.max(KEPT_MS));
    }

    /// What it was made from.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The world, for acts. A panic with it leaves it whole enough to rehearse on.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(|it| it.into_inner())
    }

    /// What was measured, to read.
    pub(crate) fn measured(&self) -> RwLockReadGuard<'_, Measured> {
        self.measured.read().unwrap_or_else(|it| it.into_inner())
    }

    /// Who asked not to hear of what.
    pub(crate) fn silences(&self) -> MutexGuard<'_, Silences> {
        self.silences.lock().unwrap_or_else(|it| it.into_inner())
    }
}

impl Measured {
    fn new(from: Timestamp) -> Measured {
        Measured { store: Store::new(), rules: Rules::new(from.as_millisecond()), places: Vec::new() }
    }

    fn take(&mut self, sample: &Sample) {
        let series = &sample.series;
        if self.places.len() <= series.id {
            self.places.resize(series.id + 1, None);
        }
        let store = &mut self.store;
        let place = *self.places[series.id].get_or_insert_with(|| {
            let labels = series.labels.iter().map(|(name, value)| (*name, value.as_str()));
            store.place(&Labels::new(labels.chain([(NAME, series.name)])))
        });
        store.append(place, sample.at_ms, sample.value);
    }

    fn evaluate(&mut self, to: Timestamp) {
        self.rules.catch_up(&mut self.store, to.as_millisecond());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Fault;

    /// Name, place and severity of each alert that fires.
    fn firing(production: &Production) -> BTreeSet<(String, String, String)> {
        let measured = production.measured();
        let alerts = measured.rules.iter().flat_map(|it| &it.alerts).filter(|it| it.1.fired_ms.is_some());
        let told = alerts.map(|(labels, _)| {
            let place = ["service", "node"].map(|it| labels.get(it)).concat();
            (labels.get("alertname").to_owned(), place, labels.get("severity").to_owned())
        });
        told.collect()
    }

    /// Alerts of which one has to fire where it goes wrong.
    fn expected(fault: Fault) -> &'static [&'static str] {
        match fault {
            Fault::BadDeploy => &["ErrorRatioHigh"],
            Fault::BadConfiguration => &["LatencyRising"],
            Fault::MemoryLeak => &["MemoryNearLimit", "ContainerRestarted"], // before it is killed, and after
            Fault::PoolSaturation => &["ConnectionPoolSaturated"],
            Fault::SlowDependency => &["UpstreamSlow"],
            Fault::TrafficSurge => &["TrafficSurge"],
            Fault::NoisyNeighbour => &["NodeCPUStolen"],
            Fault::ExpiredCertificate => &["CertificateExpires"],
        }
    }

    #[test]
    fn what_goes_wrong_is_told_where_it_is() {
        let mut missed = Vec::new();
        for (seed, fault) in [7, 42].into_iter().flat_map(|seed| Fault::ALL.map(|it| (seed, it))) {
            let production = Production::new(Plan::with(seed, fault));
            let (place, alerts) = (production.world().truth().place.clone(), firing(&production));
            if !alerts.iter().any(|it| expected(fault).contains(&it.0.as_str()) && it.1 == place) {
                missed.push(format!("{seed} {fault} at {place}: {alerts:?}"));
            }
        }
        assert!(missed.is_empty(), "{}", missed.join("\n"));
    }

    #[test]
    fn nobody_is_woken_on_a_good_day() {
        for seed in [7, 42, 99] {
            let alerts = firing(&Production::new(Plan::healthy(seed)));
            assert!(alerts.iter().all(|it| it.2 == "warning"), "{seed}: {alerts:?}");
        }
    }

    #[test]
    fn time_that_goes_on_is_scraped_and_evaluated() {
        let production = Production::new(Plan::with(7, Fault::BadDeploy));
        let (_, before) = production.measured().store.size();
        let later = production.plan().to() + jiff::SignedDuration::from_mins(5);
        production.advance(later);
        let measured = production.measured();
        assert!(measured.store.size().1 > before + 1_000);
        let last = measured.rules.iter().map(|it| it.last_ms).max().expect("rules");
        assert!(later.as_millisecond() - last < crate::rules::INTERVAL_MS, "{last}");
    }
}
