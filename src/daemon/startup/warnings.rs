//! Warnings about settings that work, but may not do what the administrator expects.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::daemon::startup::descriptors;
use crate::dns::Resolvers;
use crate::dns::resolvers::ignored_word;
use crate::escape::Printable;
use crate::known::share::engine::credentials::Credentials;
use crate::log::Log;
use crate::options::Options;

/// Callout verifiers and common client libraries give up at 30 s.
const LONG_DELAY: Duration = Duration::from_secs(25);
/// Bits of a directory's mode.
const STICKY: u32 = 0o1000;
const WRITABLE_BY_ALL: u32 = 0o002;

/// Warns of a limit under which the start itself may fail.
pub(in crate::daemon) fn warn_of_open_files(options: &Options, log: &Log) {
    if let Some(warning) = descriptors::warning(options) {
        log.warning(warning);
    }
}

/// Warns of suspicious settings of a daemon that listens on `local`, as the user of
/// this process.
pub(in crate::daemon) fn warn(options: &Options, local: SocketAddr, log: &Log) {
    let of_delay = delay_warnings(options, local.port());
    let others = [
        root_warning(options, local.port(), geteuid().is_root()).map(String::from),
        private_address_warning(options, local.ip()),
        threshold_warning(options),
        dry_run_warning(options),
        name_servers_warning(&mut options.resolvers()),
        dns_cache_warning(options, env::var_os("DNSCACHEIP").as_deref()),
        rejected_warning(|name| env::var_os(name)),
        local_name_warning(options),
        options.pidfile.as_deref().and_then(exposed_file_warning),
        options.scoreboard.as_deref().and_then(exposed_file_warning),
        options.known_share_auth.as_deref().and_then(Credentials::exposed),
        share_warning(options).map(String::from),
    ];
    let limits = limit_warnings(options).map(Some);
    of_delay
        .into_iter()
        .chain(others)
        .chain(limits)
        .flatten()
        .for_each(|warning| log.warning(warning));
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
    let by_class = [delays.of_static, delays.dynamic, delays.none, delays.unknown];
    let by_class = if options.look_up { &by_class[..] } else { &[delays.of_static] };
    let longest = delays.all.or(by_class.iter().max().copied()).unwrap_or_default();
    if options.banner.is_empty() { longest } else { Duration::ZERO }
}

/// Ports above 1023 are for trials.
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
        format!("--dnsbl-threshold {threshold}: no client is refused, all lists add up to {most}")
    })
}

/// A client without a delay is not watched.
fn dry_run_warning(options: &Options) -> Option<String> {
    (options.dry_run && longest_delay(options).is_zero()).then(|| {
        "--dry-run without a delay: no client is watched, and no early talk is found".into()
    })
}

/// A file that only root may read, or a pipe in its place.
fn name_servers_warning(resolvers: &mut Resolvers) -> Option<String> {
    let why = resolvers.refresh().err()?;
    let path = resolvers.file()?.display();
    Some(format!("unable to read {path}: {why}: 127.0.0.1 is the name server"))
}

fn dns_cache_warning(options: &Options, value: Option<&OsStr>) -> Option<String> {
    let word = value.filter(|_| options.resolvers.is_empty()).and_then(ignored_word)?;
    let word = Printable(word.as_bytes());
    Some(format!("DNSCACHEIP: {word} is not an IP address, and is ignored"))
}

/// In a rule it is about some clients; in the daemon's environment about all.
fn rejected_warning(variable: impl Fn(&str) -> Option<OsString>) -> Option<String> {
    let rejects = variable("RBLSMTPD").is_some_and(|text| !text.is_empty());
    (rejects && variable("RELAYCLIENT").is_none()).then(|| {
        "RBLSMTPD is set in the environment: every client is rejected, unless a rule sets it \
         to nothing"
            .into()
    })
}

/// Settings of sharing without what they are about.
fn share_warning(options: &Options) -> Option<&'static str> {
    let is_kept = options.known.is_some() || options.demo;
    match (&options.known_share, &options.known_share_auth) {
        (Some(_), _) if !is_kept => Some("--known-share has no effect without --known"),
        (None, Some(_)) => Some("--known-share-auth has no effect without --known-share"),
        _ => None,
    }
}

/// tcpserver accepts any text.
fn local_name_warning(options: &Options) -> Option<String> {
    let name = options.local_name.as_deref().filter(|_| !options.as_tcpserver)?;
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_address = bare.is_some_and(|bare| bare.parse::<IpAddr>().is_ok());
    let is_of_names = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!is_address && !name.chars().all(is_of_names))
        .then(|| format!("{name} is not a host name ({})", options.origin("l")))
}

