//! What was begun and never reported? By a process that is gone: nobody knows how it ended, and it never begins again. While the
//! store was away: it is reported once the store is back.

use std::sync::PoisonError;

use approval::{Ending, Store, StoreError};
use audit::Log;
use jiff::Timestamp;

use crate::{Approvals, agree::step_of};

impl Approvals {
    /// The store, opened if it is not open yet.
    pub async fn store(&self) -> Result<&Store, StoreError> {
        let open = async || {
            let store = Store::open(&self.place).await?.telling(self.told.clone());
            match self.log.get() {
                Some(log) => taken_over(store.held_by(log.origin()), log).await,
                None => Ok(store),
            }
        };
        self.store.get_or_try_init(open).await
    }

    /// The store, if anything has needed it yet.
    pub fn opened(&self) -> Option<&Store> {
        self.store.get()
    }

    /// Where the steps of requests are recorded. What is carried out is carried out in the name of this log.
    pub(crate) fn recorded_in(&self, log: &Log) {
        // A second gate around the same would be a second log: what the first began stays in its name.
        let _first = self.log.set(log.clone());
    }

    /// Remembers what the store did not take.
    pub(crate) fn not_reported(&self, id: &str, ending: Ending) {
        self.unreported.lock().unwrap_or_else(PoisonError::into_inner).push((id.to_owned(), ending));
    }

    /// Reports what the store did not take when it was to.
    pub(crate) async fn report_again(&self, store: &Store) -> Result<(), StoreError> {
        let unreported = std::mem::take(&mut *self.unreported.lock().unwrap_or_else(PoisonError::into_inner));
        let mut unreported = unreported.into_iter();
        while let Some((id, ending)) = unreported.next() {
            if let Err(error) = store.finish(&id, ending, Timestamp::now()).await {
                self.not_reported(&id, ending);
                unreported.for_each(|(id, ending)| self.not_reported(&id, ending));
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Settles what a process before this one began under the same log. A log has one holder at a time, so whoever began it is gone.
async fn taken_over(store: Store, log: &Log) -> Result<Store, StoreError> {
    for waiting in store.left_behind(Timestamp::now()).await? {
        tracing::warn!(approval = %waiting.id, "a process ended while it carried out what was approved; its outcome is unknown");
        let mut step = step_of(&waiting, Ending::Unknown.word());
        step.subject = "bailiwick".to_owned();
        if let Err(error) = log.transition(step).await {
            // Verification finds a reservation without an end; and unknown is what never runs again.
            tracing::error!(%error, approval = %waiting.id, "that its outcome is unknown could not be recorded");
        }
        store.finish(&waiting.id, Ending::Unknown, Timestamp::now()).await?;
    }
    store.give_back_left_behind().await?;
    Ok(store)
}
