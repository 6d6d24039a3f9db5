//! What waits for a person? Sealed actions and who agreed to them, in SQLite or PostgreSQL. Start at [`Store`].
//!
//! * **Invariant:** an approval is of one exact action: what is carried out is what is sealed, and nothing is sent again.
//! * **Invariant:** every change of state is a compare-and-set in the database, so that of any number of replicas and calls
//!   one carries an action out, once.
//! * **Invariant:** what may have happened is never carried out again: an action that was begun and whose end nobody
//!   reported is `unknown`.
//! * **Invariant:** one person counts once, whatever names or tokens they come with.
//! * **Invariant:** time is told, never looked up, and what has run out is refused whatever its row still says.
//! * **Invariant:** what people are to hear of is put down in the same transaction as the step it tells of, and one sender at a
//!   time takes it; it stays until somebody says that it arrived.
//! * **Invariant:** who approves alone does it by a glass of their own that holds at that moment, and what they approved ends with it.
//! * **Invariant:** who may approve is not decided here: `policy` says, and the gate asks it.

mod address;
mod ask;
mod error;
mod glass;
mod lease;
mod notify;
mod outbox;
mod person;
mod request;
mod run;
mod scope;
mod sealed;
mod stop;
mod store;
mod tables;
mod usage;
mod vote;

pub use ask::Wanted;
pub use error::StoreError;
pub use glass::{BreakGlass, GlassRefused, Review};
pub use lease::{Held, Lease};
pub use notify::{Asked, Event, Notice, Subject, Subscriber};
pub use outbox::{Due, Outbox};
pub use person::is_same_person;
pub use request::{Request, State};
pub use run::{Ending, NotRunnable};
pub use scope::ActionScope;
pub use sealed::{Sealed, shown};
pub use stop::Stop;
pub use store::{Place, Store};
pub use tables::Tables;
pub use vote::{Agreed, Vote, VoteKind, VoteRefused, Voter};
