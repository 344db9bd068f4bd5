//! `--stdin`: a client a line, `IP NAME`, and a line of answer for each, in their order.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::IpAddr;
use std::str;

use super::Judge;
use crate::connection::host_name::HostName;
use crate::ctl::{Failure, unprintable};
use crate::error::{TROUBLE, USAGE};
use crate::escape::Printable;

/// The longest line, in bytes: an address and a name are far shorter.
const LONGEST: u64 = 4096;
const BUFFER: usize = 1 << 16;

/// Reads `input` to its end. What waits to be written is written before more is waited
/// for, so that another program can ask and be answered line by line.
///
/// # Errors
/// 100 at the end if a line had no address, which is answered with the class `-`; 111
/// where the input cannot be read or the answers cannot be written.
pub(super) fn answer_each(
    judge: &Judge<'_>,
    input: impl Read,
    output: impl Write,
) -> Result<(), Failure> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut output = BufWriter::with_capacity(BUFFER, output);
    let (mut number, mut first_wrong) = (0_u64, None);
    loop {
        if input.buffer().is_empty() {
            output.flush().map_err(unprintable)?;
        }
        let Some(line) = next_line(&mut input).map_err(|why| unreadable(&why))? else { break };
        number += 1;
        let answer = answer(judge, &line).unwrap_or_else(|line| {
            first_wrong.get_or_insert(number);
            line
        });
        output.write_all(answer.as_bytes()).map_err(unprintable)?;
    }
    output.flush().map_err(unprintable)?;
    match first_wrong {
        None => Ok(()),
        Some(first) => Err(Failure::new(
            USAGE,
            format!("smtp-delayctl: fatal: unable to use line {first}: it begins with no address"),
        )),
    }
}

/// The next line without its end, cut down to [`LONGEST`] bytes.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.take(LONGEST).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 == LONGEST {
        input.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

/// The line of answer; as an error if there is no address in `line`.
fn answer(judge: &Judge<'_>, line: &[u8]) -> Result<String, String> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (address, name) = (words.next().unwrap_or(b"-"), words.next().unwrap_or(b"-"));
    let ip = str::from_utf8(address).ok().and_then(|address| address.parse::<IpAddr>().ok());
    let given = Printable(name);
    let Some(ip) = ip.map(|ip| ip.to_canonical()) else {
        return Err(if judge.options.json {
            "null\n".into()
        } else {
            format!("{} {given} - not a valid address\n", Printable(address))
        });
    };
    let host = if name == b"-" { judge.missing(ip) } else { HostName::told(name) };
    let answer = judge.answer(ip, &host);
    Ok(if judge.options.json {
        format!("{}\n", answer.json())
    } else {
        answer.line(&given.to_string())
    })
}

fn unreadable(why: &io::Error) -> Failure {
    Failure::new(TROUBLE, format!("smtp-delayctl: fatal: unable to read standard input: {why}"))
}
