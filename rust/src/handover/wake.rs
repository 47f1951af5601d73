//! How a media thread wakes an event loop: a descriptor that becomes readable. It knows nothing of what
//! there is to be read.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// A descriptor that a thread raises and an event loop watches.
#[cfg(target_os = "linux")]
pub struct Wake(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Wake {
    /// # Errors
    /// The system is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// A full counter refuses the write, and is readable all the same.
    pub fn raise(&self) {
        while rustix::io::write(&self.0, &1u64.to_ne_bytes()) == Err(rustix::io::Errno::INTR) {}
    }

    pub fn lower(&self) {
        let mut count = [0; 8];
        while rustix::io::read(&self.0, &mut count) == Err(rustix::io::Errno::INTR) {}
    }
}

/// A descriptor that a thread raises and an event loop watches.
#[cfg(not(target_os = "linux"))]
pub struct Wake(
    std::os::unix::net::UnixStream,
    std::os::unix::net::UnixStream,
);

#[cfg(not(target_os = "linux"))]
impl Wake {
    /// # Errors
    /// The system is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self(reader, writer))
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// A full socket refuses the write, and is readable all the same.
    pub fn raise(&self) {
        use std::io::Write;
        while matches!((&self.1).write(&[1]), Err(error) if error.kind() == io::ErrorKind::Interrupted)
        {
        }
    }

    pub fn lower(&self) {
        use std::io::Read;
        let mut bytes = [0; 64];
        while matches!((&self.0).read(&mut bytes), Ok(count) if count == bytes.len()) {}
    }
}
