//! A peer's way to the network and back: the shared sockets, its ICE-TCP connections, its TURN
//! allocations. Nothing here waits: what cannot be sent at once is lost, as on any network.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use str0m::net::{Protocol, Transmit};

use crate::handover::Event;
use crate::io::control::Control;
use crate::io::relay_socket::RelaySocket;
use crate::io::routes::{Route, Routes};
use crate::io::udp::UdpPort;
use crate::net::{Relay, RelayEvent, SendOutcome, encode_rfc4571};
use crate::peer::{Outlet, Peer};

/// What all shards of a process share.
pub struct Shared {
    /// The UDP sockets.
    pub ports: Arc<Vec<UdpPort>>,
    /// Who gets which datagram.
    pub routes: Arc<Routes>,
    /// The receiver.
    pub control: Arc<Control>,
    /// Sends that the system refused.
    pub send_errors: AtomicU64,
}

/// A TURN allocation of a peer, and its socket.
pub struct RelayPath {
    /// The protocol's state.
    pub relay: Relay,
    /// The way to the server.
    pub socket: Arc<RelaySocket>,
    /// The address that the server lent.
    pub relayed: SocketAddr,
}

impl RelayPath {
    /// Sends what the allocation has to say.
    ///
    /// # Errors
    /// As the system says.
    pub fn flush(&mut self, now: Instant) -> io::Result<()> {
        while let Some(message) = self.relay.poll_transmit(now) {
            self.socket.send(&message)?;
        }
        Ok(())
    }
}

/// One peer's way.
pub struct Way {
    /// Whose it is.
    pub route: Route,
    /// What it shares with all others.
    pub shared: Arc<Shared>,
    /// The peer's TURN allocations.
    pub relays: Vec<RelayPath>,
    /// Its UDP host candidates.
    pub hosts: Vec<SocketAddr>,
    /// Its ICE-TCP candidates.
    pub tcp_hosts: Vec<SocketAddr>,
    /// The time of what is being sent.
    pub now: Instant,
    frame: Vec<u8>,
}

impl Way {
    /// The way of a new peer.
    pub fn new(
        route: Route,
        shared: Arc<Shared>,
        relays: Vec<RelayPath>,
        hosts: Vec<SocketAddr>,
        tcp_hosts: Vec<SocketAddr>,
        now: Instant,
    ) -> Self {
        Self {
            route,
            shared,
            relays,
            hosts,
            tcp_hosts,
            now,
            frame: Vec::new(),
        }
    }

    /// The candidate that a datagram to `destination` counts for: str0m knows only candidates, not
    /// the addresses behind a NAT or a container's bridge.
    pub fn candidate_for(&self, proto: Protocol, destination: SocketAddr) -> SocketAddr {
        let known = if proto == Protocol::Udp {
            &self.hosts
        } else {
            &self.tcp_hosts
        };
        if known.contains(&destination) {
            return destination;
        }
        known
            .iter()
            .copied()
            .find(|host| host.is_ipv4() == destination.is_ipv4())
            .unwrap_or(destination)
    }

    fn send(&mut self, transmit: &Transmit) -> io::Result<()> {
        if let Some(path) = self
            .relays
            .iter_mut()
            .find(|path| path.relayed == transmit.source)
        {
            let outcome = path.relay.send(
                transmit.destination,
                &transmit.contents,
                self.now,
                &mut self.frame,
            );
            if outcome == SendOutcome::Wrapped {
                path.socket.send(&self.frame)?;
            }
            return path.flush(self.now);
        }
        match transmit.proto {
            Protocol::Udp => {
                let Some(port) = self
                    .shared
                    .ports
                    .iter()
                    .find(|port| port.serves(transmit.destination))
                else {
                    return Err(io::ErrorKind::AddrNotAvailable.into());
                };
                port.send(None, transmit.destination, &transmit.contents)
            }
            Protocol::Tcp => {
                // A candidate of the client that it has not connected from: passive only.
                let Some(connection) = self.shared.routes.connection(transmit.destination) else {
                    return Ok(());
                };
                self.frame.clear();
                encode_rfc4571(&transmit.contents, &mut self.frame).map_err(io::Error::other)?;
                connection.send(&self.frame)
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// When an allocation wants to refresh itself.
    pub fn relay_deadline(&self) -> Option<Instant> {
        self.relays
            .iter()
            .filter_map(|path| path.relay.timeout())
            .min()
    }
}

impl Outlet for Way {
    fn transmit(&mut self, transmit: Transmit) {
        match self.send(&transmit) {
            Ok(()) => {}
            // The same as a packet lost on the way; counted so that it can be seen.
            Err(_) => {
                self.shared.send_errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn authenticated(&mut self, address: SocketAddr) {
        self.shared.routes.add_address(address, self.route, true);
    }

    fn checking(&mut self, address: SocketAddr) {
        self.shared.routes.add_address(address, self.route, false);
    }

    fn local_ufrag(&mut self, ufrag: &str) {
        self.shared.routes.add_ufrag(ufrag, self.route);
    }
}

/// Lets the allocations refresh themselves.
pub fn drive_relays(peer: &mut Peer, way: &mut Way, now: Instant) {
    for index in 0..way.relays.len() {
        flush_relay(peer, way, index, now);
    }
}

/// Sends what an allocation has to say, and feeds the peer with what came through it.
fn flush_relay(peer: &mut Peer, way: &mut Way, index: usize, now: Instant) {
    let Some(path) = way.relays.get_mut(index) else {
        return;
    };
    let relayed = path.relayed;
    if path.flush(now).is_err() {
        way.shared.send_errors.fetch_add(1, Ordering::Relaxed);
    }
    while let Some(event) = way
        .relays
        .get_mut(index)
        .and_then(|path| path.relay.poll_event())
    {
        match event {
            RelayEvent::Data { from, bytes } => {
                peer.handle_datagram(now, Protocol::Udp, from, relayed, &bytes, way);
            }
            RelayEvent::Failed(failure) => {
                peer.link()
                    .mailbox
                    .push(Event::Warning(failure.to_string()));
            }
            RelayEvent::Allocated { .. } | RelayEvent::Closed => {}
        }
    }
}

/// Unwraps what came from a TURN server; no bytes on a stream mean its end.
pub fn take_relayed(peer: &mut Peer, way: &mut Way, index: usize, at: Instant, bytes: &[u8]) {
    let Some(path) = way.relays.get_mut(index) else {
        return;
    };
    match &*path.socket {
        RelaySocket::Udp(_) => path.relay.handle_datagram(bytes, at),
        RelaySocket::Tcp(_) => path.relay.handle_stream(bytes, at),
    }
    flush_relay(peer, way, index, at);
}
