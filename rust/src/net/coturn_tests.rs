//! STUN and TURN against coturn's `turnserver` (Debian package `coturn`) on loopback.
//!
//! Here, and only here, the room's state machines get real sockets and the real clock.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::turn::{Relay, RelayConfig, RelayEvent, RelayFailure, SendOutcome};
use super::{BindingQuery, QueryState, Transport};

const PATIENCE: Duration = Duration::from_secs(10);

/// A `turnserver` for user `u` with password `p`, ended on drop.
struct Coturn {
    process: Child,
    address: SocketAddr,
}

impl Coturn {
    fn start(more: &[&str]) -> Self {
        let port = free_port();
        let process = Command::new("turnserver")
            .args([
                "-n",
                "--listening-ip=127.0.0.1",
                "--relay-ip=127.0.0.1",
                "--no-tls",
            ])
            .args([
                "--no-dtls",
                "--no-cli",
                "--lt-cred-mech",
                "--realm=r",
                "--user=u:p",
            ])
            .args(["--log-file=stdout", "--simple-log", "--pidfile=/dev/null"])
            .arg(format!("--listening-port={port}"))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("turnserver can not be started ({error}): install the package coturn")
            });
        let server = Self {
            process,
            address: (Ipv4Addr::LOCALHOST, port).into(),
        };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(server.address).is_err() {
            assert!(
                Instant::now() < end,
                "turnserver does not listen on {}",
                server.address
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn with_loopback_peers() -> Self {
        Self::start(&["--allow-loopback-peers"])
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        self.process.kill().expect("turnserver can be killed");
        self.process.wait().expect("turnserver can be waited for");
    }
}

/// A port free for UDP and TCP on loopback.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn udp_socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// A relay with its socket, driven as the media plane drives it.
struct Driven {
    relay: Relay,
    socket: Socket,
}

impl Driven {
    fn new(server: SocketAddr, transport: Transport, credential: &str) -> Self {
        let (socket, local) = match transport {
            Transport::Udp => {
                let socket = udp_socket();
                socket.connect(server).unwrap();
                let local = socket.local_addr().unwrap();
                (Socket::Udp(socket), local)
            }
            Transport::Tcp => {
                let stream = TcpStream::connect(server).unwrap();
                let local = stream.local_addr().unwrap();
                (Socket::Tcp(stream), local)
            }
        };
        let config = RelayConfig {
            server,
            transport,
            username: "u".to_owned(),
            credential: credential.to_owned(),
            local,
        };
        Self {
            relay: Relay::new(config, Instant::now()).unwrap(),
            socket,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        match &mut self.socket {
            Socket::Udp(socket) => assert_eq!(socket.send(bytes).unwrap(), bytes.len()),
            Socket::Tcp(stream) => stream.write_all(bytes).unwrap(),
        }
    }

    fn send(&mut self, to: SocketAddr, data: &[u8]) -> SendOutcome {
        let mut out = Vec::new();
        let outcome = self.relay.send(to, data, Instant::now(), &mut out);
        if outcome == SendOutcome::Wrapped {
            self.write(&out);
        }
        outcome
    }

    /// One turn of the loop: send what is due, wait for a message or a timer.
    fn turn(&mut self, longest: Duration) {
        while let Some(bytes) = self.relay.poll_transmit(Instant::now()) {
            self.write(&bytes);
        }
        let Some(timeout) = self.relay.timeout() else {
            return;
        };
        let wait = timeout
            .saturating_duration_since(Instant::now())
            .min(longest);
        let wait = Some(wait.max(Duration::from_millis(1)));
        let mut buffer = [0; 2048];
        match &mut self.socket {
            Socket::Udp(socket) => {
                socket.set_read_timeout(wait).unwrap();
                if let Ok(len) = socket.recv(&mut buffer) {
                    self.relay.handle_datagram(&buffer[..len], Instant::now());
                }
            }
            Socket::Tcp(stream) => {
                stream.set_read_timeout(wait).unwrap();
                // Odd pieces, so that messages are cut anywhere.
                if let Ok(len) = stream.read(&mut buffer[..37]) {
                    self.relay.handle_stream(&buffer[..len], Instant::now());
                }
            }
        }
    }

    fn next_event(&mut self) -> RelayEvent {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.relay.poll_event() {
                return event;
            }
            assert!(Instant::now() < end, "no event from {:?}", self.relay);
            self.turn(Duration::from_secs(1));
        }
    }

    fn run_for(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.turn(Duration::from_millis(10));
        }
    }

    fn allocated(&mut self) -> (SocketAddr, Option<SocketAddr>) {
        match self.next_event() {
            RelayEvent::Allocated { relayed, mapped } => (relayed, mapped),
            other => panic!("{other:?}"),
        }
    }
}

