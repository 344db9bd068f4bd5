//! What all clients share while they are served.

use std::cell::RefCell;

use super::acceptor::Acceptor;
use super::program::Program;
use super::program::environment::Environment;
use crate::dns::Resolvers;
use crate::known::asking::Asker;
use crate::log::Log;
use crate::names::Names;
use crate::options::Options;
use crate::rules::Rules;

/// What is the same for all clients; in the daemon it is made before the pool is
/// forked.
pub struct Service {
    /// The settings.
    pub options: Options,
    /// The expressions and words by which names are classified.
    pub names: Names,
    /// The administrator's rules.
    pub rules: Rules,
    /// The log.
    pub log: Log,
    /// The program for clients that pass.
    pub program: Program,
    /// Our own environment.
    pub environment: Environment,
    /// The name servers.
    pub resolvers: RefCell<Resolvers>,
    /// The host's name.
    pub host_name: Option<String>,
    /// Whether IP options of clients matter.
    pub source_routes: SourceRoutes,
    /// Where the keeper of known clients is asked.
    pub known: Option<Asker>,
}

/// What the kernel does with packets whose sender has chosen their route, and which may
/// bring the answers to it in the name of another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRoutes {
    /// They are delivered.
    Accepted,
    /// They are dropped.
    Dropped,
}

/// The service, and the process that has accepted the client.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    pub(super) service: &'a Service,
    pub(super) acceptor: Acceptor<'a>,
}

impl<'a> Server<'a> {
    pub(super) fn options(self) -> &'a Options {
        &self.service.options
    }

    pub(super) fn log(self) -> &'a Log {
        &self.service.log
    }
}
