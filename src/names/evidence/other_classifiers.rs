//! Other classifiers, by their descriptions, to compare with.

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::RegexSet;

use super::domain::Parts;

type Judge = fn(&str, IpAddr) -> bool;

/// Title and classifier.
pub(super) const ALL: [(&str, Judge); 3] = [
    ("  S25R, its six rules", s25r),
    ("  three octets of the address", three_octets),
    ("  Haraka, generic names (fcrdns)", haraka),
];

/// The rules of the Selective SMTP Rejection (ASAMI Hideo, 2004): numbers in the first
/// labels, and names of ways to dial in.
fn s25r(name: &str, _: IpAddr) -> bool {
    static RULES: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new([
            r"^[^.]*[0-9][^0-9.]+[0-9].*\.",
            r"^[^.]*[0-9]{5}",
            r"^([^.]+\.)?[0-9][^.]*\.[^.]+\..+\.[a-z]",
            r"^[^.]*[0-9]\.[^.]*[0-9]-[0-9]",
            r"^[^.]*[0-9]\.[^.]*[0-9]\.[^.]+\..+\.",
            r"^(dhcp|dialup|ppp|[achrsvx]?dsl)[^.]*[0-9]",
        ])
        .unwrap()
    });
    RULES.is_match(name)
}

/// Three octets that follow each other, as decimal numbers, in either order.
fn three_octets(name: &str, ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip else { return false };
    let numbers: Vec<u32> = name
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let octets = ip.octets().map(u32::from);
    let mut reversed = octets;
    reversed.reverse();
    [octets, reversed].iter().any(|octets| {
        numbers.windows(3).any(|three| octets.windows(3).any(|wanted| wanted == three))
    })
}

/// Two octets of a half anywhere in the labels before the domain, or all four in
/// hexadecimal; not where these say `static` or `business`.
fn haraka(name: &str, ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip else { return false };
    let host = Parts::of(name).host;
    let [a, b, c, d] = ip.octets().map(|octet| octet.to_string());
    let hexadecimal = ip.octets().map(|octet| format!("{octet:02x}"));
    let spelled =
        has_each(host, &[c, d]) || has_each(host, &[a, b]) || has_each(host, &hexadecimal);
    spelled && !host.contains("static") && !host.contains("business")
}

/// Whether all `parts` are in `text`, without overlap.
fn has_each(text: &str, parts: &[String]) -> bool {
    let mut parts: Vec<&String> = parts.iter().collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let mut rest = text.to_owned();
    parts.into_iter().all(|part| {
        let place = rest.rfind(part.as_str());
        place.is_some_and(|at| {
            rest.replace_range(at..at + part.len(), "");
            true
        })
    })
}
