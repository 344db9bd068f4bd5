//! The log lines, one named function for each.  Their keys stand in the man page under
//! LOG LINES; a test holds the two together.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::panic::PanicHookInfo;
use std::process::ExitStatus;
use std::time::Duration;

use ::syslog::Severity;
use nix::unistd::Pid;

use super::facts::{Action, EarlyBytes, Stats, Subject};
use super::line::{Brief, Line, Peer, Rounded};
use super::logger::{Log, Speaker, Verbosity};
use super::sink::{LONGEST_MESSAGE, cut};
use super::syslog::Wait;
use super::value::FromProgram;
use crate::djb::{self, TCPSERVER_USAGE};
use crate::error::Fatal;
use crate::escape::{Escaped, Quoted};

/// Seconds of a day.
const DAY: u32 = 86_400;
/// More bytes than `ip=`, `port=` and `pid=` take for any client.
const LONGEST_SESSION: usize = 80;

impl Log {
    /// The daemon accepts clients from now on.
    pub fn start(&self, local: SocketAddr, slots: usize, idle: (usize, usize)) {
        let line = Line::new("start").plain("host", local.ip()).plain("port", local.port());
        let line = line.plain("slots", slots).plain("min-idle", idle.0);
        self.event(line.plain("max-idle", idle.1).plain("pid", std::process::id()));
    }

    /// A client waited out its delay and has the program, as the process `pid`; with the
    /// time that its look-up took, and how long ago it passed last.
    pub fn pass(
        &self,
        client: &Subject<'_>,
        (dns, last): (Option<Duration>, Option<Duration>),
        pid: Pid,
    ) {
        self.event(passed(about("pass", client), (dns, last), pid));
    }

    /// A client talked before the greeting.
    pub fn early(&self, client: &Subject<'_>, early: &EarlyBytes, action: Action<'_>) {
        let line = about("early", client).plain("bytes", early.bytes);
        let line = match &early.text {
            Some(text) => line.plain("text", Quoted(text)),
            None => line.plain("text", "-"),
        };
        self.event(with_outcome(line.plain("action", action.word()), action));
    }

    /// A client left before the greeting.
    pub fn hangup(&self, client: &Subject<'_>) {
        self.event(about("hangup", client));
    }

    /// DNS lists have a client.
    pub fn listed(&self, client: &Subject<'_>, zones: &str, score: u32, action: Action<'_>) {
        let line = about("listed", client).plain("zones", Quoted(zones.as_bytes()));
        self.event(with_outcome(line.plain("score", score), action));
    }

    /// A proxy checked whether we are there.
    pub fn check(&self, proxy: SocketAddr) {
        self.event(Line::new("check").peer(proxy));
    }

    /// A proxy has named no client; what it sent instead, as far as it was read.
    pub fn unusable_header(&self, proxy: SocketAddr, why: &str, sent: &[u8]) {
        let (sent, about) = (Quoted(sent), self.about(proxy));
        let what = "dropping connection, unable to read its PROXY header";
        self.message("warning", format_args!("{what}: {why}: {sent}{about}"));
    }

    /// A limit was reached that is for this client; `held` are taken.
    pub fn limit(&self, client: &Subject<'_>, kind: &str, held: usize, action: Action<'_>) {
        let line = about("limit", client).plain("kind", kind).plain("held", held);
        self.event(with_outcome(line, action));
    }

    /// A program that was run for a client ended.
    pub fn end(&self, pid: Pid, ip: Option<IpAddr>, status: ExitStatus, time: Duration) {
        let line = Line::new("end").plain("pid", pid);
        let line = line.known("ip", ip);
        let line = match (status.code(), status.signal()) {
            (Some(code), _) => line.plain("exit", code),
            (None, signal) => line.plain("signal", signal.unwrap_or_default()),
        };
        self.event(line.plain("secs", Rounded::<1>(time)));
    }

    /// A child died before it handed its client over, or before it had one.
    /// `unlogged` others died since the last such line.
    pub fn crash(&self, pid: Pid, ip: Option<IpAddr>, status: ExitStatus, unlogged: usize) {
        self.died(pid, "before the hand-over", ip, status, unlogged);
    }

    /// A child died after it had handed its client over, and before it could write that
    /// client's `pass` line.
    pub fn crash_before_pass(
        &self,
        pid: Pid,
        ip: Option<IpAddr>,
        status: ExitStatus,
        unlogged: usize,
    ) {
        self.died(pid, "before its pass line", ip, status, unlogged);
    }

