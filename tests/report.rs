//! The report: on what a daemon really logs, in all the forms that logs have.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lab::command::ctl;
use lab::{directory, needs, packages};
use serde_json::Value;

use crate::background::Background;

const PASS: &str = "pass ip=192.0.2.7 port=40112 host=mx1.example.org class=static delay=2 \
                    waited=2.00 dns=0.013 pid=8121";
const EARLY: &str = "early ip=203.0.113.9 port=1042 host=- class=none delay=20 waited=0.31 \
                     bytes=111 text=\"EHLO x\\r\\n\" action=refuse";
const HANGUP: &str = "hangup ip=198.51.100.3 port=99 host=pc.isp.example class=dynamic delay=12 \
                      waited=9.87";
const END: &str = "end pid=8121 ip=192.0.2.7 exit=0 secs=13.2";

fn report(arguments: &[&str]) -> Output {
    let mut command = Command::new(ctl());
    command.arg("report").args(arguments).env("TZ", "UTC").stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    let output = report(&[&["--json"], arguments].concat());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().unwrap().to_string()
}

/// Lines of syslog, a minute apart.
fn syslog(lines: &[&str]) -> String {
    let line = |(minute, line): (usize, &&str)| {
        format!("2026-11-07T06:{minute:02}:00+00:00 mx smtp-delayd[812]: {line}\n")
    };
    lines.iter().enumerate().map(line).collect()
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    fs::write(directory.join(name), text).unwrap();
    path(directory, name)
}

#[test]
fn a_report_counts_what_the_daemon_counted() {
    let daemon = Background::new();
    daemon.start_well("--delay 0.5 --per-ip 0", &["echo", "220"]);
    let mut early = daemon.client();
    early.say("EHLO pass ip=1 waited=1\r\n");
    early.read_all();
    daemon.client().read_all();
    drop(daemon.client());
    for line in ["early ", "end ", "hangup "] {
        daemon.syslog.wait_for(line);
    }
    let messages = daemon.syslog.messages();
    let lines: String =
        messages.iter().map(|line| format!("Nov 27 12:00:00 host {line}\n")).collect();
    let found = json(&[&write(&daemon.directory, "mail.log", &lines)]);
    let clients = &found["clients"];
    assert_eq!((&clients["pass"], &clients["early"]), (&1.into(), &1.into()), "{lines}");
    assert_eq!((&clients["hangup"], &clients["deny"]), (&1.into(), &0.into()), "{lines}");
    assert_eq!(found["service"]["starts"], 1, "{lines}");
    assert_eq!(found["lines"]["bad"], 0, "{lines}");
}

/// What compresses to standard output, and what the file is called.
fn compressed(directory: &Path, program: &str, text: &str) -> String {
    let file = directory.join(format!("log.{program}"));
    let mut command = Command::new(packages::path(program));
    command.arg("-c").stdin(Stdio::piped()).stdout(fs::File::create(&file).unwrap());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    file.to_str().unwrap().to_string()
}

#[test]
fn compressed_files_and_standard_input_are_read_as_plain_ones() {
    needs!("gzip", "xz", "zstd");
    let directory = directory();
    let text = syslog(&[PASS, EARLY, HANGUP, END]);
    let plain = json(&[&write(&directory, "log", &text)]);
    assert_eq!(plain["lines"]["ours"], 4);
    for program in ["gzip", "xz", "zstd"] {
        assert_eq!(json(&[&compressed(&directory, program, &text)]), plain, "{program}");
    }
    let mut command = Command::new(ctl());
    command.args(["report", "--json"]).env("TZ", "UTC");
    let file = fs::File::open(directory.join("log")).unwrap();
    let output = command.stdin(file).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), plain);
}

#[test]
fn several_files_are_one_log_in_any_order() {
    let directory = directory();
    let text = syslog(&[PASS, EARLY, HANGUP, END]);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let whole = json(&[&write(&directory, "whole", &text)]);
    let even = write(&directory, "even", &[lines[0], lines[2]].concat());
    let odd = write(&directory, "odd", &[lines[1], lines[3]].concat());
    assert_eq!(json(&[&even, &odd]), whole);
    assert_eq!(json(&[&odd, &even]), whole);
}

#[test]
fn a_file_that_is_cut_is_reported_on_and_named() {
    needs!("gzip");
    let directory = directory();
    let text = syslog(&vec![PASS; 5000]);
    let file = compressed(&directory, "gzip", &text);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let good = write(&directory, "good", &syslog(&[EARLY]));
    let output = report(&[&file, &good, &path(&directory, "missing")]);
    assert_eq!(output.status.code(), Some(111));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("unable to read {file}: ")), "{error}");
    assert!(error.contains("missing: No such file or directory"), "{error}");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("\n  early              1 "), "{shown}");
}

