//! Logs events of the store.

use std::fmt;
use std::path::Path;

use crate::known::store::Event;
use crate::log::Log;

/// Logs what has happened to the store in the directory at `path`.
pub(super) fn log_events(events: &[Event], path: &Path, log: &Log) {
    let path = path.display();
    let unable_to_write = |why: &dyn fmt::Display| {
        log.warning(format_args!(
            "unable to write known clients to {path}: {why}: keeping new ones in memory"
        ));
    };
    for event in events {
        match event {
            Event::SetAside(why, Ok(name)) => log.warning(format_args!(
                "unable to read the known clients in {path}: {why}: starting anew; they are in {}",
                name.display()
            )),
            Event::SetAside(why, Err(kept)) => log.warning(format_args!(
                "unable to read the known clients in {path}: {why}: unable to rename them: {kept}"
            )),
            Event::Failed(why) => unable_to_write(why),
            Event::Full => unable_to_write(&"the disk is full"),
            Event::Recovered => {
                log.warning(format_args!("known clients are written to {path} again"));
            }
        }
    }
}
