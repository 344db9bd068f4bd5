//! From files to the events of our log lines.

pub mod entry;
pub mod line;
pub mod merge;
pub mod moment;
pub mod reader;
pub mod source;
