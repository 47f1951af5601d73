//! One ICE-TCP connection (RFC 6544, framed by RFC 4571), or one to a TURN server: read by the
//! receiver, written by shards.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};

/// Bytes that may wait for a slow reader before packets are dropped: better lost than late.
const MAX_PENDING_BYTES: usize = 128 << 10;

/// A non-blocking connection whose writes never wait.
pub struct TcpConnection {
    stream: TcpStream,
    /// The other end.
    pub remote: SocketAddr,
    /// This end.
    pub local: SocketAddr,
    pending: Mutex<Vec<u8>>,
}

impl TcpConnection {
    /// Wraps an established connection.
    ///
    /// # Errors
    /// The connection is already gone.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let (remote, local) = (stream.peer_addr()?, stream.local_addr()?);
        Ok(Self {
            stream,
            remote,
            local,
            pending: Mutex::new(Vec::new()),
        })
    }

    /// The socket, to be watched.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes `bytes` whole, now or when the connection takes them; drops them when too much waits.
    ///
    /// # Errors
    /// The connection is gone, or `WouldBlock` when `bytes` were dropped.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() + bytes.len() > MAX_PENDING_BYTES {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pending.extend_from_slice(bytes);
        self.write_pending(&mut pending)
    }

    /// Goes on with what waits. Called when the connection is writable.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn flush(&self) -> io::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_pending(&mut pending)
    }

    fn write_pending(&self, pending: &mut Vec<u8>) -> io::Result<()> {
        while !pending.is_empty() {
            match (&self.stream).write(pending) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(pending.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once into `buffer`; 0 means that the other end is gone.
    ///
    /// # Errors
    /// As the system says; `WouldBlock` when nothing waits.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(buffer)
    }

    /// Ends the connection, both ways.
    pub fn close(&self) {
        // It may be gone already, which is what was wanted.
        let _gone = self.stream.shutdown(Shutdown::Both);
    }
}
