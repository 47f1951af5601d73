//! One question to a STUN server: under which address do you see us? (RFC 8489)
//!
//! The question leaves from the shared UDP socket, so that the answer is the server-reflexive
//! address of that socket. Retransmissions follow RFC 8489 section 6.2.1 with the intervals of
//! libwebrtc: an answer within the 500 ms that gathering may take survives one lost datagram.
//!
//! A caller loops over: [`BindingQuery::poll_transmit`] until `None`, wait until
//! [`BindingQuery::timeout`] or a datagram from the server, [`BindingQuery::handle_response`].

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_client_proto::stun::agent::{StunAgent, StunAgentPollRet};
use turn_client_proto::stun::types::TransportType;
use turn_client_proto::stun::types::attribute::{ErrorCode, XorMappedAddress};
use turn_client_proto::stun::types::message::{BINDING, Message, MessageWriteVec};
use turn_client_proto::stun::types::prelude::*;

use super::clock::Clock;
use super::excerpt;

/// Time until the first retransmission; doubled for each further one.
pub(super) const INITIAL_RTO: Duration = Duration::from_millis(250);
/// Longest time between two retransmissions.
pub(super) const MAX_RTO: Duration = Duration::from_secs(3);
/// Transmissions of a request, the first one included.
pub(super) const TRANSMISSIONS: u32 = 7;
/// Wait for a response after the last transmission.
pub(super) const FINAL_WAIT: Duration = Duration::from_secs(3);

/// How the question stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryState {
    /// No answer yet.
    Waiting,
    /// The server-reflexive address.
    Mapped(SocketAddr),
    /// All retransmissions went unanswered.
    TimedOut,
    /// The server answered with an error, or without an address.
    Refused(String),
}

/// One Binding request and its retransmissions.
#[derive(Debug)]
pub struct BindingQuery {
    agent: StunAgent,
    clock: Clock,
    server: SocketAddr,
    transaction_id: [u8; 12],
    first: Option<Vec<u8>>,
    state: QueryState,
    deadline: Instant,
}

impl BindingQuery {
    /// Asks `server` from the socket bound to `local`; the first datagram is ready at once.
    pub fn new(server: SocketAddr, local: SocketAddr, now: Instant) -> Self {
        let clock = Clock::new(now);
        let mut agent = StunAgent::builder(TransportType::Udp, local)
            .remote_addr(server)
            .request_retransmits(INITIAL_RTO, MAX_RTO, TRANSMISSIONS, FINAL_WAIT)
            .build();
        let mut request = Message::builder_request(BINDING, MessageWriteVec::new());
        request
            .add_fingerprint()
            .expect("a new message has no fingerprint yet");
        let request = request.finish();
        let mut transaction_id = [0; 12];
        transaction_id.copy_from_slice(&request[8..20]);
        let first = agent
            .send_request(request, server, clock.to_wire(now))
            .expect("the message is a request and the agent's first");
        let first = Some(first.data.to_vec());
        let state = QueryState::Waiting;
        Self {
            agent,
            clock,
            server,
            transaction_id,
            first,
            state,
            deadline: now,
        }
    }

    /// The server asked; datagrams from [`Self::poll_transmit`] go there.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// How the question stands.
    pub fn state(&self) -> &QueryState {
        &self.state
    }

    /// Whether a STUN response with this transaction id (see [`super::classify`]) is the answer.
    pub fn is_answer(&self, transaction_id: &[u8; 12]) -> bool {
        self.transaction_id == *transaction_id
    }

