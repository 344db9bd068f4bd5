//! The defaults of each program.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use syslog::Facility;

use super::{Delays, EarlyTalk, Options, Origins, RefuseBy, Verbosity, values};
use crate::dns::list::WantedLists;
use crate::known::share::settings::PREFIX;

/// The networks whose clients without a name count as `static`, unless `--local-nets` says
/// otherwise.
const LOCAL_NETS: &str = "127.0.0.1 ::1 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 \
                          169.254.0.0/16 fc00::/7 fe80::/10";

impl Default for Options {
    fn default() -> Self {
        let delays = Delays {
            of_static: Duration::from_secs(2),
            dynamic: Duration::from_secs(12),
            none: Duration::from_secs(20),
            unknown: Duration::from_secs(12),
            all: None,
        };
        Self {
            verbosity: Verbosity::Normal,
            slots: 40,
            backlog: None,
            banner: Vec::new(),
            group: None,
            user: None,
            ids_from_environment: false,
            print_port: false,
            local_name: None,
            look_up: true,
            paranoid: false,
            ident: false,
            ident_timeout: Duration::from_secs(26),
            cdb: None,
            cdb_may_be_missing: false,
            rules: None,
            kill_ip_options: true,
            as_tcpserver: false,
            no_delay: false,
            delays,
            known: None,
            known_days: 36,
            known_size: 1_000_000,
            known_share: None,
            known_share_prefix: PREFIX.into(),
            known_share_auth: None,
            delay_known: Duration::ZERO,
            dns_timeout: Duration::from_secs(8),
            resolvers: Vec::new(),
            dynamic_files: Vec::new(),
            static_files: Vec::new(),
            builtin_patterns: true,
            stdin: false,
            json: false,
            local_nets: values::networks(OsStr::new(LOCAL_NETS)).unwrap_or_default(),
            quiet_nets: Vec::new(),
            proxy_nets: Vec::new(),
            proxy_timeout: Duration::from_secs(5),
            early: EarlyTalk::Refuse,
            refuse: RefuseBy::Drop,
            speaks: true,
            dry_run: false,
            refuse_permanent: false,
            hold: Duration::ZERO,
            teaser: None,
            text_early: None,
            text_reserve: None,
            min_idle: None,
            max_idle: None,
            max_prog: None,
            log_to: None,
            facility: Facility::LOG_MAIL,
            tag: None,
            syslog_socket: PathBuf::from("/dev/log"),
            daemon: false,
            pidfile: None,
            scoreboard: None,
            config: None,
            check: false,
            arguments: Vec::new(),
            origins: Origins::default(),
            lists: WantedLists::default(),
            dnsbl_threshold: 1,
            per_ip: None,
            reserve_percent: None,
            text_limit: None,
            demo: false,
            host: String::new(),
            port: String::new(),
            program: Vec::new(),
        }
    }
}

impl Options {
    /// tcpserver's own defaults: ident is asked for, no client waits, and a look-up may
    /// take a minute.
    #[must_use]
    pub fn for_tcpserver() -> Self {
        let zero = Duration::ZERO;
        let delays =
            Delays { of_static: zero, dynamic: zero, none: zero, unknown: zero, all: None };
        let dns_timeout = Duration::from_secs(60);
        Self { ident: true, delays, dns_timeout, as_tcpserver: true, ..Self::default() }
    }

    /// The chain link's own defaults: rblsmtpd refuses early talkers, and the socket stays
    /// as the server before it has set it up.
    #[must_use]
    pub fn for_link() -> Self {
        let early = EarlyTalk::Rblsmtpd;
        Self { early, speaks: false, kill_ip_options: false, ..Self::default() }
    }
}
