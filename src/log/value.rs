//! Values in a line, and lines of programs: no key can stand in either.

use std::fmt::{self, Write as _};

use super::facts::LINES;
use crate::escape::{EQUALS, Escaped, Printable, Quoted};

/// A line that a program wrote: it may repeat what a client said, so an equals sign
/// behind one of our keys is escaped.  Other equals signs stay, as in URLs.
pub(super) struct FromProgram<'a>(pub &'a [u8]);

impl fmt::Display for FromProgram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, word) in self.0.split(|byte| *byte == b' ').enumerate() {
            if number > 0 {
                f.write_char(' ')?;
            }
            match word.iter().position(|byte| *byte == b'=').filter(|end| is_key(&word[..*end])) {
                None => write!(f, "{}", Printable(word))?,
                Some(end) => {
                    let (key, value) = (&word[..end], &word[end + 1..]);
                    write!(f, "{}{EQUALS}{}", Printable(key), Printable(value))?;
                }
            }
        }
        Ok(())
    }
}

fn is_key(word: &[u8]) -> bool {
    LINES.iter().any(|(_, keys)| keys.iter().any(|key| key.as_bytes() == word))
}

/// A value behind `key=`: bare if that is unambiguous, else quoted and escaped; `-` for
/// none.
pub(super) struct Value<'a>(pub Option<&'a [u8]>);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("-"),
            Some(bytes) if is_bare(bytes) => write!(f, "{}", Escaped(bytes)),
            Some(bytes) => write!(f, "{}", Quoted(bytes)),
        }
    }
}

fn is_bare(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    !bytes.is_empty() && bytes != b"-" && bytes.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_cannot_forge_a_key() {
        let shown = |text: &str| FromProgram(text.as_bytes()).to_string();
        assert_eq!(shown("listed ip=192.0.2.1 port=25"), r"listed ip\x3d192.0.2.1 port\x3d25");
        assert_eq!(shown("ip=::1\tpid=1"), r"ip\x3d::1\tpid=1");
        assert_eq!(shown("  http://x.example/q?ip=1  a=b "), "  http://x.example/q?ip=1  a=b ");
    }

    #[test]
    fn values_are_quoted_where_they_could_be_misread() {
        let shown = |bytes: &[u8]| Value(Some(bytes)).to_string();
        assert_eq!(shown(b"mx.example.org"), "mx.example.org");
        assert_eq!(shown(b"a b"), "\"a b\"");
        assert_eq!(shown(b"x=y"), r#""x\x3dy""#);
        assert_eq!(shown(b""), "\"\"");
        assert_eq!(shown(b"-"), "\"-\"");
        assert_eq!(shown(b"a\nb"), r#""a\nb""#);
        assert_eq!(Value(None).to_string(), "-");
    }
}
