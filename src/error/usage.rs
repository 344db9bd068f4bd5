//! What is wrong with a command line, or with a setting.

use std::fmt;

use super::cause::Cause;

/// What is wrong with a command line, or with a setting in a file.
#[derive(Debug)]
pub enum Usage {
    /// An option that does not exist.
    UnknownOption {
        /// As it was typed, such as `-Z` or `--dely`.
        option: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// A command that does not exist.
    UnknownCommand {
        /// As it was typed.
        command: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// An option without the value that it takes.
    MissingValue {
        /// The option, such as `-c` or `--delay`.
        option: String,
        /// What its value is called.
        takes: &'static str,
    },
    /// An option or a command that takes this, and was given something else or nothing.
    Takes {
        /// The option or the command.
        what: String,
        /// What it takes.
        takes: &'static str,
    },
    /// A flag that was given a value.
    TakesNoValue(String),
    /// A value that its option does not take.
    Invalid {
        /// The option, such as `-c` or `--delay`.
        option: String,
        /// The value.
        value: String,
        /// What would have been right.
        why: Cause,
    },
    /// The same for a value that is not shown.
    Wrong {
        /// The option.
        option: String,
        /// What would have been right.
        why: Cause,
    },
    /// A value that is not a time.
    NoTime {
        /// The option.
        option: String,
        /// The value.
        value: String,
    },
    /// An operand that is neither an address nor a network.
    NoNetwork(String),
    /// Operands that are missing: `host, port and prog`.
    Missing(Operands),
    /// An operand that is not UTF-8.
    NotUtf8(&'static str),
    /// There are more operands than this last one.
    Behind(String),
    /// A program for the demo, which runs none.
    DemoRunsNone(String),
    /// Options of another command.
    OnlyFor {
        /// The options.
        options: &'static str,
        /// Their command.
        command: &'static str,
    },
    /// An option of a link that talks to the client, where the link is not to talk.
    Talks(&'static str),
    /// Two settings that do not go together.
    Conflict {
        /// What is wrong with them.
        conflict: Conflict,
        /// Where each of them is, unless both are on the command line.
        places: Option<[String; 2]>,
    },
    /// What the reader of its words, or of a value, says.
    Unreadable(Cause),
}

/// Operands that are missing: the first of them, and all after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// Where to listen, and what follows.
    Host,
    /// The port, and what follows.
    Port,
    /// The program.
    Program,
    /// A client's address.
    Address,
}

/// Two settings that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Two sources of rules.
    Rules,
    /// The pidfile is the scoreboard.
    SameFile,
    /// More idle children are to be kept at least than at most.
    Idle {
        /// `--min-idle`.
        least: usize,
        /// `--max-idle`.
        most: usize,
    },
}

/// The words that may have been meant by another, or none.  Displayed behind a message
/// about that word: `: did you mean --delay?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hint(pub Vec<String>);

impl Usage {
    /// What tcpserver says of the same, if it does.
    pub(super) fn tcpserver_message(&self) -> Option<String> {
        match self {
            Self::UnknownOption { option, .. } => {
                letter(option).map(|letter| format!("illegal option -- {letter}"))
            }
            Self::MissingValue { option, .. } => {
                letter(option).map(|letter| format!("option requires an argument -- {letter}"))
            }
            _ => None,
        }
    }
}

/// The letter of an option that is one.
fn letter(option: &str) -> Option<&str> {
    option.strip_prefix('-').filter(|rest| !rest.starts_with('-'))
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOption { option, hint } => {
                write!(f, "unknown option {}{hint}", option.escape_debug())
            }
            Self::UnknownCommand { command, hint } => {
                write!(f, "unknown command {}{hint}", command.escape_debug())
            }
            Self::MissingValue { option: what, takes } | Self::Takes { what, takes } => {
                write!(f, "{what} takes {takes}")
            }
            Self::TakesNoValue(option) => write!(f, "{option} takes no value"),
            Self::Invalid { option, value, why } => {
                write!(f, "unable to use {option} `{}': {why}", Shown(value))
            }
            Self::Wrong { option, why } => write!(f, "{option}: {why}"),
            Self::NoTime { option, value } => {
                let (value, such) = (Shown(value), "2026-11-27, 2026-11-27T06:50, yesterday or 7d");
                write!(f, "{option} takes a time such as {such}, not `{value}`")
            }
            Self::NoNetwork(text) => {
                let text = Shown(text);
                write!(f, "unable to use `{text}': it is neither an address nor a network")
            }
            Self::Missing(operands) => operands.fmt(f),
            Self::NotUtf8(operand) => write!(f, "unable to use {operand}: it is not UTF-8"),
            Self::Behind(last) => write!(f, "there is something behind {last}"),
            Self::DemoRunsNone(program) => {
                write!(f, "--demo runs no program, {program} is left over")
            }
            Self::OnlyFor { options, command } => write!(f, "{options} are for {command}"),
            Self::Talks(option) => {
                write!(f, "{option} talks to the client: it takes -S (--early refuse)")
            }
            Self::Conflict { conflict, places: Some([one, other]) } => {
                write!(f, "{conflict} ({one}, {other})")
            }
            Self::Conflict { conflict, places: None } => conflict.fmt(f),
            Self::Unreadable(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for Operands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host, port and prog are missing",
            Self::Port => "port and prog are missing",
            Self::Program => "prog is missing",
            Self::Address => "IP is missing",
        })
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules => f.write_str("-x and --rules exclude each other"),
            Self::SameFile => f.write_str("--pidfile and --scoreboard are the same file"),
            Self::Idle { least, most } => {
                write!(f, "--min-idle {least} is more than --max-idle {most}")
            }
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => Ok(()),
            words => write!(f, ": did you mean {}?", words.join(" or ")),
        }
    }
}

