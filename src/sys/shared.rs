//! Memory that processes share.

use std::fs::File;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use zerocopy::FromBytes;

const ACCESS: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// Zeroed memory, aligned for any type, that this process and all that it forks share, for
/// as long as any of them lives.  Before it forks it has to become references to atomics,
/// as zerocopy makes them: others write to it from then on.
///
/// # Errors
/// ENOMEM, also if it exceeds an address space limit (`softlimit -m`).
pub fn shared_memory(bytes: usize) -> nix::Result<&'static mut [u8]> {
    let size = NonZeroUsize::new(bytes).ok_or(Errno::EINVAL)?;
    // SAFETY: a new anonymous mapping aliases nothing that exists.
    let memory = unsafe { mmap_anonymous(None, size, ACCESS, MapFlags::MAP_SHARED)? };
    // SAFETY: the mapping is `bytes` long, zeroed, never unmapped, and not used yet.
    Ok(unsafe { std::slice::from_raw_parts_mut(memory.as_ptr().cast(), bytes) })
}

/// The first `bytes` of `file`, in the same way.  The file must have that size, be this
/// process's own still, and never be shortened.
///
/// # Errors
/// ENOMEM, or a file that cannot be mapped.
pub fn shared_memory_of(file: &File, bytes: usize) -> nix::Result<&'static mut [u8]> {
    let size = NonZeroUsize::new(bytes).ok_or(Errno::EINVAL)?;
    // SAFETY: a new mapping aliases nothing in this process.
    let memory = unsafe { mmap(None, size, ACCESS, MapFlags::MAP_SHARED, file, 0)? };
    // SAFETY: as for memory without a file.
    Ok(unsafe { std::slice::from_raw_parts_mut(memory.as_ptr().cast(), bytes) })
}

/// Zeroed words that this process and all that it forks share.
///
/// # Errors
/// As [`shared_memory`].
pub fn shared_words(count: usize) -> nix::Result<&'static [AtomicU64]> {
    let bytes = count.checked_mul(size_of::<AtomicU64>()).ok_or(Errno::EINVAL)?;
    let words = <[AtomicU64]>::mut_from_bytes(shared_memory(bytes)?);
    words.map(|words| &*words).map_err(|_| Errno::EINVAL)
}
