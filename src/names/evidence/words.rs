//! Words in the names of residential connections, and in those of servers.  A word is a run
//! of letters: it ends at `.`, `-`, `_` and at a digit, so that `dsl123` holds `dsl`, and
//! `pooler` does not hold `pool`.

/// The meaning of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A mail server.
    Mail,
    /// A mail server, if the name begins with it; elsewhere `pop` is a point of presence.
    MailAtStart,
    /// A fixed address: its owner may run a mail server on it.
    Fixed,
    /// Another server, or a host of the network's own.
    Server,
    /// A dynamic address.
    Dynamic,
    /// A residential connection.
    Residential,
    /// A residential connection, or something else: `home`, `wireless`.
    Place,
    /// A customer, a device or a port, if a number follows.
    Numbered,
    /// Any host; counts only beside a number of the address.
    Any,
}

/// The longest word, in letters: as many as fit a number.
const LONGEST: usize = 16;
const KNOWN: usize = {
    let (mut words, mut list) = (0, 0);
    while list < LISTS.len() {
        words += LISTS[list].0.len();
        list += 1;
    }
    words
};
const LISTS: [(&[&str], Kind); 9] = [
    (MAIL, Kind::Mail),
    (MAIL_AT_START, Kind::MailAtStart),
    (FIXED, Kind::Fixed),
    (SERVERS, Kind::Server),
    (DYNAMIC, Kind::Dynamic),
    (RESIDENTIAL, Kind::Residential),
    (PLACES, Kind::Place),
    (NUMBERED, Kind::Numbered),
    (ANY, Kind::Any),
];
/// In the order of the numbers that stand for the words.
static KINDS: [(u128, Kind); KNOWN] = in_order();

/// The meaning of `word`, a run of lower-case letters.
pub(super) fn kind_of(word: &str) -> Option<Kind> {
    if word.len() > LONGEST {
        return None;
    }
    let number = number(word);
    let place = KINDS.binary_search_by_key(&number, |(known, _)| *known).ok()?;
    Some(KINDS[place].1)
}

/// The letters of a word as a number.
const fn number(word: &str) -> u128 {
    let letters = word.as_bytes();
    let (mut number, mut place) = (0, 0);
    while place < letters.len() {
        number = number << 8 | letters[place] as u128;
        place += 1;
    }
    number
}

