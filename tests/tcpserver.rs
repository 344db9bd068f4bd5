//! tcpserver and our daemon under its name, with the same arguments, rules and
//! clients: the same environment, decisions, log lines and exit codes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};

use lab::dns::{LINE, NAMELESS, Nsd, ORDINARY, UNCONFIRMED};
use lab::report::program;
use lab::ucspi::{Random, Server, ours, run, theirs};
use lab::{Client, directory, is_root, needs};

/// The address of the name server for both: neither has an option for the port.
const NAME_SERVER: &str = "127.0.0.77";
/// The only client with an ident server.
const IDENTIFIED: &str = "127.0.1.31";

const SOURCES: [&str; 5] = [ORDINARY, LINE, NAMELESS, UNCONFIRMED, IDENTIFIED];

const RULES: &[&str] = &[
    "127.0.1.1:allow,A=/address/\n127.0.2.:deny\n:allow,A=/default/\n",
    "=mx1.example.org:allow,A=/name/\n=.isp.example:deny,B=/x/\n=:allow,A=/named/\n:deny\n",
    "joe@127.0.1.31:allow,A=/joe/\n127.0.1.31:deny\n127.:allow,A=\"127\",B==two words=\n",
    "joe@=x:deny\n127.0.1-2.:allow,PATH=/elsewhere/,TCPREMOTEHOST=/forged/,A=//\n",
    "127.0.1.1:allow,RELAYCLIENT=//,RBLSMTPD=//\n",
    ":deny\n",
    "",
];

/// Runs the same clients against one server, and returns all that can be seen.
fn observe(mut server: Server, verbose: bool) -> String {
    let port = server.port.to_string();
    let mut seen = String::new();
    let (mut clients, mut log) = (Vec::new(), Vec::new());
    for source in SOURCES {
        let mut client = Client::connect(source, server.address());
        let own = client.stream.local_addr().unwrap().port().to_string();
        let answer = client.try_read_all();
        let answer = answer.unwrap_or_else(|error| format!("{}\n", error.kind()));
        let mut lines: Vec<&str> = answer
            .lines()
            .filter(|line| !line.starts_with("pid ") && !line.starts_with("ppid "))
            .collect();
        lines.sort_unstable();
        let number = |line: &str| match line.strip_prefix("env ").and_then(|v| v.split_once('=')) {
            Some(("TCPLOCALPORT", value)) if value == port => "env TCPLOCALPORT=LPORT".into(),
            Some(("TCPREMOTEPORT", value)) if value == own => "env TCPREMOTEPORT=RPORT".into(),
            _ => line.to_string(),
        };
        let text = lines.into_iter().map(number).collect::<Vec<String>>().join("\n");
        seen += &format!("--- {source}\n{text}\n");
        clients.push(own);
        if verbose {
            log.extend(server.session());
        }
    }
    let (code, rest) = server.stop();
    log.extend(rest);
    seen += &format!("exit {code:?}\n");
    for line in log {
        let words = line.split(' ').map(|word| match word.parse::<u32>() {
            Ok(number) if number > 20_000 || is_pid_of(&line, word) => "PID".to_string(),
            _ => word.to_string(),
        });
        let line = words.collect::<Vec<_>>().join(" ").replace(&format!(":{port} "), ":LPORT ");
        seen +=
            &clients.iter().fold(line, |line, own| line.replace(&format!(":{own}\n"), ":RPORT\n"));
    }
    seen
}

/// Whether `word` stands where a line has a process id.
fn is_pid_of(line: &str, word: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    matches!(words.get(1), Some(&("pid" | "ok" | "deny" | "end"))) && words.get(2) == Some(&word)
}

#[track_caller]
fn assert_same(options: &[String], verbose: bool) {
    assert_same_with(options, &[program().to_str().unwrap(), "an argument"], verbose);
}

#[track_caller]
fn assert_same_with(options: &[String], program: &[&str], verbose: bool) {
    let of = |server: &Path| observe(Server::start(server, options, program, NAME_SERVER), verbose);
    let (theirs, ours) = (of(&theirs("tcpserver")), of(&ours("tcpserver")));
    let mut pairs = theirs.lines().zip(ours.lines()).enumerate();
    let first = pairs.find(|(_, (one, other))| one != other);
    assert!(theirs == ours, "{options:?}\n{first:?}\n=== theirs\n{theirs}\n=== ours\n{ours}");
}

fn compiled(rules: &str) -> PathBuf {
    let place = directory();
    let output = run(
        &theirs("tcprules"),
        |c| {
            c.current_dir(&place).args(["r.cdb", "r.tmp"]);
        },
        rules.as_bytes(),
    );
    assert!(output.status.success());
    place.join("r.cdb")
}

/// A file that is no cdb.
fn short_file() -> String {
    let file = directory().join("short");
    std::fs::write(&file, "no cdb").unwrap();
    file.display().to_string()
}

fn serve_ident() {
    let listener = TcpListener::bind((IDENTIFIED, 113)).expect("port 113 of a loopback address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(b"1 , 2 : USERID : UNIX : j oe\r\n");
        }
    });
}

