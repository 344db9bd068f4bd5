//! The options that the daemon and the chain link have in common: classes,
//! delays, early talk and refusals.

use std::path::PathBuf;

use super::table::{Opt, flag, store, with};
use super::values::{
    Value, choice, days, keepers_directory, known_clients, networks, proxy_networks, reply_text,
    resolver, seconds_value, share_address, share_prefix,
};
use super::{EarlyTalk, RefuseBy};

const EARLY: &[(&str, EarlyTalk)] =
    &[("refuse", EarlyTalk::Refuse), ("rblsmtpd", EarlyTalk::Rblsmtpd), ("log", EarlyTalk::Log)];
const REFUSE: &[(&str, RefuseBy)] = &[("drop", RefuseBy::Drop), ("talk", RefuseBy::Talk)];

/// Classes and their delays.
pub(super) static DELAYS: &[Opt] = &[
    with(
        "delay-static",
        "SECS",
        "delay of every other client [2]",
        store!(seconds_value => delays.of_static),
    ),
    with(
        "delay-dynamic",
        "SECS",
        "delay of clients with a dynamic (residential) host name [12]",
        store!(seconds_value => delays.dynamic),
    ),
    with(
        "delay-none",
        "SECS",
        "delay of clients without a name [20]",
        store!(seconds_value => delays.none),
    ),
    with(
        "delay-unknown",
        "SECS",
        "delay where the look-up failed [12]",
        store!(seconds_value => delays.unknown),
    ),
    with(
        "delay",
        "SECS",
        "one delay for all of them; 0 for none",
        store!(|v| seconds_value(v).map(Some) => delays.all),
    ),
    with(
        "dns-timeout",
        "SECS",
        "deadline of a connection's look-ups [8]",
        store!(seconds_value => dns_timeout),
    ),
    with(
        "resolver",
        "ADDR[:PORT]",
        "a name server to ask; may be repeated [$DNSCACHEIP, resolv.conf]",
        |o, v| {
            o.resolvers.push(resolver(v)?);
            Ok(())
        },
    )
    .repeated(),
    with(
        "dynamic-file",
        "FILE",
        "expressions for dynamic (residential) host names; may be repeated",
        |o, v| {
            o.dynamic_files.push(v.into());
            Ok(())
        },
    )
    .repeated(),
    with(
        "static-file",
        "FILE",
        "expressions for host names that are not dynamic; may be repeated",
        |o, v| {
            o.static_files.push(v.into());
            Ok(())
        },
    )
    .repeated(),
    flag("no-builtin-patterns", "leave the built-in rules for names out", |o| {
        o.builtin_patterns = false;
    }),
    with(
        "local-nets",
        "LIST",
        "networks whose nameless clients are trusted; none [private ones]",
        store!(networks => local_nets),
    ),
];

/// Proxies.
pub(super) static PROXIES: &[Opt] = &[
    with(
        "proxy-nets",
        "LIST",
        "proxies, which name their clients by PROXY headers; none [none]",
        store!(proxy_networks => proxy_nets),
    ),
    with(
        "proxy-timeout",
        "SECS",
        "how long a proxy has for its header [5]",
        store!(seconds_value => proxy_timeout),
    ),
];

/// Known clients.
pub(super) static KNOWN: &[Opt] = &[
    with(
        "known",
        "DIR",
        "let known clients wait shorter; they are remembered in DIR",
        store!(|v| keepers_directory(v).map(Some) => known),
    )
    .restart(),
    with(
        "delay-known",
        "SECS",
        "delay of known clients with a good name [0]",
        store!(seconds_value => delay_known),
    ),
];

/// For how long clients are remembered, how many, and with whom they are shared.
pub(super) static KEEPER: &[Opt] = &[
    with(
        "known-days",
        "N",
        "remember clients with a good name for N days [36]",
        store!(days => known_days),
    )
    .restart(),
    with(
        "known-size",
        "N",
        "remember N clients at most [1000000]",
        store!(known_clients => known_size),
    )
    .restart(),
    with(
        "known-share",
        "URL",
        "share them with other hosts by this Valkey or Redis",
        store!(|v| share_address(v).map(Some) => known_share),
    )
    .restart(),
    with(
        "known-share-prefix",
        "TEXT",
        "what its keys begin with [smtp-delay:known:]",
        store!(share_prefix => known_share_prefix),
    )
    .restart(),
    with(
        "known-share-auth",
        "FILE",
        "a file with [USER:]PASSWORD for it",
        store!(|v| Value::Ok(Some(PathBuf::from(v))) => known_share_auth),
    )
    .restart(),
];

/// Early talk and refusals.
pub(super) static REFUSALS: &[Opt] = &[
    flag("dry-run", "refuse no client for early talk, lists or limits: only say so", |o| {
        o.dry_run = true;
    }),
    with("refuse", "HOW", "refuse by drop or talk [drop]", store!(|v| choice(v, REFUSE) => refuse)),
    flag("refuse-permanent", "refuse early talkers and listed clients for good, with 5xx", |o| {
        o.refuse_permanent = true;
    }),
    with(
        "hold",
        "SECS",
        "keep an early talker that long before the refusal [0]",
        store!(seconds_value => hold),
    ),
    with(
        "teaser",
        "TEXT",
        "send `220-TEXT' before the delay",
        store!(|v| reply_text(v).map(Some) => teaser),
    ),
    with(
        "text-early",
        "TEXT",
        "the refusal of an early talker",
        store!(|v| reply_text(v).map(Some) => text_early),
    ),
];

/// What happens to early talkers; the default is the program's own.
pub(super) const fn early(help: &'static str) -> Opt {
    with("early", "ACTION", help, store!(|v| choice(v, EARLY) => early))
}
