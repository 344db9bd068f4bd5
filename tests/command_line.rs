//! Usage, mistakes and exit codes, and the option table against the manual.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use smtp_delay::ctl::COMMANDS;
use smtp_delay::log::LINES;
use smtp_delay::options::command_line::CommandLine;
use smtp_delay::options::daemon::DAEMON;
use smtp_delay::options::link::LINK;

use lab::{Daemon, directory, needs};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_smtp-delayd")).args(arguments).output().unwrap()
}

#[track_caller]
fn assert_fails(arguments: &[&str], code: i32, message: &str) {
    let output = run(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.starts_with("smtp-delayd: fatal: ") && text.contains(message), "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn mistakes_are_named_and_exit_100() {
    assert_fails(&[], 100, "host, port and prog are missing (try --help)");
    assert_fails(&["-c", "x", "0", "25", "p"], 100, "unable to use -c `x': it takes a number");
    assert_fails(&["--no-such", "0", "25", "p"], 100, "unknown option --no-such");
    assert_fails(&["-u", "nosuchuser", "127.0.0.1", "0", "p"], 100, "-u nosuchuser: no such user");
    assert_fails(&["-g", "nosuchgroup", "127.0.0.1", "0", "p"], 100, "no such group");
    assert_fails(&["-u", "64999", "127.0.0.1", "0", "p"], 100, "use -g too");
    assert_fails(&["--demo", "192.0.2.1"], 100, "--demo listens on loopback only");
    assert_fails(&["--demo", "0"], 100, "--demo listens on loopback only");
    let long = "x".repeat(100_000);
    assert_fails(&["--delay", &long, "0", "25", "p"], 100, "it takes seconds");
}

#[test]
fn system_trouble_exits_111() {
    assert_fails(&["127.0.0.1", "nosuchport", "p"], 111, "port number for nosuchport");
    assert_fails(&["127.0.0.1", "99999", "p"], 111, "port number for 99999");
    assert_fails(&["192.0.2.1", "0", "p"], 111, "unable to bind 192.0.2.1:0: ");
    assert_fails(&["no.such.host.invalid", "0", "p"], 111, "no.such.host.invalid");
}

#[test]
fn quiet_prints_nothing() {
    for arguments in [&["-q"][..], &["-q", "127.0.0.1", "nosuchport", "p"]] {
        let output = run(arguments);
        assert!(output.stderr.is_empty() && output.stdout.is_empty());
        assert!(!output.status.success());
    }
    let program = ["sh", "-c", "echo 220"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"));
    command.args(["-qRHl0", "-1", "--delay", "0", "127.0.0.1", "0"]).args(program);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    let mut port = String::new();
    let stdout = daemon.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut port).unwrap();
    let address = format!("127.0.0.1:{}", port.trim()).parse().unwrap();
    assert_eq!(lab::Client::connect("127.0.0.1", address).read_all(), "220\n");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let output = daemon.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn a_bad_expression_stops_the_start_and_is_pointed_at() {
    let file = directory().join("expressions");
    std::fs::write(&file, "good\n\nfoo(bar\n").unwrap();
    let file = file.to_str().unwrap();
    let output = run(&["--dynamic-file", file, "127.0.0.1", "0", "p"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(100), "{text}");
    let expected = format!(
        "smtp-delayd: fatal: unable to use {file} line 3: unclosed group\n    foo(bar\n       ^\n"
    );
    assert_eq!(text, expected);
    assert_fails(
        &["--static-file", "/nonexistent", "127.0.0.1", "0", "p"],
        100,
        "unable to read /nonexistent: No such file",
    );
}

#[test]
fn help_and_version() {
    let help = run(&["--help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    assert!(
        String::from_utf8_lossy(&help.stdout)
            .starts_with("usage: smtp-delayd [options] host port prog")
    );
    let version = String::from_utf8_lossy(&run(&["--version"]).stdout).into_owned();
    assert_eq!(version, format!("smtp-delayd {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn suspicious_settings_draw_a_warning() {
    let cases = [
        ("--delay-none 26", "a delay of 26 s: common clients give up after 30 s"),
        ("-H", "-H disables classification"),
    ];
    for (option, warning) in cases {
        let daemon = Daemon::setup().option(option).run(&["false"]);
        assert!(daemon.text().contains(warning), "{}", daemon.text());
    }
    let daemon = Daemon::setup().run(&["false"]);
    assert!(!daemon.text().contains("warning"), "{}", daemon.text());
}

/// A program's options and log lines, and the man page that has to describe them.
struct Manual {
    line: &'static CommandLine,
    file: &'static str,
    events: &'static [&'static str],
    /// Keys that it never writes.
    without: &'static [&'static str],
}

const MANUALS: [Manual; 2] = [
    Manual { line: &DAEMON, file: "smtp-delayd.8", events: &[], without: &[] },
    Manual {
        line: &LINK,
        file: "smtp-delay.1",
        events: &["pass", "early", "hangup"],
        without: &["shrunk"],
    },
];

impl Manual {
    fn page(&self) -> String {
        let path = format!("{}/man/{}", env!("CARGO_MANIFEST_DIR"), self.file);
        std::fs::read_to_string(path).unwrap()
    }

    /// The lines that the program writes; all of them if none are named.
    fn lines(&self) -> impl Iterator<Item = &(&'static str, &'static [&'static str])> {
        let written = |event| self.events.is_empty() || self.events.contains(event);
        LINES.iter().filter(move |(event, _)| written(event))
    }
}

#[test]
fn every_option_stands_in_the_manual() {
    for manual in MANUALS {
        let page = manual.page();
        for option in manual.line.all() {
            let name = match (option.letter, option.long) {
                (Some(letter), _) => format!("Fl {letter}"),
                (None, Some(long)) => format!("Fl \\-{long}"),
                (None, None) => unreachable!(),
            };
            let item = format!(".It {name}");
            let listed = page.lines().any(|line| {
                line.strip_prefix(&item)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            });
            assert!(listed, "{item} is missing in {}", manual.file);
            if let Some(argument) = option.argument {
                let argument = argument.split(['[', ':']).next().unwrap();
                let argument = format!("{item} Ar {argument}");
                assert!(page.lines().any(|line| line.starts_with(&argument)), "{argument}");
            }
            let letter = option.long.and_then(|long| manual.line.letter_of(long));
            if let Some(letter) = letter {
                let also = page.split(&item).nth(1).unwrap().lines().skip(1).take(2);
                assert_eq!(also.collect::<Vec<_>>(), ["Also", &format!(".Fl {letter} .")]);
            }
        }
        let items = page.lines().filter(|line| line.starts_with(".It Fl ")).count();
        let options = manual.line.all().count();
        assert_eq!(items, options, "{} has options that do not exist", manual.file);
    }
}

#[test]
fn every_key_of_a_log_line_stands_in_the_manual() {
    for manual in MANUALS {
        let page = manual.page();
        for (event, keys) in manual.lines() {
            assert!(page.contains(&format!(".It Li {event}\n")), "the {event} line is missing");
            for key in keys.iter().filter(|key| !manual.without.contains(key)) {
                let item = format!(".It Li {key}=\n");
                assert!(page.contains(&item), "key {key} of {event} is missing");
            }
        }
    }
}

#[test]
fn smtp_delayctl_usage_matches_the_manual() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/man/smtp-delayctl.8");
    let page = std::fs::read_to_string(path).unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let usage = help.split("\n\n").next().unwrap();
    let words: Vec<&str> = usage.split([' ', '[', ']', '\n']).collect();
    for option in words.iter().filter_map(|word| word.strip_prefix("--")) {
        assert!(page.contains(&format!(".It Fl \\-{option}")), "--{option}");
    }
    let commands = words.windows(2).filter(|pair| pair[0] == "smtp-delayctl");
    let commands: Vec<&str> = commands.map(|pair| pair[1]).collect();
    assert_eq!(commands, COMMANDS);
    for command in commands {
        assert!(page.contains(&format!(".It Cm {command}")), "{command}");
        let mut own = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl"));
        let output = own.args([command, "--help"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let usage = format!("smtp-delayctl {command} ");
        assert!(output.status.success() && text.contains(&usage), "{command}");
    }
}

#[test]
fn smtp_delayctl_prints_its_commands_and_suggests_the_nearest() {
    let told = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl"));
        let output = command.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(100), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let text = told(&[]);
    assert!(text.starts_with("smtp-delayctl: fatal: a command is missing\n\nusage: "), "{text}");
    assert!(text.contains("\n       smtp-delayctl pid FILE\n"), "{text}");
    let expected = "smtp-delayctl: fatal: unknown command stats: did you mean status? (try --help)";
    assert_eq!(told(&["stats"]).trim_end(), expected);
    assert!(told(&["status", "--jsn"]).contains("--jsn: did you mean --json? (try --help)"));
    assert!(told(&["classify", "--reslover", "x"]).contains("did you mean --resolver?"));
    assert!(!told(&["nonsense"]).contains("did you mean"));
}

fn classify(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl"));
    let output = command.arg("classify").args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn classify_prints_the_class_and_what_decides_it() {
    needs!("nsd");
    let line = "dsl-192-0-2-7.isp.example";
    let (code, text) = classify(&["192.0.2.7", line]);
    let start = format!("{line}: a dynamic (residential) host name: ");
    assert!(code == Some(0) && text.starts_with(&start), "{text}");
    for piece in [
        " of 100 points: ",
        " a word for residential connections \"dsl\"",
        " the address is in the name",
    ] {
        assert!(text.contains(piece), "{text}");
    }
    assert!(text.ends_with("\ndynamic\n"), "{text}");
    let (_, text) = classify(&["192.0.2.7", "MX1.Example.org."]);
    assert!(text.starts_with("mx1.example.org: not a dynamic host name: -"), "{text}");
    assert!(text.contains(" begins with the mail server word \"mx\""), "{text}");
    assert!(text.ends_with("\nstatic\n"), "{text}");
    assert_eq!(classify(&["192.0.2.7", "localhost"]).1, "none: there is no host name\n");
    assert_eq!(classify(&["10.0.0.1", "localhost"]).1, "static: there is no host name\n");
    let file = directory().join("static");
    std::fs::write(&file, "^dsl-.*\\.isp\\.example$\n").unwrap();
    let file = file.to_str().unwrap();
    let (_, text) = classify(&["--static-file", file, "192.0.2.7", line]);
    assert_eq!(text, format!("{line}: not a dynamic host name: {file} line 1\nstatic\n"));
    let empty = directory().join("empty");
    std::fs::write(&empty, "# none\n").unwrap();
    let empty = empty.to_str().unwrap();
    let both = ["--static-file", empty, "--static-file", file, "192.0.2.7", line];
    assert_eq!(classify(&both).1, text, "all files are read");
    let odd = directory().join("odd");
    std::fs::write(&odd, "/^a/ REJECT\n^A b$\n").unwrap();
    let odd = odd.to_str().unwrap();
    let (code, text) = classify(&["--dynamic-file", odd, "192.0.2.7", line]);
    let warning = format!("\nsmtp-delayctl: warning: {odd} line 2: ");
    assert!(code == Some(0) && text.contains(&warning), "{text}");
    for (arguments, message) in [
        (&[][..], "IP is missing"),
        (&["mx.example.org"], "unable to use IP `mx.example.org'"),
        (&["192.0.2.7", "a.b", "c"], "something behind NAME"),
        (&["--static-file", "/nonexistent", "192.0.2.7", "a.b"], "unable to read /nonexistent"),
    ] {
        let (code, text) = classify(arguments);
        assert_eq!((code, text.contains(message)), (Some(100), true), "{text}");
    }
    let nsd = lab::dns::Nsd::start();
    let resolver =
        ["--local-nets", "none", "--resolver", &nsd.address.to_string()].map(String::from);
    let of = |ip: &str| {
        let mut words: Vec<&str> = resolver.iter().map(String::as_str).collect();
        words.push(ip);
        classify(&words).1
    };
    assert!(of("127.0.1.1").ends_with("\nstatic\n") && of("127.0.2.1").ends_with("\ndynamic\n"));
    assert_eq!(of("127.0.3.1"), "none: there is no host name\n");
    assert_eq!(of("127.9.9.9"), "unknown: no name server could answer\n");
}

/// What is printed for `input` on standard input, and the exit code.
fn classify_lines(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl"))
        .args(["classify", "--stdin"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn classify_answers_line_by_line() {
    let input = "192.0.2.7 dsl-192-0-2-7.isp.example\n::ffff:192.0.2.8\tMX1.Example.org. x\n\
                 192.0.2.9\n10.0.0.1 -\n2001:db8::1 caf\u{e9}";
    let (code, text) = classify_lines(&[], input);
    let starts = [
        "192.0.2.7 dsl-192-0-2-7.isp.example dynamic ",
        "192.0.2.8 mx1.example.org static -",
        "192.0.2.9 - none there is no host name",
        "10.0.0.1 - static there is no host name",
        "2001:db8::1 caf\u{e9} none there is no host name",
    ];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), starts.len()), "{text}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{text}");
    }
    assert!(lines[0].contains(" of 100 points: +"), "{text}");
}

#[test]
fn a_line_without_an_address_is_answered_and_reported() {
    let long = format!("{}\n", "x".repeat(100_000));
    let input = format!("mx.example.org 192.0.2.7\n\n{long}192.0.2.7 a\x1b\x07.example\n");
    let (code, text) = classify_lines(&[], &input);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((code, lines.len()), (Some(100), 5), "{text}");
    assert_eq!(lines[0], "mx.example.org 192.0.2.7 - not a valid address");
    assert_eq!(lines[1], "- - - not a valid address");
    assert!(lines[2].len() < 5000 && lines[2].ends_with(" - not a valid address"));
    assert_eq!(lines[3], "192.0.2.7 a\\033\\007.example none there is no host name");
    assert!(lines[4].contains("unable to use line 1: "), "{text}");
    assert!(classify_lines(&["192.0.2.7"], "").1.contains("something behind --stdin"));
}

#[test]
fn classify_answers_in_json() {
    let object = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let (code, text) =
        classify_lines(&["--json"], "192.0.2.7 dsl-192-0-2-7.isp.example\nx\n192.0.2.8\n");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(code, Some(100));
    let first = object(lines[0]);
    assert_eq!((&first["address"], &first["class"]), (&"192.0.2.7".into(), &"dynamic".into()));
    let name = &first["names"][0];
    let points = |value: &serde_json::Value| value["points"].as_i64().unwrap();
    let sum: i64 = name["evidence"].as_array().unwrap().iter().map(points).sum();
    assert_eq!((name["dynamic"].as_bool(), sum), (Some(true), points(name)));
    assert!(sum >= name["needed"].as_i64().unwrap());
    assert!(object(lines[1]).is_null());
    assert_eq!(object(lines[2])["why"], "there is no host name");
    let (_, one) = classify(&["--json", "192.0.2.7", "dsl-192-0-2-7.isp.example"]);
    assert_eq!(object(&one), first);
}

#[test]
fn the_manual_is_clean() {
    needs!("mandoc");
    let mut lint = Command::new("mandoc");
    lint.args(["-Tlint", "-Wwarning"]);
    let pages = std::fs::read_dir(format!("{}/man", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let pages: Vec<_> = pages.map(|page| page.unwrap().path()).collect();
    assert!(pages.len() >= 5, "{pages:?}");
    lint.args(pages);
    let output = lint.output().expect("the test begins with needs!");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
