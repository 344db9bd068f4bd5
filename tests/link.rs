//! The link alone: which clients wait, what it logs and replies, and what its
//! program gets.
#![allow(unsafe_code)]

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Output, Stdio};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

use lab::chain::{Chain, Link};
use lab::command::{self, clean_command, words};
use lab::dns::{FakeDns, Fault, Nsd};
use lab::report::{Report, program};
use lab::{Client, assert_waited, directory, needs, waited};

/// What tcpserver says of a client that looks like an end user's line.
const DYNAMIC: [(&str, &str); 5] = [
    ("PROTO", "TCP"),
    ("TCPREMOTEIP", "192.0.2.7"),
    ("TCPREMOTEPORT", "40112"),
    ("TCPREMOTEHOST", "dsl-192-0-2-7.isp.example"),
    ("TCPLOCALHOST", "mx.test.example"),
];
const DELAYS: &str = "-v -d 0.3 -D 1 -N 2 --delay-unknown 1.5";
const SHOW: [&str; 3] = ["sh", "-c", "echo \"220 $SMTPDELAY_CLASS ${RBLSMTPD-unset}\""];
/// Reads a line, so that closing loses nothing that the client is to read.
const TELL: [&str; 3] = ["sh", "-c", "read line; echo \"$line: $RBLSMTPD\""];
const TEXT: &str = "4.7.0 mx.test.example you talked before the greeting";

fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let kept = DYNAMIC.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    let set = more.iter().filter(|(_, value)| *value != "(unset)");
    kept.chain(set).copied().collect()
}

#[test]
fn the_servers_variables_decide_the_delay() {
    let ten = "-v -d 0.3 -D 20 -N 20 --delay-unknown 20";
    let dead = "--resolver 127.0.0.1:9";
    let cases = [
        (vec![("TCPREMOTEHOST", "mx1.example.org")], "static unset", 0.3),
        (vec![("TCPREMOTEHOST", "MX1.Example.ORG.")], "static unset", 0.3),
        (vec![("RELAYCLIENT", "")], "- unset", 0.0),
        (vec![("SMTPDELAY", "0.6")], "dynamic unset", 0.6),
        (vec![("GREETDELAY", "0.6")], "dynamic unset", 0.6),
        (vec![("GREETDELAY", "20"), ("SMTPDELAY", "0")], "- unset", 0.0),
        (vec![("RBLSMTPD", "")], "dynamic ", 0.3),
        (vec![("RBLSMTPD", "you are listed")], "- you are listed", 0.0),
        // If nothing depends on the name it is not looked up.
        (vec![("SMTPDELAY", "0.6"), ("TCPREMOTEHOST", "(unset)")], "- unset", 0.6),
        (vec![("RBLSMTPD", ""), ("TCPREMOTEHOST", "(unset)")], "- ", 0.3),
        (vec![("SMTPDELAY_WAITED", "19.5")], "dynamic unset", 0.5),
        (vec![("SMTPDELAY_WAITED", "99"), ("SMTPDELAY", "20")], "dynamic unset", 0.0),
    ];
    for (more, answer, delay) in cases {
        let mut link = Link::run(&with(&more), &format!("{ten} {dead}"), &SHOW);
        let (line, waited) = link.client.read_line();
        assert_eq!(line, format!("220 {answer}\n"), "{more:?}");
        assert_waited(waited, delay..20.0);
        assert_eq!(link.code(), Some(0));
        let line = link.log("pass ip=192.0.2.7 port=40112 ");
        assert!(line.contains(" dns=- "), "{line}");
        let named = more.iter().all(|(_, value)| *value != "(unset)");
        assert_eq!(line.contains(" host=- "), !named, "{line}");
    }
}

#[test]
fn a_name_that_is_none_makes_no_name() {
    for name in ["localhost", "192.0.2.7", "a b.example.org", "evil\\012.example.org"] {
        let options = format!("{DELAYS} -N 0.6");
        let mut link = Link::run(&with(&[("TCPREMOTEHOST", name)]), &options, &SHOW);
        assert_eq!(link.client.read_line().0, "220 none unset\n", "{name}");
        let line = link.log("pass ");
        assert!(line.contains(" host=- class=none delay=0.6 "), "{line}");
        assert_waited(waited(&line), 0.6..);
    }
}

