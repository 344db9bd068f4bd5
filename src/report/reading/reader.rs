//! Reads entries from a file: lines, or the fields of journalctl's export format.

use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::str;

use jiff::tz::TimeZone;

use super::entry::{Entry, repeats_last, split};
use super::moment::{Clock, Moment};
use super::source::Source;

/// The most bytes of a line that is parsed; a longer one is not ours, and is skipped.
const LONGEST: usize = 64 * 1024;
/// What each entry of `journalctl -o export` starts with.
const EXPORT: &[u8] = b"__CURSOR=";

/// The entries of one file, one at a time.
pub struct Reader {
    text: Box<dyn BufRead>,
    clock: Clock,
    form: Form,
    /// The current line, or a message after its tag.
    line: Vec<u8>,
    /// The line before, which another line may say was repeated.
    before: Vec<u8>,
    current: Parsed,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Lines,
    Export,
}

/// The current entry, as places in the line.
#[derive(Clone, Debug, Default)]
struct Parsed {
    at: Option<Moment>,
    times: u64,
    tag: Option<Range<usize>>,
    message: Range<usize>,
}

impl Reader {
    /// # Errors
    /// A file that cannot be read.
    pub fn new(mut source: Source, zone: TimeZone) -> io::Result<Self> {
        let export = source.text.fill_buf()?.starts_with(EXPORT);
        Ok(Self {
            text: source.text,
            clock: Clock::new(source.written, zone),
            form: if export { Form::Export } else { Form::Lines },
            line: Vec::new(),
            before: Vec::new(),
            current: Parsed::default(),
        })
    }

    /// Reads the next entry; false at the end.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn advance(&mut self) -> io::Result<bool> {
        match self.form {
            Form::Lines => self.next_line(),
            Form::Export => self.next_export(),
        }
    }

    /// The entry that [`Self::advance`] has read.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        let Parsed { at, times, tag, message } = &self.current;
        let tag = tag.clone().map(|range| &self.line[range]);
        Entry { at: *at, times: *times, tag, message: &self.line[message.clone()] }
    }

    /// When it was written, or else the latest entry before it that has a time.
    #[must_use]
    pub fn at(&self) -> Option<Moment> {
        self.current.at
    }

    fn next_line(&mut self) -> io::Result<bool> {
        std::mem::swap(&mut self.line, &mut self.before);
        if !read_line(&mut self.text, &mut self.line)? {
            return Ok(false);
        }
        let entry = split(&self.line, &mut self.clock);
        let at = entry.at.or(self.current.at);
        if let Some(times) = repeats_last(entry.message) {
            std::mem::swap(&mut self.line, &mut self.before);
            self.current = Parsed { at, times, ..self.current.clone() };
        } else {
            self.current = Parsed {
                at,
                times: entry.times,
                tag: entry.tag.map(|tag| place(&self.line, tag)),
                message: place(&self.line, entry.message),
            };
        }
        Ok(true)
    }

    /// The fields of an entry up to the empty line that ends it.
    fn next_export(&mut self) -> io::Result<bool> {
        let mut fields = Fields::default();
        loop {
            if !read_line(&mut self.text, &mut self.before)? {
                return Ok(false);
            }
            if self.before.is_empty() {
                break;
            }
            if let Some(at) = self.before.iter().position(|byte| *byte == b'=') {
                fields.take(&self.before[..at], &self.before[at + 1..]);
            } else {
                let value = read_binary(&mut self.text)?;
                fields.take(&self.before, &value);
            }
        }
        self.line.clear();
        self.line.extend_from_slice(&fields.tag);
        let tag = 0..self.line.len();
        self.line.extend_from_slice(&fields.message);
        let message = tag.end..self.line.len();
        let at = fields.at.or(self.current.at);
        self.current = Parsed { at, times: 1, tag: Some(tag), message };
        Ok(true)
    }
}

/// What an entry of the journal says (systemd.journal-fields(7)).
#[derive(Default)]
struct Fields {
    at: Option<Moment>,
    tag: Vec<u8>,
    message: Vec<u8>,
}

impl Fields {
    fn take(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"MESSAGE" => self.message = value.to_vec(),
            b"SYSLOG_IDENTIFIER" => self.tag = value.to_vec(),
            b"__REALTIME_TIMESTAMP" => {
                let micros = str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
                self.at = micros.map(|micros| Moment(micros / 1000));
            }
            _ => (),
        }
    }
}

/// A field that may contain any byte: its length in 8 bytes, least significant first, the
/// bytes, and a line feed (systemd's Journal Export Format).
fn read_binary(text: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    text.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut value = Vec::new();
    text.by_ref().take(length.min(LONGEST as u64)).read_to_end(&mut value)?;
    let rest = length - value.len() as u64 + 1;
    io::copy(&mut text.take(rest), &mut io::sink())?;
    Ok(value)
}

/// The position of `part` in `whole`, of which it is a slice.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// Reads a line without its end into `line`; the rest of one that is too long is
/// skipped.  False at the end of the file.
fn read_line(text: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    if text.by_ref().take(LONGEST as u64).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() == LONGEST {
        text.skip_until(b'\n')?;
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn all(text: impl Into<Vec<u8>>) -> Vec<(Option<i64>, u64, String)> {
        let written = Moment(1_795_000_000_000);
        let source = Source { text: Box::new(Cursor::new(text.into())), written };
        let mut reader = Reader::new(source, TimeZone::UTC).unwrap();
        let mut found = Vec::new();
        while reader.advance().unwrap() {
            let entry = reader.entry();
            let tag = String::from_utf8_lossy(entry.tag.unwrap_or(b"-"));
            let message = String::from_utf8_lossy(entry.message);
            found.push((entry.at.map(|at| at.0), entry.times, format!("{tag} {message}")));
        }
        found
    }

    #[test]
    fn lines_one_after_the_other() {
        let text = "2026-11-07T06:50:16Z mx smtp-delayd[1]: stop sessions=0 pid=1\r\n\
                    no time\n\
                    Nov  7 06:50:17 mx last message repeated 2 times\n\
                    the end";
        let found = all(text);
        let texts: Vec<&str> = found.iter().map(|(_, _, text)| text.as_str()).collect();
        assert_eq!(
            texts,
            ["smtp-delayd stop sessions=0 pid=1", "- no time", "- no time", "- the end"]
        );
        let times: Vec<u64> = found.iter().map(|(_, times, _)| *times).collect();
        assert_eq!(times, [1, 1, 2, 1]);
        let first = found[0].0.unwrap();
        assert_eq!(found[1].0, Some(first));
        assert_eq!(found[2].0, Some(first + 1000));
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        let text = format!("{}\nshort\n", "x".repeat(3 * LONGEST));
        let found = all(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].2, "- short");
    }

    #[test]
    fn the_export_format_of_the_journal() {
        let mut text = b"__CURSOR=s\n__REALTIME_TIMESTAMP=1795000000123456\nSYSLOG_IDENTIFIER=a\nMESSAGE=b\n\n\
                         __CURSOR=t\nMESSAGE\n".to_vec();
        text.extend_from_slice(&5_u64.to_le_bytes());
        text.extend_from_slice(b"c\nd=e\nSYSLOG_IDENTIFIER=f\n\n");
        let found = all(text);
        assert_eq!(found[0], (Some(1_795_000_000_123), 1, "a b".into()));
        assert_eq!(found[1], (Some(1_795_000_000_123), 1, "f c\nd=e".into()));
        assert_eq!(found.len(), 2);
    }
}
