//! Reading a header as it arrives, in as many pieces as the network makes of it.

use super::binary::{self, ADDRESSES, FIXED, SIGNATURE};
use super::header::{Header, HeaderError};
use super::text;

/// The fewest bytes that any header has: those of a line without addresses.
const SHORTEST: usize = "PROXY UNKNOWN\r\n".len();

/// A header of which a part has been read.
///
/// What there is room for belongs to the header, if that is one: not one byte behind it
/// is taken from the socket, and nothing has to be peeked at, which a pipe does not allow.
pub struct Reader {
    /// The header, as far as it is needed: a line, or a block without additional fields.
    bytes: [u8; text::LONGEST],
    /// How many bytes have been read.
    read: usize,
    /// How many are missing at least.
    missing: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self { bytes: [0; text::LONGEST], read: 0, missing: SHORTEST }
    }
}

impl Reader {
    /// Where the next bytes go: one or more, until the header is complete or wrong.
    pub fn room(&mut self) -> &mut [u8] {
        let start = self.kept();
        let end = self.bytes.len().min(start + self.missing);
        &mut self.bytes[start..end]
    }

    /// Goes on with the first `count` bytes that have been put there.  The header, once it
    /// is complete.
    ///
    /// # Errors
    /// What has been read is no header, or none that can be used.
    pub fn advance(&mut self, count: usize) -> Result<Option<Header>, HeaderError> {
        self.read += count;
        if self.is_block() { self.block() } else { self.line() }
    }

    /// What has been read: all of a line, or the first bytes of a block.
    #[must_use]
    pub fn seen(&self) -> &[u8] {
        &self.bytes[..self.kept()]
    }

    fn is_block(&self) -> bool {
        self.read > 0 && self.bytes[0] == SIGNATURE[0]
    }

    /// Additional fields, behind the addresses of a block, overwrite each other.
    fn kept(&self) -> usize {
        if self.is_block() { self.read.min(FIXED + ADDRESSES) } else { self.read }
    }

    fn block(&mut self) -> Result<Option<Header>, HeaderError> {
        let signature = self.read.min(SIGNATURE.len());
        if self.bytes[..signature] != SIGNATURE[..signature] {
            return Err(HeaderError::Missing);
        }
        let Some((fixed, rest)) = self.bytes.split_first_chunk::<FIXED>() else {
            return Ok(None);
        };
        if self.read < FIXED {
            self.missing = FIXED - self.read;
            return Ok(None);
        }
        self.missing = FIXED + binary::length_of_rest(fixed)? - self.read;
        let addresses = rest.first_chunk::<ADDRESSES>().filter(|_| self.missing == 0);
        Ok(addresses.map(|addresses| binary::parse(fixed, addresses)))
    }

