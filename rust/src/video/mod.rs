//! Pictures: arithmetic on their samples. Pure, no I/O, no codecs, no threads.

pub mod colour;
pub mod layout;
