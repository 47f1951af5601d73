//! The room where bytes and addresses are understood, without any I/O.
//!
//! Everything here is sans-IO: bytes and an [`std::time::Instant`] go in, bytes and values come
//! out. Sockets, threads, clocks and DNS belong to the callers. The one look outside is
//! [`addresses::local_addresses`], which asks the system for its interface list.
//!
//! Whatever arrives from the network is hostile until parsed: a parser in this room returns an
//! error or ignores, is bounded in memory, and does not panic.

pub mod addresses;
pub mod candidates;
pub mod demux;
pub mod framing;
pub mod ice_server;
pub mod stun;
pub mod turn;

mod clock;

pub use addresses::{AddressError, local_addresses, public_addresses};
pub use candidates::{CandidateError, RemoteCandidate, parse_remote};
pub use demux::{Datagram, StunClass, classify};
pub use framing::{Decoder, FramingError, Rfc4571, TurnStream, encode_rfc4571};
pub use ice_server::{IceServer, IceServerError, Service, Transport};
pub use stun::{BindingQuery, QueryState};
pub use turn::{Relay, RelayConfig, RelayEvent, RelayFailure, RelayStats, SendOutcome};

#[cfg(test)]
mod coturn_tests;

/// At most `limit` characters of foreign text, for messages that show it escaped (`{:?}`).
fn excerpt(text: &str, limit: usize) -> String {
    let mut out: String = text.chars().take(limit).collect();
    if text.chars().nth(limit).is_some() {
        out.push_str("...");
    }
    out
}
