//! What to do about a file that cannot be read.

use std::fmt;

/// What to do about a file that cannot be read, and which setting names it.  Displayed
/// after the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// None: it is not known which setting names the file.
    None,
    /// To look at this setting: `--rules`, or `rules in FILE line 3`.
    Setting(String),
    /// To name a file that can be read more than once.
    ReadAgain {
        /// The setting.
        setting: String,
        /// When it is read again.
        reader: Reader,
    },
    /// To compile the rules of this setting, which are too many.
    MakeCdb(String),
}

/// When a file is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// On SIGHUP.
    Sighup,
    /// For each connection.
    Connection,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Setting(setting) => write!(f, " ({setting})"),
            Self::ReadAgain { setting, reader } => {
                write!(f, ", which {reader} needs to read {setting} again")
            }
            Self::MakeCdb(setting) => {
                write!(f, " ({setting}): make a cdb of it with tcprules, and use -x")
            }
        }
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sighup => "SIGHUP",
            Self::Connection => "each connection",
        })
    }
}