fn passes_data_both_ways(transport: Transport) {
    let coturn = Coturn::with_loopback_peers();
    let mut driven = Driven::new(coturn.address, transport, "p");
    let (relayed, mapped) = driven.allocated();
    assert_eq!(driven.relay.relayed(), Some(relayed));
    let local = match &driven.socket {
        Socket::Udp(socket) => socket.local_addr().unwrap(),
        Socket::Tcp(stream) => stream.local_addr().unwrap(),
    };
    assert_eq!(mapped, Some(local));

    let peer = udp_socket();
    let peer_address = peer.local_addr().unwrap();
    let mut buffer = [0; 2048];
    // Waits for its permission, then leaves in order, whatever its length.
    for len in 1..=9 {
        assert_eq!(
            driven.send(peer_address, &[len; 9][..len.into()]),
            SendOutcome::Queued
        );
    }
    for len in 1..=9 {
        driven.turn_until_readable(&peer);
        let (received, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..received], from),
            (&[len; 9][..len.into()], relayed)
        );
    }

    // RTP asks for a channel; both directions go on before, while and after it is bound.
    let mut overheads = Vec::new();
    for index in 0..40_u8 {
        let mut packet = vec![0x80, 111, index];
        packet.resize(60 + usize::from(index), index);
        let mut out = Vec::new();
        let outcome = driven
            .relay
            .send(peer_address, &packet, Instant::now(), &mut out);
        assert_eq!(outcome, SendOutcome::Wrapped);
        overheads.push(out.len() - packet.len());
        driven.write(&out);
        let (received, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..received], from), (&packet[..], relayed));

        peer.send_to(&packet[..packet.len() - 1], relayed).unwrap();
        let data = RelayEvent::Data {
            from: peer_address,
            bytes: packet[..packet.len() - 1].into(),
        };
        assert_eq!(driven.next_event(), data);
        driven.turn(Duration::from_millis(5));
    }
    assert!(
        overheads[0] >= 32,
        "first in a Send indication: {overheads:?}"
    );
    assert!(overheads[39] <= 7, "at last as ChannelData: {overheads:?}");
    assert_eq!(driven.relay.stats().dropped, 0);

    driven.relay.close(Instant::now());
    assert_eq!(driven.next_event(), RelayEvent::Closed);
    assert!(driven.relay.is_ended());
    assert_eq!(driven.relay.timeout(), None);
    assert_eq!(driven.send(peer_address, &[1]), SendOutcome::Dropped);
    peer.send_to(&[1], relayed).unwrap();
    assert_eq!(driven.relay.poll_event(), None);
}

impl Driven {
    /// Runs the relay until `peer` has something to read.
    fn turn_until_readable(&mut self, peer: &UdpSocket) {
        let end = Instant::now() + PATIENCE;
        peer.set_nonblocking(true).unwrap();
        while peer.peek(&mut [0]).is_err() {
            assert!(
                Instant::now() < end,
                "nothing for the peer from {:?}",
                self.relay
            );
            self.turn(Duration::from_millis(10));
        }
        peer.set_nonblocking(false).unwrap();
    }
}

#[test]
fn coturn_relays_over_udp() {
    passes_data_both_ways(Transport::Udp);
}

#[test]
fn coturn_relays_over_tcp() {
    passes_data_both_ways(Transport::Tcp);
}

#[test]
fn coturn_refuses_a_wrong_password() {
    let coturn = Coturn::with_loopback_peers();
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut driven = Driven::new(coturn.address, transport, "wrong");
        let RelayEvent::Failed(failure) = driven.next_event() else {
            panic!("{:?}", driven.relay);
        };
        let RelayFailure::Refused { code: 401, .. } = failure else {
            panic!("{failure}");
        };
        assert!(
            failure
                .to_string()
                .contains("check username and credential"),
            "{failure}"
        );
        assert_eq!(driven.relay.timeout(), None);
    }
}

