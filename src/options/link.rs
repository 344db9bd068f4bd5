//! The options of the chain link.

use std::ffi::OsString;

use super::command_line::CommandLine;
use super::delaying::{DELAYS, KNOWN, PROXIES, REFUSALS, early};
use super::table::{ANSWERS, Opt, flag, letter};
use super::{EarlyTalk, Options, RefuseBy, Verbosity};
use crate::error::{Fatal, Operands, Usage};

/// `smtp-delay [options] prog [arg ...]`.
pub static LINK: CommandLine = CommandLine {
    program: "smtp-delay",
    page: "smtp-delay(1)",
    usage: "smtp-delay [options] prog [arg ...]",
    about: "Under a UCSPI server such as tcpserver: makes an SMTP client wait, then runs prog.",
    options: &[OWN, DELAYS, PROXIES, KNOWN, EARLY, REFUSALS, ANSWERS],
    letters: &[('d', "delay-static"), ('D', "delay-dynamic"), ('N', "delay-none"), ('P', "hold")],
    place,
    check,
};

static OWN: &[Opt] = &[
    letter('S', "refuse early talkers; without it prog gets RBLSMTPD", |o| {
        o.early = EarlyTalk::Refuse;
    }),
    letter('v', "print a line for each decision", |o| o.verbosity = Verbosity::Verbose),
    flag("no-lookup", "a client without TCPREMOTEHOST has no name", |o| o.look_up = false),
];

static EARLY: &[Opt] = &[early("early talkers: refuse (-S), rblsmtpd or log [rblsmtpd]")];

fn place(options: &mut Options, operands: Vec<OsString>) -> Result<(), Fatal> {
    options.program = operands;
    if options.program.is_empty() {
        return Err(Usage::Missing(Operands::Program).into());
    }
    Ok(())
}

/// A link that does not refuse never writes to a client.
fn check(options: &mut Options) -> Vec<Fatal> {
    options.speaks = options.early == EarlyTalk::Refuse;
    let talks = [
        options.teaser.is_some().then_some("--teaser"),
        (options.refuse == RefuseBy::Talk).then_some("--refuse talk"),
    ];
    let talks = talks.into_iter().flatten().filter(|_| !options.speaks);
    talks.map(|option| Usage::Talks(option).into()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Delays;
    use super::super::parse::{Request, parse};
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match parse(&LINK, &words, Options::for_link()).request {
            Ok(Request::Run(options)) => Ok(*options),
            Ok(other) => panic!("{line}: {other:?}"),
            Err(rejected) => Err(Fatal::from(rejected).to_string()),
        }
    }

    #[test]
    fn letters_stand_for_long_options() {
        let short = read("-d1 -D 2.5 -N 3 -P 4 -vS prog -d 9").unwrap();
        let long = "--delay-static 1 --delay-dynamic 2.5 --delay-none 3 --hold 4 -v -S prog";
        let long = read(long).unwrap();
        for options in [&short, &long] {
            let Delays { of_static, dynamic, none, .. } = options.delays;
            let millis = [of_static, dynamic, none, options.hold].map(|time| time.as_millis());
            assert_eq!(millis, [1000, 2500, 3000, 4000]);
            assert!(options.speaks && options.early == EarlyTalk::Refuse);
        }
        assert_eq!(short.program, ["prog", "-d", "9"]);
    }

    #[test]
    fn it_does_not_write_to_clients_unless_asked() {
        let options = read("prog").unwrap();
        assert_eq!((options.early, options.speaks), (EarlyTalk::Rblsmtpd, false));
        assert_eq!(options.delays.none, Duration::from_secs(20));
        assert!(read("--early refuse prog").unwrap().speaks);
        assert!(!read("--early log prog").unwrap().speaks);
        assert!(read("--teaser x prog").unwrap_err().contains("--teaser talks to the client"));
        assert!(read("--refuse talk prog").unwrap_err().contains("it takes -S"));
        assert!(read("-S --refuse talk --teaser x prog").unwrap().teaser.is_some());
    }

    #[test]
    fn mistakes_are_reported() {
        assert!(read("-v").unwrap_err().contains("prog is missing"));
        assert!(read("-c 5 prog").unwrap_err().contains("unknown option -c"));
        assert!(read("-d soon prog").unwrap_err().contains("--delay-static `soon'"));
    }
}
