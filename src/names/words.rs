//! Words that providers put into the names of lines, and administrators into
//! those of mail servers. A word is a run of letters: it ends at `.`, `-`, `_`
//! and at a digit, so that `dsl123` holds `dsl`, and `pooler` no `pool`.

use super::runs::runs;

/// The first word of each kind in a name.
#[derive(Default)]
pub(super) struct Words<'a> {
    /// A mail server, or a line whose owner has a fixed address to run one on.
    pub(super) server: Option<&'a str>,
    /// An end user's line.
    pub(super) line: Option<&'a str>,
    /// A line, where other things in the name say so, too.
    pub(super) weak: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// The words of `text`, lower-case, from which the last two labels, which
    /// name the owner, are best left out.
    pub(super) fn of(text: &'a str) -> Self {
        let mut words = Self::default();
        for run in runs(text, u8::is_ascii_alphabetic) {
            let kind = match kind_of(run.text) {
                Some(Kind::Server) => &mut words.server,
                Some(Kind::Line) => &mut words.line,
                Some(Kind::Weak) => &mut words.weak,
                None => continue,
            };
            kind.get_or_insert(run.text);
        }
        words
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Server,
    Line,
    Weak,
}

/// The longest word, in letters: what a number has room for.
const LONGEST: usize = 16;
const KNOWN: usize = SERVERS.len() + LINES.len() + WEAK.len();
/// In the order of the numbers that the words are.
static KINDS: [(u128, Kind); KNOWN] = in_order();

fn kind_of(word: &str) -> Option<Kind> {
    if word.len() > LONGEST {
        return None;
    }
    let number = number(word);
    let place = KINDS.binary_search_by_key(&number, |(known, _)| *known).ok()?;
    Some(KINDS[place].1)
}

/// The letters of a word as one number.
const fn number(word: &str) -> u128 {
    let letters = word.as_bytes();
    let (mut number, mut place) = (0, 0);
    while place < letters.len() {
        number = number << 8 | letters[place] as u128;
        place += 1;
    }
    number
}

/// All lists in one, sorted by the compiler.
const fn in_order() -> [(u128, Kind); KNOWN] {
    let mut sorted = [(0, Kind::Weak); KNOWN];
    let lists: [(&[&str], Kind); 3] =
        [(SERVERS, Kind::Server), (LINES, Kind::Line), (WEAK, Kind::Weak)];
    let (mut list, mut word, mut filled) = (0, 0, 0);
    while filled < KNOWN {
        let (words, kind) = lists[list];
        if word == words.len() {
            (list, word) = (list + 1, 0);
            continue;
        }
        assert!(words[word].len() <= LONGEST);
        let number = number(words[word]);
        let mut place = filled;
        while place > 0 && sorted[place - 1].0 > number {
            sorted[place] = sorted[place - 1];
            place -= 1;
        }
        assert!(place == 0 || sorted[place - 1].0 < number, "a word is there twice");
        sorted[place] = (number, kind);
        (word, filled) = (word + 1, filled + 1);
    }
    sorted
}

/// Not here, for what else they mean: `pop` (point of presence), `sta`
/// (station), `biz` and `business` (lines of both sorts), `exchange`, `post`,
/// `news`, `list`, `emta` (the telephone adapter in a cable modem).
#[rustfmt::skip]
const SERVERS: &[&str] = &[
    "mx", "mxs", "mxin", "mxout", "mxrelay", "inmx", "outmx",
    "mail", "mails", "mailer", "mailers", "maild", "mailing", "mailings",
    "mailbox", "mailfilter", "mailgate", "mailgateway", "mailguard", "mailgw",
    "mailhost", "mailhub", "mailin", "mailman", "mailout", "mailrelay",
    "mailserv", "mailserver", "mailsrv", "mailsvr", "webmail", "outmail",
    "email", "emails", "antispam",
    "smtp", "smtps", "smtpd", "smtpgw", "smtpin", "smtpout", "smtprelay",
    "smtpserver", "smtpsrv", "esmtp", "insmtp", "outsmtp",
    "relay", "relays", "relayout",
    "out", "outbound", "outgoing", "mout",
    "mta", "mtas", "mtain", "mtaout", "vmta", "pmta",
    "postfix", "exim", "sendmail", "qmail", "zimbra", "imap", "imaps",
    "newsletter", "newsletters", "bounce", "bounces",
    "lists", "listserv", "listserver", "majordomo",
    "static", "staticip", "ipstatic", "statique", "statisch",
    "estatico", "estatica",
    "fixed", "fixedip", "fixip", "ipfixe",
];