    fn died(&self, pid: Pid, when: &str, ip: Option<IpAddr>, status: ExitStatus, unlogged: usize) {
        let more = if unlogged > 0 { format!(" ({unlogged} more before)") } else { String::new() };
        let text = format!("child {pid} died {when}: {status}{more}");
        match ip {
            Some(ip) => self.error_about(SocketAddr::new(ip, 0), text),
            None => self.error(text),
        }
    }

    /// A bug in a child: it ends, and its connection with it.
    pub fn panic(&self, panic: &PanicHookInfo<'_>) {
        let text = panic.to_string();
        self.error(format_args!("bug: {}", Escaped(text.as_bytes())));
    }

    /// A known client was forgotten.
    pub fn forget(&self, client: impl fmt::Display, why: &str) {
        self.event(Line::new("forget").plain("ip", client).plain("why", why));
    }

    /// New children use files that were read again.
    pub fn reload(&self) {
        self.event(Line::new("reload").plain("pid", std::process::id()));
    }

    /// The counters.
    pub fn stats(&self, stats: &Stats) {
        let counts = stats.counters();
        let line = counts.fold(Line::new("stats"), |line, (key, count)| line.plain(key, count));
        let line = line.plain("idle", stats.idle).plain("busy", stats.busy);
        self.event(line.plain("max", stats.max));
    }

    /// The daemon has been told to stop, and ends once the clients that wait are
    /// served or refused.
    pub fn stopping(&self, waiting: usize, sessions: usize) {
        let line = Line::new("stopping").plain("waiting", waiting).plain("sessions", sessions);
        self.event(line.plain("pid", std::process::id()));
    }

    /// The supervisor ends; `sessions` programs go on without it.
    pub fn stop(&self, sessions: usize) {
        let line = Line::new("stop").plain("sessions", sessions);
        self.event(line.plain("pid", std::process::id()));
    }

    /// A rule denies a client; `key` is where the rule stands.
    pub fn deny(&self, client: &Subject<'_>, key: &[u8]) {
        let line = via(Line::new("deny").peer(client.peer), client);
        let line = line.name("host", client.host).seconds("waited", client.waited);
        self.event(line.plain("rule", Quoted(&[key, b":"].concat())));
    }

    /// A client is dropped because of an error of ours; in tcpserver's words.
    pub fn dropping(&self, client: Option<SocketAddr>, what: impl fmt::Display, why: &io::Error) {
        let (why, about) = (djb::words(why), client.map(|client| self.about(client)));
        let about = about.unwrap_or_default();
        self.message(
            "warning",
            format_args!("dropping connection, unable to {what}: {why}{about}"),
        );
    }

    /// Something that works, but not as the administrator may expect.
    pub fn warning(&self, message: impl fmt::Display) {
        if self.speaker != Speaker::Tcpserver {
            self.message("warning", message);
        }
    }

    /// An error that the daemon survives.
    pub fn error(&self, message: impl fmt::Display) {
        self.message("error", message);
    }

    /// A warning about one client.
    pub fn warning_about(&self, client: SocketAddr, message: impl fmt::Display) {
        self.warning(format_args!("{message}{}", self.about(client)));
    }

    /// An error about one client.
    pub fn error_about(&self, client: SocketAddr, message: impl fmt::Display) {
        self.error(format_args!("{message}{}", self.about(client)));
    }

    /// The end of a message about one client; under tcpserver's name there is none.
    fn about(&self, client: SocketAddr) -> String {
        match self.speaker {
            Speaker::Tcpserver => String::new(),
            Speaker::Daemon | Speaker::Link => format!(" {}", Peer(client)),
        }
    }

    /// A variable whose value is not a number of seconds, from our own environment or
    /// about a client.
    pub fn ignored_variable(&self, name: &str, value: &[u8], client: Option<SocketAddr>) {
        let value = Quoted(&value[..value.len().min(100)]);
        let text = format!("unable to use {name}={value}: it takes seconds");
        match client {
            Some(client) => self.warning_about(client, text),
            None => self.warning(text),
        }
    }

    /// A program wrote a line on standard error; with its client and its process, if they
    /// are known.
    pub fn program_said(&self, line: &[u8], session: Option<(SocketAddr, Pid)>) {
        if self.verbosity > Verbosity::Quiet {
            let line = self.program_line(line, session);
            self.put_message(Severity::LOG_INFO, &line, Wait::Long);
        }
    }

    /// The client is named at the end, where scripts do not look for the program's words,
    /// and is never cut off.
    fn program_line(&self, line: &[u8], session: Option<(SocketAddr, Pid)>) -> String {
        let mut line = format!("prog: {}", FromProgram(line));
        cut(&mut line, LONGEST_MESSAGE - LONGEST_SESSION);
        match session.filter(|_| self.speaker != Speaker::Tcpserver) {
            Some((client, pid)) => format!("{line}{} pid={pid}", self.about(client)),
            None => line,
        }
    }