/// All lists in one, sorted at compile time.
const fn in_order() -> [(u128, Kind); KNOWN] {
    let mut sorted = [(0, Kind::Any); KNOWN];
    let (mut list, mut word, mut filled) = (0, 0, 0);
    while filled < KNOWN {
        let (words, kind) = LISTS[list];
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

/// Not here: `emta`, the telephone adapter in a cable modem.
#[rustfmt::skip]
const MAIL: &[&str] = &[
    "mx", "mxs", "mxa", "mxb", "mxd", "mxf", "mxc", "vmx", "omx", "mxin", "mxout", "mxrelay",
    "inmx", "outmx", "mail", "mails", "mailer", "mailers", "maild", "mailing", "mailings",
    "mailbox", "mailfilter", "mailgate", "mailgateway", "mailguard", "mailgw",
    "mailhost", "mailhub", "mailin", "mailman", "mailout", "mailrelay",
    "mailserv", "mailserver", "mailsrv", "mailsvr", "webmail", "outmail",
    "email", "emails", "antispam", "correo", "correio", "poczta", "posta",
    "smtp", "smtps", "smtpd", "smtpgw", "smtpin", "smtpout", "smtprelay",
    "smtpserver", "smtpsrv", "esmtp", "insmtp", "outsmtp",
    "relay", "relays", "relayout", "sender", "send", "delivery",
    "out", "outbound", "outgoing", "mout", "wout", "fout", "mo", "omr", "omc", "omp",
    "mta", "mtas", "mtain", "mtaout", "vmta", "pmta", "lmta", "bemta",
    "postfix", "exim", "sendmail", "qmail", "zimbra", "imap", "imaps",
    "newsletter", "newsletters", "bounce", "bounces",
    "lists", "listserv", "listserver", "majordomo",
];

const MAIL_AT_START: &[&str] =
    &["pop", "pops", "post", "postout", "list", "news", "exchange", "mda", "eml"];

/// Not here: `sta` (also station), `biz` and `business` (both fixed and dynamic addresses).
#[rustfmt::skip]
const FIXED: &[&str] = &[
    "static", "statics", "staticip", "staticnet", "ipstatic", "statique", "statisch",
    "estatico", "estatica", "fixed", "fix", "fixedip", "fixip", "ipfixe", "fixaddr",
];

#[rustfmt::skip]
const SERVERS: &[&str] = &[
    "server", "servers", "serv", "srv", "svr", "vps", "vds", "vm", "vmi", "kvm", "vserver",
    "web", "www", "webhost", "hosting", "hosted", "shared", "cloud", "cpanel", "plesk",
    "ns", "dns", "ftp", "gw", "gateway", "firewall", "fw", "proxy", "exch", "owa", "app",
    "db", "prod", "colo", "colocation", "dedicated", "dedi", "lb", "cluster", "backup",
];

#[rustfmt::skip]
const DYNAMIC: &[&str] = &[
    "dyn", "dynamic", "dynamicip", "dynip", "ipdyn", "dynpool", "dynamics",
    "dyndsl", "dynadsl", "dynamique", "dynamisch", "dinamic", "dinamico", "dymamic",
    "dinamica", "dip", "dhcp", "dhcpd", "dsldyn", "adsldyn", "din",
    "dial", "dialup", "dialin", "dialuser", "dialpool", "dialip", "isdn", "userdsl",
];

/// Not here, since they also name servers: `bb`, `edge`, `nas`, `mobile`.
#[rustfmt::skip]
const RESIDENTIAL: &[&str] = &[
    "pool", "pools", "ippool", "poolip", "pooles",
    "ppp", "pppoe", "pppoa", "pptp", "bras", "lns",
    "dsl", "adsl", "vdsl", "sdsl", "hdsl", "shdsl", "xdsl", "gdsl", "rdsl",
    "dslb", "dslam", "dslpool", "adslpool",
    "modem", "modems", "modempool", "modemcable",
    "cable", "cablemodem", "cablelink", "catv", "docsis", "kabel",
    "hfc", "hsd", "cpe", "cpes",
    "subs", "subscr", "subscriber", "subscribers",
    "abo", "abon", "abonent", "abonents", "usernat",
    "broadband", "bband", "bredband", "residential", "residencial", "resnet", "dorm", "dorms",
    "homenet", "homeuser",
    "ftth", "fttb", "fttc", "fttp", "fttx", "gpon", "epon",
    "wimax", "hotspot",
    "umts", "gprs", "hspa", "hsdpa", "cdma", "evdo", "cgn", "cgnat",
];

#[rustfmt::skip]
const PLACES: &[&str] = &[
    "home", "res", "resi", "wifi", "wlan", "wireless", "guest", "lte", "hsi", "bb", "wls",
    "cust", "custs", "customer", "customers", "client", "clients", "cliente",
    "clientes", "klient", "clnt", "clt", "fios", "lightspeed", "eth", "etth", "metro",
    "mobile", "fiber", "fibre", "telecom", "tel", "ap", "acc", "agg", "speedy",
];

/// Words that number what customers have.
#[rustfmt::skip]
const NUMBERED: &[&str] = &[
    "cm", "user", "users", "usr", "pc", "pcp", "pcs", "dpc", "port", "line", "apn", "ws",
    "cpc", "spc", "spr", "ip", "ips",
];

#[rustfmt::skip]
const ANY: &[&str] = &[
    "host", "hosts", "hst", "ipv", "addr", "revip", "rev", "reverse", "rdns", "ptr",
    "net", "network", "subnet", "range", "block", "red", "sub",
    "node", "nodes", "lines", "ports", "access", "acceso",
    "unassigned", "unallocated", "unused", "unknown", "generic",
    "nat", "wan", "vpn", "isp", "internet", "station",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found() {
        for (words, kind) in LISTS {
            for word in words {
                assert_eq!(kind_of(word), Some(kind), "{word}");
                assert_eq!(kind_of(&format!("{word}q")), None, "{word}");
            }
        }
        assert_eq!(kind_of(""), None);
        assert_eq!(kind_of(&format!("{}mx", "a".repeat(LONGEST))), None);
    }
}
