//! A file of log lines, opened according to its contents: plain, gzip, xz, zstd; or
//! standard input.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::bufread::MultiGzDecoder;

use super::moment::Moment;

/// Bytes that are read, and passed from one thread to another, at a time.
const CHUNK: usize = 128 * 1024;
/// The most chunks that may wait for the reader.
const CHUNKS: usize = 8;

const GZIP: &[u8] = &[0x1f, 0x8b];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A file that was opened.
pub struct Source {
    /// Its text.
    pub text: Box<dyn BufRead>,
    /// When it was last written.
    pub written: Moment,
}

/// Opens `path`, or standard input for `-`.  `done` counts the bytes that were read, before
/// decompression.
///
/// # Errors
/// A file that cannot be opened, or a program to decompress it that cannot be run.
pub fn open(path: &OsStr, done: &Arc<AtomicU64>) -> io::Result<Source> {
    let (input, written): (Box<dyn Read + Send>, _) = if path == "-" {
        (Box::new(io::stdin()), SystemTime::now())
    } else {
        let file = File::open(path)?;
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let written = if about.is_file() { about.modified()? } else { SystemTime::now() };
        (Box::new(file), written)
    };
    let counted = Counted { input, done: Arc::clone(done) };
    let text = decompressed(counted)?;
    Ok(Source { text, written: moment(written) })
}

/// The size of all `paths` together, in bytes; `None` if it is not known.
#[must_use]
pub fn total(paths: &[impl AsRef<Path>]) -> Option<u64> {
    let length =
        |path: &Path| path.metadata().ok().filter(fs::Metadata::is_file).map(|it| it.len());
    paths.iter().map(|path| length(path.as_ref())).sum()
}

fn moment(time: SystemTime) -> Moment {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn decompressed(mut input: Counted) -> io::Result<Box<dyn BufRead>> {
    let mut start = Vec::new();
    input.by_ref().take(XZ.len() as u64).read_to_end(&mut start)?;
    let starts_with = |magic| start.starts_with(magic);
    let (gzip, xz, zstd) = (starts_with(GZIP), starts_with(XZ), starts_with(ZSTD));
    let whole = Cursor::new(start).chain(input);
    Ok(match () {
        () if gzip => {
            let decoder = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, whole));
            Box::new(BufReader::with_capacity(CHUNK, in_a_thread(decoder)?))
        }
        () if xz => Box::new(BufReader::with_capacity(CHUNK, Program::run("xz", whole)?)),
        () if zstd => Box::new(BufReader::with_capacity(CHUNK, Program::run("zstd", whole)?)),
        () => Box::new(BufReader::with_capacity(CHUNK, whole)),
    })
}

/// Counts the bytes that are read.
struct Counted {
    input: Box<dyn Read + Send>,
    done: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.done.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// Reads `input` in another thread, since decompression is half of the work.
fn in_a_thread(mut input: impl Read + Send + 'static) -> io::Result<Chunks> {
    let (sender, chunks) = sync_channel(CHUNKS);
    let read = move || while send_chunk(&mut input, &sender) {};
    thread::Builder::new().spawn(read)?;
    Ok(Chunks { chunks, current: Cursor::new(Vec::new()) })
}

/// Whether there is more to send.
fn send_chunk(input: &mut impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) -> bool {
    let mut chunk = Vec::with_capacity(CHUNK);
    let read = input.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
    let more = read.is_ok() && !chunk.is_empty();
    let sent = chunk.is_empty() || sender.send(Ok(chunk)).is_ok();
    if let Err(why) = read {
        let _ = sender.send(Err(why));
    }
    more && sent
}

/// What a thread has read.
struct Chunks {
    chunks: Receiver<io::Result<Vec<u8>>>,
    current: Cursor<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.current.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            match self.chunks.recv() {
                Ok(chunk) => self.current = Cursor::new(chunk?),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// What a program that decompresses writes.
struct Program {
    name: &'static str,
    child: Child,
    output: ChildStdout,
}

impl Program {
    fn run(name: &'static str, mut input: impl Read + Send + 'static) -> io::Result<Self> {
        let unable =
            |why: io::Error| io::Error::new(why.kind(), format!("unable to run {name}: {why}"));
        let mut command = Command::new(name);
        command.args(["-d", "-c", "-q"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(unable)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(output)) = (stdin, stdout) else {
            return Err(io::Error::other("no pipe"));
        };
        thread::Builder::new().spawn(move || io::copy(&mut input, &mut stdin))?;
        Ok(Self { name, child, output })
    }
}

impl Read for Program {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.output.read(buffer)?;
        if length == 0 && !buffer.is_empty() {
            let status = self.child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!("{}: {status}", self.name)));
            }
        }
        Ok(length)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