    fn line(&mut self) -> Result<Option<Header>, HeaderError> {
        let line = &self.bytes[..self.read];
        match line.iter().position(|byte| *byte == b'\n') {
            Some(end) if end + 1 == line.len() => text::parse(line).map(Some),
            Some(_) => Err(HeaderError::Malformed),
            None => {
                self.missing = text::missing(line)?;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proxy_header::{ParseConfig, ProxyHeader};

    use super::*;

    /// Feeds `bytes` in pieces of `piece` at most; the header, and how many were taken.
    fn read(bytes: &[u8], piece: usize) -> (Result<Option<Header>, HeaderError>, usize) {
        let mut reader = Reader::default();
        let mut taken = 0;
        while taken < bytes.len() {
            let room = reader.room();
            assert!(!room.is_empty());
            let count = room.len().min(piece).min(bytes.len() - taken);
            room[..count].copy_from_slice(&bytes[taken..taken + count]);
            taken += count;
            match reader.advance(count) {
                Ok(None) => (),
                result => return (result, taken),
            }
        }
        (Ok(None), taken)
    }

    fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
    }

    fn ipv4() -> Vec<u8> {
        vec![192, 0, 2, 1, 198, 51, 100, 25, 0xdc, 0x04, 0, 25]
    }

    fn ipv6() -> Vec<u8> {
        let mut bytes = vec![0; 36];
        bytes[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        bytes[15] = 1;
        bytes[16..20].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        bytes[31] = 25;
        bytes[32..].copy_from_slice(&[0xdc, 0x04, 0, 25]);
        bytes
    }

    /// Headers of all forms that are taken.
    fn headers() -> Vec<Vec<u8>> {
        let lines = [
            "PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\r\n",
            "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n",
            "PROXY TCP6 2001:db8::1 2001:db8::19 56324 25\r\n",
            "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.25 56324 25\r\n",
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
             ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        ];
        // An additional field: no operation, as padding.
        let field = |length: u16| {
            let [high, low] = length.to_be_bytes();
            [vec![4, high, low], vec![b'\n'; length.into()]].concat()
        };
        let blocks = [
            block(PROXY, 0x11, &ipv4()),
            block(PROXY, 0x21, &ipv6()),
            block(PROXY, 0x11, &[ipv4(), field(0)].concat()),
            block(PROXY, 0x11, &[ipv4(), field(4096 - 12 - 3)].concat()),
            block(PROXY, 0x21, &[ipv6(), field(300)].concat()),
            block(LOCAL, 0x00, &[]),
            block(LOCAL, 0x11, &[ipv4(), field(9)].concat()),
            block(LOCAL, 0xff, &[1, 2, 3]),
        ];
        lines.iter().map(|line| line.as_bytes().to_vec()).chain(blocks).collect()
    }

    const PROXY: u8 = 0x21;
    const LOCAL: u8 = 0x20;

    /// What another reader makes of it, and how long it finds it.
    fn by_another(bytes: &[u8]) -> Option<(Header, usize)> {
        let (header, length) = ProxyHeader::parse(
            bytes,
            ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true },
        )
        .ok()?;
        let header = header.proxied_address().map_or(Header::Local, |pair| Header::Proxied {
            client: pair.source,
            local: pair.destination,
        });
        Some((header, length))
    }

    #[test]
    fn a_header_is_read_to_its_end_and_no_further_however_it_is_cut() {
        for header in headers() {
            let whole = [header.as_slice(), b"EHLO client.example\r\n"].concat();
            for piece in [1, 2, 3, 7, 16, 50, 5000] {
                let (result, taken) = read(&whole, piece);
                assert!(matches!(result, Ok(Some(_))), "{}", header.escape_ascii());
                assert_eq!(taken, header.len(), "{}", header.escape_ascii());
            }
        }
    }

    #[test]
    fn the_beginning_of_a_header_is_neither_a_header_nor_wrong() {
        for header in headers() {
            // Of a long one, most lengths are alike.
            for length in (0..header.len()).filter(|length| *length < 200 || length % 101 == 0) {
                for piece in [1, 5000] {
                    assert_eq!(read(&header[..length], piece), (Ok(None), length));
                }
            }
        }
    }

    /// It takes no `LOCAL` block of a family that it does not know, which the protocol says
    /// to ignore.
    #[track_caller]
    fn assert_as_another(ours: Header, taken: usize, bytes: &[u8]) {
        match (ours, by_another(bytes)) {
            (Header::Local, None) => (),
            (_, another) => assert_eq!(Some((ours, taken)), another, "{}", bytes.escape_ascii()),
        }
    }

    #[test]
    fn every_header_is_what_another_reader_takes_it_for() {
        for header in headers() {
            let (ours, taken) = read(&header, 5000);
            assert_as_another(ours.unwrap().unwrap(), taken, &header);
        }
    }

    /// Marsaglia's generator (xorshift), always with the same numbers.
    fn numbers() -> impl Iterator<Item = usize> {
        std::iter::successors(Some(0x9e37_79b9_usize), |state| {
            let state = state ^ (state << 13);
            let state = state ^ (state >> 7);
            Some(state ^ (state << 17))
        })
    }

    /// It is laxer in what it takes: leading zeros and signs of numbers, an unknown
    /// family.  What we take it takes as well, and finds the same in it.
    #[test]
    fn what_a_changed_header_names_is_what_another_reader_finds() {
        let mut numbers = numbers();
        let mut next = |below: usize| numbers.next().unwrap() % below;
        let headers = headers();
        let mut still_headers = 0;
        for _ in 0..30_000 {
            let mut bytes = headers[next(headers.len())].clone();
            for _ in 0..=next(3) {
                let at = next(bytes.len().min(60));
                match next(4) {
                    0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                    1 => bytes[at] ^= 1 << next(8),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, b"0 1:.+\r\n"[next(8)]),
                }
            }
            let (ours, taken) = read(&bytes, 5000);
            if let Ok(Some(ours)) = ours {
                still_headers += 1;
                assert_as_another(ours, taken, &bytes);
            }
        }
        assert!(still_headers > 300, "{still_headers}");
    }

    #[test]
    fn random_bytes_are_no_header() {
        let mut numbers = numbers();
        for _ in 0..10_000 {
            let random: Vec<u8> =
                numbers.by_ref().take(40).map(|number| number.to_le_bytes()[1]).collect();
            for start in [b"".as_slice(), b"PROXY ", b"PROXY TCP4 ", &SIGNATURE[..11]] {
                let (result, _) = read(&[start, &random].concat(), 5000);
                assert!(!matches!(result, Ok(Some(_))), "{}", random.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let of = |bytes: &[u8]| {
            let [slow, fast] = [1, 5000].map(|piece| read(bytes, piece).0.unwrap_err());
            assert_eq!(slow, fast, "{}", bytes.escape_ascii());
            slow
        };
        assert_eq!(of(b"EHLO client.example\r\n"), HeaderError::Missing);
        assert_eq!(of(b"PROXY TCP5 "), HeaderError::Missing);
        assert_eq!(of(b"proxy TCP4 "), HeaderError::Missing);
        assert_eq!(of(b"\r\n\r\n\0\r\nQUIT\r"), HeaderError::Missing);
        assert_eq!(of(b"PROXY UNKNOWN\r\n"), HeaderError::NoAddress);
        assert_eq!(of(b"PROXY UNKNOWN ::1 ::1 1 2\r\n"), HeaderError::NoAddress);
        assert_eq!(of(b"PROXY TCP4 192.0.2.1\r\n"), HeaderError::Malformed);
        assert_eq!(of(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"), HeaderError::Malformed);
        assert_eq!(of(&[b"PROXY TCP4 ".as_slice(), &[b'1'; 100]].concat()), HeaderError::TooLong);
        assert_eq!(of(&block(0x11, 0x11, &ipv4())), HeaderError::UnknownCommand(0x11));
        assert_eq!(of(&block(0x22, 0x11, &ipv4())), HeaderError::UnknownCommand(0x22));
        assert_eq!(of(&block(PROXY, 0x13, &ipv4())), HeaderError::UnknownFamily(0x13));
        assert_eq!(of(&block(PROXY, 0x11, &ipv4()[..11])), HeaderError::Short);
        assert_eq!(of(&block(PROXY, 0x21, &ipv6()[..35])), HeaderError::Short);
        assert_eq!(of(&block(PROXY, 0x11, &[0; 4097])), HeaderError::TooLong);
        for family in [0x00, 0x12, 0x22, 0x31, 0x32] {
            assert_eq!(of(&block(PROXY, family, &[0; 216])), HeaderError::NoAddress);
        }
    }
}
