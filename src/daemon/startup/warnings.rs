//! Warnings about settings that work, but may not do what the administrator expects.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::daemon::startup::descriptors;
use crate::log::Log;
use crate::options::Options;

/// Callout verifiers and common client libraries give up at 30 s.
const LONG_DELAY: Duration = Duration::from_secs(25);
/// Bits of a directory's mode.
const STICKY: u32 = 0o1000;
const WRITABLE_BY_ALL: u32 = 0o002;

/// Warns of suspicious settings of a daemon that listens on `local`, as the user of
/// this process.
pub(in crate::daemon) fn warn(options: &Options, local: SocketAddr, log: &Log) {
    let of_delay = delay_warnings(options, local.port());
    let others = [
        root_warning(options, local.port(), geteuid().is_root()).map(String::from),
        private_address_warning(options, local.ip()),
        threshold_warning(options),
        descriptors::warning(options),
        options.pidfile.as_deref().and_then(exposed_file_warning),
        options.scoreboard.as_deref().and_then(exposed_file_warning),
    ];
    of_delay.into_iter().chain(others).flatten().for_each(|warning| log.warning(warning));
}

/// Any user who may write to a directory can replace our file, unless the directory is
/// sticky, as /tmp is.
fn exposed_file_warning(path: &Path) -> Option<String> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let mode = fs::metadata(directory).ok()?.mode();
    let [file, directory] = [path, directory].map(Path::display);
    (mode & (STICKY | WRITABLE_BY_ALL) == WRITABLE_BY_ALL)
        .then(|| format!("all users may replace {file}: use chmod o-w {directory}"))
}

fn delay_warnings(options: &Options, port: u16) -> [Option<String>; 3] {
    let unclassified = "-H disables classification: every client waits --delay, or --delay-static";
    let longest = longest_delay(options);
    let long = format!(
        "a delay of {} s: common clients give up after 30 s, 25 s is safe",
        longest.as_secs_f64()
    );
    let waits = (!longest.is_zero()).then_some(port);
    let why = waits.and_then(|port| match port {
        465 => Some("every TLS client talks first"),
        587 => Some("people send from dynamic (residential) addresses"),
        _ => None,
    });
    [
        (!options.look_up).then(|| unclassified.into()),
        (longest > LONG_DELAY).then_some(long),
        why.map(|why| format!("port {port} with a delay: {why}, use --delay 0")),
    ]
}

fn longest_delay(options: &Options) -> Duration {
    let delays = &options.delays;
    let by_class = [delays.ordinary, delays.dynamic, delays.none, delays.unknown];
    let by_class = if options.look_up { &by_class[..] } else { &[delays.ordinary] };
    let longest = delays.all.or(by_class.iter().max().copied()).unwrap_or_default();
    if options.banner.is_empty() { longest } else { Duration::ZERO }
}

/// Ports without a privilege are for trials.
fn root_warning(options: &Options, port: u16, is_root: bool) -> Option<&'static str> {
    let chosen = options.user.is_some() || options.ids_from_environment;
    let message = "the daemon and prog run as root: use -u USER (or -U)";
    (is_root && !chosen && (1..1024).contains(&port)).then_some(message)
}

/// If NAT or a proxy in front of us replaces the clients' addresses by its own, all
/// clients are in a private network.
fn private_address_warning(options: &Options, ip: IpAddr) -> Option<String> {
    (options.trusts(ip) && !ip.is_loopback()).then(|| {
        format!(
            "{ip} is in --local-nets, whose clients have no limits: if NAT (docker) gives all \
             clients an address from there, use --local-nets none"
        )
    })
}

fn threshold_warning(options: &Options) -> Option<String> {
    let (lists, threshold) = (&options.lists.blocklists, options.dnsbl_threshold);
    let most: u32 = lists.iter().map(|list| list.weight).sum();
    (!lists.is_empty() && most < threshold).then(|| {
        format!("--dnsbl-threshold {threshold}: nobody is refused, all lists add up to {most}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_all_users_may_replace_is_told() {
        let directory = std::env::temp_dir().join(format!("exposed.{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let warning = |mode| {
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            exposed_file_warning(&directory.join("pid"))
        };
        assert_eq!([0o755, 0o775, 0o1777].map(warning), [None, None, None]);
        let place = directory.display();
        let expected = format!("all users may replace {place}/pid: use chmod o-w {place}");
        assert_eq!(warning(0o777), Some(expected));
        fs::remove_dir(&directory).unwrap();
        assert_eq!(exposed_file_warning(Path::new("/")), None);
    }

    #[test]
    fn root_is_warned_of_unless_it_was_asked_for() {
        let options = Options::default();
        assert!(root_warning(&options, 25, true).is_some());
        assert_eq!(root_warning(&options, 2525, true), None);
        assert_eq!(root_warning(&options, 25, false), None);
        let group = Options { group: Some("mail".into()), ..options.clone() };
        assert!(root_warning(&group, 25, true).is_some());
        let user = Options { user: Some("root".into()), ..options.clone() };
        let environment = Options { ids_from_environment: true, ..options };
        assert_eq!(root_warning(&user, 25, true), None);
        assert_eq!(root_warning(&environment, 25, true), None);
    }

    #[test]
    fn a_private_address_is_warned_of_where_its_clients_are_trusted() {
        let options = Options::default();
        let warning = |ip: &str| private_address_warning(&options, ip.parse().unwrap());
        for private in ["10.0.0.2", "172.17.0.2", "192.168.1.1", "fd00::2"] {
            let text = warning(private).unwrap();
            assert!(text.starts_with(private) && text.contains("docker"), "{text}");
        }
        for other in ["127.0.0.1", "::1", "0.0.0.0", "::", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(warning(other), None, "{other}");
        }
        let options = Options { local_nets: Vec::new(), ..options };
        assert_eq!(private_address_warning(&options, "10.0.0.2".parse().unwrap()), None);
    }

    #[test]
    fn ports_of_submission_are_warned_of_where_there_is_a_delay() {
        let options = Options::default();
        let of = |options: &Options, port| delay_warnings(options, port).map(|text| text.is_some());
        assert_eq!(of(&options, 25), [false; 3]);
        assert_eq!(of(&options, 465), [false, false, true]);
        assert_eq!(of(&options, 587), [false, false, true]);
        assert_eq!(of(&Options::for_tcpserver(), 587), [false; 3]);
        let greeted = Options { banner: b"220 x".into(), ..options };
        assert_eq!(of(&greeted, 587), [false; 3]);
    }
}
