//! A line of a file of expressions.

/// The longest expression, in bytes.
pub(super) const MAX_EXPRESSION: usize = 1_000;

/// The expression on a line, if there is one, or what is wrong with it.
pub(super) fn expression(line: &[u8]) -> Result<Option<&str>, String> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    if line.len() > MAX_EXPRESSION {
        return Err(format!("the expression is over {MAX_EXPRESSION} bytes"));
    }
    if line.contains(&0) {
        return Err("the expression has a NUL byte".into());
    }
    let text = std::str::from_utf8(line).map_err(|_| "the expression is not UTF-8")?;
    Ok(Some(text))
}
