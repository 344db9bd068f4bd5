//! Why the store cannot be used, including panics of the database.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{error, fmt, io};

use crate::known::directory::Unfit;

/// Why the store cannot be used.
#[derive(Debug)]
pub enum Broken {
    /// The contents of the file are not valid.
    Damaged(Damage),
    /// The file is not for the keeper.
    Unfit(Unfit),
    /// An error of the system, for reading or writing.
    Refused(io::Error),
    /// The same after another, which has been returned: the database does nothing more.
    FailedBefore,
}

/// What is wrong with the contents of the file.
#[derive(Debug)]
pub enum Damage {
    /// A part is missing.
    CutShort,
    /// It has not been a store.
    NoStore,
    /// It has the tables of another version of this program.
    OtherVersion,
    /// Its parts contradict each other, so that the database panicked.
    Contradiction,
    /// Anything else that the database reports.
    Reported(Box<redb::Error>),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(damage) => damage.fmt(f),
            Self::Unfit(why) => why.fmt(f),
            Self::Refused(why) => why.fmt(f),
            Self::FailedBefore => f.write_str("it failed before"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => f.write_str("it was cut short"),
            Self::NoStore => f.write_str("it is no store"),
            Self::OtherVersion => f.write_str("another version has written it"),
            Self::Contradiction => f.write_str("what is in it contradicts itself"),
            Self::Reported(why) => why.fmt(f),
        }
    }
}

impl error::Error for Broken {}

impl error::Error for Damage {}

impl<E: Into<redb::Error>> From<E> for Broken {
    fn from(why: E) -> Self {
        match why.into() {
            redb::Error::Io(why) if why.raw_os_error().is_some() => Self::Refused(why),
            redb::Error::PreviousIo => Self::FailedBefore,
            redb::Error::Io(why) if why.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Damaged(Damage::CutShort)
            }
            redb::Error::Io(_) => Self::Damaged(Damage::NoStore),
            why => Self::Damaged(Damage::Reported(why.into())),
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
    done.unwrap_or_else(|_| Err(Broken::Damaged(Damage::Contradiction)))
}
