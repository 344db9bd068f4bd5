//! The start, the files that it makes, and what the administrator's tool says of
//! files that are none of the daemon's.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::background::ctl;
use crate::lab::chain::clean_command;
use crate::lab::{directory, is_root};
use smtp_delay::daemon::board::{MAGIC, VERSION};

/// As many bytes as this test's machine need not have.
const HUGE: u64 = 3 << 30;

/// smtp-delayctl, which may use 200 MB of memory, and 20 seconds.
fn limited_ctl(arguments: &[&str]) -> Output {
    let mut command = clean_command("timeout");
    command.args(["20", "prlimit", "--as=200000000:", env!("CARGO_BIN_EXE_smtp-delayctl")]);
    command.args(arguments).output().unwrap()
}

/// What `pid` and `status` say of a file that they refuse.
#[track_caller]
fn refusals(file: &Path) -> [String; 2] {
    let file = file.to_str().unwrap();
    [vec!["pid", file], vec!["status", "--scoreboard", file]].map(|arguments| {
        let output = limited_ctl(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(111), "{arguments:?}: {text}");
        assert_eq!((output.stdout.len(), text.lines().count()), (0, 1), "{arguments:?}: {text}");
        assert!(text.starts_with("smtp-delayctl: fatal: unable to read "), "{text}");
        text
    })
}

#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let directory = directory();
    let pipe = directory.join("pipe");
    mkfifo(&pipe, Mode::from_bits_truncate(0o666)).unwrap();
    for (file, why) in [
        (pipe.as_path(), "it is a pipe, not a regular file"),
        (Path::new("/dev/zero"), "it is a device, not a regular file"),
        (directory.as_path(), "Is a directory"),
    ] {
        assert!(refusals(file).iter().all(|text| text.contains(why)), "{why}");
    }
}

#[test]
fn a_file_of_something_else_is_refused_however_long_it_is() {
    let path = directory().join("file");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"\x7fELF\x02\x01\x01").unwrap();
    for length in [7, HUGE] {
        file.set_len(length).unwrap();
        let [pid, status] = refusals(&path);
        assert!(pid.ends_with("it is no pidfile\n"), "{pid}");
        assert!(status.ends_with("it is no scoreboard\n"), "{status}");
    }
}

#[test]
fn no_more_is_read_than_a_scoreboard_has() {
    let path = directory().join("board");
    let mut file = File::create(&path).unwrap();
    let header: Vec<u8> = [MAGIC, VERSION, 3].iter().flat_map(|word| word.to_ne_bytes()).collect();
    file.write_all(&header).unwrap();
    file.set_len(HUGE).unwrap();
    let output = limited_ctl(&["status", "--scoreboard", path.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text.contains("3 slots: 0 idle, 0 waiting, 0 with prog"), "{text}");
}

#[test]
fn a_file_that_may_not_be_read_is_told() {
    if !is_root("a_file_that_may_not_be_read_is_told") {
        return;
    }
    let directory = directory();
    let own = directory.join("smtp-delayctl");
    fs::copy(env!("CARGO_BIN_EXE_smtp-delayctl"), &own).unwrap();
    let file = directory.join("file");
    fs::write(&file, "1\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    for arguments in [vec!["pid", file], vec!["status", "--scoreboard", file]] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&own);
        let output = command.args(&arguments).output().unwrap();
        let expected = format!(
            "smtp-delayctl: fatal: unable to read {file}: Permission denied (os error 13)\n"
        );
        assert_eq!(output.status.code(), Some(111));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
    assert_eq!(ctl(&["pid", file]).0, Some(1), "root may");
}
