//! The protocol of Redis and Valkey, RESP2: commands and replies as bytes.

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::encode::encode;
use redis_protocol::resp2::types::{OwnedFrame, Resp2Frame};

/// The most bytes of a reply: values of ours and error messages are shorter.
pub(super) const LONGEST: usize = 4096;

/// A reply to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::known::share) enum Reply {
    /// The command was carried out.
    Done,
    /// This is the value.
    Value(Vec<u8>),
    /// There is no such key.
    Missing,
    /// The command was refused; an error message, which begins with a word for the reason.
    Refused(String),
}

/// Bytes that are not a reply to a command of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::known::share) struct Malformed;

/// Adds a command, which has these words, to `output`.
pub(super) fn put_command(words: &[&[u8]], output: &mut Vec<u8>) {
    let words = words.iter().map(|word| OwnedFrame::BulkString(word.to_vec()));
    let command = OwnedFrame::Array(words.collect());
    let start = output.len();
    output.resize(start + command.encode_len(false), 0);
    // There is room for it.
    let _ = encode(&mut output[start..], &command, false);
}

/// The first reply in `input`, and how many bytes it has; `None` if it is not there in
/// full.
///
/// # Errors
/// Bytes that are not the beginning of a reply, or that are of a longer one than any
/// of our commands has.
pub(super) fn first_reply(input: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    // Only arrays nest, and none of our commands is answered by one: the decoder, which
    // follows them to any depth, never sees one.
    if input.first().is_some_and(|first| !b"+-:$".contains(first)) {
        return Err(Malformed);
    }
    match decode(input).map_err(|_| Malformed)? {
        None if input.len() > LONGEST => Err(Malformed),
        None => Ok(None),
        Some((_, length)) if length > LONGEST => Err(Malformed),
        Some((frame, length)) => Ok(Some((reply(frame)?, length))),
    }
}

fn reply(frame: OwnedFrame) -> Result<Reply, Malformed> {
    match frame {
        OwnedFrame::SimpleString(_) => Ok(Reply::Done),
        OwnedFrame::BulkString(value) => Ok(Reply::Value(value)),
        OwnedFrame::Null => Ok(Reply::Missing),
        OwnedFrame::Error(message) => Ok(Reply::Refused(message)),
        OwnedFrame::Integer(_) | OwnedFrame::Array(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_its_words() {
        let mut output = b"x".to_vec();
        put_command(&[b"GET", b"k\xff\r\n"], &mut output);
        assert_eq!(output, b"x*2\r\n$3\r\nGET\r\n$4\r\nk\xff\r\n\r\n");
    }

    #[test]
    fn a_reply_is_read_once_it_is_there_in_full() {
        for (bytes, reply) in [
            (&b"+OK\r\n"[..], Reply::Done),
            (b"$3\r\na\r\n\r\n", Reply::Value(b"a\r\n".into())),
            (b"$0\r\n\r\n", Reply::Value(Vec::new())),
            (b"$-1\r\n", Reply::Missing),
            (b"-LOADING it is loading\r\n", Reply::Refused("LOADING it is loading".into())),
        ] {
            for length in 0..bytes.len() {
                assert_eq!(first_reply(&bytes[..length]), Ok(None), "{bytes:?}");
            }
            let both = [bytes, b"+OK\r\n"].concat();
            assert_eq!(first_reply(&both), Ok(Some((reply, bytes.len()))));
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let long = format!("+{}\r\n", "x".repeat(LONGEST));
        let longer = format!("${}\r\n{}", 1 << 29, "x".repeat(LONGEST));
        let deep = "*1\r\n".repeat(1 << 20);
        let wrong: [&[u8]; 9] = [
            b"HTTP/1.1 200 OK\r\n",
            b"*1\r\n+OK\r\n",
            b"%1\r\n",
            b"$x\r\n",
            b"$-7\r\n",
            b":x\r\n",
            long.as_bytes(),
            longer.as_bytes(),
            deep.as_bytes(),
        ];
        for bytes in wrong {
            let start = String::from_utf8_lossy(&bytes[..20.min(bytes.len())]);
            assert_eq!(first_reply(bytes), Err(Malformed), "{start}");
        }
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut number = 1_u64;
        for _ in 0..100_000 {
            let mut bytes = Vec::new();
            for _ in 0..number % 20 {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let letter = usize::try_from(number >> 33).unwrap();
                bytes.push(b"+-:$*0123459\r\n\r\nOKx\xff"[letter % 20]);
            }
            number = number.wrapping_add(1);
            let _ = first_reply(&bytes);
        }
    }
}
