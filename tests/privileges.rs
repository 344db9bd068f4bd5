//! What a daemon that was started as root still may, once it has given root up.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use nix::unistd::{Gid, Pid, Uid, User};

use crate::background::Background;
use lab::daemon::children_of;
use lab::{Client, directory, is_root, wait_until};

const USER: &str = "nobody";

/// The values of a line of `/proc/PID/status`.
fn status(pid: Pid, key: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_whitespace().map(String::from).collect()
}

/// Whether `user`, who is in no group but `group`, could open the file: read it, and write
/// it if `writes`.
fn may_open(path: &Path, user: Uid, group: Gid, writes: bool) -> bool {
    let Ok(file) = fs::metadata(path) else { return true };
    let shift = match () {
        () if file.uid() == user.as_raw() => 6,
        () if file.gid() == group.as_raw() => 3,
        () => 0,
    };
    let wanted = if writes { 0o6 } else { 0o4 };
    (file.mode() >> shift) & wanted == wanted
}

/// Files that a process has open and that the user could not open so.
fn of_root_alone(pid: Pid, user: Uid, group: Gid) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let files = links.filter_map(|link| {
        let number = link.file_name().into_string().unwrap();
        let path = fs::read_link(link.path()).ok().filter(|path| path.is_absolute())?;
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let writes = u32::from_str_radix(flags.trim(), 8).unwrap() & 0o3 != 0;
        Some((path, writes))
    });
    let theirs = files.filter(|(path, writes)| !may_open(path, user, group, *writes));
    theirs.map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// `pid` and all its descendants.
fn family(pid: Pid) -> Vec<Pid> {
    let children = children_of(pid).into_iter().flat_map(family);
    std::iter::once(pid).chain(children).collect()
}

#[track_caller]
fn assert_unprivileged(pid: Pid, user: Uid, group: Gid) {
    for (key, id) in [("Uid:", user.as_raw()), ("Gid:", group.as_raw())] {
        assert_eq!(status(pid, key), vec![id.to_string(); 4], "{key} of {pid}");
    }
    assert!(!status(pid, "Groups:").contains(&"0".into()), "root's group in {pid}");
    for key in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        let sets = status(pid, key);
        assert!(sets[0].bytes().all(|digit| digit == b'0'), "{key} {sets:?} of {pid}");
    }
}

/// The supervisor holds its pidfile, which it empties when it ends, and the scoreboard,
/// whose lock says that it is alive.
#[test]
fn no_process_keeps_what_only_root_has() {
    if !is_root("no_process_keeps_what_only_root_has") {
        return;
    }
    #[allow(clippy::disallowed_methods, reason = "this program is not static")]
    let nobody = User::from_name(USER).unwrap().unwrap();
    let (user, group) = (nobody.uid, nobody.gid);
    let daemon = Background::new();
    let known = directory();
    chown(&known, Some(user.as_raw()), Some(group.as_raw())).unwrap();
    let options =
        format!("-u {USER} --delay-static 20 --local-nets none --known {}", known.display());
    daemon.start_well(&options, &["sh", "-c", "echo 220; read line"]);
    let _waits: Client = daemon.client();
    let supervisor = daemon.pid();
    let family = wait_until("a child that waits, a relay and a keeper", || {
        let family = family(supervisor);
        (family.len() >= 4).then_some(family)
    });
    for pid in family {
        assert_unprivileged(pid, user, group);
        let open = of_root_alone(pid, user, group);
        let expected: &[&str] = if pid == supervisor { &["board", "pid"] } else { &[] };
        let mut names = open.clone();
        names.sort();
        assert_eq!(names, expected, "of {pid}, the supervisor is {supervisor}");
    }
}
