//! Stems, found anywhere in a run of letters, since providers join words (`miskcatv`,
//! `outappmail`).  Each is weaker evidence than a word of its own.

/// The kind of stem that a run of letters contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stem {
    /// Of a residential connection, as `dsl` in `adsltot`.
    Residential,
    /// Of a mail server, as `mail` in `outappmail`.
    Mail,
    /// Of another server, as `srv` in `websrv`.
    Server,
}

#[rustfmt::skip]
const STEMS: &[(&str, Stem)] = &[
    ("dsl", Stem::Residential), ("catv", Stem::Residential), ("cable", Stem::Residential),
    ("kabel", Stem::Residential), ("broadband", Stem::Residential), ("bredband", Stem::Residential),
    ("laajakaista", Stem::Residential), ("dhcp", Stem::Residential), ("dialup", Stem::Residential),
    ("dynamic", Stem::Residential), ("pppo", Stem::Residential), ("ftth", Stem::Residential),
    ("wimax", Stem::Residential), ("wireless", Stem::Residential), ("modem", Stem::Residential),
    ("telecom", Stem::Residential), ("telekom", Stem::Residential), ("netvig", Stem::Residential),
    ("wifi", Stem::Residential), ("fiber", Stem::Residential), ("fibra", Stem::Residential),
    ("mail", Stem::Mail), ("smtp", Stem::Mail), ("mtao", Stem::Mail), ("pmta", Stem::Mail), ("omta", Stem::Mail), ("mtas", Stem::Mail),
    ("bounce", Stem::Mail), ("outbound", Stem::Mail), ("relay", Stem::Mail),
    ("spam", Stem::Mail), ("newsletter", Stem::Mail), ("send", Stem::Mail),
    ("server", Stem::Server), ("srv", Stem::Server), ("host", Stem::Server),
    ("vps", Stem::Server), ("cloud", Stem::Server), ("dedibox", Stem::Server),
    ("coloc", Stem::Server), ("datacent", Stem::Server),
];

/// Letters of a stem that the table is indexed by.
const KEY: usize = 3;
/// Whether a stem begins with these letters, by five bits of each.
static BEGINNINGS: [u64; 512] = beginnings();

/// The kind of stem in `letters`, in lower case: a mail server's before a server's, and
/// that before a residential connection's.
pub(super) fn stem_of(letters: &str) -> Option<Stem> {
    let mut best = None;
    for (at, key) in letters.as_bytes().windows(KEY).enumerate() {
        let key = hash(key);
        if BEGINNINGS[key / 64] >> (key % 64) & 1 == 0 {
            continue;
        }
        match STEMS.iter().find(|(stem, _)| letters[at..].starts_with(stem)) {
            Some((_, Stem::Mail)) => return Some(Stem::Mail),
            Some((_, stem)) if best != Some(Stem::Server) => best = Some(*stem),
            _ => (),
        }
    }
    best
}

const fn hash(letters: &[u8]) -> usize {
    let (a, b, c) = (letters[0] & 31, letters[1] & 31, letters[2] & 31);
    (a as usize) << 10 | (b as usize) << 5 | c as usize
}

const fn beginnings() -> [u64; 512] {
    let mut bits = [0; 512];
    let mut at = 0;
    while at < STEMS.len() {
        let key = hash(STEMS[at].0.as_bytes());
        bits[key / 64] |= 1 << (key % 64);
        at += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stem_is_found_anywhere() {
        for (stem, kind) in STEMS {
            for text in [String::from(*stem), format!("xy{stem}"), format!("{stem}xy")] {
                assert_eq!(stem_of(&text), Some(*kind), "{text}");
            }
        }
    }

    #[test]
    fn mail_comes_first_and_what_is_no_stem_is_none() {
        assert_eq!(stem_of("dslmail"), Some(Stem::Mail));
        assert_eq!(stem_of("cablehost"), Some(Stem::Server));
        for text in ["", "ds", "liverpool", "dynamo", "mai", "dslxmai"] {
            assert_ne!(stem_of(text), Some(Stem::Mail), "{text}");
        }
    }
}
