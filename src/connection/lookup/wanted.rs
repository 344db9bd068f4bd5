//! The look-ups that a client needs.

use std::net::IpAddr;

use super::host_name::HostName;
use super::ident::Ident;
use crate::dns::list::WantedLists;

/// The look-ups.
pub struct Wanted {
    /// The client's address.
    pub ip: IpAddr,
    /// Its name, if it need not be looked up.
    pub name: Option<HostName>,
    /// Whether the name has to lead back to the address (`-p`).
    pub paranoid: bool,
    /// Our address, if its name is wanted.
    pub local: Option<IpAddr>,
    /// Our name, if it is known.
    pub local_name: Option<String>,
    /// Whether names that are no host names are kept, as in tcpserver.
    pub raw_names: bool,
    /// The question to the client's ident server, if there is one.
    pub ident: Option<Ident>,
    /// DNS lists.
    pub lists: WantedLists,
}

impl Wanted {
    /// Whether a name server has to be asked.
    #[must_use]
    pub fn needs_name_servers(&self) -> bool {
        let lists = &self.lists;
        let asks_lists = !lists.blocklists.is_empty() || !lists.allowlists.is_empty();
        self.name.is_none() || self.local.is_some() || asks_lists
    }
}
