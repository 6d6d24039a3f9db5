//! What the log hands out: leave to act, and proof that something was recorded.

use serde::{Serialize, Serializer};

/// SHA-256 of one canonical call.
pub type Digest = [u8; 32];

/// Leave of the log to perform one call. Only an open, writable [`crate::Log`] makes one:
///
/// ```compile_fail
/// audit::Admission { call: [0; 32], intent: None };
/// ```
///
/// and it cannot be used twice:
///
/// ```compile_fail
/// fn twice(it: audit::Admission) -> [audit::Admission; 2] { [it.clone(), it] }
/// ```
#[derive(Debug)]
pub struct Admission {
    call: Digest,
    intent: Option<Receipt>,
}

/// Proof that a record is durable: which log, where in it, and the leaf's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Origin of the log, e.g. `bailiwick/code/0/3f9a…`.
    pub(crate) log: String,
    /// Position, from 0.
    pub(crate) index: u64,
    /// RFC 6962 leaf hash.
    #[serde(serialize_with = "as_hex")]
    pub(crate) leaf: Digest,
}

impl Admission {
    pub(crate) fn new(call: Digest, intent: Option<Receipt>) -> Admission {
        Admission { call, intent }
    }

    /// The call it is for.
    pub fn call(&self) -> &Digest {
        &self.call
    }

    /// The durable intent; none for a read.
    pub fn intent(&self) -> Option<&Receipt> {
        self.intent.as_ref()
    }
}

impl Receipt {
    /// Origin of the log.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Position in the log, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// RFC 6962 leaf hash.
    pub fn leaf(&self) -> &Digest {
        &self.leaf
    }
}

fn as_hex<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(digest))
}
