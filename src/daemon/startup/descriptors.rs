//! How many descriptors the daemon may need: with too few it does not start, or a child
//! has no sockets for look-ups, and every client is `unknown`.

use std::collections::BTreeSet;

use nix::sys::resource::{Resource, getrlimit};

use crate::daemon::relay::Relay;
use crate::dns::{MOST_NAMES, most_sockets};
use crate::options::{LogTo, Options};

/// Those that a child always has: the three standard ones, the listener, the eventfd,
/// syslog, the relay's pipe, the pidfile, the scoreboard and the client; and one for a file,
/// or for TCP while UDP is still open.
const ALWAYS: usize = 11;
/// The relay's sockets.
const RELAY: usize = 2;
/// What every start has open at once: the three standard ones, the listener, the eventfd,
/// and one for a file.
const START: usize = 6;
/// What it has open for a pidfile or a scoreboard besides: the file, its directory, and an
/// end of the pipe to the process that removes it.
const START_FILE: usize = 3;
/// The relay's sockets and pipe, and the pipe of the process that waits.
const START_IN_BACKGROUND: usize = 7;

/// The warning if this process may have fewer open files than the daemon needs.
pub(in crate::daemon) fn warning(options: &Options) -> Option<String> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let for_look_ups = needed(options, options.resolvers().servers().len());
    let needed = for_look_ups.max(needed_to_start(options));
    (limit < needed as u64).then(|| {
        format!(
            "the limit of open files is {limit}, and {needed} may be needed, most of them for \
             look-ups: raise it (ulimit -n, softlimit -o)"
        )
    })
}

fn needed_to_start(options: &Options) -> usize {
    let files = [&options.pidfile, &options.scoreboard].into_iter().flatten().count();
    let syslog = usize::from(options.log_to() == LogTo::Syslog);
    let known = usize::from(options.known.is_some());
    let in_background = if options.daemon { START_IN_BACKGROUND } else { 0 };
    START + files * START_FILE + syslog + known + in_background
}

/// What a child needs if none of `servers` name servers answers any question.
fn needed(options: &Options, servers: usize) -> usize {
    let each = most_sockets(servers, options.dns_timeout);
    // Once names are confirmed, the question for them has ended.
    let names = match (options.look_up, options.paranoid) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => MOST_NAMES,
    };
    let local_name = usize::from(options.local_name.is_none());
    let lists = options.lists.blocklists.iter().chain(&options.lists.allowlists);
    let zones = lists.map(|list| list.zone.as_str()).collect::<BTreeSet<_>>().len();
    // The list that decides is asked for its TXT record.
    let reason = usize::from(!options.lists.blocklists.is_empty());
    let probes = if options.look_up { servers } else { 0 };
    let ident = usize::from(options.ident);
    let relay = if Relay::is_wanted(options) { RELAY } else { 0 };
    ALWAYS + relay + each * (names + local_name + zones + reason) + probes + ident
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::list::DnsList;
    use std::rc::Rc;
    use std::time::Duration;

    #[test]
    fn every_question_may_need_a_socket_for_each_of_its_tries() {
        let options = |change: &dyn Fn(&mut Options)| {
            let mut options = Options { dns_timeout: Duration::from_secs(8), ..Options::default() };
            change(&mut options);
            needed(&options, 1) - ALWAYS
        };
        // Tries after 0, 1, 3 and 7 s.
        assert_eq!(options(&|_| ()), 2 * 4 + 1);
        assert_eq!(options(&|options| options.look_up = false), 4);
        assert_eq!(options(&|options| options.local_name = Some("mx.example".into())), 4 + 1);
        assert_eq!(options(&|options| options.paranoid = true), 9 * 4 + 1);
        assert_eq!(options(&|options| options.dns_timeout = Duration::from_secs(1)), 2 + 1);
        assert_eq!(options(&|options| options.ident = true), 2 * 4 + 1 + 1);
        assert_eq!(options(&|options| options.daemon = true), 2 * 4 + 1 + RELAY);
        let zone = |text: &str| Rc::new(DnsList::parse_blocklist(text).unwrap());
        let lists = ["a.example=127.0.0.2", "a.example=127.0.0.3", "b.example"].map(zone);
        assert_eq!(options(&|options| options.lists.blocklists = lists.to_vec()), 5 * 4 + 1);
        assert_eq!(options(&|options| options.lists.allowlists = lists.to_vec()), 4 * 4 + 1);
    }
}
