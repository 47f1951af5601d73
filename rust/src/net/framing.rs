//! Message boundaries in byte streams: RFC 4571 for ICE-TCP, RFC 8656 section 12.5 for TURN
//! over TCP.
//!
//! [`Decoder`] is incremental and bounded: between two calls of [`Decoder::push`] it holds one
//! incomplete message at most, as long as [`Decoder::next_message`] is called until it returns
//! `None` after each push. It does not read sockets and does not look inside messages.

use thiserror::Error;

/// Length of a STUN header, and the least that a STUN message can measure.
const STUN_HEADER_LEN: usize = 20;
/// The magic cookie of RFC 8489, bytes 4 to 7 of each STUN message.
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Why a stream can not be cut into messages; the connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FramingError {
    /// A frame is longer than the receiver accepts.
    #[error("a frame of {len} bytes exceeds the limit of {max} bytes; close the connection")]
    TooLong {
        /// Announced or given length, bytes.
        len: usize,
        /// Longest accepted frame, bytes.
        max: usize,
    },
    /// What follows is neither a STUN message nor TURN ChannelData.
    #[error(
        "expected a STUN message or TURN ChannelData, received bytes that start with \
         {0:#04x}; close the connection"
    )]
    NotTurn(u8),
}

/// Where the next message lies at the head of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte of the message.
    pub start: usize,
    /// Offset after its last byte.
    pub end: usize,
    /// Offset at which the following message begins (after padding).
    pub next: usize,
}

/// A rule for finding the first message in a buffer.
pub trait Framing {
    /// The extent of the first message, `None` while too few bytes are known to tell. The
    /// extent may reach past the end of `head`: then the message is incomplete.
    ///
    /// # Errors
    /// [`FramingError`] when the bytes can not be the beginning of any acceptable message.
    fn measure(&self, head: &[u8]) -> Result<Option<Span>, FramingError>;
}

/// RFC 4571: each packet after its length as a 16 bit big-endian integer.
#[derive(Debug, Clone, Copy)]
pub struct Rfc4571 {
    /// Longest accepted packet, bytes, the length field not counted.
    pub max_len: usize,
}

impl Framing for Rfc4571 {
    fn measure(&self, head: &[u8]) -> Result<Option<Span>, FramingError> {
        let [high, low, ..] = *head else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len > self.max_len {
            return Err(FramingError::TooLong {
                len,
                max: self.max_len,
            });
        }
        Ok(Some(Span {
            start: 2,
            end: 2 + len,
            next: 2 + len,
        }))
    }
}

/// What a TURN server sends over TCP: STUN messages and ChannelData, the latter padded to a
/// multiple of four bytes. Messages are handed out with their headers, without the padding.
#[derive(Debug, Clone, Copy, Default)]
pub struct TurnStream;

impl Framing for TurnStream {
    fn measure(&self, head: &[u8]) -> Result<Option<Span>, FramingError> {
        let [first, _, high, low, ..] = *head else {
            return match head.first() {
                Some(&first) if first & 0x80 != 0 => Err(FramingError::NotTurn(first)),
                _ => Ok(None),
            };
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        match first >> 6 {
            0 => {
                let known = &head[4..head.len().min(8)];
                if len % 4 != 0 || known != &STUN_COOKIE[..known.len()] {
                    return Err(FramingError::NotTurn(first));
                }
                let end = STUN_HEADER_LEN + len;
                Ok(Some(Span {
                    start: 0,
                    end,
                    next: end,
                }))
            }
            1 => {
                let end = 4 + len;
                Ok(Some(Span {
                    start: 0,
                    end,
                    next: end.next_multiple_of(4),
                }))
            }
            _ => Err(FramingError::NotTurn(first)),
        }
    }
}

/// Cuts a byte stream into messages.
#[derive(Debug, Default)]
pub struct Decoder<F> {
    framing: F,
    buffer: Vec<u8>,
    consumed: usize,
    failed: bool,
}

impl<F: Framing> Decoder<F> {
    /// A decoder at the beginning of a stream.
    pub fn new(framing: F) -> Self {
        Self {
            framing,
            buffer: Vec::new(),
            consumed: 0,
            failed: false,
        }
    }

    /// Adds what was read from the stream. After an error the bytes are discarded.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed {
            return;
        }
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message, `None` when more bytes are needed. Null packets (length zero)
    /// are skipped. An error is reported once; afterwards the decoder stays empty.
    pub fn next_message(&mut self) -> Option<Result<&[u8], FramingError>> {
        loop {
            let head = self.buffer.get(self.consumed..).unwrap_or_default();
            let span = match self.framing.measure(head) {
                Ok(span) => span?,
                Err(error) => {
                    self.failed = true;
                    self.buffer = Vec::new();
                    self.consumed = 0;
                    return Some(Err(error));
                }
            };
            if span.next > head.len() {
                return None;
            }
            let base = self.consumed;
            self.consumed += span.next;
            if span.start < span.end {
                return Some(Ok(&self.buffer[base + span.start..base + span.end]));
            }
        }
    }

    /// Bytes held for an incomplete message.
    pub fn buffered_len(&self) -> usize {
        self.buffer.len() - self.consumed
    }
}

