//! THE LIST: which systems of record does the sandbox speak as?
//!
//! A face is one file here and one line in [`HTTP`]: routes over the state that all of them share. What a face shows
//! follows from the world; what is done through one is seen through all. The repository is no server, but a folder:
//! [`git`].

mod alertmanager;
pub(crate) mod git;
mod prometheus;

use std::sync::Arc;

use axum::Router;

use crate::production::Production;

pub(crate) use alertmanager::Silences;

/// A face that is a server.
#[derive(Clone, Copy)]
pub(crate) struct Face {
    /// What it speaks as, in a word: `prometheus`.
    pub(crate) name: &'static str,
    /// What it answers.
    pub(crate) routes: fn(Arc<Production>) -> Router,
}

/// Every face that is a server, each on a port of its own.
pub(crate) const HTTP: &[Face] = &[prometheus::FACE, alertmanager::FACE];