/// The beginning of a value, as it was typed.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().take(60).try_for_each(|letter| letter.escape_debug().fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_has_its_message() {
        use Usage::*;
        let hint = || Hint(vec!["--delay".into(), "--early".into()]);
        let places = Some(["command line".into(), "/f line 1".into()]);
        for (usage, message) in [
            (
                UnknownOption { option: "--dely\n".into(), hint: hint() },
                "unknown option --dely\\n: did you mean --delay or --early?",
            ),
            (UnknownCommand { command: "x".into(), hint: Hint::default() }, "unknown command x"),
            (MissingValue { option: "-c".into(), takes: "N" }, "-c takes N"),
            (Takes { what: "pid".into(), takes: "FILE" }, "pid takes FILE"),
            (TakesNoValue("--daemon".into()), "--daemon takes no value"),
            (
                Invalid { option: "-c".into(), value: "a\n".into(), why: "no".into() },
                "unable to use -c `a\\n': no",
            ),
            (Wrong { option: "--known-days".into(), why: "no".into() }, "--known-days: no"),
            (
                NoTime { option: "--since".into(), value: "soon".into() },
                "--since takes a time such as 2026-11-27, 2026-11-27T06:50, yesterday or 7d, \
                 not `soon`",
            ),
            (NoNetwork("x".into()), "unable to use `x': it is neither an address nor a network"),
            (Missing(Operands::Host), "host, port and prog are missing"),
            (Missing(Operands::Port), "port and prog are missing"),
            (Missing(Operands::Program), "prog is missing"),
            (Missing(Operands::Address), "IP is missing"),
            (NotUtf8("host"), "unable to use host: it is not UTF-8"),
            (Behind("NAME".into()), "there is something behind NAME"),
            (DemoRunsNone("p".into()), "--demo runs no program, p is left over"),
            (OnlyFor { options: "--a and --b", command: "c" }, "--a and --b are for c"),
            (Talks("--teaser"), "--teaser talks to the client: it takes -S (--early refuse)"),
            (
                Conflict { conflict: super::Conflict::Rules, places },
                "-x and --rules exclude each other (command line, /f line 1)",
            ),
            (
                Conflict { conflict: super::Conflict::SameFile, places: None },
                "--pidfile and --scoreboard are the same file",
            ),
            (
                Conflict { conflict: super::Conflict::Idle { least: 9, most: 3 }, places: None },
                "--min-idle 9 is more than --max-idle 3",
            ),
            (Unreadable("no".into()), "no"),
        ] {
            assert_eq!(usage.to_string(), message);
        }
    }
}
