//! The demo's SMTP server: it takes the dialogue, and answers DATA with an error.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_LINE: u64 = 4096;
const NOT_KEPT: &str = "451 4.3.0 demo server: your message was not kept";

/// Speaks SMTP on descriptors 0 and 1 until the client is done.
///
/// # Errors
/// Errors of the connection.
pub fn respond() -> io::Result<()> {
    let patience = TimeVal::new(i64::try_from(PATIENCE.as_secs()).unwrap_or(60), 0);
    let _ = setsockopt(&io::stdin(), sockopt::ReceiveTimeout, &patience);
    converse(&mut io::stdin().lock(), &mut io::stdout().lock())
}

fn converse(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    say(output, "220 demo.example ESMTP smtp-delay demo")?;
    while let Some(line) = read_line(input)? {
        let verb: String = line.chars().take(4).flat_map(char::to_uppercase).collect();
        match verb.as_str() {
            "EHLO" | "HELO" => say(output, "250 demo.example")?,
            "MAIL" | "RCPT" | "RSET" | "NOOP" => say(output, "250 2.0.0 ok")?,
            "VRFY" => say(output, "252 2.0.0 send some mail, I will not keep it")?,
            "DATA" => {
                say(output, "354 go ahead")?;
                while read_line(input)?.is_some_and(|line| line != ".") {}
                say(output, NOT_KEPT)?;
            }
            "QUIT" => return say(output, "221 2.0.0 demo.example"),
            _ => say(output, "500 5.5.1 unknown command")?,
        }
    }
    Ok(())
}

fn say(output: &mut impl Write, line: &str) -> io::Result<()> {
    output.write_all(format!("{line}\r\n").as_bytes())?;
    output.flush()
}

/// A line without its line end; `None` at the end of file.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let length = input.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    let text = String::from_utf8_lossy(&line);
    Ok((length > 0).then(|| text.trim_end_matches(['\r', '\n']).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_in_and_not_claimed() {
        let input =
            "EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\nNOOP\r\n";
        let mut output = Vec::new();
        converse(&mut input.as_bytes(), &mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        let codes: Vec<&str> = output.lines().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["220", "250", "250", "250", "354", "451", "221"]);
        assert!(output.contains(NOT_KEPT));
    }

    #[test]
    fn a_client_that_leaves_ends_it() {
        let mut output = Vec::new();
        converse(&mut &b"DATA\r\nhalf a mess"[..], &mut output).unwrap();
    }
}
