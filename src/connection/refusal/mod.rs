//! The text of a refusal, and its reply codes.

pub(super) mod talk;

use std::net::IpAddr;

/// Why a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It talked before the greeting.
    EarlyTalk,
    /// There is no slot or no place for it.
    AllBusy,
    /// It has too many connections already.
    TooMany,
    /// DNS lists have it.
    Listed,
    /// The program cannot be run.
    NoProgram,
}

impl Why {
    /// The enhanced status code (RFC 3463) and the text after our name.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::EarlyTalk => ("4.7.0", "you talked before the greeting"),
            Self::Listed => ("4.7.1", "your address is listed"),
            Self::TooMany => ("4.7.0", "too many connections from your address"),
            Self::AllBusy => ("4.3.2", "all slots are busy, try later"),
            Self::NoProgram => ("4.3.0", "unable to serve you now, try later"),
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    text: String,
    permanent: bool,
}

impl Refusal {
    /// A temporary refusal, with the administrator's text if there is one, otherwise
    /// with `name` and the built-in text.
    #[must_use]
    pub fn temporary(why: Why, words: Option<&str>, name: &str) -> Self {
        let (status, built_in) = why.words();
        let text = words.map_or_else(|| [status, name, built_in].join(" "), String::from);
        Self { text, permanent: false }
    }

    /// The same, permanent if `--refuse-permanent` is set.
    #[must_use]
    pub fn permanently_if(self, permanent: bool) -> Self {
        if permanent { self.permanently() } else { self }
    }

    /// The same as a permanent one.  An enhanced status code in it changes its class,
    /// as RFC 3463, 2 demands.
    fn permanently(self) -> Self {
        let enhanced = self.text.strip_prefix("4.").filter(|rest| {
            rest.split(' ').next().is_some_and(|code| code.bytes().all(is_status_byte))
        });
        let text = enhanced.map(|rest| format!("5.{rest}"));
        Self { text: text.unwrap_or(self.text), permanent: true }
    }

    /// The line that ends the connection: 421 (RFC 5321, 3.8), or 521
    /// (RFC 7504).
    #[must_use]
    pub fn closing_line(&self) -> String {
        [if self.permanent { "521 " } else { "421 " }, &self.text, "\r\n"].concat()
    }

    /// The reply to a command: 451 or 553, as rblsmtpd gives it.
    #[must_use]
    pub fn reply_line(&self) -> String {
        let code = if self.permanent { 553 } else { 451 };
        format!("{code} {}\r\n", self.text)
    }

    /// The value of `RBLSMTPD`; a leading `-` makes rblsmtpd say 553.
    #[must_use]
    pub fn rblsmtpd(&self) -> String {
        if self.permanent { format!("-{}", self.text) } else { self.text.clone() }
    }
}

fn is_status_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

/// The name in our replies: TCPLOCALHOST if it has a dot, else the host's
/// name, else the address.
#[must_use]
pub fn our_name(local_host: Option<&str>, host: Option<&str>, ip: IpAddr) -> String {
    let qualified = local_host.filter(|name| name.contains('.'));
    let printable = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    let name = qualified.or(host).filter(printable);
    name.map_or_else(|| address_literal(ip), String::from)
}

/// RFC 5321, 4.1.3.
fn address_literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_temporary_unless_asked_otherwise() {
        let refusal = Refusal::temporary(Why::EarlyTalk, None, "mx.example.org");
        let text = "4.7.0 mx.example.org you talked before the greeting";
        assert_eq!(refusal.closing_line(), format!("421 {text}\r\n"));
        assert_eq!(refusal.reply_line(), format!("451 {text}\r\n"));
        assert_eq!(refusal.rblsmtpd(), text);
        let refusal = refusal.permanently();
        let text = "5.7.0 mx.example.org you talked before the greeting";
        assert_eq!(refusal.closing_line(), format!("521 {text}\r\n"));
        assert_eq!(refusal.reply_line(), format!("553 {text}\r\n"));
        assert_eq!(refusal.rblsmtpd(), format!("-{text}"));
    }

    #[test]
    fn the_administrators_words_are_left_alone() {
        let own = |words| Refusal::temporary(Why::EarlyTalk, Some(words), "x").permanently();
        assert_eq!(own("4.7.1 go away").closing_line(), "521 5.7.1 go away\r\n");
        assert_eq!(own("4.you wait").closing_line(), "521 4.you wait\r\n");
        assert_eq!(own("go away").closing_line(), "521 go away\r\n");
    }

    #[test]
    fn our_name_is_the_best_there_is() {
        let ip = "192.0.2.1".parse().unwrap();
        assert_eq!(our_name(Some("mx.example.org"), Some("mx"), ip), "mx.example.org");
        assert_eq!(our_name(Some("0"), Some("mx"), ip), "mx");
        assert_eq!(our_name(None, None, ip), "[192.0.2.1]");
        assert_eq!(our_name(None, Some("bad\r\nname"), ip), "[192.0.2.1]");
        assert_eq!(our_name(None, None, "2001:db8::1".parse().unwrap()), "[IPv6:2001:db8::1]");
    }
}
