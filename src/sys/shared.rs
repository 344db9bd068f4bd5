//! Memory that processes share.

use std::fs::File;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};

/// Zeroed memory that this process and all that it forks share, as long as one of them
/// lives.
///
/// # Errors
/// ENOMEM, also for an address space limit (`softlimit -m`).
pub fn shared_words(count: usize) -> nix::Result<&'static [AtomicU64]> {
    let bytes = count.checked_mul(size_of::<AtomicU64>()).and_then(NonZeroUsize::new);
    let bytes = bytes.ok_or(Errno::EINVAL)?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new anonymous mapping aliases nothing that exists.
    let memory = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_SHARED)? };
    // SAFETY: the mapping is page-aligned, `count` words long, zeroed (a valid
    // AtomicU64) and never unmapped.
    Ok(unsafe { std::slice::from_raw_parts(memory.as_ptr().cast::<AtomicU64>(), count) })
}

/// The first `count` words of `file`, shared by all processes that map it, as long as
/// this process lives.  The file must have that size, and must not be truncated.
///
/// # Errors
/// ENOMEM, or a file that cannot be mapped.
pub fn shared_words_of(file: &File, count: usize) -> nix::Result<&'static [AtomicU64]> {
    let bytes = count.checked_mul(size_of::<AtomicU64>()).and_then(NonZeroUsize::new);
    let bytes = bytes.ok_or(Errno::EINVAL)?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping aliases nothing in this process.
    let memory = unsafe { mmap(None, bytes, access, MapFlags::MAP_SHARED, file, 0)? };
    // SAFETY: as for memory without a file; any bytes are valid AtomicU64s, and
    // those who share them use atomics, too.
    Ok(unsafe { std::slice::from_raw_parts(memory.as_ptr().cast::<AtomicU64>(), count) })
}