#[test]
fn an_unset_name_is_looked_up_or_is_none() {
    needs!("nsd");
    let nsd = Nsd::start();
    let report = [program().to_str().unwrap()];
    let looked_up = [
        ("127.0.1.1", "static", 0.3, "mx1.example.org"),
        ("127.0.2.1", "dynamic", 1.0, "dsl-127-0-2-1.isp.example"),
        ("127.0.3.1", "none", 2.0, "-"),
        ("::1", "static", 0.3, "mx6.example.org"),
    ];
    for (ip, class, delay, host) in looked_up {
        for variables in [&[][..], &[("TCPREMOTEHOST", "")]] {
            let variables = [variables, &[("TCPREMOTEIP", ip), ("PROTO", "TCP6")]].concat();
            let options = format!("{DELAYS} --local-nets none {}", nsd.option());
            let mut link = Link::run(&variables, &options, &report);
            let report = Report::read(&link.client.read_all());
            assert_waited(link.client.connected.elapsed(), delay..);
            assert_eq!(report.env("SMTPDELAY_CLASS"), Some(class), "{ip}");
            assert!(link.log("pass ").contains(&format!(" host={host} ")));
            let said = report.env("TCPREMOTEHOST").filter(|name| !name.is_empty());
            assert_eq!(said, None, "the server may have had its reasons");
            assert_eq!(report.env("TCPREMOTEIP"), Some(ip));
        }
    }
    let variables = [("TCPREMOTEIP", "127.0.2.1")];
    let options = format!("{DELAYS} --local-nets none --no-lookup {}", nsd.option());
    let mut link = Link::run(&variables, &options, &SHOW);
    let (line, waited) = link.client.read_line();
    assert_eq!(line, "220 none unset\n");
    assert_waited(waited, 2.0..);
    let neighbour = [("TCPREMOTEIP", "10.1.2.3")];
    let mut link = Link::run(&neighbour, &format!("{DELAYS} --no-lookup"), &SHOW);
    assert_eq!(link.client.read_line().0, "220 static unset\n");
}

#[test]
fn a_dead_name_server_makes_no_client_none() {
    let dns = FakeDns::start(Fault::Silence);
    let options = format!("{DELAYS} --dns-timeout 1 {}", dns.option());
    let mut link = Link::run(&with(&[("TCPREMOTEHOST", "(unset)")]), &options, &SHOW);
    let (line, waited) = link.client.read_line();
    assert_eq!(line, "220 unknown unset\n");
    assert_waited(waited, 1.5..);
    let waited = [("TCPREMOTEHOST", "(unset)"), ("SMTPDELAY_WAITED", "60")];
    let options = options.replace("--delay-unknown 1.5", "--delay-unknown 25");
    let mut link = Link::run(&with(&waited), &options, &SHOW);
    assert_waited(link.client.read_line().1, 1.0..25.0);
}

#[test]
fn without_s_it_never_talks() {
    let mut link = Link::run(&DYNAMIC, DELAYS, &TELL);
    link.client.say("EHLO spam.example\n");
    assert_eq!(link.client.read_all(), format!("EHLO spam.example: {TEXT}\n"));
    assert!(link.log("early ").contains(" host=dsl-192-0-2-7.isp.example "));
    let permanent = format!("{DELAYS} --refuse-permanent --text-early wait");
    let mut link = Link::run(&DYNAMIC, &permanent, &TELL);
    link.client.say("EHLO\n");
    assert_eq!(link.client.read_all(), "EHLO: -wait\n");
    for talk in [true, false] {
        let mut link = Link::run(&DYNAMIC, &format!("{DELAYS} -D 0.2"), &["/nonexistent/prog"]);
        if talk {
            link.client.say("EHLO\r\n");
        }
        assert_eq!(link.code(), Some(111));
        assert!(link.log("smtp-delay: error: ").contains("run /nonexistent/prog: No such file"));
        assert!(!link.client.try_read_all().is_ok_and(|text| !text.is_empty()));
    }
}

#[test]
fn with_s_it_refuses_itself() {
    let mut link = Link::run(&DYNAMIC, &format!("-S {DELAYS}"), &SHOW);
    link.client.say("EHLO spam.example\r\n");
    assert_eq!(link.client.read_all(), format!("421 {TEXT}\r\n"));
    assert_eq!(link.code(), Some(0));
    let options = format!("-S {DELAYS} --refuse talk --refuse-permanent");
    let mut link = Link::run(&DYNAMIC, &options, &SHOW);
    link.client.say("HELO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nQUIT\r\n");
    let text = link.client.read_all();
    assert!(text.contains("553 5.7.0 mx.test.example you talked"), "{text}");
    assert!(link.log("early ").ends_with(" helo=me mail=FROM:<a@b> rcpt=TO:<c@d>"));
    let mut link = Link::run(&DYNAMIC, &format!("-S {DELAYS} -D 0"), &["/nonexistent/prog"]);
    assert!(link.client.read_all().starts_with("421 4.3.0 mx.test.example "));
    assert_eq!(link.code(), Some(111));
    let teaser = [words(&format!("-S {DELAYS} --teaser")), vec!["mx waits".into()]].concat();
    let mut link = Link::run_with(&DYNAMIC, &teaser, &SHOW, |_| ());
    assert_eq!(link.client.read_line().0, "220-mx waits\r\n");
    assert_eq!(link.client.read_line().0, "220 dynamic unset\n");
}

