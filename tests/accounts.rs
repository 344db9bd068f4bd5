//! Users, groups, hosts and ports by name: from files, and from a service that
//! nsswitch.conf(5) names.  The files are the daemon's alone, in a mount namespace.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::command::{clean_command, daemon};
use lab::report::{Report, program};
use lab::{Daemon, directory, is_root};

/// Files that a process sees in the place of others.
#[derive(Clone, Default)]
struct Files(Vec<(CString, CString)>);

impl Files {
    /// Puts `file` in the place of `target`.
    fn with(mut self, file: &Path, target: impl AsRef<Path>) -> Self {
        let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
        self.0.push((path(file), path(target.as_ref())));
        self
    }

    /// Puts what `change` makes of a file in its place.
    fn with_changed(self, target: &str, change: impl FnOnce(String) -> String) -> Self {
        let file = directory().join("changed");
        fs::write(&file, change(fs::read_to_string(target).unwrap())).unwrap();
        self.with(&file, target)
    }

    fn mount_for(self, command: &mut Command) {
        // SAFETY: system calls only, on strings that live as long.
        unsafe { command.pre_exec(move || self.mount()) };
    }

    fn mount(&self) -> io::Result<()> {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
        mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE)?;
        self.0.iter().try_for_each(|(file, target)| mount(file, target, libc::MS_BIND))
    }
}

fn mount(source: &CStr, target: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    let null = std::ptr::null();
    // SAFETY: both strings end in NUL, and null stands for no type and no data.
    let status = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), null, flags, null.cast()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The service of `name_service.c` behind the files.
fn name_service() -> Files {
    let library = directory().join("name_service.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/name_service.c");
    let done =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(done.expect("cc comes with rustc").success());
    let services = |_| "passwd: files hesiod\ngroup: files hesiod\nhosts: files\n".to_string();
    Files::default().with(&library, hesiod()).with_changed("/etc/nsswitch.conf", services)
}

/// A service that comes with the C library, and that nobody uses.
fn hesiod() -> PathBuf {
    let folders = fs::read_dir("/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut libraries = folders.map(|folder| folder.join("libnss_hesiod.so.2"));
    libraries.find(|library| library.exists()).expect("libc6 has libnss_hesiod")
}

/// What a program gets behind these options: user, group and groups.
fn ids(options: &str, files: Files) -> [String; 3] {
    let setup = Daemon::setup().option("-H --delay 0").option(options);
    let daemon = setup.command(|command| files.mount_for(command));
    let daemon = daemon.run(&[program().to_str().unwrap()]);
    let report = Report::read(&daemon.client("127.0.0.1").read_all());
    ["uid", "gid", "groups"].map(|kind| {
        let mut numbers: Vec<&str> = report.one(kind).split(' ').collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.join(" ")
    })
}

/// What `--check` says, and its exit code.
fn check(arguments: &str, files: Files) -> (i32, String) {
    let mut command = clean_command(daemon());
    command.arg("--check").args(arguments.split(' '));
    files.mount_for(&mut command);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn supplementary_groups_come_with_a_user() {
    if !is_root("supplementary_groups_come_with_a_user") {
        return;
    }
    let group = |groups| format!("{groups}testers:x:64005:nobody\n");
    let files = Files::default().with_changed("/etc/group", group);
    let [user, group, groups] = ids("-u nobody", files.clone());
    assert_eq!((user.as_str(), group.as_str()), ("65534", "65534"));
    assert!(groups.split(' ').any(|group| group == "64005"), "{groups}");
    let without_getent = files.with(Path::new("/dev/null"), "/usr/bin/getent");
    let (code, why) = check("-u nobody 127.0.0.1 0 true", without_getent);
    assert_eq!(code, 100, "{why}");
    let expected =
        "unable to look up the groups of user nobody: /usr/bin/getent: Permission denied";
    assert!(why.contains(expected), "{why}");
}

#[test]
fn a_user_of_a_name_service_is_found() {
    if !is_root("a_user_of_a_name_service_is_found") {
        return;
    }
    let files = name_service();
    let all = ["64100", "64101", "64101 64102"];
    for user in ["-u serviceuser", "-u 64100"] {
        assert_eq!(ids(user, files.clone()), all, "{user}");
    }
    assert_eq!(ids("-u nobody", files.clone())[2], "64102 65534", "a user of the files");
    let both = ids("-u serviceuser -g servicegroup", files.clone());
    assert_eq!(both, ["64100", "64102", "64102"]);
    let (code, why) = check("-u nosuchuser -g nosuchgroup 127.0.0.1 0 true", files);
    assert_eq!(code, 100);
    assert!(why.contains("-u nosuchuser: no such user") && why.contains("-g nosuchgroup: no such"));
}

#[test]
fn hosts_and_ports_have_names() {
    if !is_root("hosts_and_ports_have_names") {
        return;
    }
    let hosts = |hosts| format!("{hosts}127.0.0.9 test.host.example\n");
    let files = || Files::default().with_changed("/etc/hosts", hosts);
    let services = |services| format!("{services}test-service 2599/tcp test-alias\n");
    let files = || files().with_changed("/etc/services", services);
    for port in ["test-service", "test-alias", "2599"] {
        assert_eq!(check(&format!("test.host.example {port} true"), files()).0, 0, "{port}");
    }
    let (code, why) = check("127.0.0.1 test-service true", Files::default());
    assert_eq!(code, 100);
    assert!(why.contains("unable to figure out port number for test-service"), "{why}");
}
