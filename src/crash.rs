//! What is said when something breaks? Where it was, and nothing of what it was about: the message of a panic may quote
//! what a caller sent, unmasked.

use std::{any::Any, backtrace::Backtrace, panic};

use crate::say;

/// From here on a panic is told on standard error, whatever it quotes left out. RUST_BACKTRACE=1 tells how it came to it.
pub(crate) fn listen() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        say::note(&format!("bailiwick: crashed at {place}{}", words(info.payload())));
        let trace = Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            say::note(&trace.to_string());
        }
    }));
}

/// What stands in the program itself; a message that was put together holds what it was put together from.
fn words(payload: &(dyn Any + Send)) -> String {
    payload.downcast_ref::<&'static str>().map_or_else(String::new, |it| format!(": {it}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_says_what_the_program_says_and_not_what_a_caller_sent() {
        let text = "token=hunter2é".to_owned();
        let cut = text.len() - 1;
        let quoting = panic::catch_unwind(|| text[..cut].len()).expect_err("within a character");
        assert_eq!(words(&*quoting), "");
        let own = panic::catch_unwind(|| panic!("no such thing")).expect_err("told to");
        assert_eq!(words(&*own), ": no such thing");
    }
}
