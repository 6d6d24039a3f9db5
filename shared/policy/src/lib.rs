//! May they? Pure decisions from lists and Cedar policies.

mod answer;
mod question;

pub use answer::{Denial, NeedsApproval, Permit, Refusal};
pub use question::{Assurance, Caller, Channel, Circumstances, Digest, Effect, Question, Target, UNKNOWN};
