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
            let kind = if is_server(run.text) {
                &mut words.server
            } else if is_line(run.text) {
                &mut words.line
            } else if is_weak(run.text) {
                &mut words.weak
            } else {
                continue;
            };
            kind.get_or_insert(run.text);
        }
        words
    }
}

/// Not here, for what else they mean: `pop` (point of presence), `sta`
/// (station), `biz` and `business` (lines of both sorts), `exchange`, `post`,
/// `news`, `list`, `emta` (the telephone adapter in a cable modem).
#[rustfmt::skip]
fn is_server(word: &str) -> bool {
    matches!(word,
        "mx" | "mxs" | "mxin" | "mxout" | "mxrelay" | "inmx" | "outmx"
        | "mail" | "mails" | "mailer" | "mailers" | "maild" | "mailing" | "mailings"
        | "mailbox" | "mailfilter" | "mailgate" | "mailgateway" | "mailguard" | "mailgw"
        | "mailhost" | "mailhub" | "mailin" | "mailman" | "mailout" | "mailrelay"
        | "mailserv" | "mailserver" | "mailsrv" | "mailsvr" | "webmail" | "outmail"
        | "email" | "emails" | "antispam"
        | "smtp" | "smtps" | "smtpd" | "smtpgw" | "smtpin" | "smtpout" | "smtprelay"
        | "smtpserver" | "smtpsrv" | "esmtp" | "insmtp" | "outsmtp"
        | "relay" | "relays" | "relayout"
        | "out" | "outbound" | "outgoing" | "mout"
        | "mta" | "mtas" | "mtain" | "mtaout" | "vmta" | "pmta"
        | "postfix" | "exim" | "sendmail" | "qmail" | "zimbra" | "imap" | "imaps"
        | "newsletter" | "newsletters" | "bounce" | "bounces"
        | "lists" | "listserv" | "listserver" | "majordomo"
        | "static" | "staticip" | "ipstatic" | "statique" | "statisch"
        | "estatico" | "estatica"
        | "fixed" | "fixedip" | "fixip" | "ipfixe"
    )
}

/// Not here, for the servers that they also name: `cm`, `bb`, `edge`, `nas`,
/// `mobile`, `fiber`.
#[rustfmt::skip]
fn is_line(word: &str) -> bool {
    matches!(word,
        "dyn" | "dynamic" | "dynamicip" | "dynip" | "ipdyn" | "dynpool"
        | "dyndsl" | "dynadsl" | "dynamique" | "dynamisch" | "dinamic" | "dinamico"
        | "dinamica" | "dip" | "dhcp" | "dhcpd"
        | "pool" | "pools" | "ippool" | "poolip"
        | "ppp" | "pppoe" | "pppoa" | "bras" | "lns"
        | "dsl" | "adsl" | "vdsl" | "sdsl" | "hdsl" | "shdsl" | "xdsl"
        | "dslb" | "dslam" | "dslpool" | "adslpool" | "dsldyn" | "adsldyn" | "userdsl"
        | "dial" | "dialup" | "dialin" | "dialuser" | "isdn"
        | "modem" | "modems" | "modempool" | "modemcable"
        | "cable" | "cablemodem" | "cablelink" | "catv" | "docsis" | "kabel"
        | "hfc" | "hsd" | "hsi" | "cpe" | "cpes"
        | "cust" | "custs" | "customer" | "customers" | "client" | "clients" | "cliente"
        | "clientes" | "klient" | "subs" | "subscr" | "subscriber" | "subscribers"
        | "abo" | "abon" | "abonent" | "abonents"
        | "broadband" | "bband" | "res" | "resi" | "residential" | "resnet" | "dorm" | "dorms"
        | "home" | "homenet" | "homeuser"
        | "ftth" | "fttb" | "fttc" | "fttp" | "fttx" | "gpon" | "epon"
        | "wifi" | "wlan" | "wireless" | "wimax" | "hotspot" | "guest"
        | "umts" | "lte" | "gprs" | "hspa" | "hsdpa" | "cdma" | "evdo" | "cgn" | "cgnat"
    )
}

#[rustfmt::skip]
fn is_weak(word: &str) -> bool {
    matches!(word,
        "host" | "hosts" | "ip" | "ips" | "ipv" | "addr" | "revip" | "rev" | "reverse" | "rdns"
        | "user" | "users" | "net" | "network" | "subnet" | "range" | "block" | "red"
        | "node" | "nodes" | "line" | "lines" | "port" | "ports" | "access" | "acceso"
        | "unassigned" | "unallocated" | "unused" | "unknown" | "generic"
        | "nat" | "wan" | "vpn" | "isp" | "internet" | "tel" | "telecom"
        | "mobile" | "fiber" | "fibre" | "fios" | "pc" | "station"
    )
}

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
    fn each_word_counts_once() {
        for word in ["mx", "mail", "smtp", "relay", "out", "mta", "static", "fixed"] {
            assert!(is_server(word) && !is_line(word) && !is_weak(word), "{word}");
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
            assert!(is_line(word) && !is_server(word) && !is_weak(word), "{word}");
        }
        for word in ["host", "ip", "user", "net", "node", "line", "port", "unassigned", "access"] {
            assert!(is_weak(word) && !is_server(word) && !is_line(word), "{word}");
        }
    }
}
