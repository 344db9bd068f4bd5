//! Giving up root for good: `-u`, `-g` and `-U`.

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, geteuid, initgroups, setgid, setgroups, setuid};
use std::ffi::CString;

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
    /// The user whose supplementary groups are set as well.
    member: Option<(String, Gid)>,
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
        member: None,
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
    let group = Group::from_name(name);
    let group = group.map_err(|why| Fatal::unable(format_args!("look up group {name}"), why))?;
    group.map(|group| group.gid).ok_or_else(|| Fatal::NoAccount {
        option: "-g",
        name: name.into(),
        why: "no such group",
    })
}

fn no_user(name: &str, why: &'static str) -> Fatal {
    Fatal::NoAccount { option: "-u", name: name.into(), why }
}

struct Account {
    id: Uid,
    /// The name and the group of its entry in passwd(5).
    entry: Option<(String, Gid)>,
}

fn user(name: &str) -> Result<Account, Fatal> {
    let unable = |why: Errno| Fatal::unable(format_args!("look up user {name}"), why);
    if let Ok(number) = name.parse() {
        let id = Uid::from_raw(number);
        let entry = User::from_uid(id).map_err(unable)?.map(|user| (user.name, user.gid));
        return Ok(Account { id, entry });
    }
    let user = User::from_name(name).map_err(unable)?;
    let user = user.ok_or_else(|| no_user(name, "no such user"))?;
    Ok(Account { id: user.uid, entry: Some((user.name, user.gid)) })
}

impl Identity {
    /// The owner of files that are made before the switch, if it is not the one who makes
    /// them.
    pub(in crate::daemon) fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (self.user, self.group)
    }

    /// Takes a user, with its groups unless a group is given.
    fn set_user(&mut self, name: &str, has_group: bool) -> Result<(), Fatal> {
        let user = user(name)?;
        self.user = Some(user.id);
        if has_group {
            return Ok(());
        }
        let missing = || no_user(name, "there is no such user: use -g too");
        let (name, group) = user.entry.ok_or_else(missing)?;
        self.group = Some(group);
        self.member = Some((name, group));
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
            self.set_groups(group).map_err(|why| denied("set groups", "set gid", why))?;
            setgid(group).map_err(|why| denied("set gid", "set gid", why))?;
        }
        if let Some(user) = self.user {
            setuid(user).map_err(|why| denied("set uid", "set uid", why))?;
        }
        Ok(())
    }

    fn set_groups(&self, group: Gid) -> nix::Result<()> {
        match &self.member {
            Some((name, group)) => {
                let name = CString::new(name.as_str()).map_err(|_| Errno::EINVAL)?;
                initgroups(&name, *group)
            }
            None => setgroups(&[group]),
        }
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
        assert_eq!(root.member, Some(("root".into(), Gid::from_raw(0))));
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
        assert_eq!(identity.member, None);
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
