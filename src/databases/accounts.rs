//! Users and groups, by name and by number.

use std::io;
use std::path::Path;

use nix::unistd::{Gid, Uid};

use super::getent::{ask, ask_for_id};
use super::lines::find;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// An entry of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: Uid,
    /// Its primary group.
    pub group: Gid,
}

impl User {
    /// The user of this name.
    ///
    /// # Errors
    /// If `/etc/passwd` cannot be read or `getent` does not answer.
    pub fn from_name(name: &str) -> io::Result<Option<Self>> {
        let is_it = |user: &Self| user.name == name;
        entry(PASSWD, Self::parse, is_it, || ask(&["passwd"], name))
    }

    /// The first user of this number.
    ///
    /// # Errors
    /// As [`User::from_name`].
    pub fn from_id(id: Uid) -> io::Result<Option<Self>> {
        let is_it = |user: &Self| user.id == id;
        entry(PASSWD, Self::parse, is_it, || ask_for_id("passwd", id.as_raw()))
    }

    /// `NAME:PASSWORD:UID:GID:…`.
    fn parse(line: &str) -> Option<Self> {
        let [name, _, id, group, _] = first_fields(line)?;
        let (id, group) = (Uid::from_raw(number(id)?), Gid::from_raw(number(group)?));
        Some(Self { name: name.into(), id, group })
    }

    /// All groups of the user, its primary one first.  Those of a user of the files are
    /// asked for as well: it may be in groups of other services.
    ///
    /// # Errors
    /// If `getent` does not answer; where there is none, if `/etc/group` cannot be read.
    pub fn groups(&self) -> io::Result<Vec<Gid>> {
        let groups = match ask(&["initgroups"], &self.name) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => self.groups_in_file()?,
            answer => self.groups_in(&answer?.unwrap_or_default())?,
        };
        let others = groups.into_iter().filter(|group| *group != self.group);
        Ok([self.group].into_iter().chain(others).collect())
    }

    /// What `getent initgroups` prints: the name, and the number of each group.
    fn groups_in(&self, answer: &str) -> io::Result<Vec<Gid>> {
        let numbers = answer.strip_suffix('\n').and_then(|line| line.strip_prefix(&self.name));
        let words = numbers.map(|numbers| numbers.split(' ').filter(|word| !word.is_empty()));
        let groups = words.and_then(|mut words| {
            words.try_fold(Vec::new(), |mut groups, word| {
                groups.push(Gid::from_raw(number(word)?));
                Some(groups)
            })
        });
        groups.ok_or_else(|| unexpected(answer))
    }

    fn groups_in_file(&self) -> io::Result<Vec<Gid>> {
        let mut groups = Vec::new();
        find(Path::new(GROUP), |line| {
            let group = Group::parse(line).filter(|group| group.has(&self.name));
            groups.extend(group.map(|group| group.id));
            None::<()>
        })?;
        Ok(groups)
    }
}

/// An entry of group(5).
struct Group {
    name: String,
    id: Gid,
    members: String,
}

impl Group {
    /// `NAME:PASSWORD:GID:MEMBER,MEMBER…`.
    fn parse(line: &str) -> Option<Self> {
        let [name, _, id, members] = first_fields(line)?;
        let id = Gid::from_raw(number(id)?);
        Some(Self { name: name.into(), id, members: members.into() })
    }

    fn has(&self, member: &str) -> bool {
        self.members.split(',').any(|name| name == member)
    }
}

/// The number of a group.
///
/// # Errors
/// If `/etc/group` cannot be read or `getent` does not answer.
pub fn group_from_name(name: &str) -> io::Result<Option<Gid>> {
    let is_it = |group: &Group| group.name == name;
    let group = entry(GROUP, Group::parse, is_it, || ask(&["group"], name))?;
    Ok(group.map(|group| group.id))
}

/// The first entry of a file that `is_it`, or else the one that getent has.
fn entry<T>(
    file: &str,
    parse: impl Fn(&str) -> Option<T>,
    is_it: impl Fn(&T) -> bool,
    ask: impl FnOnce() -> io::Result<Option<String>>,
) -> io::Result<Option<T>> {
    if let Some(found) = find(Path::new(file), |line| parse(line).filter(&is_it))? {
        return Ok(Some(found));
    }
    let Some(answer) = ask()? else { return Ok(None) };
    // A service may spell the name in another way, such as in lower case.
    let line = answer.strip_suffix('\n').filter(|line| !line.contains('\n'));
    line.and_then(parse).map(Some).ok_or_else(|| unexpected(&answer))
}

