//! A syslog daemon that does what a test wants: it reads, stops reading, goes.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wait_until;

/// A socket like /dev/log, and what has come in by it.
pub struct FakeSyslog {
    path: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    reads: Arc<AtomicBool>,
    runs: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl FakeSyslog {
    /// Binds a socket at `path`, and reads from it.
    pub fn start(path: &Path) -> Self {
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (reads, runs) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let (to, on, live) = (Arc::clone(&lines), Arc::clone(&reads), Arc::clone(&runs));
        let reader = thread::spawn(move || {
            let mut buffer = [0; 9000];
            while live.load(Ordering::SeqCst) {
                if !on.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                } else if let Ok(length) = socket.recv(&mut buffer) {
                    to.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into());
                }
            }
        });
        Self { path: path.into(), lines, reads, runs, reader: Some(reader) }
    }

    /// Leaves what comes in the queue.
    pub fn pause(&self) {
        self.reads.store(false, Ordering::SeqCst);
    }

    /// Goes, and its socket with it.
    pub fn stop(&mut self) {
        self.runs.store(false, Ordering::SeqCst);
        // Another one may have its place already.
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// The messages that start with `start`, behind the tag.
    pub fn lines(&self, start: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let behind = lines.iter().filter_map(|line| line.split_once("]: ").map(|(_, text)| text));
        behind.filter(|text| text.starts_with(start)).map(String::from).collect()
    }

    /// All messages, without their priority.
    pub fn messages(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter_map(|line| Some(line.split_once('>')?.1.to_string())).collect()
    }

    /// Whether a whole message starts so, priority and tag included.
    pub fn has(&self, start: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|line| line.starts_with(start))
    }

    /// Waits for a message that starts with `start`, behind the tag.
    #[track_caller]
    pub fn wait_for(&self, start: &str) -> String {
        let what = format!("`{start}' in syslog");
        wait_until(&what, || self.lines(start).pop())
    }
}

impl Drop for FakeSyslog {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            eprintln!("--- syslog\n{}\n---", self.lines.lock().unwrap().join("\n"));
        }
    }
}
