//! `smtp-delayctl classify IP [NAME]`: the class that a client would have, and what
//! decides it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;

use super::{Failure, unprintable};
use crate::connection::class::classify;
use crate::connection::host_name::{HostName, host_name_of};
use crate::dns::{Question, ask};
use crate::error::{Fatal, USAGE};
use crate::escape::Printable;
use crate::names::{Judgement, Names};
use crate::options::Options;
use crate::options::classify::CLASSIFY;
use crate::options::command_line::help;
use crate::options::parse::{Request, parse};

/// Prints `CLASS: REASON`, and before it the names if they were looked up.
///
/// # Errors
/// 100 for wrong usage or a file that cannot be used, 111 for system trouble.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let fail =
        |fatal: Fatal| Failure::new(fatal.code, format!("smtp-delayctl: fatal: {}", fatal.message));
    let request = parse(&CLASSIFY, arguments, Options::default()).request;
    let text = match request.map_err(Fatal::from).map_err(fail)? {
        Request::Run(options) => describe(&options).map_err(fail)?,
        Request::Help => help(&CLASSIFY),
        Request::Version => format!("smtp-delayctl {}\n", env!("CARGO_PKG_VERSION")),
    };
    io::stdout().write_all(text.as_bytes()).map_err(|why| unprintable(&why))
}

fn describe(options: &Options) -> Result<String, Fatal> {
    let bad = |why: String| Fatal { code: USAGE, message: why, tcpserver_message: None };
    let shown = options.host.escape_debug();
    let ip: IpAddr = options
        .host
        .parse()
        .map_err(|_| bad(format!("unable to use IP `{shown}': it is not a valid address")))?;
    let ip = ip.to_canonical();
    let names = options.names()?;
    let host = if options.port.is_empty() {
        look_up(ip, options)
    } else {
        HostName::told(options.port.as_bytes())
    };
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
    let reason = match names.judge(name, ip) {
        Judgement::Dynamic(reason) => format!("a dynamic (residential) host name: {reason}"),
        Judgement::Ordinary(reason) => format!("not a dynamic host name: {reason}"),
    };
    Printable(reason.as_bytes()).to_string()
}

fn look_up(ip: IpAddr, options: &Options) -> HostName {
    let servers = options.resolvers().servers();
    host_name_of(&ask(Question::Names(ip), servers, options.dns_timeout))
}
