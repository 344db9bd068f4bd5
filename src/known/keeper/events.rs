//! Logs events of the store.

use std::path::Path;

use crate::known::store::Event;
use crate::log::Log;

/// Logs what has happened to the store in the directory at `path`.
pub(super) fn log_events(events: &[Event], path: &Path, log: &Log) {
    let path = path.display();
    for event in events {
        match event {
            Event::SetAside(why, Some(name)) => log.warning(format_args!(
                "unable to read the known clients in {path}: {why}: starting anew; they are in {}",
                name.display()
            )),
            Event::SetAside(why, None) => log.warning(format_args!(
                "unable to read the known clients in {path}: {why}: unable to rename them"
            )),
            Event::Failed(why) => log.warning(format_args!(
                "unable to write known clients to {path}: {why}: keeping new ones in memory"
            )),
            Event::Recovered => {
                log.warning(format_args!("known clients are written to {path} again"));
            }
        }
    }
}
