//! The only unsafe code: fork, signal handlers, shared memory, and the few
//! system calls that nix and std offer only as unsafe or on raw descriptors.
//! Everything here is safe to call; the rest of the crate denies unsafe.
#![allow(unsafe_code)]

mod descriptors;
mod memory;
mod passing;
mod process;
mod program;
mod shared;
mod signals;
mod sockets;
mod spawn;

pub use descriptors::{
    close_all_but, close_these, close_this, null, standard_error, standard_error_is_the_client,
    standard_input, standard_output, take_first_passed,
};
pub use memory::{Allocator, OnRefusal, on_refused_memory, share_one_heap};
pub use passing::{pass, receive};
pub use process::{errno, executed_path, is_shortage, monotonic_micros, random_u16, reap};
pub use program::{Spawned, Stack, Strings, exec, pid_in, put_pid, spawn_program};
pub use shared::{shared_memory, shared_memory_of, shared_words};
pub use signals::{
    Blocked, be_parent, count, ignore, reset, reset_all_signals, shut_down_when_orphaned,
    take_count,
};
pub use sockets::{accept_queue, kill_ip_options, peek, put, readable_bytes, send_to, take};
pub use spawn::{exit_now, spawn};
