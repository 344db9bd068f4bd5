//! A process that shares our memory until it execs a program, and is our sibling.  It costs
//! as little as a fork can, since nothing is copied.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::num::NonZeroUsize;
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use nix::unistd::Pid;

/// The size of its stack, in bytes, and of the guard page below.
const STACK: usize = 128 << 10;
const GUARD: usize = 4 << 10;

/// A stack for such processes, one at a time.
pub struct Stack {
    lowest: NonNull<c_void>,
}

impl Stack {
    /// Reserves address space; memory is used only once it is written.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new() -> nix::Result<Self> {
        let size = NonZeroUsize::new(GUARD + STACK).ok_or(Errno::EINVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
        // SAFETY: a new anonymous mapping aliases nothing that exists.
        let lowest = unsafe { mmap_anonymous(None, size, access, flags)? };
        let stack = Self { lowest };
        // SAFETY: the page is the mapping's own, and is not used.
        unsafe { mprotect(lowest, GUARD, ProtFlags::PROT_NONE)? };
        Ok(stack)
    }

    fn top(&self) -> *mut c_void {
        self.lowest.as_ptr().wrapping_byte_add(GUARD + STACK)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no process runs on it: `spawn_program` returns
        // only once that is so.
        let _ = unsafe { munmap(self.lowest, GUARD + STACK) };
    }
}

struct Job<'a> {
    work: &'a mut dyn FnMut() -> Errno,
    failed: Option<Errno>,
}

/// The outcome of a process that was to exec a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spawned {
    /// It did; this is its process id.
    Program(Pid),
    /// It failed with this error, and ends.
    Failure(Errno),
    /// It was killed before.
    Killed,
}

/// Whether a process is in execve(2): if it does not return, the program runs.
static EXECS: AtomicBool = AtomicBool::new(false);

extern "C" fn run(job: *mut c_void) -> c_int {
    // SAFETY: `spawn_program` passes a job that nothing else touches while this runs.
    let job = unsafe { &mut *job.cast::<Job<'_>>() };
    job.failed = Some((job.work)());
    0
}

/// Makes a new process do `work`, which is to end in execve(2), and waits until it
/// does: the process shares our memory, but has its own descriptors and signal
/// dispositions.  It is a child of our parent.  The kernel writes its process id to
/// `pid` before it runs.
///
/// If `work` returns, the process ends with exit code 0; the error is what it returned.
/// It must not panic.
///
/// # Errors
/// EAGAIN, ENOMEM: there is no process.
pub fn spawn_program(
    stack: &Stack,
    pid: &AtomicU64,
    work: &mut dyn FnMut() -> Errno,
) -> nix::Result<Spawned> {
    EXECS.store(false, Ordering::Relaxed);
    let mut job = Job { work, failed: None };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT | libc::SIGCHLD;
    let flags = flags | libc::CLONE_PARENT_SETTID;
    let (job_pointer, pid_word) = ((&raw mut job).cast(), pid.as_ptr().cast::<libc::pid_t>());
    let none = null_mut::<c_void>();
    // SAFETY: we are single-threaded, and stopped (CLONE_VFORK) until the new process execs
    // or ends, so that it alone uses our memory; nothing else uses its stack; `pid_word`
    // has room for a pid_t.
    let pid = unsafe { libc::clone(run, stack.top(), flags, job_pointer, pid_word, none, none) };
    let pid = Errno::result(pid).map(Pid::from_raw)?;
    let executed = EXECS.swap(false, Ordering::Relaxed);
    let unexplained = if executed { Spawned::Program(pid) } else { Spawned::Killed };
    Ok(job.failed.map_or(unexplained, Spawned::Failure))
}

/// The process id that the kernel wrote, or [`put_pid`].
#[must_use]
pub fn pid_in(word: &AtomicU64) -> u32 {
    let [a, b, c, d, ..] = word.load(Ordering::Acquire).to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// Writes a process id as the kernel would.
pub fn put_pid(word: &AtomicU64, pid: u32) {
    let [a, b, c, d] = pid.to_ne_bytes();
    word.store(u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]), Ordering::Release);
}

/// Strings for execve(2), some of which are shared.
pub struct Strings {
    /// The strings that are not shared.
    _own: Vec<CString>,
    /// Pointers to all of them, null-terminated.
    pointers: Vec<*const c_char>,
}

impl Strings {
    /// Takes ownership of `owned`.
    #[must_use]
    pub fn new(own: Vec<CString>) -> Self {
        Self::beside(&[], |_| true, own)
    }

    /// The strings of `shared` for whose index `keeps` returns true, then `own`.
    #[must_use]
    pub fn beside(
        shared: &'static [CString],
        keeps: impl Fn(usize) -> bool,
        own: Vec<CString>,
    ) -> Self {
        let mut pointers = Vec::with_capacity(shared.len() + own.len() + 1);
        let kept = shared.iter().enumerate().filter(|(place, _)| keeps(*place));
        pointers.extend(kept.map(|(_, string)| string.as_ptr()));
        pointers.extend(own.iter().map(|string| string.as_ptr()));
        pointers.push(null());
        Self { _own: own, pointers }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        let pointers = self.pointers.iter().take_while(|pointer| !pointer.is_null());
        // SAFETY: they point to strings that live as long as we do, or for ever.
        pointers.map(|pointer| unsafe { CStr::from_ptr(*pointer) })
    }
}

/// execve(2), without allocating: what is allocated before a successful exec would stay
/// allocated in the process that shares the memory.
#[must_use]
pub fn exec(file: &CString, arguments: &Strings, environment: &Strings) -> Errno {
    let (arguments, environment) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    EXECS.store(true, Ordering::Relaxed);
    // SAFETY: all strings end in NUL, both arrays in null, and they live until this
    // returns.
    unsafe { libc::execve(file.as_ptr(), arguments, environment) };
    let why = Errno::last();
    EXECS.store(false, Ordering::Relaxed);
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::getpid;

    #[test]
    fn what_became_of_a_process_is_known() {
        let (stack, pid) = (Stack::new().unwrap(), AtomicU64::new(0));
        let outcome = |work: &mut dyn FnMut() -> Errno| spawn_program(&stack, &pid, work).unwrap();
        let words = |words: &[&str]| {
            Strings::new(words.iter().map(|word| CString::new(*word).unwrap()).collect())
        };
        let (none, arguments) = (words(&[]), words(&["true"]));
        let file = |name: &str| CString::new(name).unwrap();
        let (there, missing) = (file("/bin/true"), file("/nonexistent"));
        let started = outcome(&mut || exec(&there, &arguments, &none));
        assert!(
            matches!(started, Spawned::Program(child) if child.as_raw().unsigned_abs() == pid_in(&pid))
        );
        let failure = outcome(&mut || exec(&missing, &arguments, &none));
        assert_eq!(failure, Spawned::Failure(Errno::ENOENT));
        let killed = outcome(&mut || {
            let _ = kill(getpid(), Signal::SIGKILL);
            Errno::EINTR
        });
        assert_eq!(killed, Spawned::Killed);
        assert!(pid_in(&pid) > 0);
    }
}
