//! What the protocol crate does not hand on from the server's responses: our mapped address, and
//! why something was refused. Whether a response is genuine stays the crate's decision.

use std::net::SocketAddr;

use turn_client_proto::stun::types::attribute::{ErrorCode, XorMappedAddress};
use turn_client_proto::stun::types::message::{Message, MessageClass};
use turn_client_proto::types::message::{ALLOCATE, REFRESH};

use crate::net::excerpt;

/// Notes taken from responses to Allocate and Refresh requests.
#[derive(Debug, Default)]
pub(super) struct Responses {
    /// Cookie and transaction id of the STUN message sent last.
    last_request: Vec<u8>,
    /// The first error 401, which asks for credentials, has come.
    challenged: bool,
    /// The last refusal that was not part of ordinary authentication: code and reason.
    pub(super) refusal: Option<(u16, String)>,
    /// Our address as the server sees it.
    pub(super) mapped: Option<SocketAddr>,
}

impl Responses {
    pub(super) fn request_sent(&mut self, bytes: &[u8]) {
        self.last_request = bytes.get(4..20).unwrap_or_default().to_vec();
    }

    /// Takes notes of a message from the server. Whether it refuses the request sent last for
    /// good: with neither the ordinary demand for credentials nor that for a fresh nonce.
    pub(super) fn note(&mut self, bytes: &[u8]) -> bool {
        if bytes.first().is_none_or(|&first| first > 3) {
            return false;
        }
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
        bytes.get(4..20) == Some(&self.last_request)
    }
}
