//! Which tokens were believed a moment ago? A client sends the same one with every request, and nearly all that makes it count
//! depends on its bytes and on the configuration alone.
//!
//! * **Invariant:** what does not, the key that its issuer publishes and the time, is looked at on every request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jsonwebtoken::{Algorithm, DecodingKey};
use ring::digest::{Context, SHA256};

use crate::Proven;

/// By digest, so that no token is kept.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<Name, Arc<Believed>>>);

/// Stands for one token that is meant for one audience.
pub(crate) type Name = [u8; 32];

/// A token that was believed.
pub(crate) struct Believed {
    /// Whose it is, by its place among the issuers.
    pub(crate) issuer: usize,
    pub(crate) by: Signer,
    /// When, in seconds since 1970.
    pub(crate) at: u64,
    pub(crate) proven: Proven,
}

/// What a token was signed with.
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    pub(crate) id: Option<String>,
    pub(crate) key: Arc<DecodingKey>,
}

/// Most tokens; then all are forgotten. Nobody but an issuer that counts can add one.
const SEEN_MAX: usize = 1024;

impl Seen {
    /// Each part is told from the next by its length.
    pub(crate) fn name(token: &str, audience: &str) -> Name {
        let mut digest = Context::new(&SHA256);
        for part in [token, audience] {
            digest.update(&part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        digest.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// One that was believed, if its times still hold: they were looked at and it has not ended. A clock that was put back says
    /// nothing of them.
    pub(crate) fn lately(&self, name: &Name, now: u64) -> Option<Arc<Believed>> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(name).filter(|it| it.at <= now && now < it.proven.expires()).cloned()
    }

    pub(crate) fn keep(&self, name: Name, believed: Believed) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= SEEN_MAX {
            seen.clear();
        }
        seen.insert(name, Arc::new(believed));
    }
}
