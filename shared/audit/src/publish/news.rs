//! How does a publisher hear of commits? By the latest word only: whoever tells never waits, and what was overtaken is
//! forgotten.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How a publisher shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Once it has published what it was told.
    Finish,
    /// As it is.
    Leave,
}

/// The latest word of one who tells to one who waits.
pub(super) struct News<T> {
    desk: Mutex<Desk<T>>,
    changed: Condvar,
}

struct Desk<T> {
    latest: Option<T>,
    ending: Option<Ending>,
    /// Whether somebody sleeps until there is something: waking anybody else would be in vain.
    sleeping: bool,
}

impl<T> Default for News<T> {
    fn default() -> News<T> {
        let desk = Desk { latest: None, ending: None, sleeping: false };
        News { desk: Mutex::new(desk), changed: Condvar::new() }
    }
}

impl<T> News<T> {
    pub(super) fn tell(&self, latest: T) {
        let mut desk = self.desk();
        desk.latest = Some(latest);
        if desk.sleeping {
            desk.sleeping = false;
            self.changed.notify_one();
        }
    }

    /// Puts back what could not be used, unless there is something newer.
    pub(super) fn keep(&self, latest: T) {
        self.desk().latest.get_or_insert(latest);
    }

    pub(super) fn end(&self, ending: Ending) {
        self.desk().ending.get_or_insert(ending);
        self.changed.notify_one();
    }

    /// Sleeps until there is something, and then for a while, so that what follows closely comes with it. An end wakes.
    pub(super) fn wait(&self, pause: Duration) -> (Option<T>, Option<Ending>) {
        self.wait_at_most(pause, None)
    }

    /// The same, with nothing after so long without news.
    pub(super) fn wait_at_most(
        &self,
        pause: Duration,
        longest: Option<Duration>,
    ) -> (Option<T>, Option<Ending>) {
        let deadline = longest.map(|it| Instant::now() + it);
        let mut desk = self.desk();
        while desk.latest.is_none() && desk.ending.is_none() {
            desk.sleeping = true;
            desk = match deadline.map(|it| it.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break,
                Some(left) => {
                    let waited = self.changed.wait_timeout(desk, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner),
            };
        }
        desk.sleeping = false;
        let ended = self.changed.wait_timeout_while(desk, pause, |it| it.ending.is_none());
        let (mut desk, _) = ended.unwrap_or_else(PoisonError::into_inner);
        (desk.latest.take(), desk.ending)
    }

    fn desk(&self) -> MutexGuard<'_, Desk<T>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
