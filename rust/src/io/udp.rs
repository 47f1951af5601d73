//! The one UDP port of a process, for IPv4 and IPv6, read in batches and sent on from any thread.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

/// Kernel buffers large enough for a burst of all sessions while the receiver is not scheduled.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// What one read may return per slot when the kernel joins datagrams of one sender (GRO).
const SLOT_BYTES: usize = 64 << 10;

/// One bound socket.
pub struct UdpPort {
    socket: UdpSocket,
    state: UdpSocketState,
    /// The bound port.
    pub port: u16,
}

impl UdpPort {
    /// Binds the wildcard address of each family that the system has to one free port of `ports`
    /// (`0..=0`: any).
    ///
    /// # Errors
    /// No port of the range is free for all families, or there is no network at all.
    pub fn bind_all(ports: RangeInclusive<u16>) -> io::Result<Vec<Self>> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for port in ports {
            // The system's choice for one family may be taken in the other: then it chooses again.
            for _attempt in 0..if port == 0 { 16 } else { 1 } {
                let v4 = match Self::bind(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port) {
                    Ok(socket) => socket,
                    Err(error) => {
                        last = error;
                        continue;
                    }
                };
                match Self::bind(IpAddr::V6(Ipv6Addr::UNSPECIFIED), v4.port) {
                    Ok(v6) => return Ok(vec![v4, v6]),
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                    Err(_no_ipv6_here) => return Ok(vec![v4]),
                }
            }
        }
        Err(last)
    }

    fn bind(ip: IpAddr, port: u16) -> io::Result<Self> {
        let address = SocketAddr::new(ip, port);
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        // The system may grant less; that is its limit to set.
        let _granted = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _granted = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let socket = UdpSocket::from(socket);
        let port = socket.local_addr()?.port();
        Ok(Self {
            socket,
            state,
            port,
        })
    }

    /// Whether it sends to addresses of the family of `address`.
    pub fn serves(&self, address: SocketAddr) -> bool {
        self.socket
            .local_addr()
            .is_ok_and(|local| local.is_ipv4() == address.is_ipv4())
    }

    /// The socket, to be watched for readability.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends one datagram, from `source` where that is an address of this machine.
    ///
    /// # Errors
    /// As the system says; `WouldBlock` when its buffer is full.
    pub fn send(
        &self,
        source: Option<IpAddr>,
        destination: SocketAddr,
        contents: &[u8],
    ) -> io::Result<()> {
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: source,
        };
        self.state
            .try_send(UdpSockRef::from(&self.socket), &transmit)
    }
}

/// Buffers for reading a batch of datagrams.
pub struct Batch {
    slots: Vec<Vec<u8>>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Default for Batch {
    /// Buffers for one system call.
    fn default() -> Self {
        Self {
            slots: vec![vec![0; SLOT_BYTES]; BATCH_SIZE],
            meta: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

impl Batch {
    /// Reads what waits, at most one batch, and hands each datagram to `take` with its source and
    /// the local IP address that it was sent to. Returns how many slots were filled.
    ///
    /// # Errors
    /// As the system says; `WouldBlock` when nothing waits.
    pub fn read(
        &mut self,
        port: &UdpPort,
        mut take: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> io::Result<usize> {
        let mut slices: Vec<IoSliceMut> = self
            .slots
            .iter_mut()
            .map(|slot| IoSliceMut::new(slot))
            .collect();
        let count = port
            .state
            .recv(UdpSockRef::from(&port.socket), &mut slices, &mut self.meta)?;
        for (slot, meta) in self.slots.iter().zip(&self.meta).take(count) {
            for datagram in slot[..meta.len].chunks(meta.stride.max(1)) {
                take(meta.addr, meta.dst_ip, datagram);
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_tells_where_it_came_from_and_where_it_went() {
        let ports = UdpPort::bind_all(0..=0).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .send_to(b"hello", ("127.0.0.1", ports[0].port))
            .unwrap();
        let mut batch = Batch::default();
        let mut seen = Vec::new();
        while seen.is_empty() {
            match batch.read(&ports[0], |from, to, bytes| {
                seen.push((from, to, bytes.to_vec()))
            }) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        let expected = (
            client.local_addr().unwrap(),
            Some("127.0.0.1".parse().unwrap()),
            b"hello".to_vec(),
        );
        assert_eq!(seen, [expected]);
    }

    #[test]
    fn a_taken_port_is_an_error_and_a_range_moves_on() {
        let first = UdpPort::bind_all(0..=0).unwrap();
        let taken = first[0].port;
        assert!(UdpPort::bind_all(taken..=taken).is_err());
        if let Some(next) = taken.checked_add(20) {
            assert_ne!(UdpPort::bind_all(taken..=next).unwrap()[0].port, taken);
        }
    }
}