#[test]
fn an_early_talker_is_held_with_and_without_s() {
    for (option, answer) in [("-S", format!("421 {TEXT}\r\n")), ("", format!("EHLO: {TEXT}\n"))] {
        let mut link = Link::run(&DYNAMIC, &format!("{option} {DELAYS} -P 1"), &TELL);
        link.client.say("EHLO\n");
        assert_eq!(link.client.read_all(), answer);
        assert_waited(link.client.connected.elapsed(), 1.0..);
    }
}

#[test]
fn an_early_talker_that_has_reset_the_connection_is_not_refused() {
    let mark = directory().join("mark");
    let touch = ["touch", mark.to_str().unwrap()];
    let mut link = Link::run(&DYNAMIC, &format!("{DELAYS} -P 9"), &touch);
    link.client.say("EHLO\r\n");
    assert!(link.log("early ").ends_with(" action=rblsmtpd"), "told before it is held");
    link.take_client().reset();
    assert_eq!(link.code(), Some(0));
    assert_eq!(link.lines("hangup "), Vec::<String>::new(), "it was told of already");
    assert!(!mark.exists());
}

#[test]
fn a_client_that_left_before_the_start_is_a_hangup() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::connect("127.0.0.1", listener.local_addr().unwrap());
    let socket = std::os::fd::OwnedFd::from(listener.accept().unwrap().0);
    client.reset();
    let mut command = clean_command(command::link());
    command.args(["-v", "--delay", "1", "echo", "220"]).stdin(socket);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{text}");
    assert!(text.starts_with("hangup ip=- port=- "), "{text}");
}

#[test]
fn nothing_is_logged_if_standard_error_is_the_client() {
    let variables = with(&[("SMTPDELAY", "soon")]);
    let options = words(&format!("{DELAYS} -D 0.2"));
    let mut link = Link::run_with_stderr_to_client(&variables, &options, &["echo", "220 hello"]);
    assert_eq!(link.client.read_all(), "220 hello\n");
    let mut command = clean_command(command::link());
    let null = || fs::File::options().read(true).write(true).open("/dev/null").unwrap();
    // The same terminal or file on both is no client.
    let script = format!("exec 2>&1; {} --nonsense <&2", command::link());
    let output = clean_command("sh").args(["-c", &script]).stdin(null()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("unknown option --nonsense"));
    command.arg("--nonsense").stdin(null()).stderr(null());
    assert_eq!(command.status().unwrap().code(), Some(100));
}

#[test]
fn a_hang_up_runs_no_program() {
    let mark = directory().join("mark");
    let touch = ["touch", mark.to_str().unwrap()];
    for reset in [false, true] {
        let mut link = Link::run(&DYNAMIC, DELAYS, &touch);
        let client = link.take_client();
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        assert_eq!(link.code(), Some(0));
        let line = link.log("hangup ip=192.0.2.7 port=40112 ");
        assert!(line.contains(" host=dsl-192-0-2-7.isp.example "), "{line}");
    }
    assert!(!mark.exists());
}

#[test]
fn who_has_no_delay_may_talk_first() {
    for variables in [with(&[("RELAYCLIENT", "")]), with(&[("SMTPDELAY", "0")])] {
        let mut link = Link::run(&variables, &format!("-S {DELAYS}"), &["cat"]);
        link.client.say("me first\n");
        link.client.finish();
        assert_eq!(link.client.read_all(), "me first\n");
        assert_eq!(link.lines("early "), Vec::<String>::new());
    }
}

#[test]
fn decisions_are_logged_only_with_v() {
    let mut link = Link::run(&with(&[("SMTPDELAY", "soon")]), "-D 0.2", &SHOW);
    assert_eq!(link.client.read_line().0, "220 dynamic unset\n");
    assert_eq!(link.code(), Some(0));
    let warning = "smtp-delay: warning: unable to use SMTPDELAY=\"soon\": it takes seconds \
                   ip=192.0.2.7 port=40112";
    assert_eq!(link.log("smtp-delay: "), warning);
    assert_eq!(link.lines(""), [warning], "one line, and no other");
}