#[test]
fn coturn_refuses_forbidden_peers_and_the_drops_are_counted() {
    let coturn = Coturn::start(&["--denied-peer-ip=192.0.2.0-192.0.2.255"]);
    let mut driven = Driven::new(coturn.address, Transport::Udp, "p");
    driven.allocated();
    let peer = "192.0.2.7:5000".parse().unwrap();
    assert_eq!(driven.send(peer, &[1]), SendOutcome::Queued);
    let end = Instant::now() + PATIENCE;
    while driven.relay.stats().dropped == 0 {
        assert!(Instant::now() < end, "{:?}", driven.relay);
        driven.turn(Duration::from_millis(20));
    }
    assert_eq!(driven.send(peer, &[2]), SendOutcome::Dropped);
    let other_family = "[2001:db8::1]:5000".parse().unwrap();
    assert_eq!(driven.send(other_family, &[3]), SendOutcome::Dropped);
    assert_eq!(driven.relay.stats().dropped, 3);
    assert!(driven.relay.relayed().is_some(), "the allocation survives");
}

#[test]
fn coturn_lets_a_permitted_peer_speak_first() {
    let coturn = Coturn::with_loopback_peers();
    let mut driven = Driven::new(coturn.address, Transport::Udp, "p");
    let (relayed, _) = driven.allocated();
    let peer = udp_socket();
    driven
        .relay
        .permit(peer.local_addr().unwrap().ip(), Instant::now());
    driven.run_for(Duration::from_millis(300));
    peer.send_to(b"hello", relayed).unwrap();
    let from = peer.local_addr().unwrap();
    assert_eq!(
        driven.next_event(),
        RelayEvent::Data {
            from,
            bytes: b"hello".to_vec()
        }
    );
}

#[test]
fn a_relay_closed_while_allocating_gives_the_allocation_back() {
    let coturn = Coturn::start(&["--allow-loopback-peers", "--user-quota=1"]);
    let mut driven = Driven::new(coturn.address, Transport::Udp, "p");
    driven.turn(Duration::from_secs(1));
    driven.relay.close(Instant::now());
    assert_eq!(driven.next_event(), RelayEvent::Closed);
    // With a quota of one allocation per user, the next one needs that of the first, which
    // coturn frees a moment after its answer.
    let end = Instant::now() + PATIENCE;
    let _next = loop {
        let mut next = Driven::new(coturn.address, Transport::Udp, "p");
        if let RelayEvent::Allocated { .. } = next.next_event() {
            break next;
        }
        assert!(Instant::now() < end, "the first allocation still exists");
        std::thread::sleep(Duration::from_millis(100));
    };
    let mut third = Driven::new(coturn.address, Transport::Udp, "p");
    let RelayEvent::Failed(RelayFailure::Refused { code: 486, .. }) = third.next_event() else {
        panic!("{:?}", third.relay);
    };
}

#[test]
fn the_end_of_the_tcp_connection_is_a_failure() {
    let coturn = Coturn::with_loopback_peers();
    let mut driven = Driven::new(coturn.address, Transport::Tcp, "p");
    driven.allocated();
    let server = coturn.address;
    drop(coturn);
    assert_eq!(
        driven.next_event(),
        RelayEvent::Failed(RelayFailure::Disconnected(server))
    );
}

#[test]
fn coturn_tells_the_server_reflexive_address() {
    let coturn = Coturn::with_loopback_peers();
    let socket = udp_socket();
    let local = socket.local_addr().unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut query = BindingQuery::new(coturn.address, local, Instant::now());
    let mut buffer = [0; 2048];
    while *query.state() == QueryState::Waiting {
        while let Some(datagram) = query.poll_transmit(Instant::now()) {
            socket.send_to(&datagram, query.server()).unwrap();
        }
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            query.handle_response(&buffer[..len], from, Instant::now());
        }
    }
    assert_eq!(*query.state(), QueryState::Mapped(local));
}
