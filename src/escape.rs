//! The only escaper on the way to a log or a terminal: no client and no name server can
//! forge a line, or a key in it, and no text controls the terminal that shows it.

use std::fmt::{self, Write as _};

/// An equals sign that does not follow a key of ours.
pub const EQUALS: &str = "\\x3d";

/// Bytes as a C string literal has them, without the quotes: printable ASCII
/// stands for itself, `"` and `\` behind a `\`, the rest as `\n`, `\r`, `\t`
/// or three octal digits.  `=` is `\x3d`, so that no `key=value` can stand in it.
pub struct Escaped<'a>(pub &'a [u8]);

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
                b'=' => f.write_str(EQUALS)?,
                b' '..=b'~' => write!(f, "\\{}", char::from(*byte))?,
                _ => write!(f, "\\{byte:03o}")?,
            }
            rest = behind;
        }
    }
}

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'=')
}

/// Bytes in quotes, always.
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Escaped(self.0))
    }
}

/// Text for a terminal, on one line: unchanged, except bytes that control a terminal or
/// are not UTF-8.
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|letter| write_printable(letter, f))?;
            write!(f, "{}", Escaped(chunk.invalid()))?;
        }
        Ok(())
    }
}

fn write_printable(letter: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if letter.is_control() || turns_text(letter) {
        return write!(f, "{}", Escaped(letter.encode_utf8(&mut [0; 4]).as_bytes()));
    }
    f.write_char(letter)
}

/// Characters that break a line, or change the order in which it is shown.
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// One of our messages, which may quote anything.  It has one line; only indented text,
/// such as a wrong expression, may follow on lines of its own.
pub struct Message<'a>(pub &'a str);

impl Message<'_> {
    /// The indentation of the lines below the first.
    pub const INDENT: &'static str = "    ";
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.0.split('\n').enumerate() {
            match number {
                0 => (),
                _ if line.starts_with(Self::INDENT) => f.write_char('\n')?,
                _ => f.write_str("\\n")?,
            }
            write!(f, "{}", Printable(line.as_bytes()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_are_escaped() {
        let text = Escaped(b"EHLO x\r\n\tpass ip=1\" \\ \x00\x1b[2J\xff%s").to_string();
        assert_eq!(text, r#"EHLO x\r\n\tpass ip\x3d1\" \\ \000\033[2J\377%s"#);
    }

    #[test]
    fn a_digit_behind_an_escape_is_not_taken_for_part_of_it() {
        assert_eq!(Escaped(b"\x017").to_string(), r"\0017");
    }

    #[test]
    fn what_a_program_writes_stays_readable() {
        let text = Printable(b"caf\xc3\xa9 \"x\" \\ a\tb\x1b[2J\r\xff\xc2\x85").to_string();
        assert_eq!(text, "caf\u{e9} \"x\" \\ a\\tb\\033[2J\\r\\377\\302\\205");
        // U+202E reverses what follows.
        assert_eq!(Printable("a\u{202e}b".as_bytes()).to_string(), "a\\342\\200\\256b");
    }

    #[test]
    fn only_indented_text_gets_lines_of_its_own() {
        let text =
            Message("unable to use a\x1b]0;x\x07\npass ip=1: why\n    (\x1b\n    ^").to_string();
        assert_eq!(text, "unable to use a\\033]0;x\\007\\npass ip=1: why\n    (\\033\n    ^");
        assert_eq!(Message("a\n").to_string(), "a\\n");
        assert_eq!(Message("caf\u{e9} `x'").to_string(), "caf\u{e9} `x'");
    }
}
