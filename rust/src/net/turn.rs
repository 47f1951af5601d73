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

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turn_client_proto::api::{
    DelayedMessageOrChannelSend, Transmit, TurnClientApi, TurnConfig, TurnEvent, TurnPollRet,
    TurnRecvRet,
};
use turn_client_proto::client::TurnClient;
use turn_client_proto::stun::types::TransportType;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::prelude::DelayedTransmitBuild;
use turn_client_proto::types::{Instant as WireInstant, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use super::clock::Clock;
use super::framing::{Decoder, TurnStream};
use super::ice_server::Transport;
use super::stun::{FINAL_WAIT, INITIAL_RTO, MAX_RTO, TRANSMISSIONS};
use peers::Peers;
use responses::Responses;
use waiting::WaitingQueue;

mod peers;
mod responses;
mod types;
mod waiting;

pub use peers::MAX_PEERS;
pub use types::{RelayConfig, RelayEvent, RelayFailure, RelayStats, SendOutcome};
pub use waiting::{MAX_WAIT, MAX_WAITING};

/// Longest user name, bytes (RFC 8489 section 14.3).
const MAX_USERNAME_LEN: usize = 508;
/// Longest datagram that is relayed: what fits into one UDP datagram with its TURN header.
pub const MAX_DATAGRAM_LEN: usize = 65_000;
/// The least time between two wake-ups without progress, so that no state can spin the caller.
const MIN_WAKE: Duration = Duration::from_millis(5);
/// The protocol crate leaves this much time between two requests.
const REQUEST_PACING: Duration = Duration::from_millis(50);
/// How many requests may be ahead of the one that gives the allocation back, which does not wait.
const RELEASE_STEPS: u32 = 4;

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
    responses: Responses,
    peers: Peers,
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
    /// # Errors
    /// [`RelayFailure::Username`] if the user name does not fit into a STUN message.
    pub fn new(config: RelayConfig, now: Instant) -> Result<Self, RelayFailure> {
        let RelayConfig {
            server,
            transport,
            username,
            credential,
            local,
        } = config;
        if !(1..=MAX_USERNAME_LEN).contains(&username.len()) {
            return Err(RelayFailure::Username(username.len()));
        }
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
        Ok(Self {
            client,
            clock: Clock::new(now),
            server,
            local,
            transport,
            stream: Decoder::default(),
            phase: Phase::Idle,
            close_wanted: false,
            responses: Responses::default(),
            peers: Peers::default(),
            waiting: WaitingQueue::default(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            stale: true,
            wake: now,
            stats: RelayStats::default(),
        })
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
            return if self.wrap(to, data, now, out) {
                SendOutcome::Wrapped
            } else {
                self.dropped()
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

    /// Gives the allocation back: the request is ready in [`Self::poll_transmit`] at once, so that
    /// a caller in a hurry can send it and drop the relay. [`RelayEvent::Closed`] follows the server's answer, or at the latest when the
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
        let refused = self.responses.note(bytes);
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
            TurnRecvRet::Handled => self.drive(now),
            // Servers refuse without MESSAGE-INTEGRITY when they do not know the key; the crate
            // would repeat the request until it times out.
            TurnRecvRet::Ignored(_) if refused && self.phase == Phase::Allocating => {
                self.handle_closed();
            }
            TurnRecvRet::Ignored(_) | TurnRecvRet::PeerIcmp { .. } => self.stats.ignored += 1,
        }
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
            let mut progress = self.collect_events(now);
            let next = match self.client.poll(at) {
                // Both belong to TCP allocations (RFC 6062), which are never requested.
                TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => at,
                TurnPollRet::WaitUntil(next) => next,
                TurnPollRet::Closed => {
                    // An event may have come with it, which has the better reason.
                    self.collect_events(now);
                    self.handle_closed();
                    return;
                }
            };
            self.wake = self.clock.to_std(next);
            progress |= self.collect_transmits(at);
            if self.phase == Phase::Ended {
                return;
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

    /// Takes over what the client wants to send; whether there was anything.
    fn collect_transmits(&mut self, at: WireInstant) -> bool {
        let mut any = false;
        while let Some(transmit) = self.client.poll_transmit(at) {
            any = true;
            self.responses.request_sent(&transmit.data);
            self.outgoing.push_back(transmit.data.to_vec());
        }
        any
    }

    /// Handles what the client reports; whether there was anything.
    fn collect_events(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(event) = self.client.poll_event() {
            any = true;
            self.handle_event(event, now);
        }
        any
    }

    fn handle_event(&mut self, event: TurnEvent, now: Instant) {
        match event {
            TurnEvent::AllocationCreated(_, relayed) if self.phase == Phase::Allocating => {
                self.phase = Phase::Allocated { relayed };
                if self.close_wanted {
                    self.release(now);
                } else {
                    let mapped = self.responses.mapped;
                    self.events
                        .push_back(RelayEvent::Allocated { relayed, mapped });
                }
            }
            TurnEvent::AllocationCreateFailed(_) => self.handle_closed(),
            TurnEvent::PermissionCreated(_, ip) => {
                self.peers.permission_settled(ip, true, now);
                self.flush_waiting(ip, now);
            }
            TurnEvent::PermissionCreateFailed(_, ip) => {
                self.peers.permission_settled(ip, false, now);
                self.stats.dropped += self.waiting.take(ip).len() as u64;
            }
            TurnEvent::ChannelCreated(_, peer) => {
                self.peers.channel_settled(peer, true, now);
            }
            TurnEvent::ChannelCreateFailed(_, peer) => {
                self.peers.channel_settled(peer, false, now);
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
        let failure = match (self.responses.refusal.take(), self.phase) {
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
                self.touch(now);
                for step in 0..=RELEASE_STEPS {
                    let at = self.clock.to_wire(now + REQUEST_PACING * step);
                    self.collect_transmits(at);
                }
            }
            Err(_) => self.end(RelayEvent::Closed),
        }
    }

    fn want_permission(&mut self, ip: IpAddr, now: Instant) -> bool {
        let coming = self
            .peers
            .want_permission(ip, &mut self.client, self.clock, now);
        if coming {
            self.touch(now);
        }
        coming
    }

    /// The client has something to do at once.
    fn touch(&mut self, now: Instant) {
        self.stale = true;
        self.wake = self.wake.min(now);
    }

    /// Wraps for a peer whose permission exists.
    fn wrap(&mut self, to: SocketAddr, data: &[u8], now: Instant, out: &mut Vec<u8>) -> bool {
        let (client, clock) = (&mut self.client, self.clock);
        if self.peers.want_channel(to, data, client, clock, now) {
            self.touch(now);
        }
        let at = clock.to_wire(now);
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

#[cfg(test)]
mod virtual_tests;
