//! tcprules and tcprulescheck against the real ones: the same files, messages
//! and exit codes.

use std::fs;
use std::process::Output;

use lab::ucspi::{Random, ours, run, theirs};
use lab::{directory, needs};

const ADDRESSES: &[&str] = &[
    "1.2.3.4",
    "1.2.3.",
    "10.2-3.",
    "1.2.3.4-9",
    "=x.y",
    "=.y",
    "=",
    "",
    "a@1.2.3.4",
    "a@=x.y",
    "-",
    "1-2",
    "1.a-b.",
    "1.-3",
    "3-2.",
    "300-400.",
    "1.250-900.",
    "99999999999999999999-5.",
    "x-y",
    "1.2-3.4-5",
    "1.2.3.0/24",
    "007-9.",
    "\u{7f}",
];
const RULES: &[&str] = &[
    "deny",
    "allow",
    "den",
    "allow,A=/1/",
    "deny,A=\"x\",B=,y,",
    "allow,A",
    "allow,A=",
    "allow,A=/x",
    "allow,",
    "allow,=//",
    "allow,A=//",
    "denyx",
    "allow,RELAYCLIENT=\"\"",
    "",
    " allow",
    "allow ",
    "deny,A=\u{1}b\u{1}",
    "allow,A=/\u{e9}/",
    "allow,A=/1/,A=/2/",
    "allow,A=/x,y=z/",
];

fn line(random: &mut Random) -> String {
    let start = random.pick(&["", "", "", "", "", "#", " "]);
    let colon = random.pick(&[":", ":", ":", ":", ":", " ", "::"]);
    let end = random.pick(&["", "", " ", "\t ", "\r"]);
    format!("{start}{}{colon}{}{end}", random.pick(ADDRESSES), random.pick(RULES))
}

fn file(random: &mut Random) -> Vec<u8> {
    let lines: Vec<String> = (0..random.below(7)).map(|_| line(random)).collect();
    let mut text = lines.join("\n").into_bytes();
    text.extend_from_slice(random.pick(&["", "\n", "\n\n", "\0x\n"]).as_bytes());
    text
}

#[track_caller]
fn assert_same(theirs: &Output, ours: &Output, about: &str) {
    let shown = |output: &Output| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(shown(theirs), shown(ours), "theirs and ours differ: {about}");
}

#[test]
fn compiled_files_and_answers_are_the_same() {
    needs!("tcprules");
    let (tcprules, check) = ("tcprules", "tcprulescheck");
    let [their_rules, their_check] = [tcprules, check].map(theirs);
    let [our_rules, our_check] = [tcprules, check].map(ours);
    let [their_place, our_place] = [directory(), directory()];
    let mut random = Random::new(1);
    let mut compiled = 0;
    for round in 0..500 {
        let text = file(&mut random);
        let about = format!("round {round}: {:?}", String::from_utf8_lossy(&text));
        let compile = |program, place: &std::path::PathBuf| {
            run(
                program,
                |c| {
                    c.current_dir(place).args(["r.cdb", "r.tmp"]);
                },
                &text,
            )
        };
        let (theirs, ours) = (compile(&their_rules, &their_place), compile(&our_rules, &our_place));
        assert_same(&theirs, &ours, &about);
        if !theirs.status.success() {
            continue;
        }
        compiled += 1;
        let cdb = |place: &std::path::PathBuf| fs::read(place.join("r.cdb")).unwrap();
        assert!(cdb(&their_place) == cdb(&our_place), "{about}");
        let variables = [
            (
                "TCPREMOTEIP",
                random.pick(&["1.2.3.4", "1.2.3.9", "10.2.1.1", "5.5.5.5", "", "unset"]),
            ),
            ("TCPREMOTEHOST", random.pick(&["x.y", "z.y", "q", "", "unset", "unset"])),
            ("TCPREMOTEINFO", random.pick(&["a", "b", "", "unset", "unset"])),
        ];
        let ask = |program| {
            run(
                program,
                |c| {
                    c.current_dir(&their_place).arg("r.cdb");
                    let set = variables.iter().filter(|(_, value)| *value != "unset");
                    c.envs(set.copied());
                },
                b"",
            )
        };
        assert_same(&ask(&their_check), &ask(&our_check), &format!("{about} {variables:?}"));
    }
    assert!(compiled > 50, "{compiled} files could be compiled");
}

