//! `getent`(1), which asks all services of nsswitch.conf(5).

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// By its path: a start as root trusts no `PATH`.
const PROGRAM: &str = "/usr/bin/getent";
/// How long it may take; services over a network retry by themselves.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes that are read: a user may be in 65,536 groups.
const LARGEST: u64 = 1 << 20;
/// Names that are longer are nobody's, and may be too long for a command line.
const LONGEST: usize = 255;
/// Its exit code for what no service has.
const ABSENT: i32 = 2;
/// How often its end is looked for once it has closed its output.
const PAUSE: Duration = Duration::from_millis(1);

/// What getent prints about `key` of the database that `words` name; nothing if no
/// service has it, or if it is no name: getent would read a number as an id, and what
/// begins with a hyphen as an option.
///
/// # Errors
/// If getent cannot be run, fails, or does not answer within 10 s.
pub(super) fn ask(words: &[&str], key: &str) -> io::Result<Option<String>> {
    if !is_name(key) {
        return Ok(None);
    }
    run(words, key)
}

/// The same for an id.
///
/// # Errors
/// As [`ask`].
pub(super) fn ask_for_id(database: &str, id: u32) -> io::Result<Option<String>> {
    run(&[database], &id.to_string())
}

fn run(words: &[&str], key: &str) -> io::Result<Option<String>> {
    let mut command = Command::new(PROGRAM);
    command.args(words).arg(key);
    let answer = answer_of(command, PATIENCE);
    answer.map_err(|why| io::Error::new(why.kind(), format!("{PROGRAM}: {why}")))
}

fn is_name(key: &str) -> bool {
    let is_number = key.bytes().all(|byte| byte.is_ascii_digit());
    let is_option = key.starts_with(['-', '+', ' ']);
    let fits = key.len() <= LONGEST;
    fits && !is_number
        && !is_option
        && !key.contains(|letter: char| letter == ':' || letter.is_control())
}

/// What a program prints with nothing in its environment, within so long.
fn answer_of(mut command: Command, patience: Duration) -> io::Result<Option<String>> {
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let until = Instant::now() + patience;
    let mut running = Running(command.spawn()?);
    let output = running.read_until(until)?;
    let status = running.wait_until(until)?;
    match status.code() {
        Some(0) => {
            String::from_utf8(output).map(Some).map_err(|_| io::Error::other("it prints no text"))
        }
        Some(ABSENT) => Ok(None),
        _ => Err(io::Error::other(format!("it ended with {status}"))),
    }
}

/// A process that does not outlive its question.
struct Running(Child);

impl Running {
    fn read_until(&mut self, until: Instant) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        let Some(pipe) = &mut self.0.stdout else { return Ok(output) };
        let mut chunk = [0; 4096];
        loop {
            wait_for_input(&*pipe, until)?;
            match pipe.read(&mut chunk)? {
                0 => return Ok(output),
                length => output.extend_from_slice(&chunk[..length]),
            }
            if output.len() as u64 > LARGEST {
                return Err(io::Error::other("it prints too much"));
            }
        }
    }

    fn wait_until(&mut self, until: Instant) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            rest(until)?;
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for_input(pipe: impl AsFd, until: Instant) -> io::Result<()> {
    loop {
        let timeout = PollTimeout::try_from(rest(until)?).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => (),
            Ok(_) => return Ok(()),
            Err(why) => return Err(why.into()),
        }
    }
}

/// What is left until then.
fn rest(until: Instant) -> io::Result<Duration> {
    let rest = until.saturating_duration_since(Instant::now());
    if rest.is_zero() { Err(io::Error::other("it does not answer")) } else { Ok(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(script: &str, patience: Duration) -> Result<Option<String>, String> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env("SECRET", "x");
        answer_of(command, patience).map_err(|why| why.to_string())
    }

    #[test]
    fn an_answer_is_text_and_an_exit_code() {
        let answer = |script| answer(script, PATIENCE);
        assert_eq!(answer("echo one; exec >&-; sleep 0.1"), Ok(Some("one\n".into())));
        assert_eq!(answer("echo $SECRET"), Ok(Some("\n".into())));
        assert_eq!(answer("exit 2"), Ok(None));
        assert_eq!(answer("echo one; exit 1"), Err("it ended with exit status: 1".into()));
        assert!(answer("kill -9 $$").unwrap_err().contains("signal: 9"));
        assert_eq!(answer("printf '\\377'"), Err("it prints no text".into()));
        assert_eq!(answer("while echo $$; do :; done"), Err("it prints too much".into()));
    }

    #[test]
    fn a_program_that_does_not_answer_is_ended() {
        let began = Instant::now();
        for script in ["sleep 60", "exec >&-; sleep 60", "echo one; sleep 60"] {
            let short = Duration::from_millis(50);
            assert_eq!(answer(script, short), Err("it does not answer".into()));
        }
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn getent_is_asked_for_names_only() {
        let long = "x".repeat(1 << 20);
        for name in ["", "0", "4294967296", "-s", "+1", " 1", "a:b", "a\nb", &long] {
            assert_eq!(ask(&["passwd"], name).unwrap(), None, "{name:?}");
        }
        assert!(ask(&["passwd"], "root").unwrap().unwrap().starts_with("root:"));
        assert_eq!(ask_for_id("passwd", 0).unwrap(), ask(&["passwd"], "root").unwrap());
        assert_eq!(ask(&["passwd"], "nosuchuser").unwrap(), None);
    }
}
