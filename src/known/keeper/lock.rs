//! The lock that makes a process the keeper of a directory.

use std::fs::File;
use std::time::Duration;

use nix::poll::PollFlags;

use super::life::Life;
use super::wait::wait;
use crate::known::asking::Asker;
use crate::known::asking::message::{Answer, Request, Where};
use crate::known::directory::{Directory, Unfit};
use crate::known::sharing::Sharing;

/// How often it is tried to take the lock that another keeper holds.
const STANDBY: Duration = Duration::from_millis(250);

/// Who is told once a second how many clients are known, where they are kept, and whether
/// they are shared; by the keeper itself or by one that waits for its place.
pub type Report<'a> = &'a dyn Fn(u64, Where, Sharing);

/// The lock of `directory`, once no other keeper has it; `None` if `life` is over by then.
/// What the other one knows is reported.
pub(super) fn lock(
    directory: &Directory,
    life: &Life,
    report: Report<'_>,
) -> Result<Option<File>, Unfit> {
    let other = Asker::of_directory(directory.path());
    loop {
        if let Some(lock) = directory.lock()? {
            return Ok(Some(lock));
        }
        let said = other.map(|other| other.exchange(Request::Status, STANDBY));
        if let Ok(Ok(Answer::Status(count, place, sharing))) = said {
            report(count, place, sharing);
        }
        wait(life.descriptor().into_iter().map(|life| (life, PollFlags::POLLIN)), STANDBY);
        if life.is_over() {
            return Ok(None);
        }
    }
}
