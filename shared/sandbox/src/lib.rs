//! A small production in one process, to rehearse on.
