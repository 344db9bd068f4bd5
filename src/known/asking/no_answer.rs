//! Why the keeper has not answered.

use std::{error, fmt, io};

use nix::errno::Errno;

/// Why the keeper has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It cannot be asked: ENOENT or ECONNREFUSED if there is none, EACCES if it is another
    /// user's, EMFILE.
    System(Errno),
    /// It is of another version.
    OtherVersion,
    /// It took longer than there was time: it is stopped, or slow.
    Late,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(why) => io::Error::from(*why).fmt(f),
            Self::OtherVersion => f.write_str("it is of another version"),
            Self::Late => f.write_str("it does not answer"),
        }
    }
}

impl error::Error for NoAnswer {}

impl From<Errno> for NoAnswer {
    fn from(why: Errno) -> Self {
        Self::System(why)
    }
}

/// An error of a socket with a timeout.
impl From<io::Error> for NoAnswer {
    fn from(why: io::Error) -> Self {
        match Errno::try_from(why) {
            Ok(Errno::EAGAIN) => Self::Late,
            Ok(why) => Self::System(why),
            Err(_) => Self::System(Errno::EIO),
        }
    }
}

impl From<NoAnswer> for io::Error {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::System(why) => why.into(),
            other => Self::other(other),
        }
    }
}
