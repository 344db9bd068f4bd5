//! The name servers to ask: those given, else `$DNSCACHEIP` as in djbdns, else
//! resolv.conf(5), else 127.0.0.1.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::net::if_::if_nametoindex;
use resolv_conf::{Config, ScopedIp};

use crate::file;

const PORT: u16 = 53;
/// The most name servers that are asked; resolv.conf(5) allows 3.
const MOST_SERVERS: usize = 8;
/// The most bytes of resolv.conf that are read.
const LARGEST_FILE: usize = 1 << 20;

/// The name servers, and the file that they came from.
pub struct Resolvers {
    servers: Rc<[SocketAddr]>,
    file: Option<File>,
}

struct File {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// What changes whenever the file is changed.
#[derive(PartialEq, Eq)]
struct Stamp(u64, u64, i64, i64);

impl Resolvers {
    /// `given` by option; `environment` is `$DNSCACHEIP`; `path` is
    /// resolv.conf, which need not exist.
    #[must_use]
    pub fn new(given: &[SocketAddr], environment: Option<&OsStr>, path: &Path) -> Self {
        let from_environment = environment.and_then(OsStr::to_str).map(dnscache_ip);
        let fixed = match from_environment {
            _ if !given.is_empty() => given.to_vec(),
            Some(servers) => servers,
            None => Vec::new(),
        };
        if !fixed.is_empty() {
            return Self { servers: fixed.into(), file: None };
        }
        let file = File { path: path.into(), seen: None };
        Self { servers: Rc::new([]), file: Some(file) }
    }

    /// Reads the file, if it has not been read or has changed.  While it cannot be read,
    /// the name servers that it had before are kept.
    ///
    /// # Errors
    /// Why a file that is there cannot be read.
    pub fn refresh(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let seen = fs::metadata(&file.path)
            .ok()
            .map(|meta| Stamp(meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec()));
        let mut read = Ok(());
        if self.servers.is_empty() || seen != file.seen {
            match read_file(&file.path) {
                Ok(servers) => (self.servers, file.seen) = (servers.into(), seen),
                Err(why) => read = Err(why),
            }
        }
        if self.servers.is_empty() {
            self.servers = Rc::new([SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))]);
        }
        read
    }

    /// The file that they come from, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// The name servers, in the order in which they are asked; never empty.
    #[must_use]
    pub fn servers(&mut self) -> Rc<[SocketAddr]> {
        let _ = self.refresh();
        Rc::clone(&self.servers)
    }
}