#[test]
fn smtp_delayctl_warns_where_tcprules_is_silent() {
    let place = directory();
    let rules = b"192.0.2:deny\n10.0.0.0/8:deny\n2001:db8::/32:deny\nnobody\n";
    let compile = |program: &std::path::Path, command: &[&str]| {
        let here = |c: &mut std::process::Command| {
            c.current_dir(&place).args(command).args(["r.cdb", "r.tmp"]);
        };
        run(program, here, rules)
    };
    let own = compile(env!("CARGO_BIN_EXE_smtp-delayctl").as_ref(), &["tcprules"]);
    let expected = "smtp-delayctl: warning: standard input line 1: `192.0.2' matches no client: \
                    the beginning of an address ends in a dot: `192.0.2.'\n\
                    smtp-delayctl: warning: standard input line 2: a cdb has no networks and no \
                    IPv6 addresses: smtp-delayd --rules has\n\
                    smtp-delayctl: fatal: unable to parse this line: 2001:db8::/32:deny\n";
    assert_eq!(String::from_utf8_lossy(&own.stderr), expected);
    assert_same(&compile(&theirs("tcprules"), &[]), &compile(&ours("tcprules"), &[]), "by name");
}

#[test]
fn smtp_delayctl_escapes_what_tcprules_prints_raw() {
    let place = directory();
    let under_our_name = |arguments: &[&str], input: &[u8]| {
        let here = |c: &mut std::process::Command| {
            c.current_dir(&place).args(arguments).env("TCPREMOTEIP", "192.0.2.7");
        };
        run(env!("CARGO_BIN_EXE_smtp-delayctl").as_ref(), here, input)
    };
    let shown = |output: &Output| {
        let both = [output.stdout.as_slice(), &output.stderr].concat();
        assert!(both.iter().all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte)), "{both:?}");
        String::from_utf8(both).unwrap()
    };
    let rule = "192.0.2.7:allow,A=/\u{1b}]0;x\u{7}\n";
    let unparsable = shown(&under_our_name(&["tcprules", "r.cdb", "r.tmp"], rule.as_bytes()));
    assert_eq!(
        unparsable,
        "smtp-delayctl: fatal: unable to parse this line: 192.0.2.7:allow,A=/\\033]0;x\\007\n"
    );
    let file = "\u{1b}[2J\u{7}";
    for arguments in
        [&["tcprules", "r.cdb", "/nonexistent/\u{1b}[2J\u{7}"][..], &["tcprulescheck", file]]
    {
        let told = shown(&under_our_name(arguments, b""));
        assert!(told.contains("\\033[2J\\007: file does not exist\n"), "{told}");
    }
    let rule = "192.0.2.7:allow,A=/\u{1b}]0;x\u{7}\r\u{e9}/,B=/2/\n";
    assert_eq!(shown(&under_our_name(&["tcprules", "r.cdb", "r.tmp"], rule.as_bytes())), "");
    let check = under_our_name(&["tcprulescheck", "r.cdb"], b"");
    let expected = "rule 192.0.2.7:\nset environment variable A=\\033]0;x\\007\\r\u{e9}\n\
                    set environment variable B=2\nallow connection\n";
    assert_eq!(String::from_utf8_lossy(&check.stdout), expected);
}

#[test]
fn smtp_delayctl_sees_damage_that_tcprulescheck_does_not() {
    let place = directory();
    fs::write(place.join("r.cdb"), [0; 4096]).unwrap();
    let check = |program: &std::path::Path, command: &[&str]| {
        let here = |c: &mut std::process::Command| {
            c.current_dir(&place).args(command).arg("r.cdb");
        };
        run(program, here, b"")
    };
    let own = check(env!("CARGO_BIN_EXE_smtp-delayctl").as_ref(), &["tcprulescheck"]);
    let told = String::from_utf8_lossy(&own.stderr).into_owned();
    assert_eq!(told, "smtp-delayctl: fatal: unable to read r.cdb: protocol error\n");
    assert_eq!(own.status.code(), Some(111));
    let by_name = check(&ours("tcprulescheck"), &[]);
    assert_eq!(String::from_utf8_lossy(&by_name.stdout), "default:\nallow connection\n");
    needs!("tcprules");
    assert_same(&check(&theirs("tcprulescheck"), &[]), &by_name, "a file of zeros");
}

