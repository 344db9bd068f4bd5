//! `smtp-delayctl completions SHELL`: what a shell completes behind our programs, from the
//! tables of their options.

use std::ffi::OsString;
use std::io::{self, Write};

use super::failure::Failure;
use crate::error::Usage;
use crate::options::classify::CLASSIFY;
use crate::options::command_line::CommandLine;
use crate::options::daemon::DAEMON;
use crate::options::link::LINK;
use crate::options::table::Opt;

/// Prints a script for `bash` or `zsh`; `commands` are those of smtp-delayctl.
///
/// # Errors
/// Another shell, or none: 100.
pub fn run(arguments: &[OsString], commands: &[&str]) -> Result<(), Failure> {
    let script = match arguments {
        [shell] if shell == "bash" => bash(commands),
        [shell] if shell == "zsh" => zsh(commands),
        _ => {
            let what = "completions".into();
            return Err(Usage::Takes { what, takes: "bash or zsh" }.into());
        }
    };
    io::stdout().write_all(script.as_bytes()).map_err(Failure::of_output)
}

/// What an argument names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    File,
    Directory,
    User,
    Group,
    Other,
}

impl Named {
    fn by(argument: &str) -> Self {
        match argument {
            "FILE" | "PATH" | "CDB" => Self::File,
            "DIR" => Self::Directory,
            "USER" => Self::User,
            "GROUP" => Self::Group,
            _ => Self::Other,
        }
    }

    /// bash's action for it.  Without an answer bash offers files.
    fn in_bash(self) -> &'static str {
        match self {
            Self::File => "return",
            Self::Directory => "_smtp_delay_offer -d; return",
            Self::User => "_smtp_delay_offer -u; return",
            Self::Group => "_smtp_delay_offer -g; return",
            Self::Other => "compopt +o default; return",
        }
    }

    /// zsh's action for it (zshcompsys, `_arguments`).
    fn in_zsh(self) -> &'static str {
        match self {
            Self::File => "_files",
            Self::Directory => "_files -/",
            Self::User => "_users",
            Self::Group => "_groups",
            Self::Other => "",
        }
    }
}

/// All that stand for an option: its name, and a letter if it has one besides.
fn words(line: &CommandLine, opt: &Opt) -> Vec<String> {
    let letter = opt.long.and_then(|long| line.letter_of(long));
    [Some(opt.written()), letter.map(|letter| format!("-{letter}"))].into_iter().flatten().collect()
}