/// Not here, for the servers that they also name: `cm`, `bb`, `edge`, `nas`,
/// `mobile`, `fiber`.
#[rustfmt::skip]
const LINES: &[&str] = &[
    "dyn", "dynamic", "dynamicip", "dynip", "ipdyn", "dynpool",
    "dyndsl", "dynadsl", "dynamique", "dynamisch", "dinamic", "dinamico",
    "dinamica", "dip", "dhcp", "dhcpd",
    "pool", "pools", "ippool", "poolip",
    "ppp", "pppoe", "pppoa", "bras", "lns",
    "dsl", "adsl", "vdsl", "sdsl", "hdsl", "shdsl", "xdsl",
    "dslb", "dslam", "dslpool", "adslpool", "dsldyn", "adsldyn", "userdsl",
    "dial", "dialup", "dialin", "dialuser", "isdn",
    "modem", "modems", "modempool", "modemcable",
    "cable", "cablemodem", "cablelink", "catv", "docsis", "kabel",
    "hfc", "hsd", "hsi", "cpe", "cpes",
    "cust", "custs", "customer", "customers", "client", "clients", "cliente",
    "clientes", "klient", "subs", "subscr", "subscriber", "subscribers",
    "abo", "abon", "abonent", "abonents",
    "broadband", "bband", "res", "resi", "residential", "resnet", "dorm", "dorms",
    "home", "homenet", "homeuser",
    "ftth", "fttb", "fttc", "fttp", "fttx", "gpon", "epon",
    "wifi", "wlan", "wireless", "wimax", "hotspot", "guest",
    "umts", "lte", "gprs", "hspa", "hsdpa", "cdma", "evdo", "cgn", "cgnat",
];

#[rustfmt::skip]
const WEAK: &[&str] = &[
    "host", "hosts", "ip", "ips", "ipv", "addr", "revip", "rev", "reverse", "rdns",
    "user", "users", "net", "network", "subnet", "range", "block", "red",
    "node", "nodes", "line", "lines", "port", "ports", "access", "acceso",
    "unassigned", "unallocated", "unused", "unknown", "generic",
    "nat", "wan", "vpn", "isp", "internet", "tel", "telecom",
    "mobile", "fiber", "fibre", "fios", "pc", "station",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_separators_and_digits() {
        let words = Words::of("xdsl12ip_smtp-pooler.net9mx.dyn");
        assert_eq!(words.server, Some("smtp"));
        assert_eq!(words.line, Some("xdsl"));
        assert_eq!(words.weak, Some("ip"));
        let words = Words::of("mailx.xmail.pooler.homer.maximum.outer.hostess.net-work");
        assert_eq!((words.server, words.line, words.weak), (None, None, Some("net")));
    }

    #[test]
    fn each_word_is_found() {
        for (words, kind) in [(SERVERS, Kind::Server), (LINES, Kind::Line), (WEAK, Kind::Weak)] {
            for word in words {
                assert_eq!(kind_of(word), Some(kind), "{word}");
                assert_eq!(kind_of(&format!("{word}q")), None, "{word}");
            }
        }
        assert_eq!(kind_of(""), None);
        assert_eq!(kind_of(&format!("{}mx", "a".repeat(LONGEST))), None);
    }

    #[test]
    fn each_word_counts_once() {
        for word in ["mx", "mail", "smtp", "relay", "out", "mta", "static", "fixed"] {
            assert_eq!(kind_of(word), Some(Kind::Server), "{word}");
        }
        for word in [
            "dyn",
            "dynamic",
            "dhcp",
            "pool",
            "ppp",
            "dsl",
            "adsl",
            "vdsl",
            "sdsl",
            "xdsl",
            "dialup",
            "dial",
            "dialin",
            "cable",
            "cust",
            "customer",
            "client",
            "broadband",
            "res",
            "residential",
            "home",
            "pppoe",
            "ftth",
            "fttb",
            "fttx",
            "gpon",
            "dip",
            "dynip",
            "catv",
            "docsis",
            "hsd",
            "wimax",
            "umts",
            "lte",
            "gprs",
            "cpe",
        ] {
            assert_eq!(kind_of(word), Some(Kind::Line), "{word}");
        }
        for word in ["host", "ip", "user", "net", "node", "line", "port", "unassigned", "access"] {
            assert_eq!(kind_of(word), Some(Kind::Weak), "{word}");
        }
    }
}
