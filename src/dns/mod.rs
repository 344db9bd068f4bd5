//! Questions to name servers.  A [`Query`] never waits: the caller polls its sockets
//! together with the client's, and tells it which of them are ready.

mod answer;
mod attempt;
mod blocking;
pub mod list;
pub mod message;
mod query;
pub mod resolvers;

pub use answer::{Answer, Failure, Question, Records};
pub use blocking::ask;
pub(crate) use message::MOST_NAMES;
pub use query::{Query, most_sockets};
pub use resolvers::Resolvers;
