//! Answers on standard output.

use std::io::{self, Write};

use crate::error::Fatal;

/// Writes the answer to a question such as `--help`.
///
/// # Errors
/// Errors of write(2): 111.
pub fn print(text: &str) -> Result<(), Fatal> {
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(|why| Fatal::unable("write to standard output", why))
}
