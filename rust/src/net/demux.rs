//! What a datagram is, from a glance at its first bytes (RFC 7983), and for an ICE connectivity
//! check whom it is for.
//!
//! Runs once per received packet in the receiver thread: no allocation, no copying, no checksum.
//! It decides routes only; authentication is the business of the peer that gets the packet.

const STUN_HEADER_LEN: usize = 20;
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING: u16 = 0x001;
const USERNAME: u16 = 0x0006;
/// RFC 8839 section 5.4: a ufrag has at most 256 characters.
const MAX_UFRAG_LEN: usize = 256;

/// Class of a STUN message (RFC 8489 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StunClass {
    /// Wants a response.
    Request,
    /// Wants none.
    Indication,
    /// Answers a request.
    Success,
    /// Refuses a request.
    Error,
}

/// A datagram's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// An ICE connectivity check: a Binding request with a USERNAME of the form `local:remote`.
    Check {
        /// The receiver's ICE ufrag, the part before the colon: it names the peer.
        local_ufrag: &'a str,
    },
    /// Any other well-formed STUN message: a response, an indication, a request without ICE
    /// user name.
    Stun {
        /// Its class.
        class: StunClass,
        /// Its method, 12 bits; Binding is 1.
        method: u16,
        /// Its transaction id, which a response shares with the request.
        transaction_id: [u8; 12],
    },
    /// TURN ChannelData.
    TurnChannel,
    /// DTLS, so a handshake or the data channel.
    Dtls,
    /// RTP or RTCP, which SRTP protects.
    Rtp,
    /// Nothing that belongs here.
    Other,
}

/// Tells what `datagram` is. Accepts any bytes.
pub fn classify(datagram: &[u8]) -> Datagram<'_> {
    match datagram.first() {
        Some(0..=3) => classify_stun(datagram).unwrap_or(Datagram::Other),
        Some(20..=63) => Datagram::Dtls,
        Some(64..=79) => Datagram::TurnChannel,
        Some(128..=191) => Datagram::Rtp,
        _ => Datagram::Other,
    }
}

fn classify_stun(datagram: &[u8]) -> Option<Datagram<'_>> {
    let (header, attributes) = datagram.split_at_checked(STUN_HEADER_LEN)?;
    let length = usize::from(u16_at(header, 2)?);
    if header[4..8] != STUN_COOKIE || length % 4 != 0 || length != attributes.len() {
        return None;
    }
    let kind = u16_at(header, 0)?;
    let class = match (kind & 0x0100 != 0, kind & 0x0010 != 0) {
        (false, false) => StunClass::Request,
        (false, true) => StunClass::Indication,
        (true, false) => StunClass::Success,
        (true, true) => StunClass::Error,
    };
    let method = (kind & 0x000f) | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2;
    if class == StunClass::Request
        && method == BINDING
        && let Some(local_ufrag) = username(attributes).and_then(local_ufrag)
    {
        return Some(Datagram::Check { local_ufrag });
    }
    let transaction_id = header[8..].try_into().ok()?;
    Some(Datagram::Stun {
        class,
        method,
        transaction_id,
    })
}

/// The value of the first USERNAME attribute.
fn username(mut attributes: &[u8]) -> Option<&[u8]> {
    loop {
        let kind = u16_at(attributes, 0)?;
        let len = usize::from(u16_at(attributes, 2)?);
        let value = attributes.get(4..4 + len)?;
        if kind == USERNAME {
            return Some(value);
        }
        attributes = attributes.get(4 + len.next_multiple_of(4)..)?;
    }
}

