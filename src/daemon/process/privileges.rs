//! Giving up root for good: `-u`, `-g` and `-U`.

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};
use std::io;

use crate::databases::accounts::{User, group_from_name};
use crate::djb::scan_ulong;
use crate::error::Fatal;
use crate::mistakes::{Mistakes, keep};
use crate::options::Options;

/// The user and groups that the daemon switches to; nothing is changed if they are
/// unset.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Identity {
    user: Option<Uid>,
    group: Option<Gid>,
    /// All groups, or nothing if `group` is the only one.
    groups: Option<Vec<Gid>>,
}

/// Reads `-u`, `-g` and `-U`; `variable` reads the environment.
///
/// # Errors
/// Unknown users and groups, a number without an entry and without `-g`, and
/// `-U` without `$UID` and `$GID`: 100.
pub fn identity(
    options: &Options,
    variable: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Identity, Mistakes> {
    if options.as_tcpserver {
        return Ok(tcpservers_identity(options, variable));
    }
    let mut identity = Identity::default();
    let mut mistakes = Vec::new();
    if options.ids_from_environment {
        let [user, group] = ["UID", "GID"].map(|name| keep(number(&variable, name), &mut mistakes));
        identity.user = user.map(Uid::from_raw);
        identity.group = group.map(Gid::from_raw);
    }
    if let Some(name) = &options.group {
        identity.group = keep(group(name), &mut mistakes);
    }
    if let Some(name) = &options.user {
        keep(identity.set_user(name, options.group.is_some()), &mut mistakes);
    }
    Mistakes::of(mistakes).map_or(Ok(identity), Err)
}

/// tcpserver takes numbers only, reads an unknown name as 0, and sets no supplementary
/// groups.
fn tcpservers_identity(options: &Options, variable: impl Fn(&str) -> Option<Vec<u8>>) -> Identity {
    let of_environment = |name| variable(name).filter(|_| options.ids_from_environment);
    let given = |value: &Option<String>| value.as_ref().map(|value| value.clone().into_bytes());
    let number = |value: Option<Vec<u8>>| {
        let number = value.map(|value| scan_ulong(&value)).filter(|number| *number != 0)?;
        u32::try_from(number).ok()
    };
    Identity {
        user: number(given(&options.user).or(of_environment("UID"))).map(Uid::from_raw),
        group: number(given(&options.group).or(of_environment("GID"))).map(Gid::from_raw),
        groups: None,
    }
}

fn number(variable: &impl Fn(&str) -> Option<Vec<u8>>, name: &'static str) -> Result<u32, Fatal> {
    let value = variable(name).and_then(|value| String::from_utf8(value).ok());
    let number = value.and_then(|value| value.parse().ok());
    number.ok_or(Fatal::NoId(name))
}

fn group(name: &str) -> Result<Gid, Fatal> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let group = group_from_name(name);
    let group = group.map_err(|why| Fatal::unable(format_args!("look up group {name}"), why))?;
    group.ok_or_else(|| Fatal::NoAccount { option: "-g", name: name.into(), why: "no such group" })
}

fn no_user(name: &str, why: &'static str) -> Fatal {
    Fatal::NoAccount { option: "-u", name: name.into(), why }
}

/// The entry of a user; a number may be without one.
fn user(name: &str) -> Result<(Uid, Option<User>), Fatal> {
    let unable = |why: io::Error| Fatal::unable(format_args!("look up user {name}"), why);
    if let Ok(number) = name.parse() {
        let id = Uid::from_raw(number);
        return Ok((id, User::from_id(id).map_err(unable)?));
    }
    let user = User::from_name(name).map_err(unable)?;
    let user = user.ok_or_else(|| no_user(name, "no such user"))?;
    Ok((user.id, Some(user)))
}