/// One combination of options.
fn combination(random: &mut Random) -> (Vec<String>, bool) {
    let mut options: Vec<String> = Vec::new();
    let verbosity = random.pick(&["-v", "-v", "-v", "-Q", "-q"]);
    options.push(verbosity.into());
    options.extend(
        random.pick(&["", "-H", "-h", "-p", "-P", "-hp"]).split_whitespace().map(String::from),
    );
    options
        .extend(random.pick(&["-R", "-r", "-t2", "-Rt1", ""]).split_whitespace().map(String::from));
    options.extend(
        random
            .pick(&["-l0", "-lmx.example.org", "-l", "", "-lodd:na%me"])
            .split_whitespace()
            .map(String::from),
    );
    if options.last().is_some_and(|last| last == "-l") {
        options.push(String::new());
    }
    options.extend(
        random.pick(&["", "-D", "-d", "-o", "-O", "-oD"]).split_whitespace().map(String::from),
    );
    options.extend(
        random
            .pick(&["", "-c1", "-c 7", "-c5x", "-b1", "-b 50"])
            .split_whitespace()
            .map(String::from),
    );
    if random.below(4) == 0 {
        options.push(format!("-B{}", random.pick(&["hello", "220-wait\r\n", "x y"])));
    }
    match random.below(10) {
        0 => options.extend(["-x".into(), "/nonexistent/cdb".into()]),
        1 => options.extend(["-X".into(), "-x/nonexistent/cdb".into()]),
        2 => options.extend(["-x".into(), short_file()]),
        3 => (),
        _ => options.extend(["-x".into(), compiled(random.pick(RULES)).display().to_string()]),
    }
    (options, verbosity == "-v")
}

#[test]
fn a_hundred_and_sixty_combinations() {
    needs!("nsd", "tcpserver", "tcprules");
    if !is_root("a_hundred_and_sixty_combinations") {
        return;
    }
    let _nsd = Nsd::start_at(NAME_SERVER, 53);
    serve_ident();
    for host in ["nosuch.example.org", "nosuch.example.org.", "liar.example.org"] {
        let of = |program: PathBuf| {
            let ask = |c: &mut std::process::Command| {
                c.args([host, "0", "p"]).env("DNSCACHEIP", NAME_SERVER);
            };
            let output = run(&program, ask, b"");
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        assert_eq!(of(theirs("tcpserver")), of(ours("tcpserver")), "{host}");
    }
    for rules in RULES {
        let file = compiled(rules).display().to_string();
        for options in ["-v -x", "-vRHl0 -x", "-vpr -x"] {
            let options =
                options.split(' ').map(String::from).chain([file.clone()]).collect::<Vec<_>>();
            assert_same(&options, true);
        }
    }
    let mut random = Random::new(7);
    for _ in 0..140 {
        let (options, verbose) = combination(&mut random);
        assert_same(&options, verbose);
    }
}

#[test]
fn mistakes_have_tcpservers_messages_and_exit_codes() {
    needs!("tcpserver");
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy_port = busy.local_addr().unwrap().port().to_string();
    let cases: Vec<Vec<&str>> = vec![
        vec![],
        vec!["0"],
        vec!["0", "0"],
        vec!["-Z", "0", "0", "p"],
        vec!["-vRZq", "0", "0", "p"],
        vec!["-c"],
        vec!["-x"],
        vec!["-q"],
        vec!["-q", "1.2.3.4", "0", "p"],
        vec!["0", "nosuchport", "p"],
        vec!["127.0.0.1", "25x", "p"],
        vec!["1.2.3.4", "0", "p"],
        vec!["[1.2.3.4]", "0", "p"],
        vec!["001.002.003.004", "0", "p"],
        vec!["127.0.0.1", &busy_port, "p"],
        vec!["--", "127.0.0.1", &busy_port, "p"],
    ];
    for arguments in cases {
        let of = |program: PathBuf| {
            let output = run(
                &program,
                |c| {
                    c.args(&arguments);
                },
                b"",
            );
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        assert_eq!(of(theirs("tcpserver")), of(ours("tcpserver")), "{arguments:?}");
    }
}

#[test]
fn unusable_identities_have_tcpservers_messages() {
    needs!("tcpserver");
    if !is_root("unusable_identities_have_tcpservers_messages") {
        return;
    }
    for options in [&["-u", "1"][..], &["-g", "2"], &["-U"], &["-u1", "-g2"]] {
        let of = |program: PathBuf| {
            let change = |c: &mut std::process::Command| {
                c.args(["--reuid=64020", "--regid=64020", "--clear-groups"]).arg(&program);
                c.args(options).args(["127.0.0.1", "0", "p"]).env("UID", "1").env("GID", "2");
            };
            let output = run(Path::new("/usr/bin/setpriv"), change, b"");
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        assert_eq!(of(theirs("tcpserver")), of(ours("tcpserver")), "{options:?}");
    }
}

#[test]
fn programs_end_alike() {
    needs!("tcpserver");
    let options = ["-vRHl0"].map(String::from);
    let programs: &[&[&str]] = &[
        &["/nonexistent/prog"],
        &["nosuchprogram"],
        &["/"],
        &["/etc/passwd"],
        &["sh", "-c", "exit 3"],
        &["sh", "-c", "kill -9 $$"],
        &["sh", "-c", "kill -40 $$"],
        &["sh", "-c", "echo on standard error >&2"],
    ];
    for program in programs {
        assert_same_with(&options, program, true);
    }
}

#[test]
fn a_client_that_talks_first_is_served_alike() {
    needs!("tcpserver");
    let options = ["-RHl0"].map(String::from);
    let of = |program: PathBuf| {
        let server = Server::start(&program, &options, &["cat"], NAME_SERVER);
        let mut client = Client::connect("127.0.0.1", server.address());
        client.say("GET / HTTP/1.0\r\n\r\n");
        client.finish();
        client.read_all()
    };
    assert_eq!(of(theirs("tcpserver")), of(ours("tcpserver")));
}

#[test]
fn signals_end_them_alike() {
    use std::os::unix::process::ExitStatusExt;
    needs!("tcpserver");
    let options = ["-RHl0"].map(String::from);
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGTERM] {
        let of = |program: PathBuf| {
            let server = Server::start(&program, &options, &["cat"], NAME_SERVER);
            let status = server.end_by(signal);
            (status.code(), status.signal())
        };
        assert_eq!(of(theirs("tcpserver")), of(ours("tcpserver")), "{signal}");
    }
}

/// A client whose packets carry a record-route option.
fn client_with_ip_options(server: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    let option: [u8; 8] = [7, 7, 4, 0, 0, 0, 0, 0];
    let length = libc::socklen_t::try_from(option.len()).unwrap();
    let (level, name) = (libc::IPPROTO_IP, libc::IP_OPTIONS);
    // SAFETY: the option is as long as it says.
    #[allow(unsafe_code)]
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, option.as_ptr().cast(), length)
    };
    assert_eq!(set, 0);
    socket.connect(&server.into()).unwrap();
    Client { stream: socket.into(), connected: Instant::now() }
}

