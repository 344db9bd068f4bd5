//! The one way from the network into a log: no client and no name server can
//! forge a line, or a key in it.

use std::fmt::{self, Write as _};

/// Bytes as a C string literal has them, without the quotes: printable ASCII
/// stands for itself, `"` and `\` behind a `\`, the rest as `\n`, `\r`, `\t`
/// or three octal digits.
pub(super) struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        loop {
            let plain = rest.iter().take_while(|byte| stands_for_itself(**byte)).count();
            f.write_str(std::str::from_utf8(&rest[..plain]).unwrap_or_default())?;
            let Some((byte, behind)) = rest[plain..].split_first() else { return Ok(()) };
            match byte {
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                b' '..=b'~' => write!(f, "\\{}", char::from(*byte))?,
                _ => write!(f, "\\{byte:03o}")?,
            }
            rest = behind;
        }
    }
}

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// Text that a program wrote, for a line of its own: as it is, but for bytes that
/// control a terminal or are no UTF-8.
pub(super) struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    '\t' => f.write_str("\\t")?,
                    letter if letter.is_control() => {
                        write!(f, "{}", Escaped(letter.encode_utf8(&mut [0; 4]).as_bytes()))?;
                    }
                    letter => f.write_char(letter)?,
                }
            }
            write!(f, "{}", Escaped(chunk.invalid()))?;
        }
        Ok(())
    }
}

/// A value behind `key=`: bare where that is unambiguous, else quoted and
/// escaped; `-` where there is none.
pub(super) struct Value<'a>(pub Option<&'a [u8]>);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("-"),
            Some(bytes) if is_bare(bytes) => write!(f, "{}", Escaped(bytes)),
            Some(bytes) => write!(f, "\"{}\"", Escaped(bytes)),
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
    fn hostile_bytes_are_escaped() {
        let text = Escaped(b"EHLO x\r\n\tpass ip=1\" \\ \x00\x1b[2J\xff%s").to_string();
        assert_eq!(text, r#"EHLO x\r\n\tpass ip=1\" \\ \000\033[2J\377%s"#);
    }

    #[test]
    fn a_digit_behind_an_escape_is_not_taken_for_part_of_it() {
        assert_eq!(Escaped(b"\x017").to_string(), r"\0017");
    }

    #[test]
    fn what_a_program_writes_stays_readable() {
        let text = Printable(b"caf\xc3\xa9 \"x\" \\ a\tb\x1b[2J\r\xff\xc2\x85").to_string();
        assert_eq!(text, "caf\u{e9} \"x\" \\ a\\tb\\033[2J\\r\\377\\302\\205");
    }

    #[test]
    fn values_are_quoted_where_they_could_be_misread() {
        let shown = |bytes: &[u8]| Value(Some(bytes)).to_string();
        assert_eq!(shown(b"mx.example.org"), "mx.example.org");
        assert_eq!(shown(b"a b"), "\"a b\"");
        assert_eq!(shown(b"x=y"), "\"x=y\"");
        assert_eq!(shown(b""), "\"\"");
        assert_eq!(shown(b"-"), "\"-\"");
        assert_eq!(shown(b"a\nb"), r#""a\nb""#);
        assert_eq!(Value(None).to_string(), "-");
    }
}
