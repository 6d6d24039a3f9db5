//! What was done: a signed Merkle log.
//!
//! An effect has an intent, durable before it starts, and an outcome; a read has one record, durable before its result
//! leaves; what happens to approvals, stops and policies has a record for each step. [`Log`] writes, [`records`] reads, [`verify`] judges. `FORMAT.md` says which bytes stand where.
//!
//! * **Invariant:** [`Log::record`], [`Log::transition`] and [`Log::admit_effect`] return only after their record is on disk.
//! * **Invariant:** an effect starts only on an [`Admission`] whose intent is durable, and every intent gets one outcome: the
//!   real one, or `unknown` from a close or the next start.
//! * **Invariant:** after a write or sync that failed nothing more is written; what was not acknowledged is not counted.
//! * **Invariant:** what is in the tree never has to be erased: closed words, keyed hashes and salted commitments only.
//! * **Invariant:** a journal is only ever appended to, except for what stands behind its last checkpoint, which nobody
//!   was told of; that is kept aside, and its loss is recorded.
//! * **Invariant:** what is published is never ahead of what is durable, and a checkpoint stands there only once all that it
//!   needs is synced. No commit waits for it.
//! * **Invariant:** a segment is dropped only once its leaves are published, its payloads bundled and its intents ended.
//! * **Invariant:** where there is a collector, an effect starts only once the collector holds its intent; a [`Collector`] acknowledges only
//!   what is durable, and what it holds of a log is only ever appended to.

mod accept;
mod anchor;
mod canonical;
mod collector;
mod ephemeral;
mod erase;
mod error;
mod export;
mod frame;
mod head;
mod journal;
mod keys;
mod ledger;
mod log;
mod merkle;
mod note;
mod open;
mod operator;
mod pool;
mod proof;
mod prove;
mod publish;
mod read;
mod reconcile;
mod record;
mod recover;
mod revoke;
mod rotate;
mod seal;
mod segment;
mod tiles;
mod transition;
mod verify;
mod witness;
mod writer;

pub use accept::{Accepted, accept_loss};
pub use anchor::{Anchor, BadAnchor, Heads, KeptReceipt, collected_heads, heads};
pub use canonical::{NotCanonical, canonical, canonical_object, digest};
pub use collector::{Acknowledged, Collector, Declined};
pub use ephemeral::vanishing;
pub use erase::erase;
pub use error::AuditError;
pub use export::{Format, export};
pub use keys::SigningKeySource;
pub use log::{Log, Opened, Options, Standing};
pub use note::{BadVerifyingKey, VerifyingKey};
pub use operator::Operator;
pub use proof::{Admission, Digest, Receipt};
pub use prove::{BadProof, Proof, Proven, check_proof, prove, prove_growth};
pub use publish::{Ask, Collect, Folder, Published, Publishing, Stored, Target, TargetError, publish};
pub use read::{Filter, Follow, Payload, Record, records, show};
pub use reconcile::{Around, Reconciliation, Scope, System, Unseen, reconcile};
pub use record::{Cut, Entry, Event, OUTCOMES, VERDICTS};
pub use revoke::{Doubt, Revocation, revoke};
pub use rotate::{Rotated, rotate};
pub use transition::{TRANSITIONS, Transition};
pub use verify::{
    Alteration, LogReport, Payloads, Report, Revoked, Verdict, Verification, key_beside, verify,
};
pub use witness::{Refused, Witness, WitnessKey, Witnessed};
