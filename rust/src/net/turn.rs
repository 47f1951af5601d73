//! One allocation on a TURN server (RFC 8656), over UDP or TCP, as a state machine.
//!
//! The protocol is `turn-client-proto`'s; what is added here: permissions and channels come into
//! being when data is sent, what has to wait for a permission waits in a bounded queue, TCP is
//! cut into messages and padded as RFC 8656 section 12.5 wants it, failures have reasons, and an
//! allocation is given back even when it is closed half-way.
//!
//! A caller, after each call that takes `now` and whenever [`Relay::timeout`] is reached: calls
//! [`Relay::poll_transmit`] until `None` and sends each result (a datagram to the server, or one
//! uninterrupted write on the stream), then [`Relay::poll_event`] until `None`.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turn_client_proto::api::{
    BindChannelError, CreatePermissionError, DelayedMessageOrChannelSend, Transmit, TurnClientApi,
    TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet,
};
use turn_client_proto::client::TurnClient;
use turn_client_proto::stun::types::TransportType;
use turn_client_proto::stun::types::attribute::{ErrorCode, XorMappedAddress};
use turn_client_proto::stun::types::message::{Message, MessageClass};
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::TurnCredentials;
use turn_client_proto::types::message::{ALLOCATE, REFRESH};
use turn_client_proto::types::prelude::DelayedTransmitBuild;
use turn_client_proto::udp::TurnClientUdp;

use super::clock::Clock;
use super::framing::{Decoder, TurnStream};
use super::ice_server::Transport;
use super::stun::{FINAL_WAIT, INITIAL_RTO, MAX_RTO, TRANSMISSIONS};
use super::{Datagram, classify, excerpt};
use waiting::WaitingQueue;

mod types;
mod waiting;

pub use types::{RelayConfig, RelayEvent, RelayFailure, RelayStats, SendOutcome};
pub use waiting::{MAX_WAIT, MAX_WAITING};

/// Most peers (IP addresses for permissions, addresses with port for channels) of one relay.
pub const MAX_PEERS: usize = 256;
/// Longest datagram that is relayed: what fits into one UDP datagram with its TURN header.
pub const MAX_DATAGRAM_LEN: usize = 65_000;
/// How long a refused permission or channel is not asked for again.
const REFUSED_HOLD: Duration = Duration::from_secs(10);
/// The least time between two wake-ups without progress, so that no state can spin the caller.
const MIN_WAKE: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has been sent.
    Idle,
    Allocating,
    Allocated {
        relayed: SocketAddr,
    },
    /// The refresh with lifetime 0 is under way.
    Releasing,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    Requested,
    Granted,
    RefusedUntil(Instant),
}

/// One allocation on a TURN server.
pub struct Relay {
    client: TurnClient,
    clock: Clock,
    server: SocketAddr,
    local: SocketAddr,
    transport: TransportType,
    stream: Decoder<TurnStream>,
    phase: Phase,
    close_wanted: bool,
    /// The last refusal that was not part of ordinary authentication.
    refusal: Option<(u16, String)>,
    /// The first error 401, which asks for credentials, has come.
    challenged: bool,
    /// Cookie and transaction id of the STUN message sent last.
    last_request: Option<Vec<u8>>,
    mapped: Option<SocketAddr>,
    permissions: HashMap<IpAddr, Binding>,
    channels: HashMap<SocketAddr, Binding>,
    waiting: WaitingQueue,
    outgoing: VecDeque<Vec<u8>>,
    events: VecDeque<RelayEvent>,
    /// Something changed that the client has not been polled for.
    stale: bool,
    wake: Instant,
    stats: RelayStats,
}

