//! `--config` and `--check`: settings in a file, their mistakes, and what a HUP
//! makes of them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use lab::dns::{FakeDns, Fault};
use lab::{Daemon, assert_waited, directory, is_root, wait_until};

fn config(text: &str) -> PathBuf {
    let file = directory().join("config");
    fs::write(&file, text).unwrap();
    file
}

fn check(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"));
    command.arg("--check").args(arguments).output().unwrap()
}

#[track_caller]
fn assert_wrong(arguments: &[&str], message: &str) {
    let output = check(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(100), "{arguments:?}: {text}");
    assert!(text.contains(message), "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_hup_reads_the_settings_again_and_a_mistake_keeps_the_old() {
    let file = config("delay 0.3\nmin-idle 2\nrefuse-permanent\n");
    let daemon = Daemon::setup()
        .option("-H --hold 0")
        .option_with("--config", file.display())
        .run(&["echo", "220"]);
    assert_waited(daemon.client("127.0.0.1").read_line().1, 0.3..);
    let refusal = || {
        let mut early = daemon.client("127.0.0.1");
        early.say("x");
        early.read_all()
    };
    assert!(refusal().starts_with("521 "));
    fs::write(&file, "delay 1.2\nmin-idle 7\nlog syslog\n").unwrap();
    let old = daemon.children();
    daemon.signal(Signal::SIGHUP);
    daemon.log_lines("reload ", 1);
    // Until they have heard of it, idle children go by the old settings.
    wait_until("the old children to go", || {
        (!daemon.children().iter().any(|child| old.contains(child))).then_some(())
    });
    assert_waited(daemon.client("127.0.0.1").read_line().1, 1.2..);
    assert!(refusal().starts_with("421 "), "what stands there no more is not set any more");
    daemon.log("smtp-delayd: warning: log has changed: it needs restart");
    fs::write(&file, "delay 0\nnonsense\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    let expected = format!(
        "smtp-delayd: error: unable to use {} line 2: unknown option nonsense",
        file.display()
    );
    assert_eq!(daemon.log("smtp-delayd: error: unable to use "), expected);
    daemon.log("smtp-delayd: error: unable to reload: the old files stay");
    assert_waited(daemon.client("127.0.0.1").read_line().1, 1.2..);
}

#[test]
fn a_hup_changes_the_name_servers() {
    let late = |name| FakeDns::start(Fault::Late(std::time::Duration::ZERO, name));
    let (first, second) = (late("mx1.example.org"), late("mx2.example.org"));
    let file = config(&format!("resolver {}\n", first.address));
    let daemon = Daemon::setup()
        .option("--delay 0")
        .option_with("--config", file.display())
        .run(&["echo", "220"]);
    daemon.client("127.0.0.1").read_line();
    assert!(daemon.log("pass ").contains(" host=mx1.example.org "));
    fs::write(&file, format!("resolver {}\n", second.address)).unwrap();
    let old = daemon.children();
    daemon.signal(Signal::SIGHUP);
    daemon.log("reload ");
    wait_until("the old children to go", || {
        (!daemon.children().iter().any(|child| old.contains(child))).then_some(())
    });
    daemon.client("127.0.0.1").read_line();
    assert!(daemon.log_lines("pass ", 2)[1].contains(" host=mx2.example.org "));
}

#[test]
fn a_hup_changes_limits_and_lists() {
    let dns = FakeDns::start(Fault::Lists([127, 0, 0, 2], &[b"not you"]));
    let file = config("per-ip 1\nreserve 0\n");
    let daemon = Daemon::setup()
        .without_per_ip()
        .option(&dns.option())
        .option("-c 10 --delay-none 30")
        .option_with("--config", file.display())
        .run(&["echo", "220"]);
    let answer_beside_one = || {
        let held = daemon.client("127.0.0.1");
        daemon.wait_for_stats(" busy=1 ");
        let answer = daemon.client("127.0.0.1").read_all();
        drop(held);
        answer
    };
    assert!(answer_beside_one().contains(" too many connections "));
    let reloaded = |text: &str| {
        fs::write(&file, text).unwrap();
        let old = daemon.children();
        let count = daemon.lines("reload ").len();
        daemon.signal(Signal::SIGHUP);
        daemon.log_lines("reload ", count + 1);
        wait_until("the old children to go", || {
            (!daemon.children().iter().any(|child| old.contains(child))).then_some(())
        });
    };
    reloaded("per-ip 0\nreserve 90\n");
    assert!(answer_beside_one().contains(" all slots are busy"));
    reloaded("per-ip 0\nreserve 0\ndnsbl bl.example\n");
    assert_eq!(daemon.client("127.0.0.1").read_all(), "421 4.7.1 not you\r\n");
    reloaded("per-ip 0\nreserve 0\n");
    assert!(daemon.client("127.0.0.1").is_silent_for(std::time::Duration::from_millis(300)));
}

#[test]
fn clients_of_quiet_networks_leave_without_a_line_and_are_counted() {
    let file = config("quiet-nets 127.0.7/24\n");
    let daemon = Daemon::setup()
        .option("-H --delay 9")
        .option_with("--config", file.display())
        .run(&["true"]);
    drop(daemon.client("127.0.7.1"));
    daemon.client("127.0.7.2").reset();
    daemon.wait_for_stats(" hangup=2 ");
    drop(daemon.client("127.0.8.1"));
    assert!(daemon.log("hangup ").contains(" ip=127.0.8.1 "));
    daemon.client("127.0.7.3").say("EHLO me\r\n");
    assert!(daemon.log("early ").contains(" ip=127.0.7.3 "));
    assert_eq!(daemon.lines("hangup ").len(), 1);
    fs::write(&file, "").unwrap();
    let old = daemon.children();
    daemon.signal(Signal::SIGHUP);
    daemon.log_lines("reload ", 1);
    wait_until("the old children to go", || {
        (!daemon.children().iter().any(|child| old.contains(child))).then_some(())
    });
    drop(daemon.client("127.0.7.1"));
    assert!(daemon.log_lines("hangup ", 2)[1].contains(" ip=127.0.7.1 "));
}

#[test]
fn root_without_u_draws_a_warning() {
    if !is_root("root_without_u_draws_a_warning") {
        return;
    }
    let warnings = |arguments: &[&str]| {
        let output = check(&[arguments, &["127.0.0.1", "25", "true"]].concat());
        String::from_utf8(output.stderr).unwrap()
    };
    let warning = "smtp-delayd: warning: the daemon and prog run as root: use -u USER (or -U)\n";
    assert_eq!(warnings(&[]), warning);
    assert_eq!(warnings(&["-u", "nobody"]), "");
}

#[test]
fn a_mistake_in_the_settings_stops_the_start() {
    let file = config("\ndelay soon\n");
    let file = file.to_str().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"))
        .args(["--config", file, "127.0.0.1", "0", "p"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!(
        "smtp-delayd: fatal: unable to use {file} line 2: unable to use delay `soon': it takes \
         seconds from 0 to 86400, such as 2 or 0.5\n"
    );
    assert_eq!((output.status.code(), text), (Some(100), expected));
}

#[test]
fn check_reads_what_a_start_would_and_binds_nothing() {
    let daemon = Daemon::setup().run(&["true"]);
    let port = daemon.port.to_string();
    let file = config("delay 1\n");
    let file = file.to_str().unwrap();
    let output = check(&["--config", file, "127.0.0.1", &port, "true"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), &*told), (Some(0), "ok\n"), "{output:?}");
    assert!(output.stderr.is_empty());
    assert_wrong(
        &["127.0.0.1", &port, "no-such-program"],
        "unable to run no-such-program: No such",
    );
    assert_wrong(&["127.0.0.1", &port, "/etc"], "unable to run /etc: Is a directory");
    assert_wrong(&["127.0.0.1", &port, "/etc/passwd"], "unable to run /etc/passwd: Permission");
    assert_wrong(&["127.0.0.1", "nosuchport", "true"], "port number for nosuchport");
    assert_wrong(&["--rules", "/nonexistent", "::1", &port, "true"], "unable to read /nonexistent");
    assert_wrong(&["-u", "nosuchuser", "::1", &port, "true"], "no such user");
    let expressions = config("foo(\n");
    let expressions = expressions.to_str().unwrap();
    assert_wrong(&["--dynamic-file", expressions, "::1", &port, "true"], "line 1: unclosed group");
}

#[test]
fn what_sighup_could_not_read_again_is_refused() {
    let fifo = directory().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let fifo = fifo.to_str().unwrap();
    for option in ["--config", "--rules", "--dynamic-file", "--static-file"] {
        let told = |file| {
            format!(
                "unable to read {file}: it is a pipe, not a regular file, which SIGHUP needs to \
                 read {option} again"
            )
        };
        assert_wrong(&[option, fifo, "127.0.0.1", "0", "true"], &told(fifo));
        for start in [&["--check"][..], &[]] {
            let mut daemon = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"));
            daemon.args(start).args([option, "/dev/stdin", "127.0.0.1", "0", "true"]);
            daemon.stdin(Stdio::piped()).stderr(Stdio::piped());
            let mut daemon = daemon.spawn().unwrap();
            // It need not be read.
            let _ = daemon.stdin.take().unwrap().write_all(b"127.:deny\n");
            let output = daemon.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(100), "{option}: {text}");
            assert!(text.contains(&told("/dev/stdin")), "{text}");
        }
    }
}

/// What standard input is checked as is not what is there once clients come.
#[test]
fn a_file_that_is_given_as_a_descriptor_is_refused() {
    let file = config("# empty\n");
    let options = ["--config", "--rules", "--dynamic-file", "--static-file"];
    let others = options.map(|option| (option, "SIGHUP"));
    for (option, reader) in [("-x", "each connection")].into_iter().chain(others) {
        for start in [&["--check"][..], &[]] {
            let mut daemon = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"));
            daemon.args(start).args([option, "/dev/stdin", "127.0.0.1", "0", "true"]);
            let output = daemon.stdin(fs::File::open(&file).unwrap()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            let told = format!(
                "unable to read /dev/stdin: it is a descriptor, not the name of a file, which \
                 {reader} needs to read {option} again"
            );
            assert_eq!(output.status.code(), Some(100), "{option}: {text}");
            assert!(text.contains(&told), "{text}");
        }
    }
}

#[test]
fn mistakes_in_any_of_several_files_of_expressions_name_the_file() {
    let [first, second, third] = ["^a\n", "[\n", "ok\n(\n"].map(config);
    let [first, second, third] = [&first, &second, &third].map(|file| file.to_str().unwrap());
    let missing = "dynamic-file /nonexistent\n";
    let settings = config(&format!(
        "dynamic-file {first}\n{missing}static-file {first}\nstatic-file {second}\n\
         dynamic-file {third}\n"
    ));
    let settings = settings.to_str().unwrap();
    let unreadable = "unable to read /nonexistent: No such file or directory (os error 2)";
    assert_all_reported(
        &["--config", settings, "127.0.0.1", "0", "true"],
        &[
            &format!("{unreadable} (dynamic-file in {settings} line 2)"),
            &format!("unable to use {third} line 2: "),
            &format!("unable to use {second} line 1: "),
        ],
    );
    let told = format!("unable to use {second} line 1: ");
    let options = ["--dynamic-file", first, "--dynamic-file", second];
    let output = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"))
        .args(options)
        .args(["127.0.0.1", "0", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(100), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains(&told));
}

#[test]
fn each_of_several_files_of_expressions_is_read_again() {
    let [first, second] = ["^a\n", "^b\n"].map(config);
    let daemon = Daemon::setup()
        .option("-H --delay 0")
        .option_with("--static-file", first.display())
        .option_with("--static-file", second.display())
        .run(&["true"]);
    fs::write(&second, "ok\n[\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    let error = format!("smtp-delayd: error: unable to use {} line 2: ", second.display());
    daemon.log(&error);
    daemon.log("smtp-delayd: error: unable to reload: the old files stay");
    fs::write(&second, "/^b/ REJECT\n.*\n").unwrap();
    fs::write(&first, ".*\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.log("reload ");
    let warning = |file: &PathBuf| format!("smtp-delayd: warning: {} line 1: ", file.display());
    daemon.log(&warning(&first));
    daemon.log(&format!("smtp-delayd: warning: {} line 2: ", second.display()));
}

#[test]
fn expressions_of_a_postfix_table_draw_a_warning() {
    let file = config("^dsl-\n/^ppp/ REJECT\n.example.org REJECT\n");
    let told = |line: &str| format!("smtp-delayd: warning: {} line {line}", file.display());
    let output = check(&["--static-file", file.to_str().unwrap(), "127.0.0.1", "0", "true"]);
    assert_eq!(output.stdout, b"ok\n");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&told("2: this is a line of a Postfix table: ")), "{text}");
    assert!(text.contains(&told("3: matches no host name: ")), "{text}");
    assert!(!text.contains(&told("1")), "{text}");
    let daemon = Daemon::setup()
        .option("-H --delay 0")
        .option_with("--dynamic-file", file.display())
        .run(&["true"]);
    for count in [1, 2] {
        daemon.log_lines(&told("2: "), count);
        daemon.log_lines(&told("3: "), count);
        daemon.signal(Signal::SIGHUP);
        daemon.log_lines("reload ", count);
    }
    assert_eq!(daemon.lines(&told("2: ")).len(), 3, "once each time");
}

#[test]
fn a_named_pipe_on_hup_keeps_the_old_files() {
    let file = config(":deny\n");
    let mut daemon = Daemon::setup()
        .option("-H --delay 0")
        .option_with("--rules", file.display())
        .run(&["true"]);
    fs::remove_file(&file).unwrap();
    mkfifo(&file, Mode::S_IRWXU).unwrap();
    daemon.signal(Signal::SIGHUP);
    assert!(daemon.log("smtp-delayd: error: unable to read ").contains(" it is a pipe, "));
    daemon.log("smtp-delayd: error: unable to reload: the old files stay");
    daemon.client("127.0.0.1").read_all();
    daemon.log("deny ");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
}

/// What `--check` says is wrong, a message each.
#[track_caller]
fn mistakes(arguments: &[&str]) -> Vec<String> {
    let output = check(arguments);
    assert_eq!(output.status.code(), Some(100), "{output:?}");
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    let messages = text.lines().filter_map(|line| line.strip_prefix("smtp-delayd: fatal: "));
    messages.map(String::from).collect()
}

#[track_caller]
fn assert_all_reported(arguments: &[&str], expected: &[&str]) {
    let told = mistakes(arguments);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (message, start) in told.iter().zip(expected) {
        assert!(message.starts_with(start), "{message}\n{start}");
    }
}

#[test]
fn check_reports_all_that_is_wrong_at_once() {
    let settings = config("delay soon\nmax-idle 2\n\nrules /nonexistent/rules\nerly log\n");
    let settings = settings.to_str().unwrap();
    let expressions = config("foo(\ngood\n[\n");
    let expressions = expressions.to_str().unwrap();
    let line = |number| format!("unable to use {settings} line {number}: ");
    let expression = |number| format!("unable to use {expressions} line {number}: ");
    let arguments = [
        "-c",
        "0",
        "--nonsense",
        "--config",
        settings,
        "--min-idle",
        "9",
        "--dynamic-file",
        expressions,
        "--pidfile",
        "/nonexistent/pid",
        "--scoreboard",
        "/nonexistent/sb",
        "-l",
        "bad name",
        "--resolver",
        "::1:53",
        "-u",
        "nosuchuser",
        "-g",
        "nosuchgroup",
        "nosuchhost.invalid",
        "nosuchport",
        "no-such-program",
    ];
    let idle = format!(
        "--min-idle 9 is more than --max-idle 2 (command line, {settings} line 2) (try --help)"
    );
    let told = mistakes(&arguments);
    let expected = [
        "unable to use -c `0': it takes a number",
        "unknown option --nonsense",
        "unable to use -l `bad name': it takes a host name",
        "unable to use --resolver `::1:53': it may be a port or not: use [::1]:53 or [::1:53]",
        &(line(1) + "unable to use delay `soon'"),
        &(line(5) + "unknown option erly: did you mean early?"),
        &idle,
        "-g nosuchgroup: no such group",
        "-u nosuchuser: no such user",
        "",
        "unable to figure out port number for nosuchport",
        "unable to write /nonexistent/pid: No such file or directory (os error 2) \
         (--pidfile)",
        "unable to make /nonexistent/sb: No such file or directory (os error 2) \
         (--scoreboard)",
        &(expression(1) + "unclosed group"),
        &(expression(3) + "unclosed character class"),
        "unable to read /nonexistent/rules: No such file or directory (os error 2) \
         (rules in ",
        "unable to run no-such-program: No such file",
    ];
    assert_all_reported(&arguments, &expected);
    assert!(told[9].contains("nosuchhost.invalid"), "{told:#?}");
    assert!(told[15].ends_with(&format!("(rules in {settings} line 4)")), "{told:#?}");
}

#[test]
fn a_start_reports_the_first_mistake_as_check_does() {
    let expressions = config("good\nfoo(\n[\n");
    let expressions = expressions.to_str().unwrap();
    for arguments in [
        &["-c", "0", "--nonsense", "127.0.0.1", "0", "true"][..],
        &["--dynamic-file", expressions, "127.0.0.1", "0", "true"],
        &["--static-file", "/nonexistent", "127.0.0.1", "0", "true"],
        &["--rules", "/nonexistent", "127.0.0.1", "0", "true"],
        &["-u", "nosuchuser", "-g", "nosuchgroup", "127.0.0.1", "0", "true"],
        &["--pidfile", "/nonexistent/pid", "127.0.0.1", "0", "true"],
        &["--scoreboard", "/nonexistent/sb", "127.0.0.1", "0", "true"],
    ] {
        let start = Command::new(env!("CARGO_BIN_EXE_smtp-delayd")).args(arguments).output();
        let text = String::from_utf8(start.unwrap().stderr).unwrap();
        let message = text.lines().next().unwrap().strip_prefix("smtp-delayd: fatal: ").unwrap();
        assert_eq!(message, mistakes(arguments)[0]);
        assert_eq!(text.matches("fatal").count(), 1, "{text}");
    }
}

#[test]
fn check_reports_every_bad_line_of_rules() {
    let rules = config(":allow\n1.2.3.4 deny\n10.0.0.0/40:deny\n");
    let rules = rules.to_str().unwrap();
    let line = |number| format!("unable to use {rules} line {number}: ");
    let expected = [&*line(2), &*line(3)];
    assert_all_reported(&["--rules", rules, "127.0.0.1", "0", "true"], &expected);
}

#[test]
fn a_delay_in_a_rule_that_is_no_number_is_warned_of() {
    let rules = config(":allow\n10.:allow,SMTPDELAY=\"abc\"\n");
    let cdb = rules.with_extension("cdb");
    let temporary = rules.with_extension("tmp");
    let input = fs::File::open(&rules).unwrap();
    let mut compile = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl"));
    let compiled = compile.arg("tcprules").args([&cdb, &temporary]).stdin(input).output().unwrap();
    assert!(compiled.status.success(), "{compiled:?}");
    let short = config("no cdb");
    for (option, file, warning) in [
        ("--rules", &rules, "line 2: `SMTPDELAY': `abc' is not a number of seconds"),
        ("-x", &cdb, "key `10.': `SMTPDELAY': `abc' is not a number of seconds"),
        ("-x", &short, "every client may be dropped"),
    ] {
        let output = check(&[option, file.to_str().unwrap(), "127.0.0.1", "2525", "true"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        assert!(text.starts_with("smtp-delayd: warning: ") && text.contains(warning), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        let daemon = Daemon::setup().option_with(option, file.display()).run(&["true"]);
        assert!(daemon.text().contains(&text), "{}", daemon.text());
    }
}

/// Under which severity each line of `--check` stands, and its text up to a colon.
fn remarks(arguments: &[&str]) -> Vec<(String, String)> {
    let output = check(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("smtp-delayd: "));
    let parts = lines.map(|line| line.splitn(3, ": ").map(String::from).collect::<Vec<_>>());
    parts.map(|parts| (parts[0].clone(), parts[1].clone())).collect()
}

#[test]
fn check_shows_warnings_and_mistakes_in_the_order_of_files_and_lines() {
    let expressions = config("^a REJECT\nfoo(\n^b REJECT\n");
    let rules = config("1.2.3:deny\nnonsense\n:allow,smtpdelay=/1/\n");
    let [expressions, rules] = [&expressions, &rules].map(|path| path.to_str().unwrap());
    let told =
        remarks(&["--static-file", expressions, "--rules", rules, "127.0.0.1", "2525", "true"]);
    let remark = |severity: &str, file: &str, line: u32| {
        let place = format!("{file} line {line}");
        let text = if severity == "fatal" { format!("unable to use {place}") } else { place };
        (severity.to_string(), text)
    };
    let expected = [
        remark("warning", expressions, 1),
        remark("fatal", expressions, 2),
        remark("warning", expressions, 3),
        remark("warning", rules, 1),
        remark("fatal", rules, 2),
        remark("warning", rules, 3),
    ];
    assert_eq!(told, expected);
}

#[test]
fn check_finds_everything_and_a_start_says_how_much_there_is() {
    let expressions = config(&"a b\n".repeat(300));
    let rules = config(&"1.2.3:deny\n".repeat(300));
    let wrong = config(&"nonsense\n".repeat(300));
    for (option, file) in [("--dynamic-file", &expressions), ("--rules", &rules)] {
        let arguments = [option, file.to_str().unwrap(), "127.0.0.1", "2525", "true"];
        let told = remarks(&arguments);
        // Of equal rules all but the first are hidden besides.
        let least = if option == "--rules" { 599 } else { 300 };
        assert_eq!(told.len(), least, "{option}");
        let daemon = Daemon::setup().option_with(option, file.display()).run(&["true"]);
        let more = format!(": {} more warnings: use --check to see them", least - 20);
        assert_eq!(daemon.text().matches("warning: ").count(), 21, "{}", daemon.text());
        assert!(daemon.text().contains(&more), "{}", daemon.text());
    }
    for option in ["--rules", "--config"] {
        let told = remarks(&[option, wrong.to_str().unwrap(), "127.0.0.1", "2525", "true"]);
        assert_eq!(told.len(), 300, "{option}");
    }
}

#[test]
fn check_warns_of_a_syslog_socket_that_takes_no_lines() {
    let file = config("");
    for (path, why) in [
        ("/nonexistent/log", "No such file or directory"),
        (file.to_str().unwrap(), "Socket operation on non-socket"),
    ] {
        for options in [&["--log", "syslog"][..], &[]] {
            let arguments = ["--syslog-socket", path, "127.0.0.1", "2525", "true"];
            let output = check(&[options, &arguments[..]].concat());
            let text = String::from_utf8(output.stderr).unwrap();
            let expected = format!("smtp-delayd: warning: unable to log to {path}: {why} ");
            assert!(text.starts_with(&expected), "{text}");
            assert_eq!((output.status.code(), text.lines().count()), (Some(0), 1), "{text}");
        }
    }
}

#[test]
fn check_reports_ports_that_cannot_be_bound() {
    let told = mistakes(&["192.0.2.1", "2525", "true"]);
    assert_eq!(
        told,
        ["unable to bind 192.0.2.1:2525: Cannot assign requested address (os error 99)"]
    );
    assert!(mistakes(&["--demo", "127.0.0.1", "nosuchport"])[0].contains("nosuchport"));
    let limit = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if !is_root("check_reports_ports_that_cannot_be_bound") || limit.trim() != "1024" {
        return;
    }
    // Root without the right to bind such a port.
    let told = |check: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-net_bind_service", env!("CARGO_BIN_EXE_smtp-delayd")]);
        let output = command.args(check).args(["-u", "nobody", "127.0.0.1", "25", "true"]).output();
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    let expected = "smtp-delayd: fatal: unable to bind 127.0.0.1:25: Permission denied (os error \
                    13): start as root, and use -u USER to give root up\n";
    assert_eq!([told(&["--check"]), told(&[])], [expected, expected]);
}

#[test]
fn check_makes_no_file() {
    let place = directory();
    let [pidfile, scoreboard] = ["pid", "sb"].map(|name| place.join(name));
    let output = check(&[
        "--pidfile",
        pidfile.to_str().unwrap(),
        "--scoreboard",
        scoreboard.to_str().unwrap(),
        "127.0.0.1",
        "2525",
        "true",
    ]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"ok\n"[..]), "{output:?}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
}

#[test]
fn files_have_to_be_readable_by_the_final_user() {
    if !is_root("files_have_to_be_readable_by_the_final_user") {
        return;
    }
    let file = config("delay 0\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    for option in ["--config", "--rules", "--static-file"] {
        let why = format!("unable to read {file}: Permission denied");
        assert_wrong(&[option, file, "-u", "nobody", "::1", "25", "true"], &why);
        let output = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"))
            .args([option, file, "-u", "nobody", "127.0.0.1", "0", "true"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(100), "{text}");
        assert!(text.contains(&why), "{text}");
    }
}
