//! Splits the contents of a pipe, which arrive in pieces, into lines.

/// Bytes of a line that are passed on at once.
const LONGEST: usize = 2000;

/// The beginning of a line that has not ended.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    begun: Vec<u8>,
}

impl LineSplitter {
    /// Takes the next bytes, and passes on each line that they end.  A long one is passed
    /// on in pieces, an empty one not at all.
    pub(super) fn take(&mut self, bytes: &[u8], mut tell: impl FnMut(&[u8])) {
        for byte in bytes {
            if *byte != b'\n' {
                self.begun.push(*byte);
            }
            if *byte == b'\n' || self.begun.len() == LONGEST {
                self.end(&mut tell);
            }
        }
    }

    /// Passes on what has begun, as if it had ended.
    pub(super) fn end(&mut self, mut tell: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            tell(&self.begun);
            self.begun.clear();
        }
    }

    /// Whether a line has begun.
    pub(super) fn have_begun(&self) -> bool {
        !self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_passed_on_once_they_end_or_are_long() {
        let (mut lines, mut told) = (LineSplitter::default(), Vec::new());
        let mut take = |lines: &mut LineSplitter, bytes: &[u8]| {
            lines.take(bytes, |line| told.push(String::from_utf8_lossy(line).into_owned()));
            std::mem::take(&mut told)
        };
        assert_eq!(take(&mut lines, b"one\n\ntw"), ["one"]);
        assert!(lines.have_begun());
        assert_eq!(take(&mut lines, b"o\nhalf"), ["two"]);
        let long = take(&mut lines, &[b'x'; LONGEST]);
        assert_eq!(long, ["half".to_owned() + &"x".repeat(LONGEST - 4)]);
        let mut rest = Vec::new();
        lines.end(|line| rest.push(line.to_vec()));
        assert_eq!(rest, [b"xxxx"]);
        assert!(!lines.have_begun());
    }
}
