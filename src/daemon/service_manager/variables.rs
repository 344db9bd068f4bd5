//! What a service manager says in the environment.

use std::ffi::{OsStr, OsString};

/// Variables that are meant for this process alone: `sd_notify(3)`, `sd_listen_fds(3)` and
/// `sd_watchdog_enabled(3)`.
const OWN: [&str; 7] = [
    "NOTIFY_SOCKET",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// The variables that programs may have: one of theirs would report for the daemon.
pub(in crate::daemon) fn without_own(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    let is_own = |name: &OsStr| OWN.iter().any(|own| name == *own);
    variables.into_iter().filter(move |(name, _)| !is_own(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_all_variables_but_those_of_the_service_manager() {
        let names = OWN.iter().copied().chain(["PATH", "LISTEN", "INVOCATION_ID"]);
        let variables = names.map(|name| (OsString::from(name), OsString::new()));
        let left: Vec<OsString> = without_own(variables).map(|(name, _)| name).collect();
        assert_eq!(left, ["PATH", "LISTEN", "INVOCATION_ID"]);
    }
}