    /// Why the program ends.
    pub fn fatal(&self, fatal: &Fatal) {
        let as_tcpserver = self.speaker == Speaker::Tcpserver;
        match fatal.tcpserver_message() {
            Some(words) if as_tcpserver && words.contains(TCPSERVER_USAGE) => {
                if self.verbosity > Verbosity::Quiet {
                    self.put(format!("{words}\n").as_bytes());
                }
            }
            Some(words) if as_tcpserver => self.message("fatal", words),
            _ => self.message("fatal", fatal),
        }
    }
}

/// The end of a line about a client that passed.
fn passed(line: Line, (dns, last): (Option<Duration>, Option<Duration>), pid: Pid) -> Line {
    let days = last.map(|last| Rounded::<2>(last / DAY));
    line.known("dns", dns.map(Rounded::<3>)).known("known", days).plain("pid", pid)
}

/// What the client said while it was refused, or that it was not.
fn with_outcome(line: Line, action: Action<'_>) -> Line {
    match action {
        Action::Refuse | Action::Rblsmtpd | Action::Log => line,
        Action::WouldRefuse => line.plain("would", "refuse"),
        Action::Talk(said) => {
            let line = line.text("helo", said.helo.as_deref());
            line.text("mail", said.mail.as_deref()).text("rcpt", said.rcpt.as_deref())
        }
    }
}

/// The proxy of a client that has one.
fn via(line: Line, client: &Subject<'_>) -> Line {
    match client.via {
        Some(proxy) => line.plain("via", proxy),
        None => line,
    }
}

fn about(event: &str, client: &Subject<'_>) -> Line {
    let line = via(Line::new(event).peer(client.peer), client).name("host", client.host);
    let mut line = line.known("class", client.class).known("delay", client.delay.map(Brief));
    if let Some(part) = client.shrunk {
        line = line.plain("shrunk", format_args!("{part:.2}"));
    }
    line.seconds("waited", client.waited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;

    fn subject(host: Option<&str>, class: Option<Class>) -> Subject<'_> {
        Subject {
            peer: "192.0.2.7:40112".parse().unwrap(),
            via: None,
            host,
            class,
            delay: class.map(|_| Duration::from_secs(2)),
            shrunk: None,
            waited: Duration::from_millis(2004),
        }
    }

    #[test]
    fn a_line_of_a_program_ends_in_whose_it_is() {
        let log = Log::new("smtp-delayd", Verbosity::Normal);
        let session = Some(("192.0.2.7:40112".parse().unwrap(), Pid::from_raw(8121)));
        let line = log.program_line(b"x ip=192.0.2.1 pid=1", session);
        let expected = r"prog: x ip\x3d192.0.2.1 pid\x3d1 ip=192.0.2.7 port=40112 pid=8121";
        assert_eq!(line, expected);
        assert_eq!(log.program_line(b"x", None), "prog: x");
        let longest = "[1111:2222:3333:4444:5555:6666:7777:8888]:65535".parse().unwrap();
        let session = Some((longest, Pid::from_raw(i32::MAX)));
        for byte in [b"\x01".as_slice(), "\u{e9}".as_bytes()] {
            let line = log.program_line(&byte.repeat(2000), session);
            assert!(line.len() <= LONGEST_MESSAGE && line.ends_with(" pid=2147483647"), "{line}");
        }
    }

    /// The keys, in the order in which scripts and people find them.
    #[test]
    fn the_readme_shows_a_line_of_a_client_that_passed_as_it_is() {
        let told = about("pass", &subject(Some("x"), Some(Class::Static)));
        let line = passed(told, (None, None), Pid::from_raw(1)).finish();
        let keys = |line: &str| -> Vec<String> {
            line.split(' ').filter_map(|word| Some(word.split_once('=')?.0.into())).collect()
        };
        let printed = keys(&String::from_utf8(line).unwrap());
        let readme = include_str!("../../README.md");
        let shown = readme.split('`').filter(|text| text.starts_with("pass ip="));
        let shown: Vec<Vec<String>> = shown.map(keys).collect();
        assert!(!shown.is_empty() && shown.iter().all(|keys| *keys == printed), "{shown:?}");
    }

    #[test]
    fn a_line_about_a_client() {
        let line = about("pass", &subject(Some("mx1.example.org"), Some(Class::Static))).finish();
        let expected = "pass ip=192.0.2.7 port=40112 host=mx1.example.org class=static delay=2 \
                        waited=2.00\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let line = about("hangup", &subject(None, None)).finish();
        let expected = "hangup ip=192.0.2.7 port=40112 host=- class=- delay=- waited=2.00\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }
}
