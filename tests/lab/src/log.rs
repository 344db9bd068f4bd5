//! What a program writes to standard error, line by line as it comes.

use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::wait_until;

/// Lines that a program has written so far.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    shown: String,
}

impl Log {
    /// The lines of `stream`, which comes from the command `shown`.
    pub fn of(shown: &str, stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let over = Arc::<AtomicBool>::default();
        let log = Self { lines: Arc::clone(&lines), over: Arc::clone(&over), shown: shown.into() };
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            }
            over.store(true, Ordering::SeqCst);
        });
        log
    }

    /// Waits for the last line: no process is left that could write.
    #[track_caller]
    pub fn wait_for_end(&self) {
        let what = format!("the end of what {} writes", self.shown);
        wait_until(&what, || self.over.load(Ordering::SeqCst).then_some(()));
    }

    /// The lines so far that start with `start`.
    pub fn lines(&self, start: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.starts_with(start)).cloned().collect()
    }

    /// Waits for a line that starts with `start`.
    #[track_caller]
    pub fn wait_for(&self, start: &str) -> String {
        self.wait_for_lines(start, 1).remove(0)
    }

    /// Waits for `count` lines that start with `start`.
    #[track_caller]
    pub fn wait_for_lines(&self, start: &str, count: usize) -> Vec<String> {
        let what = format!("{count} lines `{start}' of {}", self.shown);
        wait_until(&what, || {
            let lines = self.lines(start);
            (lines.len() >= count).then_some(lines)
        })
    }

    /// All lines so far.
    pub fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}