/// The first fields of an entry; `+` and `-` begin what nsswitch.conf(5) calls compat.
fn first_fields<const N: usize>(line: &str) -> Option<[&str; N]> {
    let fields: Vec<&str> = line.splitn(N + 1, ':').take(N).collect();
    fields
        .try_into()
        .ok()
        .filter(|fields: &[&str; N]| !fields[0].is_empty() && !fields[0].starts_with(['+', '-']))
}

fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

fn unexpected(answer: &str) -> io::Error {
    let shown: String = answer.chars().take(60).collect();
    io::Error::other(format!("unexpected answer of getent: \"{}\"", shown.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qmaild() -> User {
        User { name: "qmaild".into(), id: 71.into(), group: 72.into() }
    }

    #[test]
    fn entries_are_read_as_the_manual_has_them() {
        let line = "qmaild:x:71:72:Käse:/var/qmail:/bin/false";
        assert_eq!(User::parse(line), Some(qmaild()));
        for bad in [
            "",
            ":x:71:72:::",
            "qmaild",
            "qmaild:x:71:72",
            "qmaild:x::72:::",
            "qmaild:x:+1:72:::",
            "qmaild:x: 71:72:::",
            "qmaild:x:-1:72:::",
            "qmaild:x:4294967296:72:::",
            "+qmaild:x:71:72:::",
            "-qmaild:x:71:72:::",
        ] {
            assert_eq!(User::parse(bad), None, "{bad}");
        }
        let group = Group::parse("mail:x:8:qmaild,joe").unwrap();
        assert_eq!((group.name.as_str(), group.id), ("mail", 8.into()));
        assert!(group.has("qmaild") && group.has("joe") && !group.has("qmail"));
        assert!(Group::parse("mail:x:8").is_none());
    }

    #[test]
    fn the_groups_that_getent_prints_are_numbers() {
        let groups = |answer: &str| qmaild().groups_in(answer).ok();
        let of = |numbers: &[u32]| Some(numbers.iter().map(|number| (*number).into()).collect());
        assert_eq!(groups("qmaild                72 8\n"), of(&[72, 8]));
        assert_eq!(groups("qmaild\n"), of(&[]));
        for bad in ["", "qmaild 72", "joe 72\n", "qmaild 72 x\n", "qmaild 72\nqmaild 8\n"] {
            assert_eq!(groups(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn who_is_not_in_the_file_is_asked_for() {
        let look_up = |answer: &str| {
            let answer = answer.to_string();
            entry("/etc/passwd", User::parse, |user| user.name == "qmaild?", || Ok(Some(answer)))
        };
        assert_eq!(look_up("qmaild:x:71:72:::\n").unwrap(), Some(qmaild()));
        for bad in ["", "qmaild:x:71:72:::", "qmaild\n", "qmaild:x:71:72:::\njoe:x:1:1:::\n"] {
            let why = look_up(bad).unwrap_err().to_string();
            assert!(why.starts_with("unexpected answer of getent: \""), "{why}");
        }
        let failed = || Err(io::Error::other("it does not answer"));
        assert!(entry("/nonexistent", User::parse, |_| true, failed).is_err());
        let root = entry(PASSWD, User::parse, |user| user.name == "root", || unreachable!());
        assert_eq!(root.unwrap().map(|user| user.id), Some(0.into()));
    }

    #[test]
    fn the_system_knows_root() {
        let root = User::from_name("root").unwrap().unwrap();
        assert_eq!(User::from_id(Uid::from_raw(0)).unwrap(), Some(root.clone()));
        assert_eq!(root.groups().unwrap().first(), Some(&root.group));
        assert_eq!(root.groups_in_file().unwrap(), []);
        assert_eq!(group_from_name("root").unwrap(), Some(root.group));
        assert_eq!(User::from_name("nosuchuser").unwrap(), None);
        assert_eq!(group_from_name("nosuchgroup").unwrap(), None);
        assert_eq!(User::from_name("4294967296").unwrap(), None);
    }
}