fn bash(commands: &[&str]) -> String {
    let commands = commands.join(" ");
    let [daemon, link, classify] = [&DAEMON, &LINK, &CLASSIFY].map(bash_options);
    format!(
        "\
# bash completion of smtp-delayd, smtp-delay and smtp-delayctl.
_smtp_delay_offer() {{
    mapfile -t COMPREPLY < <(compgen \"$@\" -- \"${{COMP_WORDS[COMP_CWORD]}}\")
}}
_smtp_delay() {{
    local before=${{COMP_WORDS[COMP_CWORD - 1]}} options=
    COMPREPLY=()
    case ${{1##*/}} in
    smtp-delayd)
{daemon}        ;;
    smtp-delay)
{link}        ;;
    smtp-delayctl)
        [ \"$COMP_CWORD\" -gt 1 ] || {{ _smtp_delay_offer -W '{commands}'; return; }}
        [ \"${{COMP_WORDS[1]}}\" = classify ] || return
{classify}        ;;
    esac
    case ${{COMP_WORDS[COMP_CWORD]}} in
    -*) _smtp_delay_offer -W \"$options\" ;;
    esac
}}
complete -o default -F _smtp_delay smtp-delayd smtp-delay smtp-delayctl
"
    )
}

/// The options of a program, and what its arguments are.
fn bash_options(line: &CommandLine) -> String {
    let all: Vec<String> = line.all().flat_map(|opt| words(line, opt)).collect();
    let kinds = [Named::File, Named::Directory, Named::User, Named::Group, Named::Other];
    let cases: String = kinds.into_iter().filter_map(|kind| bash_case(line, kind)).collect();
    let all = all.join(" ");
    format!("        options='{all}'\n        case $before in\n{cases}        esac\n")
}

fn bash_case(line: &CommandLine, kind: Named) -> Option<String> {
    let of_kind = |opt: &&Opt| opt.argument.is_some_and(|argument| Named::by(argument) == kind);
    let words: Vec<String> = line.all().filter(of_kind).flat_map(|opt| words(line, opt)).collect();
    let action = kind.in_bash();
    (!words.is_empty()).then(|| format!("        {}) {action} ;;\n", words.join(" | ")))
}

fn zsh(commands: &[&str]) -> String {
    let commands = commands.join(" ");
    let [daemon, link, classify] = [&DAEMON, &LINK, &CLASSIFY].map(zsh_options);
    format!(
        "\
#compdef smtp-delayd smtp-delay smtp-delayctl
# zsh completion of smtp-delayd, smtp-delay and smtp-delayctl.
_smtp-delayd() {{
    _arguments -s \\
{daemon}        ':host:_hosts' ':port:' ':program:_command_names -e' '*::argument:_normal'
}}
_smtp-delay() {{
    _arguments -s \\
{link}        ':program:_command_names -e' '*::argument:_normal'
}}
_smtp-delayctl() {{
    if (( CURRENT == 2 )); then
        compadd -- {commands}
    elif [[ $words[2] == classify ]]; then
        shift words
        (( CURRENT-- ))
        _arguments -s \\
{classify}            ':address:' ':name:_hosts'
    else
        _files
    fi
}}
_$service \"$@\"
"
    )
}

fn zsh_options(line: &CommandLine) -> String {
    let specs = line.all().flat_map(|opt| {
        let words = words(line, opt);
        words.into_iter().map(move |word| format!("        '{}' \\\n", zsh_option(&word, opt)))
    });
    specs.collect::<Vec<_>>().concat()
}

/// An option as `_arguments` reads it, in single quotes.
fn zsh_option(word: &str, opt: &Opt) -> String {
    let repeated = if opt.repeats { "*" } else { "" };
    let help = escaped(opt.help);
    let argument = opt
        .argument
        .map(|argument| format!(":{}:{}", escaped(argument), Named::by(argument).in_zsh()));
    format!("{repeated}{word}[{help}]{}", argument.unwrap_or_default())
}

fn escaped(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter {
        '[' | ']' | ':' | '\\' => format!("\\{letter}"),
        '\'' => "'\\''".into(),
        letter => letter.into(),
    });
    letters.collect::<Vec<String>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: [&str; 2] = ["status", "classify"];

    #[test]
    fn every_option_is_completed() {
        let (bash, zsh) = (bash(&COMMANDS), zsh(&COMMANDS));
        for line in [&DAEMON, &LINK, &CLASSIFY] {
            for opt in line.all() {
                for word in words(line, opt) {
                    let in_bash = bash.split([' ', '\'', '\n', ')']).any(|known| known == word);
                    assert!(in_bash, "{word} in bash");
                    let start = if opt.repeats { "'*" } else { "'" };
                    assert!(zsh.contains(&format!("{start}{word}[")), "{word} in zsh");
                }
            }
        }
        for command in COMMANDS {
            assert!(bash.contains(command) && zsh.contains(command), "{command}");
        }
    }

    #[test]
    fn what_zsh_reads_as_its_own_is_escaped() {
        assert_eq!(escaped("don't [40]: a\\b"), "don'\\''t \\[40\\]\\: a\\\\b");
    }

    #[test]
    fn only_two_shells_are_known() {
        for arguments in [&[][..], &["fish"], &["bash", "zsh"]] {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            assert_eq!(run(&arguments, &COMMANDS).unwrap_err().exit_code(), crate::error::USAGE);
        }
    }
}