    /// The next datagram to send to the server, if one is due.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.state != QueryState::Waiting {
            return None;
        }
        let at = self.clock.to_wire(now);
        let datagram = self.first.take().or_else(|| {
            self.agent
                .poll_transmit(at)
                .map(|transmit| transmit.data.to_vec())
        });
        match self.agent.poll(at) {
            StunAgentPollRet::WaitUntil(at) => self.deadline = self.clock.to_std(at),
            StunAgentPollRet::TransactionTimedOut(_)
            | StunAgentPollRet::TransactionCancelled(_) => self.state = QueryState::TimedOut,
        }
        datagram
    }

    /// When [`Self::poll_transmit`] wants to be called again; `None` once the question is settled.
    pub fn timeout(&self) -> Option<Instant> {
        (self.state == QueryState::Waiting).then_some(self.deadline)
    }

    /// Takes a datagram that came `from` somewhere. Returns the server-reflexive address if the
    /// datagram is the answer; anything else leaves the question open, except an error response
    /// of the server, which settles it as [`QueryState::Refused`].
    pub fn handle_response(
        &mut self,
        bytes: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> Option<SocketAddr> {
        if self.state != QueryState::Waiting || from != self.server {
            return None;
        }
        let message = Message::from_bytes(bytes).ok()?;
        if !message.is_response()
            || message.method() != BINDING
            || bytes[8..20] != self.transaction_id
        {
            return None;
        }
        self.agent
            .handle_stun_message_with_time(&message, from, self.clock.to_wire(now));
        self.first = None;
        if let Ok(mapped) = message.attribute::<XorMappedAddress>() {
            let mapped = mapped.addr(message.transaction_id());
            self.state = QueryState::Mapped(mapped);
            return Some(mapped);
        }
        self.state = QueryState::Refused(match message.attribute::<ErrorCode>() {
            Ok(error) => format!("error {}: {:?}", error.code(), excerpt(error.reason(), 80)),
            Err(_) => "a response without XOR-MAPPED-ADDRESS".to_owned(),
        });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Datagram, StunClass, classify};
    use proptest::prelude::*;

    const SERVER: &str = "192.0.2.1:3478";
    const LOCAL: &str = "10.0.0.5:8000";

    fn query(now: Instant) -> BindingQuery {
        BindingQuery::new(SERVER.parse().unwrap(), LOCAL.parse().unwrap(), now)
    }

    fn response(request: &[u8], mapped: &str) -> Vec<u8> {
        let request = Message::from_bytes(request).unwrap();
        let mut response = Message::builder_success(&request, MessageWriteVec::new());
        let mapped = XorMappedAddress::new(mapped.parse().unwrap(), request.transaction_id());
        response.add_attribute(&mapped).unwrap();
        response.finish()
    }

    #[test]
    fn an_answer_gives_the_server_reflexive_address() {
        let now = Instant::now();
        let mut query = query(now);
        let request = query.poll_transmit(now).unwrap();
        let Datagram::Stun {
            class: StunClass::Request,
            method: 1,
            transaction_id,
        } = classify(&request)
        else {
            panic!("no Binding request: {request:?}");
        };
        assert!(query.is_answer(&transaction_id));
        assert!(!query.is_answer(&[0; 12]));
        let answer = response(&request, "203.0.113.4:61000");
        let stranger = "192.0.2.66:3478".parse().unwrap();
        assert_eq!(query.handle_response(&answer, stranger, now), None);
        let mapped = "203.0.113.4:61000".parse().unwrap();
        assert_eq!(
            query.handle_response(&answer, query.server(), now),
            Some(mapped)
        );
        assert_eq!(query.state(), &QueryState::Mapped(mapped));
        assert_eq!(query.handle_response(&answer, query.server(), now), None);
        assert_eq!((query.timeout(), query.poll_transmit(now)), (None, None));
    }

    #[test]
    fn silence_is_retried_at_growing_intervals_and_ends() {
        let start = Instant::now();
        let mut query = query(start);
        let mut now = start;
        let mut sent_ms = Vec::new();
        for _ in 0..100 {
            while let Some(datagram) = query.poll_transmit(now) {
                assert!(matches!(
                    classify(&datagram),
                    Datagram::Stun { method: 1, .. }
                ));
                sent_ms.push(now.duration_since(start).as_millis());
            }
            match query.timeout() {
                Some(next) => now = next.max(now),
                None => break,
            }
        }
        assert_eq!(sent_ms, [0, 250, 750, 1750, 3750, 6750, 9750]);
        assert_eq!(query.state(), &QueryState::TimedOut);
        assert_eq!(now.duration_since(start), Duration::from_millis(12_750));
    }

    #[test]
    fn an_error_response_settles_the_question() {
        let now = Instant::now();
        let mut query = query(now);
        let request = query.poll_transmit(now).unwrap();
        let request = Message::from_bytes(&request).unwrap();
        let mut refusal = Message::builder_error(&request, MessageWriteVec::new());
        let error = ErrorCode::builder(400)
            .reason("Bad \u{1b}[2J")
            .build()
            .unwrap();
        refusal.add_attribute(&error).unwrap();
        assert_eq!(
            query.handle_response(&refusal.finish(), query.server(), now),
            None
        );
        let QueryState::Refused(reason) = query.state() else {
            panic!("{:?}", query.state());
        };
        assert_eq!(reason, "error 400: \"Bad \\u{1b}[2J\"");
    }

    proptest! {
        #[test]
        fn hostile_answers_never_panic_nor_settle(
            noise in prop::collection::vec(any::<u8>(), 0..120),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            keep in any::<prop::sample::Index>(),
        ) {
            let now = Instant::now();
            let mut query = query(now);
            let request = query.poll_transmit(now).unwrap();
            prop_assert_eq!(query.handle_response(&noise, query.server(), now), None);
            prop_assert_eq!(query.state(), &QueryState::Waiting);
            let mut answer = response(&request, "203.0.113.4:61000");
            for (position, byte) in edits {
                let position = position.index(answer.len());
                answer[position] = byte;
            }
            answer.truncate(keep.index(answer.len() + 1));
            let _ = query.handle_response(&answer, query.server(), now);
        }
    }
}
