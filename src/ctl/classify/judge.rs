//! What clients are classified by.

use std::io::{self, Write};
use std::net::IpAddr;

use super::answer::Answer;
use super::remembered::Keeper;
use crate::connection::decided::class::class_of;
use crate::connection::lookup::host_name::{HostName, host_name_of};
use crate::ctl::failure::Failure;
use crate::dns::{Question, ask};
use crate::escape::Message;
use crate::names::Names;
use crate::options::Options;

/// The expressions, words and name servers that clients are classified by.
pub(super) struct Judge<'a> {
    names: Names,
    pub(super) options: &'a Options,
    keeper: Option<Keeper<'a>>,
}

impl<'o> Judge<'o> {
    /// With the files and the keeper that `options` name; warnings about the files go to
    /// standard error.
    ///
    /// # Errors
    /// A file that cannot be read, or that contains a mistake: 100; a keeper that cannot
    /// be asked.
    pub(super) fn new(options: &'o Options) -> Result<Self, Failure> {
        let names = options.names(|warning| {
            let warning = Message(warning).to_string();
            let _ = writeln!(io::stderr(), "smtp-delayctl: warning: {warning}");
        })?;
        Ok(Self { names, options, keeper: Keeper::of(options)? })
    }

    /// The class of the client with this address and name, and what decides it.
    pub(super) fn answer<'a>(&'a self, ip: IpAddr, host: &'a HostName) -> Answer<'a> {
        let ip = ip.to_canonical();
        let class = class_of(host, ip, &self.names, &self.options.local_nets);
        let remembered = self.keeper.as_ref().and_then(|keeper| keeper.remembered(ip, class));
        Answer { ip, host, names: &self.names, class, remembered }
    }

    /// The name of a client, from the name servers.
    pub(super) fn look_up(&self, ip: IpAddr) -> HostName {
        let servers = self.options.resolvers().servers();
        host_name_of(&ask(Question::Names(ip), servers, self.options.dns_timeout))
    }

    /// The name of a client for which none is given: looked up if a resolver is named, or
    /// else taken to be missing.
    pub(super) fn missing(&self, ip: IpAddr) -> HostName {
        if self.options.resolvers.is_empty() { HostName::None } else { self.look_up(ip) }
    }
}
