//! The files in `/etc`, a line at a time: an entry each.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::file;

/// What `read` finds first in the lines of `path`; nothing if there is no such file.
///
/// # Errors
/// As [`file::open`], and those of read(2).
pub(super) fn find<T>(
    path: &Path,
    mut read: impl FnMut(&str) -> Option<T>,
) -> io::Result<Option<T>> {
    let file = match file::open(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    for line in BufReader::new(file).split(b'\n') {
        // Only free text, such as a person's name, is not in ASCII.
        if let Some(found) = read(&String::from_utf8_lossy(&line?)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The words of a line, without its comment.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('#').next().unwrap_or_default().split_ascii_whitespace()
}
