//! `--stdin`: one client a line, `IP NAME`, and one line of answer for each, in order.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::IpAddr;
use std::str;

use super::judge::Judge;
use crate::connection::lookup::host_name::HostName;
use crate::ctl::failure::Failure;
use crate::error::{Fatal, NotAnAddress};
use crate::escape::Printable;

/// The most bytes of a line: an address and a name are far shorter.
const LONGEST: u64 = 4096;
const BUFFER: usize = 1 << 16;

/// Reads `input` to its end.  Answers are written before it waits for more input, so that
/// another program can ask line by line.
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
            output.flush().map_err(Failure::of_output)?;
        }
        let Some(line) = next_line(&mut input).map_err(unreadable)? else { break };
        number += 1;
        let client = client(&line);
        if client.ip.is_err() {
            first_wrong.get_or_insert(number);
        }
        let answer = answer(judge, &client);
        output.write_all(answer.as_bytes()).map_err(Failure::of_output)?;
    }
    output.flush().map_err(Failure::of_output)?;
    first_wrong.map_or(Ok(()), |line| Err(Failure::NoAddress(line)))
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

/// What a line says of a client; a word that is missing is `-`.
struct Client<'a> {
    ip: Result<IpAddr, NotAnAddress>,
    address: &'a [u8],
    name: &'a [u8],
}

fn client(line: &[u8]) -> Client<'_> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (address, name) = (words.next().unwrap_or(b"-"), words.next().unwrap_or(b"-"));
    let ip = str::from_utf8(address).ok().and_then(|address| address.parse::<IpAddr>().ok());
    Client { ip: ip.map(|ip| ip.to_canonical()).ok_or(NotAnAddress), address, name }
}

/// The line of answer.
fn answer(judge: &Judge<'_>, &Client { ip, address, name }: &Client<'_>) -> String {
    let given = Printable(name);
    let ip = match ip {
        Ok(ip) => ip,
        Err(_) if judge.options.json => return "null\n".into(),
        Err(_) => return format!("{} {given} - not a valid address\n", Printable(address)),
    };
    let host = if name == b"-" { judge.missing(ip) } else { HostName::told(name) };
    let answer = judge.answer(ip, &host);
    if judge.options.json {
        format!("{}\n", answer.json())
    } else {
        answer.line(&given.to_string())
    }
}

fn unreadable(why: io::Error) -> Failure {
    Fatal::unable("read standard input", why).into()
}
