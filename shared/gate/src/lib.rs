//! How does one call run? From request to reply, on one straight line: start at [`Gate::call`].
//!
//! * **Invariant:** every request leaves a record; an effect leaves two, and the first is durable before it starts.
//! * **Invariant:** no record, no effect: when the log fails, effects are refused and results do not leave.
//! * **Invariant:** whatever panics while a call is worked on, the call is recorded and answered; an effect that had begun is
//!   told as one that may have happened.
//! * **Invariant:** [`tool::Call::run`] is called in one place, `perform`.
//! * **Invariant:** everything that leaves passes `shape`: rows that policy hides are dropped, secrets are masked, text from
//!   outside is cleaned and marked, and what does not fit the budget is counted.
//! * **Invariant:** a picture is drawn here, from a description that policy and masking have been over: no tool's pixels leave.
//! * **Invariant:** an action that people agreed to runs as it was stored, once, and only as long as caller, tool, targets and
//!   policy are those that they agreed to.
//! * **Invariant:** while an order to stop holds, or the store that would hold one does not answer, no effect begins.
//! * **Invariant:** breaking the glass changes who agrees and nothing else: the action is sealed, decided, recorded and refused as any other.
//! * **Invariant:** this crate does not know MCP.

mod agree;
mod approvals;
mod authority;
mod call;
mod decided;
mod ending;
mod force;
mod glass;
mod hold;
mod left;
mod offer;
mod reply;
mod shape;
mod ticket;
mod tokens;
mod trail;
mod usage;
mod waiting;
mod way;

pub use agree::{AgreeRefused, Person, Say};
pub use approvals::{Approvals, Hindrance, Terms};
pub use authority::{Authority, Place, ShowAuthority};
pub use call::{Gate, Request};
pub use decided::Decided;
pub use ending::Refusal;
pub use force::InForce;
pub use glass::Opening;
pub use redact::{Masked, redact, redact_value};
pub use reply::Reply;
pub use shape::{Image, Shaped};
pub use ticket::Tickets;
pub use tokens::upper_bound;
pub use waiting::{AwaitApproval, RunApproved};
