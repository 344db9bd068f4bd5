//! The header of the PROXY protocol, versions 1 and 2, by which a proxy names the client
//! of a connection (`doc/proxy-protocol.txt` of `HAProxy`).  No I/O.
//!
//! The parser is strict: a header that two readers could take for two clients is wrong.

mod binary;
pub mod header;
pub mod reader;
mod text;
