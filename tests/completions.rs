//! What shells complete.

use std::process::Command;

use lab::command::ctl;
use lab::{directory, needs};

/// What a shell gets to read.
fn script(shell: &str) -> String {
    let output = Command::new(ctl()).args(["completions", shell]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// What bash offers for the last of the words.
fn offered(words: &[&str]) -> Vec<String> {
    let asked = format!(
        "{}\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\ncompopt() {{ echo \"compopt $*\"; }}\n\
         _smtp_delay \"$1\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        script("bash")
    );
    let output = Command::new("bash").args(["-c", &asked, "bash"]).args(words).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(String::from).collect()
}

#[test]
fn bash_completes_options_and_what_they_take() {
    assert_eq!(offered(&["smtp-delayd", "--delay-s"]), ["--delay-static"]);
    assert_eq!(offered(&["/usr/sbin/smtp-delayd", "-c", "40", "--pid"]), ["--pidfile"]);
    assert_eq!(offered(&["smtp-delay", "--no-l"]), ["--no-lookup"]);
    assert!(offered(&["smtp-delayd", "-u", "roo"]).contains(&"root".to_string()));
    assert!(offered(&["smtp-delayd", "--known", "/de"]).contains(&"/dev".to_string()));
    assert_eq!(offered(&["smtp-delayd", "--delay", ""]), ["compopt +o default"]);
    assert!(offered(&["smtp-delayd", "--rules", ""]).is_empty(), "files are bash's");
    assert_eq!(offered(&["smtp-delayctl", "cl"]), ["classify"]);
    assert_eq!(offered(&["smtp-delayctl", "classify", "--std"]), ["--stdin"]);
}

#[test]
fn zsh_reads_its_script() {
    needs!("zsh");
    let file = directory().join("_smtp-delay");
    std::fs::write(&file, script("zsh")).unwrap();
    let output = Command::new("zsh").arg("-n").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
