//! The records of one owner in the answer of a message.  `None` where the message is
//! malformed; beside what is kept, whether there was any.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use domain::base::name::{Label, ToLabelIter};
use domain::base::{Message, ParseRecordData};
use domain::rdata::{Ptr, Txt};

use super::aliases::Owner;
use crate::dns::answer::Records;
use crate::names::host_name;

/// The most names of one host that are kept; no legitimate host has more.
pub(crate) const MOST_NAMES: usize = 8;
/// The most texts of one answer that are kept.
const MOST_TEXTS: usize = 16;

type Labels<'a> = &'a mut dyn Iterator<Item = &'a [u8]>;

/// Sorted, so that the order in which a name server gives them does not matter.
pub(super) fn host_names(message: &Message<[u8]>, owner: &Owner<'_>) -> Option<(Records, bool)> {
    let mut names = BTreeSet::new();
    let any = for_each_name(message, owner, |labels| {
        names.extend(host_name(labels));
        if names.len() > MOST_NAMES {
            names.pop_last();
        }
    })?;
    Some((Records::Names(names.into_iter().collect()), any))
}

/// tcpserver uses the first.
pub(super) fn first_raw_name(
    message: &Message<[u8]>,
    owner: &Owner<'_>,
) -> Option<(Records, bool)> {
    let mut first = None;
    let any = for_each_name(message, owner, |labels| {
        first.get_or_insert_with(|| dotted(labels));
    })?;
    Some((Records::Names(first.into_iter().collect()), any))
}

/// Whether there was any.
fn for_each_name(
    message: &Message<[u8]>,
    owner: &Owner<'_>,
    mut keep: impl FnMut(Labels<'_>),
) -> Option<bool> {
    let mut any = false;
    for record in message.answer().ok()?.limit_to_in::<Ptr<_>>() {
        let record = record.ok()?;
        if record.owner() == owner {
            any = true;
            let labels = record.data().ptrdname().iter_labels();
            keep(&mut labels.filter(|label| !label.is_root()).map(Label::as_slice));
        }
    }
    Some(any)
}

/// A name as djb's `dns_domain_todot_cat` writes it.
fn dotted(labels: Labels<'_>) -> String {
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label.to_ascii_lowercase() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(byte)),
                _ => {
                    let _ = write!(text, "\\{byte:03o}");
                }
            }
        }
    }
    if text.is_empty() { ".".into() } else { text }
}

pub(super) fn addresses<'a, Data: ParseRecordData<'a, [u8]>>(
    message: &'a Message<[u8]>,
    owner: &Owner<'_>,
    address: impl Fn(&Data) -> IpAddr,
) -> Option<(Records, bool)> {
    let mut addresses = Vec::new();
    for record in message.answer().ok()?.limit_to_in::<Data>() {
        let record = record.ok()?;
        if record.owner() == owner {
            addresses.push(address(record.data()));
        }
    }
    let any = !addresses.is_empty();
    Some((Records::Addresses(addresses), any))
}

pub(super) fn texts(message: &Message<[u8]>, owner: &Owner<'_>) -> Option<(Records, bool)> {
    let mut texts = Vec::new();
    for record in message.answer().ok()?.limit_to_in::<Txt<_>>() {
        let record = record.ok()?;
        if record.owner() == owner && texts.len() < MOST_TEXTS {
            texts.push(record.data().iter().collect::<Vec<&[u8]>>().concat());
        }
    }
    let any = !texts.is_empty();
    Some((Records::Texts(texts), any))
}
