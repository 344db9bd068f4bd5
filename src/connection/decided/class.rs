//! The class that follows from a client's name, or the lack of one.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::class::Class;
use crate::connection::lookup::HostName;
use crate::names::{Judgement, Names};

/// The class of `ip`, known by `host`.  A client without a name in one of `local_nets`
/// is `static`; of several names one that is not dynamic is enough.
#[must_use]
pub fn class_of(host: &HostName, ip: IpAddr, names: &Names, local_nets: &[IpNet]) -> Class {
    let is_local = || local_nets.iter().any(|net| net.contains(&ip));
    match host {
        HostName::NotAsked => Class::NotLookedUp,
        HostName::Found(found) if found.iter().all(|name| is_dynamic(names, name, ip)) => {
            Class::Dynamic
        }
        HostName::Found(_) => Class::Static,
        HostName::None | HostName::Unknown(_) if is_local() => Class::Static,
        HostName::None => Class::None,
        HostName::Unknown(_) => Class::Unknown,
    }
}

fn is_dynamic(names: &Names, name: &str, ip: IpAddr) -> bool {
    matches!(names.judge(name, ip), Judgement::Dynamic(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::dns::Failure;

    fn class(host: &HostName, local_nets: &str) -> Class {
        let names = Names::new(true, Vec::new(), Vec::new());
        let nets: Vec<IpNet> = local_nets.split_whitespace().map(|n| n.parse().unwrap()).collect();
        class_of(host, "192.0.2.7".parse().unwrap(), &names, &nets)
    }

    fn found(names: &[&str]) -> HostName {
        HostName::Found(names.iter().map(|name| String::from(*name)).collect())
    }

    #[test]
    fn names_decide_and_one_that_is_not_dynamic_is_enough() {
        assert_eq!(class(&found(&["mx.example.org"]), ""), Class::Static);
        let line = "dsl-192-0-2-7.isp.example";
        assert_eq!(class(&found(&[line]), ""), Class::Dynamic);
        assert_eq!(class(&found(&[line, "mx.example.org"]), ""), Class::Static);
    }

    #[test]
    fn a_failed_look_up_is_never_taken_for_no_name() {
        assert_eq!(class(&HostName::None, ""), Class::None);
        for failure in [Failure::TimedOut, Failure::ServersFailed] {
            assert_eq!(class(&HostName::Unknown(failure), ""), Class::Unknown);
        }
        assert_eq!(class(&HostName::NotAsked, ""), Class::NotLookedUp);
    }

    #[test]
    fn clients_of_local_nets_without_a_name_are_static() {
        assert_eq!(class(&HostName::None, "192.0.2.0/24"), Class::Static);
        assert_eq!(class(&HostName::Unknown(Failure::TimedOut), "192.0.2.0/24"), Class::Static);
        assert_eq!(class(&HostName::None, "198.51.100.0/24"), Class::None);
        let line = found(&["dsl-192-0-2-7.isp.example"]);
        assert_eq!(class(&line, "192.0.2.0/24"), Class::Dynamic);
    }
}
