//! What does not load, and what people are told about it.

#[path = "../common/mod.rs"]
mod common;

mod agreement;
mod connections;
mod entries;
mod limits;
mod reach;
mod text;
mod words;

use common::{load_all, source};
use expect_test::Expect;
use policy::{Lists, Source};

/// All that is wrong with one file.
pub(crate) fn refused(text: &str, expected: Expect) {
    refused_source(source("on-call.cedar", text), expected);
}

pub(crate) fn refused_source(source: Source, expected: Expect) {
    match load_all(&[source], &Lists::default()) {
        Ok(_) => panic!("it loaded"),
        Err(problems) => expected.assert_eq(&problems.to_string()),
    }
}

pub(crate) fn refused_lists(lists: &Lists, expected: Expect) {
    match load_all(&[], lists) {
        Ok(_) => panic!("it loaded"),
        Err(problems) => expected.assert_eq(&problems.to_string()),
    }
}
