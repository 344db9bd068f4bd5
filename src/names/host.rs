//! What counts as a host name.  A name server may answer with anything; only a name that is
//! accepted here is kept, logged, and passed to `prog`.

/// The longest name, in bytes, without the root's dot (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The host name that `labels` (in order, raw bytes, without the root's empty label) spell,
/// in lower case as in tcpserver; `None` if it is not one: bytes other than letters,
/// digits, `-` and `_`, an empty or overlong label, over 253 bytes, a single label, an
/// address, or a name that means nothing outside its own network (`*.arpa`, `*.localhost`,
/// `*.localdomain`, `*.local`, `*.invalid`).
pub fn host_name<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let mut name = String::new();
    for label in labels {
        if !is_label(label) {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        if name.len() > MAX_NAME {
            return None;
        }
    }
    let (_, last) = name.rsplit_once('.')?;
    is_top_level(last).then_some(name)
}

fn is_label(label: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_LABEL).contains(&label.len()) && label.iter().all(allowed)
}

/// No top-level domain is all digits, so that this covers every dotted quad, complete or
/// not.
fn is_top_level(label: &str) -> bool {
    !label.bytes().all(|byte| byte.is_ascii_digit())
        && !matches!(label, "arpa" | "localhost" | "localdomain" | "local" | "invalid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<String> {
        host_name(name.split('.').map(str::as_bytes))
    }

    #[test]
    fn a_host_name_is_joined_and_lower_cased() {
        assert_eq!(of("MX1.Example.ORG").as_deref(), Some("mx1.example.org"));
        assert_eq!(of("_spf_.a-b.example").as_deref(), Some("_spf_.a-b.example"));
        assert_eq!(of("1.2.3.4.example").as_deref(), Some("1.2.3.4.example"));
        assert_eq!(of("localhost.example.com").as_deref(), Some("localhost.example.com"));
    }

    #[test]
    fn what_is_no_host_name() {
        for name in [
            "",
            "localhost",
            "mail",
            "192.0.2.7",
            "host.192",
            "a..example",
            ".example",
            "a.example.",
            "a b.example",
            "a/b.example",
            "a\0.example",
            "caf\u{e9}.example",
            "7.2.0.192.in-addr.arpa",
            "arpa",
            "x.LOCALHOST",
            "localhost.localdomain",
            "printer.local",
            "unset.invalid",
        ] {
            assert_eq!(of(name), None, "{name:?}");
        }
        assert_eq!(host_name([b"a.b".as_slice(), b"example"].into_iter()), None);
        assert_eq!(host_name([b"a\xff".as_slice(), b"example"].into_iter()), None);
        assert_eq!(host_name(std::iter::empty()), None);
    }

    #[test]
    fn lengths() {
        let label = "a".repeat(63);
        assert!(of(&format!("{label}.example")).is_some());
        assert_eq!(of(&format!("a{label}.example")), None);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        assert_eq!(of(&longest).as_deref(), Some(longest.as_str()));
        assert_eq!(of(&format!("{longest}a")), None);
        assert_eq!(host_name(std::iter::repeat(b"a".as_slice())), None);
    }
}
