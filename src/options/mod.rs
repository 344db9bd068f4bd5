//! The settings of a program, with their defaults.  [`daemon`] and [`link`] have the
//! options of either program, and [`parse`] reads them from the command line.

pub mod classify;
pub mod command_line;
pub(crate) mod config;
pub mod daemon;
mod defaults;
mod delaying;
pub(crate) mod files;
mod limits;
pub mod link;
mod origins;
pub mod parse;
mod places;
pub(crate) mod suggest;
pub mod table;
mod unknown;
mod value_error;
pub(crate) mod values;

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use syslog::Facility;

use crate::dns::Resolvers;
use crate::dns::list::WantedLists;
use crate::known::share::engine::address::Address;
use crate::known::share::settings::Settings;
pub use crate::log::Verbosity;

pub use origins::{Origins, Setting};

/// What happens to a client that talks before the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyTalk {
    /// It is refused.
    Refuse,
    /// `RBLSMTPD` is set to the refusal, and the program is run at once.
    Rblsmtpd,
    /// It is logged, and treated as if it had said nothing.
    Log,
}

/// How a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseBy {
    /// By one line, which ends the connection.
    Drop,
    /// By a limited SMTP conversation, as rblsmtpd holds it.
    Talk,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTo {
    /// Standard error.
    Stderr,
    /// The syslog daemon.
    Syslog,
}

/// The delay of each class, in seconds since the connection was accepted.
#[derive(Clone, Debug)]
pub struct Delays {
    /// A host name that is not dynamic.
    pub of_static: Duration,
    /// A dynamic (residential) host name.
    pub dynamic: Duration,
    /// No name.
    pub none: Duration,
    /// A look-up that failed.
    pub unknown: Duration,
    /// One delay for all of them.
    pub all: Option<Duration>,
}

