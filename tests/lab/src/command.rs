//! Commands with nothing that the test runner was given, and the programs to test.

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use nix::sys::signal::{SigHandler, Signal};

/// What `smtp-delay` and UCSPI servers read from the environment.
const VARIABLES: [&str; 15] = [
    "RELAYCLIENT",
    "SMTPDELAY",
    "GREETDELAY",
    "SMTPD_GREETDELAY",
    "RBLSMTPD",
    "DNSCACHEIP",
    "SMTPDELAY_CLASS",
    "SMTPDELAY_WAITED",
    "PROTO",
    "TCPREMOTEIP",
    "TCPREMOTEPORT",
    "TCPREMOTEHOST",
    "TCPLOCALIP",
    "TCPLOCALPORT",
    "TCPLOCALHOST",
];

/// The path of `smtp-delayd`.
pub fn daemon() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| path("smtp-delayd"));
    &PATH
}

/// The path of the chain link, `smtp-delay`.
pub fn link() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| path("smtp-delay"));
    &PATH
}

/// The path of `smtp-delayctl`.
pub fn ctl() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| path("smtp-delayctl"));
    &PATH
}

/// Takes the programs from `folder` and not from where cargo has built them; to be called
/// before any other function of this module.
pub fn take_programs_from(folder: String) {
    FOLDER.set(folder).expect("called once");
}

static FOLDER: OnceLock<String> = OnceLock::new();

/// Where a program is: in the folder `TESTED_PROGRAMS`, or where cargo has built it.  From
/// 1.94 on it says so to what it runs; before, the program is in the folder above that of
/// the running test.
fn path(program: &str) -> String {
    let folder = FOLDER.get().cloned().or_else(|| std::env::var("TESTED_PROGRAMS").ok());
    if let Some(folder) = folder {
        return format!("{folder}/{program}");
    }
    let told = std::env::var(format!("CARGO_BIN_EXE_{program}"));
    told.unwrap_or_else(|_| {
        let test = std::env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap_or(Path::new("/"));
        let path = folder.join(program);
        assert!(path.exists(), "{}: run the test by cargo", path.display());
        path.to_str().expect("a path in UTF-8").into()
    })
}

/// Words on a command line, split at blanks.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

/// A command without anything in its environment, or on its descriptors, that
/// the test runner was given.
pub fn clean_command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.process_group(0).env("RUST_BACKTRACE", "0");
    inherit_nothing(&mut command);
    command
}

/// Lets `command` inherit its standard streams and no other descriptor, and no signal
/// that is ignored: nohup(1) ignores SIGHUP, a shell SIGINT and SIGQUIT for what it runs
/// in the background.
pub(crate) fn inherit_nothing(command: &mut Command) {
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        before_exec(command, move || {
            // SAFETY: the default action runs no code of ours.
            #[allow(unsafe_code)]
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
            Ok(())
        });
    }
    let flags = libc::c_int::try_from(libc::CLOSE_RANGE_CLOEXEC).unwrap();
    // The parent's stay open: they are only marked, in the child.
    let mark = move || {
        // SAFETY: close_range takes no pointers.
        #[allow(unsafe_code)]
        let status = unsafe { libc::close_range(3, u32::MAX, flags) };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    before_exec(command, mark);
}

/// Lets `command` inherit a descriptor under its number.
pub(crate) fn let_inherit(command: &mut Command, fd: RawFd) {
    let mark = move || {
        // SAFETY: fcntl takes any number, and sets a flag.
        #[allow(unsafe_code)]
        let status = unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    before_exec(command, mark);
}

/// Puts the socket on a command's descriptor 0 on its descriptor 2 as well.
pub(crate) fn use_stdin_as_stderr(command: &mut Command) {
    before_exec(command, || Ok(nix::unistd::dup2_stderr(io::stdin())?));
}

/// Runs `prepare`, which makes one system call and allocates nothing, in the child.
fn before_exec(
    command: &mut Command,
    prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: a system call may be made between fork and exec.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(prepare)
    };
}