#[test]
fn ip_options_are_taken_away_or_left() {
    needs!("tcpserver");
    let seen = |program: &Path, option: &str| {
        let options = ["-RHl0", option].map(String::from);
        let report = [lab::report::program().to_str().unwrap()];
        let server = Server::start(program, &options, &report, NAME_SERVER);
        let text = client_with_ip_options(server.address()).read_all();
        text.lines().find(|line| line.starts_with("ip_options")).map(String::from)
    };
    let (theirs, ours) = (theirs("tcpserver"), ours("tcpserver"));
    assert_eq!(seen(&ours, "-o"), Some("ip_options 8".into()));
    assert_eq!(seen(&ours, "-o"), seen(&theirs, "-o"));
    // What is no source route does no harm.
    let routes = std::fs::read_to_string("/proc/sys/net/ipv4/conf/all/accept_source_route");
    let left = if routes.unwrap() == "0\n" { 8 } else { 0 };
    // tcpserver 0.88 takes 1 for IP_OPTIONS, which it is on BSD: on Linux its
    // -O does nothing.
    assert_eq!(seen(&ours, "-O"), Some(format!("ip_options {left}")));
    assert_eq!(seen(&theirs, "-O"), Some("ip_options 8".into()));
}

/// NetBSD's rc scripts run `argv0 tcpserver nbqmailsmtpd ...`.
#[test]
fn the_executed_path_names_the_program_if_argv0_does_not() {
    needs!("tcpserver");
    let output = |file: &Path, arguments: &[&str]| {
        let arguments = [&[file.to_str().unwrap()], arguments].concat();
        let output = run(Path::new("/usr/bin/argv0"), |c| _ = c.args(arguments), b"");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (name, arguments) in [("tcpserver", &[][..]), ("tcprules", &[]), ("tcprulescheck", &[])] {
        let arguments = [&["nbqmailsmtpd"], arguments].concat();
        assert_eq!(output(&ours(name), &arguments), output(&theirs(name), &arguments));
    }
    let (_, text) = output(&ours("tcpserver"), &["smtp-delayd"]);
    assert!(text.starts_with("smtp-delayd: fatal: "), "{text}");
    let daemon = Path::new(env!("CARGO_BIN_EXE_smtp-delayd"));
    let (_, text) = output(daemon, &["/usr/bin/tcpserver"]);
    assert!(text.starts_with("tcpserver: usage: "), "{text}");
    let (_, text) = output(daemon, &["nbqmailsmtpd"]);
    assert!(text.starts_with("smtp-delayd: fatal: "), "{text}");
}

#[test]
fn a_client_that_talks_first_is_served_under_an_executed_name() {
    let launcher = directory().join("service");
    let text = format!("#!/bin/sh\nexec argv0 {} nbqmtpd \"$@\"\n", ours("tcpserver").display());
    std::fs::write(&launcher, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&launcher, mode).unwrap();
    let server = Server::start(&launcher, &["-RHl0".into()], &["cat"], NAME_SERVER);
    let mut client = Client::connect("127.0.0.1", server.address());
    client.say("17:a message by QMTP,");
    client.finish();
    assert_eq!(client.read_all(), "17:a message by QMTP,");
}
