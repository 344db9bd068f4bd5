//! Whether a message says that there is nothing.

use domain::base::Message;
use domain::rdata::Soa;

use super::aliases::{Owner, aliases_alone, canonical_name};

/// Whether a name error is to be believed.  It is about the last of the names that aliases
/// lead to (RFC 6604), and contradicts records of it.
pub(super) fn denies_name(message: &Message<[u8]>) -> Option<bool> {
    let owner = canonical_name(message)?;
    let denied = may_deny(message) || has_soa_of(message, &owner)?;
    Some(denied && aliases_alone(message, &owner)?)
}

/// Whether an answer without the records that were asked for says that `owner` has none
/// (RFC 2308, 2.2): by the SOA record of its zone, or by having no record at all.  Aliases
/// without a SOA record do not: the server has not looked up the last one.  Nor do NS
/// records, which come from a server that does not recurse.
pub(super) fn denies_records(message: &Message<[u8]>, owner: &Owner<'_>) -> Option<bool> {
    let counts = message.header_counts();
    if counts.ancount() == 0 && counts.nscount() == 0 {
        return Some(may_deny(message));
    }
    Some(has_soa_of(message, owner)? && aliases_alone(message, owner)?)
}

/// Whether the server recurses, or has the zone.  One that does neither knows nothing about
/// the name (RFC 1912, 2.8: a lame delegation).
fn may_deny(message: &Message<[u8]>) -> bool {
    message.header().ra() || message.header().aa()
}

/// Whether the authority section has the SOA record of a zone that contains `owner`.
fn has_soa_of(message: &Message<[u8]>, owner: &Owner<'_>) -> Option<bool> {
    let mut zones = message.authority().ok()?.limit_to_in::<Soa<_>>();
    Some(zones.any(|soa| soa.is_ok_and(|soa| owner.ends_with(soa.owner()))))
}
