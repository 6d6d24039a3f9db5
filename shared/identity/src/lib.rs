//! Who calls, and what proves it? Access tokens in, [`policy::Caller`]s out. Start at [`Verifier::verify`].
//!
//! A token counts if one of the configured issuers signed it, for us, and it is of this moment. The configuration then says
//! which of its claims name the agent, the person it acts for and their teams.
//!
//! * **Invariant:** only [`Verifier::verify`] makes a [`Proven`].
//! * **Invariant:** a signature counts only by a public key that the token's own issuer published for that algorithm; `none`
//!   and shared secrets never do, and no key or address that stands in a token is used.
//! * **Invariant:** keys are asked for at addresses that the configuration names, over `outbound`, and an unknown key makes us
//!   ask at most once in thirty seconds.
//! * **Invariant:** two issuers cannot give the same name to different callers.
//! * **Invariant:** a token stands in no error, no `Debug` and no log line, and goes nowhere else, but for a refresh token, which
//!   goes to the issuer that gave it.
//! * **Invariant:** who is logged in is verified like every other token, each time anew: a file that says so proves nothing by
//!   itself, and one that others could have read or that does not verify is refused, not passed over.
//! * **Invariant:** a login that comes back counts for the browser that left with it: state, nonce and verifier are its own, and kept nowhere
//!   here.
//! * **Invariant:** this crate does not know MCP or HTTP servers.

mod browser;
mod caller;
mod claims;
mod device;
mod error;
mod kept;
mod keys;
mod login;
mod provider;
mod scopes;
mod seen;
mod signature;
mod verifier;

pub use browser::{Attempt, Returned, SignIn};
pub use device::Prompt;
pub use error::{LoginError, SetupError, SignInError, TokenError};
pub use login::{Logins, Presence};
pub use scopes::Scopes;
pub use verifier::{Proven, Verifier};
