//! The owner of a name: its registered domain, by the public suffix list.  The labels
//! before it were chosen by the operator of the network.  The domain itself is only the
//! owner's own name: `ns.dsl.example.net.pk` is a name server of a company called dsl.

use super::registry::suffix_length;

/// A host name cut where the owner's domain begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// The labels before the registered domain; none in `example.org`.
    pub(super) host: &'a str,
    /// The first label of the registered domain.
    pub(super) owner: &'a str,
    /// Both, with the dot between them.
    pub(super) named: &'a str,
}

impl<'a> Parts<'a> {
    /// The parts of `name`, which is lower-case. Under a top-level domain that is not
    /// on the list the last two labels are the owner's.
    pub(super) fn of(name: &'a str) -> Self {
        // Private entries of the list, such as `compute.example.com`, are left out: an
        // address may stand right before them.
        let named = &name[..name.len() - suffix_length(name)];
        let named = named.strip_suffix('.').unwrap_or(named);
        let (host, owner) = named.rsplit_once('.').unwrap_or(("", named));
        Self { host, owner, named }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_decide_where_the_owners_domain_begins() {
        for (name, host, owner) in [
            ("ns.dsl.net.pk", "ns", "dsl"),
            ("p1.kyoto.ocn.ne.jp", "p1.kyoto", "ocn"),
            ("a.b.fast.net.id", "a.b", "fast"),
            ("mx.example.org", "mx", "example"),
            ("v1.home.hoster.example", "v1.home", "hoster"),
            ("example.org", "", "example"),
            ("www.city.kawasaki.jp", "www", "city"),
            (
                "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com",
                "ec2-1-2-3-4.eu-west-1.compute",
                "amazonaws",
            ),
            ("a.ip.linodeusercontent.com", "a.ip", "linodeusercontent"),
            ("net.pk", "", ""),
            ("pk", "", ""),
            ("", "", ""),
        ] {
            let parts = Parts::of(name);
            assert_eq!((parts.host, parts.owner), (host, owner), "{name}");
        }
    }
}
