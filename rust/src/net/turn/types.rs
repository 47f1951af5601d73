//! What goes into a relay and what comes out of it.

use std::fmt;
use std::net::SocketAddr;

use thiserror::Error;

use crate::net::framing::FramingError;
use crate::net::ice_server::Transport;

/// Where the relay is and who we are to it.
#[derive(Clone)]
pub struct RelayConfig {
    /// The server's address, resolved.
    pub server: SocketAddr,
    /// How it is reached.
    pub transport: Transport,
    /// User name of the long-term credential; time-limited ones must outlive the session.
    pub username: String,
    /// Its password.
    pub credential: String,
    /// Local address of the socket towards the server.
    pub local: SocketAddr,
}

/// Without the credential.
impl fmt::Debug for RelayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayConfig")
            .field("server", &self.server)
            .field("transport", &self.transport)
            .field("username", &self.username)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// Why there is no relay, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RelayFailure {
    /// The user name can not be sent.
    #[error("a TURN user name has 1 to 508 bytes, not {0}; check the credentials")]
    Username(usize),
    /// No answer.
    #[error("the TURN server {0} did not answer")]
    TimedOut(SocketAddr),
    /// An error response.
    #[error("the TURN server {server} refused: error {code} {reason:?}{}", advice(*.code))]
    Refused {
        /// The server.
        server: SocketAddr,
        /// Its error code (RFC 8656 section 18).
        code: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// The allocation could not be refreshed and has ended.
    #[error("the allocation on the TURN server {0} expired; it could not be refreshed")]
    Expired(SocketAddr),
    /// The stream from the server is not TURN.
    #[error("the TURN server {0} sent a broken stream: {1}")]
    Stream(SocketAddr, FramingError),
    /// The server closed the connection.
    #[error("the TURN server {0} closed the connection")]
    Disconnected(SocketAddr),
}

fn advice(code: u16) -> &'static str {
    match code {
        300 => "; configure the server that it names instead",
        401 | 441 => "; check username and credential, and that they have not expired",
        437 => "; the local port still has an allocation, use another",
        486 => "; its quota for this user is used up",
        508 => "; it has no relay port left",
        _ => "",
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayEvent {
    /// The relay can be used.
    Allocated {
        /// The address at which peers reach us: a relay candidate.
        relayed: SocketAddr,
        /// Our address as the server sees it: for UDP, server-reflexive.
        mapped: Option<SocketAddr>,
    },
    /// A peer's datagram.
    Data {
        /// The peer.
        from: SocketAddr,
        /// Its datagram.
        bytes: Vec<u8>,
    },
    /// There is no relay, or no longer. Nothing follows.
    Failed(RelayFailure),
    /// After [`super::Relay::close`]: the server has released the allocation. Nothing follows.
    Closed,
}

/// What became of a datagram given to [`super::Relay::send`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// The wrapped bytes are to be sent to the server now.
    Wrapped,
    /// It waits for the peer's permission and leaves through [`super::Relay::poll_transmit`].
    Queued,
    /// It was dropped and counted: no allocation, a peer of another address family or too many,
    /// a permission that the server refused, an empty or too long datagram.
    Dropped,
}

/// Counters since the relay began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Datagrams wrapped for the server.
    pub sent: u64,
    /// Datagrams of peers.
    pub received: u64,
    /// Datagrams for peers that were dropped, whether at once or after waiting.
    pub dropped: u64,
    /// Messages of the server that meant nothing to us.
    pub ignored: u64,
}
