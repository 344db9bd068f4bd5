//! Log lines: `lines` has a named function for each, `sink` writes them.

mod facts;
mod line;
mod lines;
mod logger;
mod losses;
mod sink;
mod stderr;
mod syslog;
mod tcpserver;
mod value;

pub use facts::{
    Action, EarlyBytes, LINES, Said, Stats, Subject, VERDICTS, WOULD_REFUSE, stats_keys,
};
pub use logger::{Log, Verbosity};
pub use losses::LossCounters;
pub use sink::contain_panics;
pub use syslog::Syslog;
pub use tcpserver::Ends;
