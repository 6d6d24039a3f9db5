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
