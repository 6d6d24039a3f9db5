//! What was done: a signed Merkle log.

mod proof;

pub use proof::{Admission, Digest, Receipt};
