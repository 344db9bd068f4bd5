//! `smtp-delayctl classify IP [NAME]`: the class that a client would have, and
//! what decides it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Failure;
use crate::connection::class::classify;
use crate::connection::hosts::{HostName, host_name_of};
use crate::daemon::host_name::ask;
use crate::dns::{Question, Resolvers};
use crate::error::{Fatal, TROUBLE, USAGE};
use crate::names::{Judgement, Names, Patterns, host_name};
use crate::options::Options;
use crate::options::classify::CLASSIFY;
use crate::options::parse::{Request, parse};
use crate::options::table::help;

/// Prints `CLASS: REASON`, and above it the names where they were looked up.
///
/// # Errors
/// 100 for wrong usage or a file that cannot be used, 111 for system trouble.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let fail =
        |fatal: Fatal| Failure::new(fatal.code, format!("smtp-delayctl: fatal: {}", fatal.message));
    let text = match parse(&CLASSIFY, arguments, Options::default()).request.map_err(fail)? {
        Request::Run(options) => describe(&options).map_err(fail)?,
        Request::Help => help(&CLASSIFY),
        Request::Version => format!("smtp-delayctl {}\n", env!("CARGO_PKG_VERSION")),
    };
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(|why| {
        Failure::new(TROUBLE, format!("smtp-delayctl: fatal: unable to print: {why}"))
    })
}

fn describe(options: &Options) -> Result<String, Fatal> {
    let bad = |why: String| Fatal { code: USAGE, message: why, in_djbs_words: None };
    let shown = options.host.escape_debug();
    let ip: IpAddr =
        options.host.parse().map_err(|_| bad(format!("unable to use IP `{shown}': it is none")))?;
    let ip = ip.to_canonical();
    let read = |path: &Option<PathBuf>| match path {
        None => Ok(Patterns::default()),
        Some(path) => Patterns::read(path).map_err(|error| bad(error.to_string())),
    };
    let (dynamic, exceptions) = (read(&options.dynamic_file)?, read(&options.static_file)?);
    let names = Names::new(options.builtin_patterns, dynamic, exceptions);
    let host = if options.port.is_empty() { look_up(ip, options) } else { told(&options.port) };
    let class = classify(&host, ip, &names, &options.local_nets);
    let mut text = String::new();
    for name in host.all() {
        let _ = writeln!(text, "{name}: {}", reason(&names, name, ip));
    }
    let why = match &host {
        HostName::Found(_) => String::new(),
        HostName::None | HostName::NotAsked => ": there is no host name".into(),
        HostName::Unknown(why) => format!(": {why}"),
    };
    let _ = writeln!(text, "{class}{why}");
    Ok(text)
}

fn reason(names: &Names, name: &str, ip: IpAddr) -> String {
    match names.judge(name, ip) {
        Judgement::Dynamic(reason) => format!("an end user's line: {reason}"),
        Judgement::Ordinary(reason) => format!("not an end user's line: {reason}"),
    }
}

/// A name that was given, as a name server would have given it.
fn told(name: &str) -> HostName {
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = host_name(name.split('.').map(str::as_bytes));
    name.map_or(HostName::None, |name| HostName::Found(vec![name]))
}

fn look_up(ip: IpAddr, options: &Options) -> HostName {
    let dnscache = std::env::var_os("DNSCACHEIP");
    let file = Path::new("/etc/resolv.conf");
    let servers = Resolvers::new(&options.resolvers, dnscache.as_deref(), file).servers();
    host_name_of(&ask(Question::Names(ip), Rc::clone(&servers), options.dns_timeout))
}
