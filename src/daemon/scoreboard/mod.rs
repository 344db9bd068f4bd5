//! What each child is doing, in memory that the supervisor, its children and
//! smtp-delayctl share.
//!
//! No process takes a lock, and each may be killed between two instructions.  So every word
//! has few writers, each change is one atomic operation, and what a process leaves behind is
//! put right by the supervisor when it reaps that process, or does no harm.
//!
//! A word for each slot:
//!
//! | word | who writes it | values | after a death |
//! | --- | --- | --- | --- |
//! | `stages` (a bit in each set) | its process; the child that claimed it; the supervisor | idle, busy, prog, none | `vacate` |
//! | `movers` (a bit) | its child, which moves a client to another slot or back | moving or not | `vacate`; processes that count clients meanwhile count again |
//! | `claimed_by` | the claimant, a child or the supervisor; the supervisor frees it | `ClaimedBy` | `vacate`, and `vacate_unstarted_of` for what a child has claimed |
//! | `pids` | the kernel for a program process, the supervisor for a child | process id, or 0 | `vacate` |
//! | `networks` | its child; the child that claimed it | `Option<Network>` | `vacate` |
//! | `queue` | its child; the supervisor, which passes it over | `QueueState` | `vacate` |
//! | `starts` | its child; the supervisor, which awaits the end or finds it stopped | `StartState` | `vacate`, after `settle` has used it |
//! | `files` | the supervisor, before it forks | number of a set of files | the next fork |
//! | `client` | its child; the child that claimed it | `ClientRecord` | `vacate`, after `settle` has used it |
//! | `tally` | its child | counts, which stay | `settle` counts the verdict that is due |
//!
//! A word for all, in the header or after the slots:
//!
//! | word | who writes it | values | after a death |
//! | --- | --- | --- | --- |
//! | `counters` | any child | clients of the networks that share it | too high for good, which costs needless searches |
//! | `waiting` | any child | clients in the queue | the same |
//! | `ever_passed_over` | the supervisor | whether one was ever passed over | - |
//! | `moves` | any child | clients that were moved | - |
//! | `stuck` | the supervisor | idle children that cannot accept | the next check |
//! | `is_woken` | any child; the supervisor clears it | whether it has been woken | cleared in each round |
//! | `is_stopping`, `generation`, `heartbeat_at` | the supervisor | | children end with it |
//! | `answered_at`, `handed_over_at`, `last_logged`, `checks_logged` | any child | times, or 0 | - |
//! | `classes`, `would_refuse`, `lost_lines`, `losing_since` | any process | counts; a time, or 0 | - |
//! | `keeper` | the supervisor, then the keeper | `LastReport`, a count and a time | silent after five seconds |
//! | `local_names` | any child | names, after a sequence that is odd meanwhile | another writes it after a second |
//! | `refusals` | any child | `Option<Refusal>` | - |

pub(in crate::daemon) mod address;
pub mod board;
pub mod claim;
mod client;
pub mod file;
pub mod keeper;
pub mod layout;
pub mod local_names;
pub(in crate::daemon) mod per_network;
pub mod pool;
pub(in crate::daemon) mod process_state;
pub(in crate::daemon) mod queue;
mod refusals;
pub(in crate::daemon) mod settle;
pub mod slots;
pub mod snapshot;
pub mod stage;
pub(in crate::daemon) mod starts;
pub mod status;
pub(in crate::daemon) mod stuck;
mod tally;
mod words;
