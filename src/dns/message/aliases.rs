//! Where the aliases of a message lead to.

use domain::base::iana::Class;
use domain::base::{Message, ParsedName, Rtype};
use domain::rdata::Cname;

/// The most records of a message; one with more counts as malformed.
const MOST_ANSWERS: u16 = 1000;
/// The most aliases that are followed from the name asked for, as in BIND.
pub(super) const MOST_ALIASES: usize = 16;

/// The name that records have to be of.
pub(super) type Owner<'a> = ParsedName<&'a [u8]>;

/// The name that the aliases lead to from the one asked for; `None` if there are too many,
/// as in a loop.
pub(super) fn canonical_name(message: &Message<[u8]>) -> Option<Owner<'_>> {
    if message.header_counts().ancount() > MOST_ANSWERS {
        return None;
    }
    let mut name = message.first_question()?.into_qname();
    let aliases = message.answer().ok()?.limit_to_in::<Cname<_>>();
    let aliases: Vec<_> = aliases.collect::<Result<_, _>>().ok()?;
    for _ in 0..=MOST_ALIASES {
        match aliases.iter().find(|alias| *alias.owner() == name) {
            Some(alias) => name = *alias.data().cname(),
            None => return Some(name),
        }
    }
    None
}

/// Whether the answer holds nothing but aliases, none of which leads on from `owner`:
/// no record of another owner, type or class.
pub(super) fn aliases_alone(message: &Message<[u8]>, owner: &Owner<'_>) -> Option<bool> {
    for record in message.answer().ok()? {
        let record = record.ok()?;
        let is_alias = match record.rtype() {
            Rtype::CNAME | Rtype::RRSIG => true,
            // It comes with the CNAME record that it makes (RFC 6672, 3.1).
            Rtype::DNAME => !owner.ends_with(&record.owner()),
            _ => false,
        };
        if !is_alias || record.class() != Class::IN {
            return Some(false);
        }
    }
    Some(true)
}