/// Appends `packet` to `out` with its RFC 4571 length in front.
///
/// # Errors
/// [`FramingError::TooLong`] for more than 65,535 bytes; `out` is then unchanged.
pub fn encode_rfc4571(packet: &[u8], out: &mut Vec<u8>) -> Result<(), FramingError> {
    let max = usize::from(u16::MAX);
    let len = u16::try_from(packet.len()).map_err(|_| FramingError::TooLong {
        len: packet.len(),
        max,
    })?;
    out.reserve(2 + packet.len());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(packet);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `stream` in pieces and collects messages until the end or the first error.
    fn decode<F: Framing>(
        framing: F,
        stream: &[u8],
        cuts: &[usize],
    ) -> (Vec<Vec<u8>>, Option<FramingError>, usize) {
        let mut decoder = Decoder::new(framing);
        let mut messages = Vec::new();
        let mut error = None;
        let mut largest = 0;
        let mut rest = stream;
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
            rest = tail;
            decoder.push(piece);
            while let Some(message) = decoder.next_message() {
                match message {
                    Ok(message) => messages.push(message.to_vec()),
                    Err(found) => {
                        assert_eq!(error.replace(found), None, "an error is reported once");
                    }
                }
            }
            largest = largest.max(decoder.buffered_len());
        }
        (messages, error, largest)
    }

    fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
        let mut out = number.to_be_bytes().to_vec();
        out.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        out.extend_from_slice(data);
        out
    }

    fn stun_message(words: u8) -> Vec<u8> {
        let mut out = vec![0x01, 0x01, 0, words * 4];
        out.extend_from_slice(&STUN_COOKIE);
        out.extend((0..12 + words * 4).map(|byte| byte ^ 0x5a));
        out
    }

    #[test]
    fn a_frame_over_the_maximum_is_an_error_and_ends_the_stream() {
        let mut decoder = Decoder::new(Rfc4571 { max_len: 1500 });
        decoder.push(&[0, 1, 7, 0x05, 0xdd]);
        assert_eq!(decoder.next_message(), Some(Ok(&[7][..])));
        let too_long = FramingError::TooLong {
            len: 1501,
            max: 1500,
        };
        assert_eq!(decoder.next_message(), Some(Err(too_long)));
        decoder.push(&[0, 1, 7]);
        assert_eq!(decoder.next_message(), None);
        assert_eq!(decoder.buffered_len(), 0);
    }

    #[test]
    fn null_packets_are_skipped() {
        let (messages, error, _) = decode(Rfc4571 { max_len: 9 }, &[0, 0, 0, 0, 0, 1, 5], &[7]);
        assert_eq!((messages, error), (vec![vec![5]], None));
    }

    #[test]
    fn encoding_refuses_what_the_length_field_can_not_say() {
        let mut out = vec![9];
        assert!(encode_rfc4571(&vec![0; 65_536], &mut out).is_err());
        assert_eq!(out, [9]);
    }

    #[test]
    fn foreign_protocols_on_a_turn_stream_are_errors() {
        for (stream, first) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], None),
            (&[0x16, 3, 1, 0, 5, 1, 2, 3, 4][..], Some(0x16)),
            (&[0x80][..], Some(0x80)),
            (&[0, 1, 0, 3][..], Some(0)),
        ] {
            let (messages, error, _) = decode(TurnStream, stream, &[64]);
            assert!(messages.is_empty());
            assert_eq!(error, first.map(FramingError::NotTurn), "{stream:?}");
        }
    }

    proptest! {
        #[test]
        fn rfc4571_survives_any_split(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 0..12),
            cuts in prop::collection::vec(1usize..500, 1..8),
        ) {
            let mut stream = Vec::new();
            for packet in &packets {
                encode_rfc4571(packet, &mut stream).unwrap();
            }
            let (messages, error, largest) = decode(Rfc4571 { max_len: 400 }, &stream, &cuts);
            prop_assert_eq!(messages, packets);
            prop_assert_eq!(error, None);
            prop_assert!(largest < 402);
        }

        #[test]
        fn turn_streams_survive_any_split(
            sizes in prop::collection::vec((any::<bool>(), 0u8..40), 0..12),
            cuts in prop::collection::vec(1usize..200, 1..8),
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (is_stun, size) in sizes {
                let message = if is_stun {
                    stun_message(size)
                } else {
                    channel_data(0x4000 + u16::from(size), &vec![size; usize::from(size)])
                };
                stream.extend_from_slice(&message);
                stream.resize(stream.len().next_multiple_of(4), 0);
                expected.push(message);
            }
            let (messages, error, _) = decode(TurnStream, &stream, &cuts);
            prop_assert_eq!(messages, expected);
            prop_assert_eq!(error, None);
        }

        #[test]
        fn noise_is_bounded(
            noise in prop::collection::vec(any::<u8>(), 0..4000),
            cuts in prop::collection::vec(1usize..700, 1..8),
        ) {
            let (messages, _, largest) = decode(Rfc4571 { max_len: 300 }, &noise, &cuts);
            prop_assert!(messages.iter().all(|message| message.len() <= 300));
            prop_assert!(largest <= 302);
            let (messages, _, _) = decode(TurnStream, &noise, &cuts);
            prop_assert!(messages.iter().all(|message| message.len() >= 4));
        }
    }
}
