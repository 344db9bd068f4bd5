//! A name split into runs: the letters of a word, the digits of a number, and what stands
//! between one run and the next.

/// The longest stretch of bytes of one kind.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// The bytes between the run before (or the start) and this one.
    pub(super) gap: &'a str,
    pub(super) text: &'a str,
}

impl Run<'_> {
    /// Whether at most `most` separators stand between the run before and this one.  `x`
    /// counts as a separator, since some providers write `64x233x161x5`.
    pub(super) fn follows(&self, most: usize) -> bool {
        self.gap.len() <= most && self.gap.bytes().all(|byte| is_separator(byte) || byte == b'x')
    }
}

pub(super) fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'-' | b'_')
}

/// The runs of ASCII bytes for which `member` is true.  It must be false for other bytes,
/// or a run could begin inside a character.
pub(super) fn runs(
    text: &str,
    member: impl Fn(&u8) -> bool + Copy,
) -> impl Iterator<Item = Run<'_>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(member)?;
        let length = bytes[start..].iter().position(|byte| !member(byte));
        let end = length.map_or(bytes.len(), |length| start + length);
        let run = Run { gap: &text[at..start], text: &text[start..end] };
        at = end;
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(text: &str) -> Vec<(&str, &str)> {
        runs(text, u8::is_ascii_alphabetic).map(|run| (run.gap, run.text)).collect()
    }

    #[test]
    fn runs_end_where_the_kind_changes() {
        assert_eq!(letters("dsl12-3.ip_x"), [("", "dsl"), ("12-3.", "ip"), ("_", "x")]);
        assert_eq!(letters("--mx"), [("--", "mx")]);
        assert_eq!(letters("\u{e9}a\u{20ac}b"), [("\u{e9}", "a"), ("\u{20ac}", "b")]);
        assert_eq!(letters("12"), []);
        assert_eq!(letters(""), []);
    }
}
