//! Who started the process, as far as that is proven at the moment? A login ends, and another begins, while it runs.

use identity::Scopes;
use policy::Caller;
use tokio::sync::watch;

/// Whoever started the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starter {
    /// As a token says, or the configuration and the operating system.
    pub caller: Caller,
    /// How far a token reaches.
    pub scopes: Scopes,
}

impl Starter {
    /// Whom no token names, and none holds back.
    pub fn unproven(caller: Caller) -> Starter {
        Starter { caller, scopes: Scopes { read: true, act: true, approve: false } }
    }

    /// One who stays as they are.
    pub fn fixed(self) -> watch::Receiver<Starter> {
        watch::channel(self).1
    }
}