/// A file that is not there has none.
fn read_file(path: &Path) -> io::Result<Vec<SocketAddr>> {
    let text = match file::read(path, LARGEST_FILE) {
        Err(why) if why.kind() == ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let (config, _) = Config::parse_with_errors(&text);
    Ok(config.nameservers.iter().filter_map(socket_address).take(MOST_SERVERS).collect())
}

fn socket_address(ip: &ScopedIp) -> Option<SocketAddr> {
    match ip {
        ScopedIp::V4(ip) => Some(SocketAddr::from((*ip, PORT))),
        ScopedIp::V6(ip, None) => Some(SocketAddr::from((*ip, PORT))),
        ScopedIp::V6(ip, Some(zone)) => {
            let scope = zone.parse().ok().or_else(|| if_nametoindex(zone.as_str()).ok())?;
            Some(SocketAddrV6::new(*ip, PORT, 0, scope).into())
        }
    }
}

/// djbdns separates the addresses of `$DNSCACHEIP` by dots; white space, commas and IPv6
/// addresses are allowed here as well.
fn dnscache_ip(text: &str) -> Vec<SocketAddr> {
    let words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    words.flat_map(addresses).take(MOST_SERVERS).map(|ip| SocketAddr::new(ip, PORT)).collect()
}

/// The first word of `$DNSCACHEIP` that is not an address, if there is one; it is ignored.
#[must_use]
pub fn ignored_word(environment: &OsStr) -> Option<String> {
    let text = environment.to_string_lossy();
    let word =
        text.split([' ', '\t', ',']).find(|word| !word.is_empty() && addresses(word).is_empty());
    word.map(String::from)
}

fn addresses(word: &str) -> Vec<IpAddr> {
    if let Ok(ip) = word.parse() {
        return vec![ip];
    }
    let octets: Option<Vec<u8>> = word.split('.').map(|part| part.parse().ok()).collect();
    let octets = octets.filter(|octets| octets.len() % 4 == 0).unwrap_or_default();
    octets
        .chunks_exact(4)
        .map(|four| Ipv4Addr::new(four[0], four[1], four[2], four[3]).into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(resolvers: &mut Resolvers) -> Vec<String> {
        resolvers.servers().iter().map(ToString::to_string).collect()
    }

    fn resolvers(given: &[&str], environment: Option<&str>, path: &Path) -> Vec<String> {
        let given: Vec<SocketAddr> = given.iter().map(|text| text.parse().unwrap()).collect();
        listed(&mut Resolvers::new(&given, environment.map(OsStr::new), path))
    }

    #[test]
    fn options_come_before_the_environment_and_both_before_the_file() {
        let nowhere = Path::new("/nonexistent");
        let given = resolvers(&["192.0.2.1:5353"], Some("192.0.2.2"), nowhere);
        assert_eq!(given, ["192.0.2.1:5353"]);
        assert_eq!(resolvers(&[], Some("192.0.2.2"), nowhere), ["192.0.2.2:53"]);
        assert_eq!(resolvers(&[], None, nowhere), ["127.0.0.1:53"]);
        assert_eq!(resolvers(&[], Some("nonsense"), nowhere), ["127.0.0.1:53"]);
    }

    #[test]
    fn dnscacheip_is_read_as_djbdns_writes_it() {
        let servers = resolvers(&[], Some("192.0.2.1.192.0.2.2"), Path::new("/nonexistent"));
        assert_eq!(servers, ["192.0.2.1:53", "192.0.2.2:53"]);
        let servers = resolvers(&[], Some("192.0.2.1, ::1"), Path::new("/nonexistent"));
        assert_eq!(servers, ["192.0.2.1:53", "[::1]:53"]);
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let path = std::env::temp_dir().join(format!("resolv.conf.{}", std::process::id()));
        fs::write(&path, "# none\nnameserver 192.0.2.1\nnameserver ::1\nsearch x\n").unwrap();
        let mut resolvers = Resolvers::new(&[], None, &path);
        assert_eq!(listed(&mut resolvers), ["192.0.2.1:53", "[::1]:53"]);
        let other = path.with_extension("new");
        fs::write(&other, "nameserver 192.0.2.9\n").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(listed(&mut resolvers), ["192.0.2.9:53"]);
        fs::remove_file(&path).unwrap();
        assert_eq!(listed(&mut resolvers), ["127.0.0.1:53"]);
    }

    #[test]
    fn a_named_pipe_does_not_block() {
        let path = std::env::temp_dir().join(format!("resolv.fifo.{}", std::process::id()));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut resolvers = Resolvers::new(&[], None, &path);
        let told = resolvers.refresh().unwrap_err().to_string();
        let servers = listed(&mut resolvers);
        fs::remove_file(&path).unwrap();
        assert_eq!(servers, ["127.0.0.1:53"]);
        assert_eq!(told, "it is a pipe, not a regular file");
        resolvers.refresh().unwrap();
    }

    #[test]
    fn while_the_file_cannot_be_read_its_name_servers_are_kept() {
        let path = std::env::temp_dir().join(format!("resolv.kept.{}", std::process::id()));
        fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        let mut resolvers = Resolvers::new(&[], None, &path);
        assert_eq!(listed(&mut resolvers), ["192.0.2.1:53"]);
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(listed(&mut resolvers), ["192.0.2.1:53"]);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "nameserver 192.0.2.2\n").unwrap();
        assert_eq!(listed(&mut resolvers), ["192.0.2.2:53"]);
        fs::remove_file(&path).unwrap();
    }
}
