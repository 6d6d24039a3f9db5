//! Which policy is in force? One, at any moment, for all that share it.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use policy::Policy;

use crate::Gate;

/// The policy in force, which another may replace. Clones are the same: what replaces it in one replaces it in all.
#[derive(Clone, Debug)]
pub struct InForce(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    policy: RwLock<Arc<Policy>>,
    kept: AtomicBool,
}

impl InForce {
    /// The policy in force now. It does not change in the hands of whoever took it.
    pub fn policy(&self) -> Arc<Policy> {
        self.0.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in force, for all that ask from now on; returns the one it replaces.
    pub fn replace(&self, policy: Arc<Policy>) -> Arc<Policy> {
        self.0.kept.store(false, Ordering::Relaxed);
        // A swap of two pointers: nothing in here can panic and leave half a set.
        std::mem::replace(&mut *self.0.policy.write().unwrap_or_else(PoisonError::into_inner), policy)
    }

    /// Says that another was to replace it and was refused.
    pub fn keep(&self) {
        self.0.kept.store(true, Ordering::Relaxed);
    }

    /// Whether the last one that was to replace it was refused.
    pub fn is_kept(&self) -> bool {
        self.0.kept.load(Ordering::Relaxed)
    }
}

impl From<Arc<Policy>> for InForce {
    fn from(policy: Arc<Policy>) -> InForce {
        InForce(Arc::new(Inner { policy: RwLock::new(policy), kept: AtomicBool::new(false) }))
    }
}

impl Gate {
    /// The policy in force now. A call is decided by one, and held to that one to its end.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.policy()
    }

    /// What another policy may be put into.
    pub fn in_force(&self) -> &InForce {
        &self.policy
    }
}
