//! The room that touches sockets: the shared UDP port, ICE-TCP connections, the sockets towards
//! TURN servers, and the receiver thread that reads them all. Nothing here decrypts or decodes.

pub mod control;
pub mod load;
pub mod receiver;
pub mod relay_socket;
pub mod router;
pub mod routes;
pub mod tcp;
pub mod udp;

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::thread::Thread;
use std::time::Instant;

use str0m::net::Protocol;

/// Longer datagrams are dropped: WebRTC keeps below the Ethernet MTU.
pub const MAX_DATAGRAM_BYTES: usize = 1600;

/// One received datagram on its way to a shard.
pub struct Datagram {
    /// The peer it is for.
    pub peer: u64,
    /// How it came.
    pub via: Via,
    /// Who sent it.
    pub source: SocketAddr,
    /// Our address that it was sent to.
    pub destination: SocketAddr,
    /// When it was read.
    pub at: Instant,
    len: u16,
    bytes: [u8; MAX_DATAGRAM_BYTES],
}

/// How a datagram came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// Straight from the network.
    Direct(Protocol),
    /// Read from the peer's n-th relay socket, still wrapped.
    Relay(usize),
}

impl Datagram {
    /// Copies `bytes`; None when they are too many.
    pub fn new(
        peer: u64,
        via: Via,
        source: SocketAddr,
        destination: SocketAddr,
        at: Instant,
        content: &[u8],
    ) -> Option<Self> {
        let mut bytes = [0; MAX_DATAGRAM_BYTES];
        bytes.get_mut(..content.len())?.copy_from_slice(content);
        Some(Self {
            peer,
            via,
            source,
            destination,
            at,
            len: content.len() as u16,
            bytes,
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Wakes a parked thread, once it has said which it is.
#[derive(Default)]
pub struct Wake(OnceLock<Thread>);

impl Wake {
    /// The calling thread is the one to be woken.
    pub fn is_me(&self) {
        self.0.get_or_init(std::thread::current);
    }

    /// Wakes it, or lets its next park return at once.
    pub fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}