#[test]
fn only_the_time_that_is_asked_for_counts() {
    let directory = directory();
    let file = write(&directory, "log", &syslog(&[PASS, EARLY, HANGUP, END]));
    let found = json(&["--since", "2026-11-07T06:01", "--until", "2026-11-07 06:02:00Z", &file]);
    assert_eq!((&found["clients"]["early"], &found["clients"]["hangup"]), (&1.into(), &0.into()));
    assert_eq!(found["lines"]["read"], 4);
}

#[test]
fn lines_of_others_are_skipped_and_bad_ones_counted() {
    let directory = directory();
    let text = [
        syslog(&[PASS, "pass ip=192.0.2.8 waited=x", &format!("prog: {PASS}")]),
        "Nov  7 06:00:00 mx postfix/smtpd[9]: connect from unknown[192.0.2.7]\n".into(),
        format!("Nov  7 06:00:00 mx other[9]: {PASS}\n"),
        format!("Nov  7 06:00:00 mx inbound[9]: {HANGUP}\n"),
    ]
    .concat();
    let file = write(&directory, "log", &text);
    let found = json(&[&file]);
    assert_eq!((&found["lines"]["read"], &found["lines"]["bad"]), (&6.into(), &1.into()));
    assert_eq!((&found["clients"]["pass"], &found["clients"]["hangup"]), (&1.into(), &0.into()));
    let found = json(&["--tag", "inbound", &file]);
    assert_eq!((&found["clients"]["pass"], &found["clients"]["hangup"]), (&0.into(), &1.into()));
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let directory = directory();
    let file = write(&directory, "log", &syslog(&[PASS]));
    let empty = write(&directory, "empty", "x\n");
    for (arguments, code, text) in [
        (&["--since", "soon", &file][..], 100, "--since takes a time such as 2026-11-27"),
        (&["--what-if", "none=1", &file], 100, "--what-if takes delay-CLASS=SECS"),
        (&["--top", "0", &file], 100, "--top takes a number from 1"),
        (&["--htm", "x", &file], 100, "unknown option --htm: did you mean --html?"),
        (&["--html"], 100, "--html takes a value"),
        (&[&empty], 111, "there is no line of smtp-delay in the log"),
        (&["--html", "/nowhere/x.html", &file], 111, "unable to write /nowhere/x.html: No such"),
        (&["/"], 111, "unable to read /: "),
    ] {
        let output = report(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.starts_with(&format!("smtp-delayctl: fatal: {text}")), "{error}");
    }
}

/// A log whose clients try to break out of the page.
fn hostile(directory: &Path) -> PathBuf {
    let host = "</td><script>document.title='ran'</script><img src=http://127.0.0.1:9/x>";
    let quoted = host.replace('=', "\\x3d");
    let lines = [
        format!("hangup ip=192.0.2.9 host=\"{quoted}\" class=dynamic delay=12 waited=3.00"),
        format!("pass ip=192.0.2.9 host=\"{quoted}\" class=dynamic delay=12 waited=12.00 dns=0.1"),
        format!("deny ip=192.0.2.9 host=\"{quoted}\" waited=0.00 rule=\"{quoted}\""),
        EARLY.to_string(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let file = write(directory, "log", &syslog(&lines));
    let page = directory.join("page.html");
    let output = report(&["--html", page.to_str().unwrap(), &file]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    page
}

/// Everything between `<` and `>`: text has neither.
fn tags(page: &str) -> impl Iterator<Item = &str> {
    page.split('<').skip(1).map(|part| part.split_once('>').expect(part).0)
}

#[test]
fn a_page_has_only_elements_that_are_ours_and_fetch_nothing() {
    const ELEMENTS: [&str; 26] = [
        "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p",
        "div", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "svg", "rect",
        "line", "polyline", "text", "b",
    ];
    let page = fs::read_to_string(hostile(&directory())).unwrap();
    for tag in tags(&page) {
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap();
        assert!(ELEMENTS.contains(&name), "{tag}");
        for bad in ["src=", "href=", " on", "url("] {
            assert!(!tag.contains(bad), "{tag}");
        }
    }
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("&lt;script&gt;"), "the name is not shown");
}

/// Chromium's own account of the page, in which a script could have changed the title.
#[test]
fn nothing_in_a_page_runs_in_a_browser() {
    needs!("chromium");
    let directory = directory();
    let page = hostile(&directory);
    let mut command = Command::new(packages::path("chromium"));
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000"]);
    command.arg(format!("--user-data-dir={}", path(&directory, "profile"))).arg("--dump-dom");
    let output = command.arg(format!("file://{}", page.display())).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("<h1>smtp-delay: report</h1>"), "{shown}");
    assert!(shown.contains("<title>smtp-delay: report</title>"), "{shown}");
    assert!(!shown.contains("<script") && !shown.contains("<img"), "{shown}");
}