/// Limits that are never reached.
fn limit_warnings(options: &Options) -> impl Iterator<Item = String> {
    let Options { slots, max_prog, per_ip, min_idle, max_idle, .. } = *options;
    let limits = [
        ("max-prog", max_prog),
        ("per-ip", per_ip),
        ("min-idle", min_idle),
        ("max-idle", max_idle),
    ];
    let above = limits
        .into_iter()
        .filter_map(move |(name, limit)| Some((name, limit.filter(|limit| *limit > slots)?)));
    above.map(move |(name, limit)| {
        format!("--{name} {limit} has no effect: it is above the {slots} connections of -c")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use crate::options::Delays;

    #[test]
    fn a_file_that_all_users_may_replace_is_reported() {
        let directory = env::temp_dir().join(format!("exposed.{}", std::process::id()));
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
    fn name_servers_that_cannot_be_read_are_told() {
        let path = env::temp_dir().join(format!("resolv.warned.{}", std::process::id()));
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let warning = name_servers_warning(&mut Resolvers::new(&[], None, &path));
        fs::remove_file(&path).unwrap();
        let why = "it is a pipe, not a regular file: 127.0.0.1 is the name server";
        assert_eq!(warning, Some(format!("unable to read {}: {why}", path.display())));
        assert_eq!(name_servers_warning(&mut Resolvers::new(&[], None, &path)), None);
    }

    #[test]
    fn variables_that_do_not_do_what_they_seem_to_are_warned_of() {
        let options = Options::default();
        let ignored = |value: &str| dns_cache_warning(&options, Some(OsStr::new(value)));
        assert_eq!(
            ["", "127.0.0.1", "127.0.0.1.127.0.0.2", "::1, 127.0.0.1"].map(ignored),
            [const { None }; 4]
        );
        for value in ["foo", "127.0.0.1 foo", "foo,::1"] {
            let expected = "DNSCACHEIP: foo is not an IP address, and is ignored";
            assert_eq!(ignored(value).as_deref(), Some(expected), "{value}");
        }
        let resolvers = vec!["127.0.0.1:53".parse().unwrap()];
        let named = Options { resolvers, ..Options::default() };
        assert_eq!(dns_cache_warning(&named, Some(OsStr::new("foo"))), None);

        let rejected = |set: &[(&str, &str)]| {
            let value = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            rejected_warning(value).is_some()
        };
        assert!(rejected(&[("RBLSMTPD", "foo")]));
        assert!(!rejected(&[]) && !rejected(&[("RBLSMTPD", "")]));
        assert!(!rejected(&[("RBLSMTPD", "foo"), ("RELAYCLIENT", "")]));
    }

    #[test]
    fn a_local_name_that_is_no_host_name_is_warned_of() {
        let warning = |name: &str| {
            local_name_warning(&Options { local_name: Some(name.into()), ..Options::default() })
        };
        for name in ["0", "mx.example.org", "mx_1", "[192.0.2.1]", "[::1]"] {
            assert_eq!(warning(name), None, "{name}");
        }
        for name in ["a.b=c", "mx@example", "[x]", "a/b"] {
            assert_eq!(warning(name), Some(format!("{name} is not a host name (-l)")));
        }
    }

    #[test]
    fn a_dry_run_that_watches_no_client_is_warned_of() {
        let warning = |options| dry_run_warning(&Options { dry_run: true, ..options });
        let zero = Delays { all: Some(Duration::ZERO), ..Options::default().delays };
        let undelayed = Options { delays: zero, ..Options::default() };
        assert_eq!(dry_run_warning(&undelayed), None);
        assert!(warning(undelayed).unwrap().starts_with("--dry-run without a delay: "));
        assert!(warning(Options::for_tcpserver()).is_some());
        assert!(warning(Options { banner: b"220 x".into(), ..Options::default() }).is_some());
        assert_eq!(warning(Options::default()), None);
    }

    #[test]
    fn limits_above_the_number_of_connections_are_warned_of() {
        let options = |most| Options {
            slots: 10,
            max_prog: most,
            per_ip: most,
            min_idle: most,
            max_idle: most,
            ..Options::default()
        };
        let warned = |most| limit_warnings(&options(most)).collect::<Vec<_>>();
        assert_eq!([warned(None), warned(Some(10))], [[""; 0]; 2]);
        assert_eq!(warned(Some(11)).len(), 4);
        let expected = "--max-prog 11 has no effect: it is above the 10 connections of -c";
        assert_eq!(warned(Some(11))[0], expected);
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
