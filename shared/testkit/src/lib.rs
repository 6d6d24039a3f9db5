//! What do the tests of every crate share?
//!
//! Real backends on free loopback ports ([`backends`]), a real [`browser`], the real binary over standard input and output ([`mcp`]) and
//! on the command line ([`cli`]), the rules that every tool keeps ([`contract`]), and one call through the real gate.
//!
//! * **Invariant:** a dev-dependency only: nothing that ships uses this crate.
//! * **Invariant:** every program started here listens on 127.0.0.1 and is ended by its own id when its owner is dropped.
//! * **Invariant:** nothing outside temporary folders is written, and no variable of the surrounding shell but `PATH`
//!   reaches a program started here.

pub mod backends;
pub mod browser;
pub mod cli;
mod contract;
mod folder;
pub mod http;
pub mod mcp;
pub mod node;
mod picture;
mod process;
pub mod remote;
mod schema;
mod through;
mod tokens;

pub use contract::{Answered, contract, contract_showing, examples_parse};
pub use folder::{copy_folder, files};
/// What a caller hears of a call.
pub use gate::Reply;
pub use picture::Picture;
pub use process::{DEADLINE, free_address, wait_until};
pub use schema::{assert_valid, problems};
pub use through::call_through;
pub use tokens::tokens;