/// All settings of a program.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Options {
    /// `-q`, `-Q`, `-v`.
    pub verbosity: Verbosity,
    /// `-c`: the most children, and so the most connections at once.
    pub slots: usize,
    /// `-b`: how many clients the kernel may queue for accept(2).
    pub backlog: Option<u32>,
    /// `-B`: sent to every client at once.
    pub banner: Vec<u8>,
    /// `-g`: a group, by name or number.
    pub group: Option<String>,
    /// `-u`: a user, by name or number.
    pub user: Option<String>,
    /// `-U`: user and group from `$UID` and `$GID`.
    pub ids_from_environment: bool,
    /// `-1`: print the port.
    pub print_port: bool,
    /// `-l`: the local host's name, instead of looking it up.
    pub local_name: Option<String>,
    /// `-h`, `-H`: whether the client's name is looked up.
    pub look_up: bool,
    /// `-p`, `-P`: whether the name has to lead back to the address.
    pub paranoid: bool,
    /// `-r`, `-R`: whether the client's ident server is asked.
    pub ident: bool,
    /// `-t`: the deadline of the ident server.
    pub ident_timeout: Duration,
    /// `-x`: rules that tcprules compiled.
    pub cdb: Option<PathBuf>,
    /// `-X`: whether all clients are allowed if that file is missing.
    pub cdb_may_be_missing: bool,
    /// `--rules`: rules in text form.
    pub rules: Option<PathBuf>,
    /// `-o`, `-O`: whether the client's IP options are removed.
    pub kill_ip_options: bool,
    /// Called as tcpserver: without the features that tcpserver lacks.
    pub as_tcpserver: bool,
    /// `-d`, `-D`: enable `TCP_NODELAY`.
    pub no_delay: bool,
    /// The class delays.
    pub delays: Delays,
    /// The directory of the keeper of known clients.
    pub known: Option<PathBuf>,
    /// For how many days a client of class static is remembered.
    pub known_days: u32,
    /// How many clients are remembered.
    pub known_size: u64,
    /// The engine by which they are shared with other hosts.
    pub known_share: Option<Address>,
    /// What its keys begin with.
    pub known_share_prefix: String,
    /// The file with the password for it.
    pub known_share_auth: Option<PathBuf>,
    /// The delay of a known client of class static.
    pub delay_known: Duration,
    /// The deadline of all look-ups of one connection.
    pub dns_timeout: Duration,
    /// Name servers, instead of those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// Files of expressions for dynamic host names, in order.
    pub dynamic_files: Vec<PathBuf>,
    /// Files of expressions for host names that are not dynamic, in order.
    pub static_files: Vec<PathBuf>,
    /// Whether the built-in rules for names are used.
    pub builtin_patterns: bool,
    /// Whether `smtp-delayctl classify` reads clients from standard input.
    pub stdin: bool,
    /// Whether it answers in JSON.
    pub json: bool,
    /// Networks whose clients without a name are trusted.
    pub local_nets: Vec<IpNet>,
    /// Networks whose clients may leave before the greeting without a log line.
    pub quiet_nets: Vec<IpNet>,
    /// Networks of proxies, which name their clients.
    pub proxy_nets: Vec<IpNet>,
    /// How long a proxy has for that.
    pub proxy_timeout: Duration,
    /// What happens to early talkers.
    pub early: EarlyTalk,
    /// How clients are refused.
    pub refuse: RefuseBy,
    /// Whether we write to clients at all, or leave that to the program.
    pub speaks: bool,
    /// Whether refusals for early talk, lists and limits are only told.
    pub dry_run: bool,
    /// Whether refusals of early talkers and of listed clients are permanent.
    pub refuse_permanent: bool,
    /// How long an early talker is held before its refusal.
    pub hold: Duration,
    /// The first line of a multi-line greeting, sent before the delay.
    pub teaser: Option<String>,
    /// The text of the refusal of an early talker, instead of the built-in one.
    pub text_early: Option<String>,
    /// The text of the refusal if all slots are busy, instead of the built-in one.
    pub text_reserve: Option<String>,
    /// How many children are kept idle.
    pub min_idle: Option<usize>,
    /// The number of idle children beyond which one that becomes idle ends.
    pub max_idle: Option<usize>,
    /// How many children may run the program at once.
    pub max_prog: Option<usize>,
    /// Where log lines go, if that is set.
    pub log_to: Option<LogTo>,
    /// syslog's facility.
    pub facility: Facility,
    /// syslog's tag, instead of the program's name.
    pub tag: Option<String>,
    /// The socket of the syslog daemon.
    pub syslog_socket: PathBuf,
    /// Whether to go into the background.
    pub daemon: bool,
    /// The file with the process id.
    pub pidfile: Option<PathBuf>,
    /// The file that shows what each child is doing.
    pub scoreboard: Option<PathBuf>,
    /// A file of long options.
    pub config: Option<PathBuf>,
    /// Whether to read everything and report what is wrong, and not to start.
    pub check: bool,
    /// The command line that these were read from.
    pub arguments: Vec<OsString>,
    /// Where the settings are that are not defaults.
    pub origins: Origins,
    /// Connections at once from one address; 0 for any number.
    pub per_ip: Option<usize>,
    /// The percentage of slots that is reserved for clients that are not suspicious.
    pub reserve_percent: Option<usize>,
    /// The text of the refusal of one connection too many, instead of the built-in one.
    pub text_limit: Option<String>,
    /// DNS blocklists and allowlists.
    pub lists: WantedLists,
    /// The score from which a client counts as listed.
    pub dnsbl_threshold: u32,
    /// Run the demo.
    pub demo: bool,
    /// Where to listen: a name, an address, `0` or nothing for any.
    pub host: String,
    /// A port number or a name of services(5).
    pub port: String,
    /// The program and its arguments.
    pub program: Vec<OsString>,
}

impl Options {
    /// Whether `ip` is in one of the networks that are trusted.
    #[must_use]
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.local_nets.iter().any(|net| net.contains(&ip))
    }

    /// Whether `ip` is that of a proxy, which has to name its client.
    #[must_use]
    pub fn is_proxy(&self, ip: IpAddr) -> bool {
        self.proxy_nets.iter().any(|net| net.contains(&ip))
    }

    /// Whether `ip` is in one of the networks of `--quiet-nets`.
    #[must_use]
    pub fn is_quiet(&self, ip: IpAddr) -> bool {
        self.quiet_nets.iter().any(|net| net.contains(&ip))
    }

    /// What happens to early talkers: a dry run refuses none.
    #[must_use]
    pub fn early_talk(&self) -> EarlyTalk {
        if self.dry_run { EarlyTalk::Log } else { self.early }
    }

    /// How known clients are shared with other hosts, if they are.
    #[must_use]
    pub fn share(&self) -> Option<Settings> {
        let address = self.known_share.clone()?;
        let (prefix, credentials) =
            (self.known_share_prefix.clone(), self.known_share_auth.clone());
        Some(Settings { address, prefix, credentials })
    }

    /// The name servers that the options name, else those of the system.
    #[must_use]
    pub fn resolvers(&self) -> Resolvers {
        let dnscache = env::var_os("DNSCACHEIP");
        Resolvers::new(&self.resolvers, dnscache.as_deref(), Path::new("/etc/resolv.conf"))
    }

    /// Where log lines go: by default to standard error, and from the background to syslog.
    #[must_use]
    pub fn log_to(&self) -> LogTo {
        let usual = if self.daemon { LogTo::Syslog } else { LogTo::Stderr };
        self.log_to.unwrap_or(usual)
    }
}
