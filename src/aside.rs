//! What is done once, and leaves much behind that nobody needs?

use std::{panic::resume_unwind, thread};

/// As much as the first thread of a process has.
const STACK_BYTES: usize = 8 << 20;

/// Does it in a thread that ends with it. What it took of the allocator and gave back is there for others then; a thread that
/// stays keeps it.
pub(crate) fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let done = thread.expect("the system starts another thread").join();
        done.unwrap_or_else(|panic| resume_unwind(panic))
    })
}
