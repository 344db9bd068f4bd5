//! A line of a file of expressions.

use super::error::{ExpressionError, MAX_EXPRESSION};

/// The expression on a line, if there is one, or what is wrong with it.
pub(super) fn expression(line: &[u8]) -> Result<Option<&str>, ExpressionError> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    if line.len() > MAX_EXPRESSION {
        return Err(ExpressionError::TooLong);
    }
    if line.contains(&0) {
        return Err(ExpressionError::Nul);
    }
    let text = std::str::from_utf8(line).map_err(|_| ExpressionError::NotUtf8)?;
    Ok(Some(text))
}
