//! Why an engine cannot be used.

use std::{error, fmt, io};

use crate::error::{Fatal, Reason};
use crate::escape::Quoted;
use crate::known::sharing::Obstacle;

/// Why an engine cannot be used.  Displayed as the reason, with what to do where that is
/// not plain.
#[derive(Debug)]
pub(in crate::known::share) enum Trouble {
    /// The file with the password cannot be used.
    Credentials(Fatal),
    /// The host has no address, or none that can be looked up.
    Unresolved(io::Error),
    /// The system's error about the connection.
    Connection(io::Error),
    /// It has closed the connection.
    Closed,
    /// It has not answered in time.
    Silent,
    /// It has sent what is no reply.
    NotAnEngine,
    /// It refuses a command; its error message.
    Refused(String),
}

impl Trouble {
    /// The kind of it.
    pub(in crate::known::share) fn obstacle(&self) -> Obstacle {
        match self {
            Self::Credentials(_) => Obstacle::Denied,
            Self::Refused(message) => of_message(message),
            Self::Unresolved(_)
            | Self::Connection(_)
            | Self::Closed
            | Self::Silent
            | Self::NotAnEngine => Obstacle::Unreachable,
        }
    }
}

/// An error message begins with a word of the engine's, except for some about passwords.
fn of_message(message: &str) -> Obstacle {
    match message.split(' ').next().unwrap_or_default() {
        "LOADING" => Obstacle::Loading,
        "READONLY" | "MISCONF" | "NOREPLICAS" => Obstacle::ReadOnly,
        "OOM" => Obstacle::Full,
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Obstacle::Denied,
        "ERR" if message.contains("password") || message.contains("AUTH") => Obstacle::Denied,
        "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" | "TRYAGAIN" => Obstacle::Cluster,
        _ => Obstacle::Refusing,
    }
}

/// What to do about it, with a colon before it.
fn advice(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::ReadOnly => ": the engine has to take changes, as a primary does",
        Obstacle::Full => ": raise its maxmemory, or set maxmemory-policy to volatile-ttl",
        Obstacle::Denied => ": check --known-share-auth, and the engine's ACL",
        Obstacle::Cluster => ": use a proxy that speaks to all nodes of the cluster",
        Obstacle::Starting | Obstacle::Unreachable | Obstacle::Loading | Obstacle::Refusing => "",
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials(why) => why.fmt(f),
            Self::Unresolved(why) => write!(f, "unable to look its address up: {}", Reason(why)),
            Self::Connection(why) => Reason(why).fmt(f),
            Self::Closed => f.write_str("it has closed the connection"),
            Self::Silent => f.write_str("it does not answer"),
            Self::NotAnEngine => f.write_str("what it sends is not of Redis or Valkey"),
            Self::Refused(message) => {
                let text = Quoted(message.as_bytes());
                write!(f, "it says {text}{}", advice(self.obstacle()))
            }
        }
    }
}

impl error::Error for Trouble {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_engines_are_told_apart() {
        let of = |message: &str| Trouble::Refused(message.into()).obstacle();
        for (message, obstacle) in [
            ("LOADING Redis is loading the dataset in memory", Obstacle::Loading),
            ("READONLY You can't write against a read only replica.", Obstacle::ReadOnly),
            ("MISCONF Errors writing to the AOF file", Obstacle::ReadOnly),
            ("NOREPLICAS Not enough good replicas to write.", Obstacle::ReadOnly),
            ("OOM command not allowed when used memory > 'maxmemory'.", Obstacle::Full),
            ("NOAUTH Authentication required.", Obstacle::Denied),
            ("WRONGPASS invalid username-password pair", Obstacle::Denied),
            ("NOPERM this user has no permissions to run the 'get' command", Obstacle::Denied),
            ("ERR invalid password", Obstacle::Denied),
            ("ERR AUTH <password> called without any password configured", Obstacle::Denied),
            ("ERR DB index is out of range", Obstacle::Refusing),
            ("MOVED 3999 127.0.0.1:6381", Obstacle::Cluster),
            ("CLUSTERDOWN Hash slot not served", Obstacle::Cluster),
            ("MASTERDOWN Link with MASTER is down", Obstacle::Refusing),
            ("", Obstacle::Refusing),
        ] {
            assert_eq!(of(message), obstacle, "{message}");
        }
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        let told = Trouble::Refused("MOVED 1 x\nip=192.0.2.7".into()).to_string();
        let expected = "it says \"MOVED 1 x\\nip\\x3d192.0.2.7\": use a proxy that speaks to all \
                        nodes of the cluster";
        assert_eq!(told, expected);
    }
}
