//! The system's allocator, with a message if memory is refused: Rust's own ends in SIGABRT,
//! with a backtrace and without the limit.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::CStr;
use std::fmt::{self, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::descriptors::{standard_error, standard_error_is_the_client};
use super::process::executed_path;
use super::spawn::exit_now;

/// The exit code for temporary trouble, as in ucspi-tcp.
const TROUBLE: u8 = 111;
/// The most bytes of the message.
const MESSAGE: usize = 256;
/// Bytes that must be free beside the heap: without them Rust's runtime panics before
/// `main`, where it makes a stack for signal handlers.
const HEADROOM: NonZeroUsize = NonZeroUsize::new(32 << 10).unwrap();

/// One of [`OnRefusal`].
static ON_REFUSAL: AtomicU8 = AtomicU8::new(OnRefusal::Tell as u8);
/// Whether the headroom has been checked.
static IS_CHECKED: AtomicBool = AtomicBool::new(false);

/// How a process ends if memory is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefusal {
    /// With a line on standard error, and 111.
    Tell = 0,
    /// With SIGABRT alone: the process that reaps this one reports it.
    Abort = 1,
}

/// Sets how this process, and those that it forks, end if memory is refused.
pub fn on_refused_memory(how: OnRefusal) {
    ON_REFUSAL.store(how as u8, Ordering::Relaxed);
}

/// Lets all threads of this process share one heap.  The C library reserves 64 MB of
/// addresses for each thread otherwise, which shows in no other figure than `VSZ`.
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) sets a number, before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// The global allocator of a program.
pub struct Allocator {
    /// A limit that is enough for the program, in bytes, for the message.
    pub enough: usize,
}

impl Allocator {
    fn check_headroom(&self) {
        // Read before it is written: a page that a child writes is copied.
        if IS_CHECKED.load(Ordering::Relaxed) || IS_CHECKED.swap(true, Ordering::Relaxed) {
            return;
        }
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new anonymous mapping aliases nothing that exists.
        match unsafe { mmap_anonymous(None, HEADROOM, access, MapFlags::MAP_PRIVATE) } {
            Ok(memory) => {
                // SAFETY: it is ours alone, and was not used.
                let _ = unsafe { munmap(memory, HEADROOM.get()) };
            }
            Err(_) => self.refuse(HEADROOM.get()),
        }
    }

    fn granted(&self, memory: *mut u8, bytes: usize) -> *mut u8 {
        if memory.is_null() {
            self.refuse(bytes);
        }
        memory
    }

    #[cold]
    fn refuse(&self, bytes: usize) -> ! {
        if ON_REFUSAL.load(Ordering::Relaxed) == OnRefusal::Abort as u8 {
            std::process::abort();
        }
        if !standard_error_is_the_client() {
            self.tell(bytes);
        }
        exit_now(TROUBLE);
    }

    fn tell(&self, bytes: usize) {
        let mut line = Line { bytes: [0; MESSAGE], length: 0 };
        let program = executed_path().map(CStr::to_bytes).unwrap_or_default();
        let program = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let _ = write!(line, "{}: fatal: unable to allocate {bytes} bytes", program.escape_ascii());
        let _ = match limit() {
            Some(limit) => writeln!(
                line,
                ": the memory limit is {limit} bytes: raise it (softlimit -m {})",
                self.enough
            ),
            None => writeln!(line, ": out of memory"),
        };
        let _ = nix::unistd::write(standard_error(), &line.bytes[..line.length]);
    }
}

// SAFETY: it is the system's allocator, except that it ends the process if memory is
// refused.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.check_headroom();
        // SAFETY: what the caller promises is what the system's wants.
        self.granted(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.check_headroom();
        // SAFETY: as above.
        self.granted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; `old` came from the system's.
        self.granted(unsafe { System.realloc(old, layout, size) }, size)
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

/// The lowest of the limits that softlimit(8) sets.
fn limit() -> Option<u64> {
    let limits = [Resource::RLIMIT_AS, Resource::RLIMIT_DATA];
    let limits = limits.into_iter().filter_map(|limit| Some(getrlimit(limit).ok()?.0));
    limits.filter(|limit| *limit != RLIM_INFINITY).min()
}

/// Text in a fixed buffer; the end of a longer one is cut.
struct Line {
    bytes: [u8; MESSAGE],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let fitting = text.len().min(room.len());
        room[..fitting].copy_from_slice(&text.as_bytes()[..fitting]);
        self.length += fitting;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let mut line = Line { bytes: [0; MESSAGE], length: 0 };
        for _ in 0..MESSAGE {
            write!(line, "ab").unwrap();
        }
        assert_eq!(line.length, MESSAGE);
        assert!(line.bytes.ends_with(b"ab"));
    }
}