/// The part before the colon, if it can be a ufrag and something follows the colon.
fn local_ufrag(username: &[u8]) -> Option<&str> {
    let colon = username.iter().position(|&byte| byte == b':')?;
    let (local, remote) = (&username[..colon], &username[colon + 1..]);
    let is_ice_char = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if local.is_empty()
        || local.len() > MAX_UFRAG_LEN
        || remote.is_empty()
        || !local.iter().all(is_ice_char)
    {
        return None;
    }
    std::str::from_utf8(local).ok()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let pair = bytes.get(offset..offset + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use turn_client_proto::stun::types::attribute::{Software, Username, XorMappedAddress};
    use turn_client_proto::stun::types::message::{BINDING, Message, MessageWriteVec};
    use turn_client_proto::stun::types::prelude::*;

    fn check(username: &str) -> Vec<u8> {
        let mut message = Message::builder_request(BINDING, MessageWriteVec::new());
        message
            .add_attribute(&Software::new("odd").unwrap())
            .unwrap();
        message
            .add_attribute(&Username::new(username).unwrap())
            .unwrap();
        message.add_fingerprint().unwrap();
        message.finish()
    }

    #[test]
    fn a_check_names_the_local_ufrag() {
        let packet = check("aB+/9:remote:with:colons");
        assert_eq!(
            classify(&packet),
            Datagram::Check {
                local_ufrag: "aB+/9"
            }
        );
    }

    #[test]
    fn a_request_without_an_ice_user_name_is_plain_stun() {
        for username in [
            ":remote",
            "local:",
            "local",
            "l cal:remote",
            "l\u{e4}:remote",
        ] {
            let packet = check(username);
            assert!(
                matches!(
                    classify(&packet),
                    Datagram::Stun {
                        class: StunClass::Request,
                        method: 1,
                        ..
                    }
                ),
                "{username}"
            );
        }
    }

    #[test]
    fn a_response_shows_its_transaction() {
        let request = check("a:b");
        let request = Message::from_bytes(&request).unwrap();
        let mut response = Message::builder_success(&request, MessageWriteVec::new());
        let mapped =
            XorMappedAddress::new("192.0.2.1:5".parse().unwrap(), request.transaction_id());
        response.add_attribute(&mapped).unwrap();
        let response = response.finish();
        let transaction_id = request.as_bytes()[8..20].try_into().unwrap();
        let expected = Datagram::Stun {
            class: StunClass::Success,
            method: 1,
            transaction_id,
        };
        assert_eq!(classify(&response), expected);
    }

    #[test]
    fn methods_are_read_around_the_class_bits() {
        // Allocate error response: method 3, class bits 0x0110.
        let mut packet = vec![0x01, 0x13, 0, 0];
        packet.extend_from_slice(&STUN_COOKIE);
        packet.extend_from_slice(&[7; 12]);
        let expected = Datagram::Stun {
            class: StunClass::Error,
            method: 3,
            transaction_id: [7; 12],
        };
        assert_eq!(classify(&packet), expected);
    }

    #[test]
    fn first_bytes_sort_the_rest() {
        assert_eq!(classify(&[]), Datagram::Other);
        assert_eq!(classify(&[22, 254, 253]), Datagram::Dtls);
        assert_eq!(classify(&[0x40, 0, 0, 0]), Datagram::TurnChannel);
        assert_eq!(classify(&[0x80, 111]), Datagram::Rtp);
        assert_eq!(classify(&[0x81, 200]), Datagram::Rtp);
        for first in [4, 16, 19, 80, 127, 192, 255] {
            assert_eq!(classify(&[first; 24]), Datagram::Other, "{first}");
        }
    }

    #[test]
    fn every_truncation_of_a_check_is_refused() {
        let packet = check("local:remote");
        for len in 0..packet.len() {
            assert_eq!(classify(&packet[..len]), Datagram::Other, "{len} bytes");
        }
        let longer = [&packet[..], &[0, 0, 0, 0]].concat();
        assert_eq!(classify(&longer), Datagram::Other);
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = classify(&noise);
        }

        #[test]
        fn stun_shaped_noise_never_panics(
            kind in 0u16..0x4000,
            words in 0u8..20,
            noise in prop::collection::vec(any::<u8>(), 92),
        ) {
            let mut packet = kind.to_be_bytes().to_vec();
            packet.extend_from_slice(&[0, words * 4]);
            packet.extend_from_slice(&STUN_COOKIE);
            packet.extend_from_slice(&noise[..12 + usize::from(words) * 4]);
            let shape = classify(&packet);
            prop_assert!(packet[0] > 3 || shape != Datagram::Other);
        }

        #[test]
        fn mutated_checks_never_panic_nor_invent_ufrags(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            keep in any::<prop::sample::Index>(),
        ) {
            let mut packet = check("localufrag:remoteufrag");
            for (position, byte) in edits {
                let position = position.index(packet.len());
                packet[position] = byte;
            }
            packet.truncate(keep.index(packet.len() + 1).max(20));
            if let Datagram::Check { local_ufrag } = classify(&packet) {
                let found = packet.windows(local_ufrag.len()).any(|w| w == local_ufrag.as_bytes());
                prop_assert!(found && !local_ufrag.is_empty());
            }
        }
    }
}