#[test]
fn broken_files_are_judged_alike() {
    needs!("tcprules");
    let place = directory();
    let compile = |c: &mut std::process::Command| {
        c.current_dir(&place).args(["r.cdb", "r.tmp"]);
    };
    let rules = "1.2.3.4:allow,A=/1/\n1.2.3.:deny\n=.y:allow\n1.:allow,B=/2/\n:deny\n";
    assert!(run(&theirs("tcprules"), compile, rules.as_bytes()).status.success());
    let whole = fs::read(place.join("r.cdb")).unwrap();
    let (their_check, our_check) = (theirs("tcprulescheck"), ours("tcprulescheck"));
    let mut random = Random::new(2);
    let mut broken = 0;
    for round in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            // Most of the header is empty, and stays so.
            let used = |place: &usize| *place >= 2048 || whole[*place] != 0;
            let places: Vec<usize> = (0..bytes.len()).filter(used).collect();
            bytes[places[random.below(places.len())]] = [0, 1, 4, 0x7f, 0xff][random.below(5)];
        }
        bytes.truncate(bytes.len() - [0, 0, 1, 8, 30][random.below(5)]);
        fs::write(place.join("r.cdb"), bytes).unwrap();
        let ask = |program| {
            let here = |c: &mut std::process::Command| {
                c.current_dir(&place).arg("r.cdb").env("TCPREMOTEIP", "1.2.3.4");
            };
            run(program, here, b"")
        };
        let theirs = ask(&their_check);
        broken += usize::from(!theirs.status.success());
        assert_same(&theirs, &ask(&our_check), &format!("round {round}"));
    }
    assert!(broken > 50, "{broken} were broken");
}

#[test]
fn usage_and_system_trouble_are_the_same() {
    needs!("tcprules");
    let cases: &[(&str, &[&str])] = &[
        ("tcprules", &[]),
        ("tcprules", &["only.cdb"]),
        ("tcprules", &["x.cdb", "/nonexistent/tmp"]),
        ("tcprules", &["/nonexistent/cdb", "x.tmp"]),
        ("tcprules", &["/", "x.tmp"]),
        ("tcprules", &["x.cdb", "/"]),
        ("tcprules", &["x.cdb", "/dev/full"]),
        ("tcprules", &["x.cdb", "x.tmp", "more"]),
        ("tcprulescheck", &[]),
        ("tcprulescheck", &["/nonexistent"]),
        ("tcprulescheck", &["short.cdb"]),
    ];
    for (name, arguments) in cases {
        let place = directory();
        fs::write(place.join("short.cdb"), "no cdb").unwrap();
        let of = |program| {
            let here = |c: &mut std::process::Command| {
                c.current_dir(&place).args(*arguments);
            };
            run(program, here, b"1.2.3.4:deny\n")
        };
        assert_same(&of(&theirs(name)), &of(&ours(name)), &format!("{name} {arguments:?}"));
    }
}

#[test]
fn a_long_line_and_a_long_file_are_compiled_alike() {
    needs!("tcprules");
    let long = format!("1.2.3.4:allow,A=/{}/\n", "x".repeat(1_000_000));
    let many: String = (0..200_000)
        .map(|n| format!("10.{}.{}.{}:deny\n", n >> 16, n >> 8 & 255, n & 255))
        .collect();
    for text in [long, many] {
        let [their_place, our_place] = [directory(), directory()];
        let compile = |program: std::path::PathBuf, place: &std::path::PathBuf| {
            let output = run(
                &program,
                |c| {
                    c.current_dir(place).args(["r.cdb", "r.tmp"]);
                },
                text.as_bytes(),
            );
            assert!(output.status.success());
            fs::read(place.join("r.cdb")).unwrap()
        };
        let same =
            compile(theirs("tcprules"), &their_place) == compile(ours("tcprules"), &our_place);
        assert!(same, "they differ");
    }
}