impl Identity {
    /// The owner of files that are made before the switch, if it is not the one who makes
    /// them.
    pub(in crate::daemon) fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (self.user, self.group)
    }

    /// Takes a user, with its groups unless a group is given.
    fn set_user(&mut self, name: &str, has_group: bool) -> Result<(), Fatal> {
        let (id, user) = user(name)?;
        self.user = Some(id);
        if has_group {
            return Ok(());
        }
        let user = user.ok_or_else(|| no_user(name, "there is no such user: use -g too"))?;
        let groups = user.groups();
        let unable = |why| Fatal::unable(format_args!("look up the groups of user {name}"), why);
        self.group = Some(user.group);
        self.groups = Some(groups.map_err(unable)?);
        Ok(())
    }

    /// Whether a file of user `owner` is trusted: root's, that of the user who starts
    /// the daemon, or that of the user that it runs as.
    #[must_use]
    pub fn trusts(&self, owner: u32) -> bool {
        let owner = Uid::from_raw(owner);
        owner.is_root() || owner == geteuid() || self.user == Some(owner)
    }

    /// Switches: groups first, since that needs root.
    ///
    /// # Errors
    /// If the process is not allowed to: 111.
    pub fn assume(&self) -> Result<(), Fatal> {
        if let Some(group) = self.group {
            let groups = self.groups.as_deref().unwrap_or(std::slice::from_ref(&group));
            setgroups(groups).map_err(|why| denied("set groups", "set gid", why))?;
            setgid(group).map_err(|why| denied("set gid", "set gid", why))?;
        }
        if let Some(user) = self.user {
            setuid(user).map_err(|why| denied("set uid", "set uid", why))?;
        }
        Ok(())
    }
}

fn denied(what: &str, tcpserver: &'static str, why: Errno) -> Fatal {
    let hint = if why == Errno::EPERM { ": -u, -g and -U need root" } else { "" };
    Fatal::Unable { what: what.into(), why: why.into(), hint, tcpserver: Some(tcpserver) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: Option<&str>, group: Option<&str>) -> Result<Identity, Mistakes> {
        let [user, group] = [user, group].map(|name| name.map(String::from));
        let options = Options { group, user, ..Options::default() };
        identity(&options, |_| None)
    }

    fn ids(identity: &Identity) -> (Option<u32>, Option<u32>) {
        (identity.user.map(Uid::as_raw), identity.group.map(Gid::as_raw))
    }

    #[test]
    fn a_user_alone_brings_its_groups() {
        let root = who(Some("root"), None).unwrap();
        assert_eq!(ids(&root), (Some(0), Some(0)));
        assert_eq!(root.groups.as_ref().unwrap().first(), Some(&Gid::from_raw(0)));
        assert_eq!(who(Some("0"), None).unwrap(), root);
    }

    #[test]
    fn files_of_root_and_of_the_final_user_are_trusted() {
        let final_user = geteuid().as_raw() + 1;
        let identity = Identity { user: Some(final_user.into()), ..Identity::default() };
        let trusted = [0, geteuid().as_raw(), final_user].map(|user| identity.trusts(user));
        assert_eq!(trusted, [true; 3]);
        assert!(!identity.trusts(final_user + 1));
        assert!(!Identity::default().trusts(final_user));
    }

    #[test]
    fn a_group_that_is_named_is_the_only_one() {
        let identity = who(Some("64001"), Some("64002")).unwrap();
        assert_eq!(ids(&identity), (Some(64001), Some(64002)));
        assert_eq!(identity.groups, None);
    }

    #[test]
    fn the_unknown_is_refused() {
        for (user, group) in
            [(Some("nosuchuser"), None), (None, Some("nosuchgroup")), (Some("64001"), None)]
        {
            let fatal = Fatal::from(who(user, group).unwrap_err());
            assert_eq!(fatal.exit_code(), crate::error::USAGE, "{fatal}");
        }
    }

    #[test]
    fn one_mistake_does_not_hide_another() {
        let mistakes = who(Some("nosuchuser"), Some("nosuchgroup")).unwrap_err();
        let messages: Vec<String> = mistakes.into_iter().map(|fatal| fatal.to_string()).collect();
        assert_eq!(messages, ["-g nosuchgroup: no such group", "-u nosuchuser: no such user"]);
        let options = Options { ids_from_environment: true, ..Options::default() };
        assert_eq!(identity(&options, |_| None).unwrap_err().into_iter().count(), 2);
    }

    #[test]
    fn numbers_from_the_environment() {
        let options = Options { ids_from_environment: true, ..Options::default() };
        let set = |name: &str| Some(if name == "UID" { "71" } else { "72" }.into());
        assert_eq!(ids(&identity(&options, set).unwrap()), (Some(71), Some(72)));
        assert!(identity(&options, |_| None).is_err());
    }
}
