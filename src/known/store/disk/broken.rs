//! Why the store cannot be used, including panics of the database.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{error, fmt, io};

/// Why the store cannot be used.
#[derive(Debug)]
pub enum Broken {
    /// The contents of the file are not valid.
    Damaged(String),
    /// An error of the system, for reading or writing.
    Refused(io::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) => f.write_str(why),
            Self::Refused(why) => write!(f, "{why}"),
        }
    }
}

impl error::Error for Broken {}

impl<E: Into<redb::Error>> From<E> for Broken {
    fn from(why: E) -> Self {
        match why.into() {
            redb::Error::Io(why) if why.raw_os_error().is_some() => Self::Refused(why),
            redb::Error::PreviousIo => Self::Refused(io::Error::other("it failed before")),
            redb::Error::Io(why) if why.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Damaged("it was cut short".into())
            }
            redb::Error::Io(_) => Self::Damaged("it is no store".into()),
            why => Self::Damaged(why.to_string()),
        }
    }
}

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread, at this moment, is the database's, and will be reported
/// as damage.
pub(in crate::known) fn panics_are_contained() -> bool {
    IS_CONTAINED.get()
}

/// The database panics if what it reads contradicts itself.
pub(super) fn contained<T>(work: impl FnOnce() -> Result<T, Broken>) -> Result<T, Broken> {
    IS_CONTAINED.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(false);
    done.unwrap_or_else(|_| Err(Broken::Damaged("what is in it contradicts itself".into())))
}
