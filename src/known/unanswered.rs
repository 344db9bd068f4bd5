//! How often a link may log that the keeper does not answer: each link is a process of its
//! own, and none knows of the others but by a file in the keeper's directory.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::directory::{Age, Directory};
use crate::file::lock::lock;

/// How often it is logged.
const INTERVAL: Duration = Duration::from_secs(60);

/// Whether this process may log that the keeper of the directory at `path` does not answer:
/// once a minute among all that ask here.  Never if the directory is missing or belongs to
/// another user: no process could tell the next one that it has logged.
#[must_use]
pub fn may_log(path: &Path) -> bool {
    let file = Directory::open(path).and_then(|directory| directory.unanswered());
    let Ok((file, age)) = file else { return false };
    if lock(&file).is_err() {
        return false;
    }
    let logged = file.metadata().and_then(|found| found.modified());
    // A time in the future was set by a clock that was wrong.
    let was_recently = |at: SystemTime| at.elapsed().is_ok_and(|time| time < INTERVAL);
    let is_due = age == Age::New || !logged.is_ok_and(was_recently);
    is_due && file.set_modified(SystemTime::now()).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, DirBuilder, File, Permissions};
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    use super::*;
    use crate::file::lock::of_open_files::lock_to_write;

    #[test]
    fn a_line_a_minute_is_logged() {
        let path = std::env::temp_dir().join(format!("unanswered.{}", std::process::id()));
        assert!(!may_log(&path), "there is no directory");
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        assert_eq!([may_log(&path), may_log(&path)], [true, false]);
        let file = File::options().write(true).open(path.join("unanswered")).unwrap();
        let now = SystemTime::now();
        for (time, may) in [(now - INTERVAL / 2, false), (now - INTERVAL, true)] {
            file.set_modified(time).unwrap();
            assert_eq!(may_log(&path), may);
        }
        file.set_modified(now + 60 * INTERVAL).unwrap();
        assert_eq!([may_log(&path), may_log(&path)], [true, false]);
        file.set_modified(now - INTERVAL).unwrap();
        lock_to_write(&file).unwrap();
        assert!(!may_log(&path), "another process is about to log");
        drop(file);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert!(!may_log(&path), "others have access");
        fs::remove_dir_all(&path).unwrap();
    }
}