impl Relay {
    /// Begins an allocation of an IPv4 address; the first request is ready in
    /// [`Self::poll_transmit`]. For TCP the connection must be established already.
    ///
    /// ```ignore
    /// let mut relay = Relay::new(config, now);
    /// while let Some(bytes) = relay.poll_transmit(now) { socket.send_to(&bytes, server)?; }
    /// ```
    pub fn new(config: RelayConfig, now: Instant) -> Self {
        let RelayConfig {
            server,
            transport,
            username,
            credential,
            local,
        } = config;
        let mut turn = TurnConfig::new(TurnCredentials::new(&username, &credential));
        turn.set_request_retransmits(INITIAL_RTO, MAX_RTO, TRANSMISSIONS, FINAL_WAIT);
        let (client, transport) = match transport {
            Transport::Udp => (
                TurnClient::from(TurnClientUdp::allocate(local, server, turn)),
                TransportType::Udp,
            ),
            Transport::Tcp => (
                TurnClient::from(TurnClientTcp::allocate(local, server, turn)),
                TransportType::Tcp,
            ),
        };
        Self {
            client,
            clock: Clock::new(now),
            server,
            local,
            transport,
            stream: Decoder::default(),
            phase: Phase::Idle,
            close_wanted: false,
            refusal: None,
            challenged: false,
            last_request: None,
            mapped: None,
            permissions: HashMap::new(),
            channels: HashMap::new(),
            waiting: WaitingQueue::default(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            stale: true,
            wake: now,
            stats: RelayStats::default(),
        }
    }

    /// The server's address: datagrams from there go to [`Self::handle_datagram`].
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// The relayed address, while there is one.
    pub fn relayed(&self) -> Option<SocketAddr> {
        match self.phase {
            Phase::Allocated { relayed } => Some(relayed),
            _ => None,
        }
    }

    /// Whether [`RelayEvent::Failed`] or [`RelayEvent::Closed`] has been reported.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Counters since the relay began.
    pub fn stats(&self) -> RelayStats {
        self.stats
    }

    /// Takes a datagram that came from the server over UDP.
    pub fn handle_datagram(&mut self, bytes: &[u8], now: Instant) {
        if self.phase != Phase::Ended {
            self.receive(bytes, now);
        }
    }

    /// Takes what was read from the TCP stream, in order; an empty slice means end of stream.
    pub fn handle_stream(&mut self, bytes: &[u8], now: Instant) {
        if self.phase == Phase::Ended {
            return;
        }
        if bytes.is_empty() {
            self.end_of_stream();
            return;
        }
        let mut stream = std::mem::take(&mut self.stream);
        stream.push(bytes);
        while let Some(message) = stream.next_message() {
            match message {
                Ok(message) => self.receive(message, now),
                Err(error) => self.fail(RelayFailure::Stream(self.server, error)),
            }
        }
        self.stream = stream;
    }

    /// Wraps `data` for the peer `to` and writes the result into `out`, which is cleared first.
    /// The first datagram to an address asks for its permission and waits for it; the first one
    /// that is no STUN message also asks for a channel, which makes later ones smaller.
    pub fn send(
        &mut self,
        to: SocketAddr,
        data: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> SendOutcome {
        out.clear();
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        let deliverable = matches!(self.phase, Phase::Allocated { relayed }
            if relayed.is_ipv4() == to.is_ipv4())
            && to.port() != 0
            && (1..=MAX_DATAGRAM_LEN).contains(&data.len());
        if !deliverable {
            return self.dropped();
        }
        if self.client.have_permission(TransportType::Udp, to.ip()) {
            self.want_channel(to, data, now);
            return match self.wrap(to, data, now, out) {
                true => SendOutcome::Wrapped,
                false => self.dropped(),
            };
        }
        if !self.want_permission(to.ip(), now) {
            return self.dropped();
        }
        self.stats.dropped += self.waiting.push(to, data, now);
        SendOutcome::Queued
    }

    /// Asks for the permission to exchange data with `peer` before there is any to send: a
    /// relay lets in what `peer` sends only then. Call it for each remote candidate.
    pub fn permit(&mut self, peer: IpAddr, now: Instant) {
        let peer = peer.to_canonical();
        if matches!(self.phase, Phase::Allocated { relayed } if relayed.is_ipv4() == peer.is_ipv4())
            && !self.client.have_permission(TransportType::Udp, peer)
        {
            self.want_permission(peer, now);
        }
    }

    /// Gives the allocation back: the request leaves through [`Self::poll_transmit`], and
    /// [`RelayEvent::Closed`] follows the server's answer, or at the latest when the
    /// retransmissions end. Waiting data is dropped. May be called at any time, repeatedly.
    pub fn close(&mut self, now: Instant) {
        self.close_wanted = true;
        match self.phase {
            Phase::Idle => self.end(RelayEvent::Closed),
            Phase::Allocated { .. } => self.release(now),
            _ => {}
        }
    }

    /// The next bytes for the server. Also lets time pass: call it until `None` when
    /// [`Self::timeout`] is reached.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.phase != Phase::Ended && (self.stale || now >= self.wake) {
            self.drive(now);
        }
        self.outgoing.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<RelayEvent> {
        self.events.pop_front()
    }

    /// When [`Self::poll_transmit`] wants to be called again; `None` once the relay has ended.
    pub fn timeout(&self) -> Option<Instant> {
        (self.phase != Phase::Ended).then_some(self.wake)
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        if self.phase == Phase::Ended {
            return;
        }
        let refused = bytes.first().is_some_and(|&first| first < 4) && self.note_response(bytes);
        let transmit = Transmit::new(bytes, self.transport, self.server, self.local);
        match self.client.recv(transmit, self.clock.to_wire(now)) {
            TurnRecvRet::PeerData(data) => {
                self.stats.received += 1;
                let event = RelayEvent::Data {
                    from: data.peer,
                    bytes: data.data().to_vec(),
                };
                self.events.push_back(event);
            }
            TurnRecvRet::Handled => {
                self.stale = true;
                self.drive(now);
            }
            // Servers refuse without MESSAGE-INTEGRITY when they do not know the key; the crate
            // would repeat the request until it times out.
            TurnRecvRet::Ignored(_) if refused && self.phase == Phase::Allocating => {
                self.handle_closed();
            }
            TurnRecvRet::Ignored(_) | TurnRecvRet::PeerIcmp { .. } => self.stats.ignored += 1,
        }
    }

    /// Keeps from a response what the protocol crate does not hand on: our mapped address, and
    /// why the allocation or its refresh was refused. Whether it is a refusal of the request
    /// sent last, that is not the ordinary demand for credentials or for a fresh nonce.
    fn note_response(&mut self, bytes: &[u8]) -> bool {
        let Ok(message) = Message::from_bytes(bytes) else {
            return false;
        };
        if !message.is_response() || !matches!(message.method(), ALLOCATE | REFRESH) {
            return false;
        }
        if message.has_class(MessageClass::Success) {
            self.refusal = None;
            if message.method() == ALLOCATE {
                let mapped = message.attribute::<XorMappedAddress>().ok();
                self.mapped = mapped.map(|mapped| mapped.addr(message.transaction_id()));
            }
            return false;
        }
        let Ok(error) = message.attribute::<ErrorCode>() else {
            return false;
        };
        let challenge = error.code() == ErrorCode::UNAUTHORIZED && !self.challenged;
        self.challenged |= challenge;
        if challenge || error.code() == ErrorCode::STALE_NONCE {
            return false;
        }
        self.refusal = Some((error.code(), excerpt(error.reason(), 80)));
        bytes.get(4..20) == self.last_request.as_deref()
    }

    /// Lets the protocol crate work until it has nothing more to do at `now`.
    fn drive(&mut self, now: Instant) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Allocating;
        }
        self.stale = false;
        self.stats.dropped += self.waiting.expire(now);
        let at = self.clock.to_wire(now);
        loop {
            let mut progress = false;
            while let Some(event) = self.client.poll_event() {
                progress = true;
                self.handle_event(event, now);
            }
            if self.phase == Phase::Ended {
                return;
            }
            match self.client.poll(at) {
                TurnPollRet::Closed => {
                    if self.collect_events(now) {
                        continue;
                    }
                    self.handle_closed();
                    return;
                }
                TurnPollRet::WaitUntil(next) => self.wake = self.clock.from_wire(next),
                // Both belong to TCP allocations (RFC 6062), which are never requested.
                TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => {}
            }
            while let Some(transmit) = self.client.poll_transmit(at) {
                progress = true;
                self.last_request = transmit.data.get(4..20).map(<[u8]>::to_vec);
                self.outgoing.push_back(transmit.data.to_vec());
            }
            if !progress {
                break;
            }
        }
        if let Some(expiry) = self.waiting.timeout() {
            self.wake = self.wake.min(expiry);
        }
        self.wake = self.wake.max(now + MIN_WAKE);
    }

    /// Handles what the client still reports; whether there was anything and we go on.
    fn collect_events(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(event) = self.client.poll_event() {
            any = true;
            self.handle_event(event, now);
        }
        any && self.phase != Phase::Ended
    }

    fn handle_event(&mut self, event: TurnEvent, now: Instant) {
        match event {
            TurnEvent::AllocationCreated(_, relayed) if self.phase == Phase::Allocating => {
                self.phase = Phase::Allocated { relayed };
                if self.close_wanted {
                    self.release(now);
                } else {
                    let mapped = self.mapped;
                    self.events
                        .push_back(RelayEvent::Allocated { relayed, mapped });
                }
            }
            TurnEvent::AllocationCreateFailed(_) => self.handle_closed(),
            TurnEvent::PermissionCreated(_, ip) => {
                self.permissions.insert(ip, Binding::Granted);
                self.flush_waiting(ip, now);
            }
            TurnEvent::PermissionCreateFailed(_, ip) => {
                self.permissions
                    .insert(ip, Binding::RefusedUntil(now + REFUSED_HOLD));
                self.stats.dropped += self.waiting.take(ip).len() as u64;
            }
            TurnEvent::ChannelCreated(_, peer) => {
                self.channels.insert(peer, Binding::Granted);
            }
            TurnEvent::ChannelCreateFailed(_, peer) => {
                self.channels
                    .insert(peer, Binding::RefusedUntil(now + REFUSED_HOLD));
            }
            TurnEvent::AllocationCreated(..)
            | TurnEvent::TcpConnected(_)
            | TurnEvent::TcpConnectFailed(_) => {}
        }
    }

    /// The client will make no more progress.
    fn handle_closed(&mut self) {
        if self.close_wanted {
            self.end(RelayEvent::Closed);
            return;
        }
        let server = self.server;
        let failure = match (self.refusal.take(), self.phase) {
            (Some((code, reason)), _) => RelayFailure::Refused {
                server,
                code,
                reason,
            },
            (None, Phase::Allocated { .. }) => RelayFailure::Expired(server),
            (None, _) => RelayFailure::TimedOut(server),
        };
        self.fail(failure);
    }

    fn end_of_stream(&mut self) {
        if self.close_wanted {
            self.end(RelayEvent::Closed);
        } else {
            self.fail(RelayFailure::Disconnected(self.server));
        }
    }

    fn fail(&mut self, failure: RelayFailure) {
        self.end(RelayEvent::Failed(failure));
    }

    fn end(&mut self, last: RelayEvent) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.stats.dropped += self.waiting.clear();
            self.outgoing.clear();
            self.events.push_back(last);
        }
    }

    fn release(&mut self, now: Instant) {
        self.stats.dropped += self.waiting.clear();
        match self.client.delete(self.clock.to_wire(now)) {
            Ok(()) => {
                self.phase = Phase::Releasing;
                self.stale = true;
            }
            Err(_) => self.end(RelayEvent::Closed),
        }
    }

    /// Makes sure a permission is on its way; whether waiting for it makes sense.
    fn want_permission(&mut self, ip: IpAddr, now: Instant) -> bool {
        match self.permissions.get(&ip) {
            Some(Binding::Requested) => return true,
            Some(Binding::RefusedUntil(until)) if now < *until => return false,
            None if self.permissions.len() >= MAX_PEERS => return false,
            _ => {}
        }
        let at = self.clock.to_wire(now);
        match self.client.create_permission(TransportType::Udp, ip, at) {
            Ok(()) | Err(CreatePermissionError::AlreadyExists) => {
                self.permissions.insert(ip, Binding::Requested);
                self.stale = true;
                true
            }
            Err(_) => false,
        }
    }

    /// Asks for a channel to a peer with which more than connectivity checks are exchanged.
    fn want_channel(&mut self, to: SocketAddr, data: &[u8], now: Instant) {
        let media = || matches!(classify(data), Datagram::Dtls | Datagram::Rtp);
        match self.channels.get(&to) {
            Some(Binding::Requested | Binding::Granted) => return,
            Some(Binding::RefusedUntil(until)) if now < *until => return,
            None if self.channels.len() >= MAX_PEERS || !media() => return,
            _ => {}
        }
        let bound = self
            .client
            .bind_channel(TransportType::Udp, to, self.clock.to_wire(now));
        let binding = match bound {
            Ok(()) => Binding::Requested,
            Err(BindChannelError::AlreadyExists) => Binding::Granted,
            Err(BindChannelError::ExpiredChannelExists(until)) => {
                Binding::RefusedUntil(self.clock.from_wire(until))
            }
            Err(_) => Binding::RefusedUntil(now + REFUSED_HOLD),
        };
        self.channels.insert(to, binding);
        self.stale = true;
    }

    fn wrap(&mut self, to: SocketAddr, data: &[u8], now: Instant, out: &mut Vec<u8>) -> bool {
        let at = self.clock.to_wire(now);
        let Ok(Some(transmit)) = self.client.send_to(TransportType::Udp, to, data, at) else {
            return false;
        };
        let is_channel = matches!(transmit.data, DelayedMessageOrChannelSend::Channel(_));
        let len = transmit.data.len();
        out.resize(len, 0);
        transmit.data.write_into(out);
        if is_channel && self.transport == TransportType::Tcp {
            out.resize(len.next_multiple_of(4), 0);
        }
        self.stats.sent += 1;
        true
    }

    fn flush_waiting(&mut self, ip: IpAddr, now: Instant) {
        for waiting in self.waiting.take(ip) {
            let mut out = Vec::new();
            self.want_channel(waiting.to, &waiting.data, now);
            if self.wrap(waiting.to, &waiting.data, now, &mut out) {
                self.outgoing.push_back(out);
            } else {
                self.stats.dropped += 1;
            }
        }
    }

    fn dropped(&mut self) -> SendOutcome {
        self.stats.dropped += 1;
        SendOutcome::Dropped
    }
}

/// Without the credential, which `turn-client-proto` would print.
impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("server", &self.server)
            .field("transport", &self.transport)
            .field("local", &self.local)
            .field("phase", &self.phase)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
