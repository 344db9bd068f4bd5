//! Real SMTP servers that speak on standard input and output, and what they have
//! taken.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{directory, packages};

/// A command line, and where the messages are that it takes.
pub struct SmtpServer {
    /// The command line.
    pub command: Vec<String>,
    messages: Messages,
}

/// Where a server puts the messages.
enum Messages {
    /// All in one file.
    File(PathBuf),
    /// In a folder, each in a file whose name ends so.
    Folder(PathBuf, &'static str),
    Nowhere,
}

impl SmtpServer {
    /// msmtpd of msmtp-mta; the test begins with `needs!("msmtpd")`.
    pub fn msmtpd() -> Self {
        let directory = directory();
        let (store, file) = (directory.join("store"), directory.join("messages"));
        let script = format!("#!/bin/sh\nexec cat >>{}\n", file.display());
        write(&store, &script, 0o755);
        let msmtpd = packages::path("msmtpd").display().to_string();
        let command = vec![msmtpd, "--inetd".into(), format!("--command={}", store.display())];
        Self { command, messages: Messages::File(file) }
    }

    /// exim of exim4-daemon-light; the test begins with `needs!("exim4")`, and needs
    /// root: exim looks its user up, whom only the installed package makes.
    pub fn exim() -> Self {
        let directory = directory();
        let path = directory.display();
        let config = format!(
            "spool_directory = {path}/spool\nlog_file_path = {path}/spool/log/%slog\n\
             primary_hostname = mx.test.example\ntls_advertise_hosts =\nkeep_environment =\n\
             queue_only\nacl_smtp_rcpt = accept_all\nacl_smtp_data = accept_all\n\
             begin acl\naccept_all:\n accept\n"
        );
        write(&directory.join("exim.conf"), &config, 0o644);
        let script: String =
            ["passwd", "group"].map(|name| bind_with_exim(&directory, name)).concat();
        let exim = packages::path("exim4");
        let script = format!("{script}exec {} -C {path}/exim.conf -bs\n", exim.display());
        let command = ["unshare", "--mount", "sh", "-e", "-c", &script].map(String::from).into();
        Self { command, messages: Messages::Folder(directory.join("spool/input"), "-D") }
    }

    /// mailfront, which throws messages away; the test begins with
    /// `needs!("mailfront")`.
    pub fn mailfront() -> Self {
        let command = ["mailfront", "smtp", "echo", "accept"].map(String::from).into();
        Self { command, messages: Messages::Nowhere }
    }

    /// The command line, as the helpers take it.
    pub fn program(&self) -> Vec<&str> {
        self.command.iter().map(String::as_str).collect()
    }

    /// The text of all messages that it has kept.
    pub fn messages(&self) -> String {
        match &self.messages {
            Messages::File(file) => fs::read_to_string(file).unwrap(),
            Messages::Folder(folder, end) => {
                let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
                let files = files.filter(|file| file.to_string_lossy().ends_with(end));
                files.map(|file| fs::read_to_string(file).unwrap()).collect()
            }
            Messages::Nowhere => String::new(),
        }
    }
}

/// A shell command that puts a copy of a file of /etc in its place, with an entry
/// for exim's user, in the mount namespace that it runs in.
fn bind_with_exim(directory: &Path, name: &str) -> String {
    let fields = if name == "passwd" { "65534:65534::/:/bin/false" } else { "65534:" };
    let own = fs::read_to_string(format!("/etc/{name}")).unwrap();
    let copy = directory.join(name);
    write(&copy, &format!("{own}Debian-exim:x:{fields}\n"), 0o644);
    format!("mount --bind {} /etc/{name}\n", copy.display())
}

fn write(file: &Path, text: &str, mode: u32) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}
