//! From files to the events that our log lines tell of.

pub mod entry;
pub mod line;
pub mod merge;
pub mod moment;
pub mod reader;
pub mod source;
