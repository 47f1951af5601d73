//! A socket towards a TURN server. One peer sends on it, the receiver reads it.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};

use crate::io::tcp::TcpConnection;

/// A socket towards a TURN server, owned by one peer.
pub enum RelaySocket {
    /// A connected UDP socket.
    Udp(UdpSocket),
    /// A TCP connection.
    Tcp(TcpConnection),
}

impl RelaySocket {
    /// Sends one TURN message.
    ///
    /// # Errors
    /// As the system says.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(bytes).map(drop),
            Self::Tcp(connection) => connection.send(bytes),
        }
    }

    /// From now on reads and writes return at once.
    ///
    /// # Errors
    /// As the system says.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.set_nonblocking(true),
            Self::Tcp(connection) => connection.stream().set_nonblocking(true),
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        match self {
            Self::Udp(socket) => socket.as_raw_fd(),
            Self::Tcp(connection) => connection.stream().as_raw_fd(),
        }
    }
}