#[test]
fn missing_or_malformed_variables_are_reported() {
    for (ip, message) in [
        (
            "(unset)",
            "unable to tell the client's address: TCPREMOTEIP is not set, and descriptor 0",
        ),
        ("", "unable to use TCPREMOTEIP=\"\": it is no IP address"),
        ("192.0.2.7\nforged", "unable to use TCPREMOTEIP=\"192.0.2.7\\nforged\": it is no IP"),
    ] {
        let mut command = clean_command(command::link());
        command.envs(with(&[("TCPREMOTEIP", ip)])).args(["-d", "0", "echo", "220"]);
        let output = command.stdin(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(111), "{text}");
        assert!(text.starts_with("smtp-delay: fatal: ") && text.contains(message), "{text}");
        assert!(output.stdout.is_empty() && text.lines().count() == 1, "{text}");
    }
}

fn run(arguments: &[&str]) -> Output {
    clean_command(command::link()).args(arguments).output().unwrap()
}

#[test]
fn mistakes_exit_100_and_questions_are_answered() {
    for (arguments, message) in [
        (&["-v"][..], "prog is missing (try --help)"),
        (&["--nonsense", "p"], "unknown option --nonsense"),
        (&["-d", "soon", "p"], "unable to use --delay-static `soon': it takes seconds"),
        (&["--teaser", "x", "p"], "--teaser talks to the client: it takes -S (--early refuse)"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(100), "{text}");
        assert!(text.starts_with("smtp-delay: fatal: ") && text.contains(message), "{text}");
    }
    let help = run(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(
        help.status.success() && text.starts_with("usage: smtp-delay [options] prog"),
        "{text}"
    );
    let version = String::from_utf8_lossy(&run(&["--version"]).stdout).into_owned();
    assert_eq!(version, format!("smtp-delay {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn expressions_are_read_only_for_clients_that_need_them() {
    let files = directory();
    let [dynamic, exceptions] = ["dynamic", "static"].map(|name| files.join(name));
    fs::write(&dynamic, "# lines\n\\.lines\\.example$\n").unwrap();
    fs::write(&exceptions, "^good\\.\n").unwrap();
    let others = files.join("others");
    fs::write(&others, "^better\\.\n").unwrap();
    let options = format!(
        "{DELAYS} -D 0.6 --dynamic-file {} --static-file {} --static-file {}",
        dynamic.display(),
        exceptions.display(),
        others.display()
    );
    let class = |host: &'static str, more: &[(&'static str, &'static str)]| {
        let variables = with(&[&[("TCPREMOTEHOST", host)], more].concat());
        let mut link = Link::run(&variables, &options, &SHOW);
        let line = link.client.read_line().0;
        assert_eq!(link.code(), Some(0));
        (line.split(' ').nth(1).unwrap().to_string(), link.lines("smtp-delay: "))
    };
    assert_eq!(class("a.lines.example", &[]), ("dynamic".into(), vec![]));
    assert_eq!(class("good.lines.example", &[]), ("static".into(), vec![]));
    assert_eq!(class("better.lines.example", &[]), ("static".into(), vec![]));
    assert_eq!(class("mx.example.org", &[]), ("static".into(), vec![]));
    fs::write(&dynamic, "ok\nfoo(bar\n").unwrap();
    fs::remove_file(&exceptions).unwrap();
    let (found, warnings_of_lists) = class("dsl-1.isp.example", &[]);
    assert_eq!(found, "dynamic", "the built-in rules still count");
    let [missing, mistake, ..] = warnings_of_lists.as_slice() else {
        panic!("{warnings_of_lists:?}")
    };
    let start = "smtp-delay: error: unable to";
    assert!(missing.starts_with(&format!("{start} read {}", exceptions.display())), "{missing}");
    let expected = format!("{start} use {} line 2: unclosed group", dynamic.display());
    assert_eq!(*mistake, expected);
    assert_eq!(class("dsl-1.isp.example", &[("RELAYCLIENT", "")]).1, Vec::<String>::new());
}

#[test]
fn the_program_gets_what_it_would_get_without_the_link() {
    needs!("tcpserver");
    let cwd = directory();
    let report = program().to_str().unwrap();
    let variables = [("OURS", "kept = as it is"), ("TCPREMOTEINFO", "from outside")];
    let facts = |chain: &[&str]| {
        let chain =
            [&["sh", "-c", "cd \"$0\"; exec \"$@\"", cwd.to_str().unwrap()], chain].concat();
        let server = Chain::tcpserver("-RHl mx.test.example", &variables, &chain);
        Report::read(&server.client("127.0.0.1").read_all())
    };
    let without = facts(&[report, "first", ""]);
    let with = facts(&[command::link(), "--delay", "0.1", report, "first", ""]);
    for kind in ["fd", "signal", "timer", "uid", "gid", "groups", "umask", "cwd", "files", "nice"] {
        assert_eq!(with.all(kind), without.all(kind), "{kind}");
    }
    assert_eq!(with.all("arg"), without.all("arg"));
    assert_eq!((with.one("no_new_privs"), with.one("seccomp")), ("0", "0"));
    let changing = ["TCPREMOTEPORT", "TCPLOCALPORT", "SMTPDELAY_"];
    let lasting = |report: &Report| {
        let all = report.all("env").into_iter();
        let mut all: Vec<String> = all.map(String::from).collect();
        all.retain(|variable| changing.iter().all(|name| !variable.starts_with(name)));
        all.sort();
        all
    };
    assert_eq!(lasting(&with), lasting(&without));
    assert_eq!(with.env("SMTPDELAY_CLASS"), Some("-"));
    let waited: f64 = with.env("SMTPDELAY_WAITED").unwrap().parse().unwrap();
    assert!((0.1..0.4).contains(&waited), "{waited}");
}

#[test]
fn signals_are_at_their_default_and_descriptors_pass_through() {
    let file = fs::File::open("/dev/null").unwrap();
    let fd = file.as_raw_fd();
    let report = [program().to_str().unwrap()];
    let mut link = Link::run_with(&DYNAMIC, &words("--delay 0.1"), &report, |command| {
        let prepare = move || {
            SigSet::all().thread_block()?;
            // SAFETY: ignoring a signal runs no code.
            unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
            // SAFETY: a descriptor that is open is copied to one that is not.
            if unsafe { libc::dup2(fd, 9) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        };
        // SAFETY: it makes system calls only.
        unsafe { command.pre_exec(prepare) };
    });
    let report = Report::read(&link.client.read_all());
    assert_eq!(report.all("signal"), Vec::<&str>::new());
    assert_eq!(report.all("fd"), ["0 socket", "1 socket", "2 other", "9 other"]);
}

#[test]
fn the_program_gets_a_blocking_socket_and_no_other_descriptor() {
    let dns = FakeDns::start(Fault::Silence);
    let report = [program().to_str().unwrap()];
    let variables = with(&[("TCPREMOTEHOST", "(unset)")]);
    let mut link = Link::run_with(&variables, &words(&dns.option()), &report, |command| {
        let unblock = || {
            let flags = nix::fcntl::OFlag::O_NONBLOCK;
            nix::fcntl::fcntl(std::io::stdin(), nix::fcntl::FcntlArg::F_SETFL(flags))?;
            Ok(())
        };
        // SAFETY: it makes one system call.
        unsafe { command.pre_exec(unblock) };
    });
    link.client.say("EHLO\r\n");
    let (first, _) = link.client.read_line();
    assert_eq!(first, "fd 0 socket\n");
    let rest: Vec<String> = (0..3).map(|_| link.client.read_line().0).collect();
    assert_eq!(rest[..2], ["fd 1 socket\n", "fd 2 other\n"]);
    assert!(!rest[2].starts_with("fd "), "{rest:?}");
}

#[test]
fn hostile_names_and_bytes_cannot_forge_a_line() {
    let name = "x\" class=static\npass ip=192.0.2.1.example";
    let mut link = Link::run(&with(&[("TCPREMOTEHOST", name)]), &format!("-S {DELAYS}"), &SHOW);
    link.client.say("x\"\r\npass ip=192.0.2.1 \u{1b}\n");
    link.client.read_all();
    let line = link.log("early ");
    assert!(line.contains(" host=- ") && line.contains(r#" text="x\"\r\npass "#), "{line}");
    assert!(link.lines("pass ").is_empty());
}

#[test]
fn a_client_that_waits_costs_no_time() {
    let times = ["sh", "-c", "read line; cut -d ' ' -f 14,15 /proc/$$/stat"];
    let mut link = Link::run(&DYNAMIC, "--early log -D 2", &times);
    link.client.say("EHLO\n");
    link.client.finish();
    let text = link.client.read_all();
    assert_waited(link.client.connected.elapsed(), 2.0..);
    let hundredths: u64 = text.split_whitespace().map(|time| time.parse::<u64>().unwrap()).sum();
    assert!(hundredths < 20, "{text}");
}
