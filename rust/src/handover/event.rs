//! What media threads tell the control plane. It knows nothing of how that gets there.

use std::sync::Arc;

use crate::audio::Pcm;

/// What a session's control plane is told of its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Media or the data channel is open, or came back.
    Live,
    /// Nothing was heard for a while; it may come back.
    Disconnected,
    /// Over, with the reason.
    Closed(String),
}

/// Why an offer was refused: the kind of `OfferError` and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `invalid_sdp` or `unsupported_media`.
    pub kind: &'static str,
    /// What was wrong, what was received, what to do.
    pub message: String,
}

/// One complete encoded video frame on its way to Python.
#[derive(Debug)]
pub struct EncodedVideo {
    /// The frame's bytes.
    pub data: Arc<[u8]>,
    /// `vp8`, `vp9`, `h264` or `av1`.
    pub codec: &'static str,
    /// 90 kHz ticks.
    pub rtp_time: u64,
    /// False after a loss.
    pub contiguous: bool,
    /// Whether it can be decoded without the frames before it.
    pub keyframe: bool,
    /// Milliseconds from its first packet to its completion.
    pub age_ms: f64,
}

/// A queue in front of the narrowest part of the way to a client, as the packet shows that arrived
/// last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Sent after it, with RTP headers, sound and padding.
    pub in_flight_bytes: usize,
    /// The way carries so much of these.
    pub carries_bps: u64,
}

/// What a media thread has to say to the control plane.
#[derive(Debug)]
pub enum Event {
    /// Decoded audio at the handler's rate and layout.
    Audio(Pcm),
    /// Text from the data channel.
    Text(String),
    /// The session's life.
    State(State),
    /// The outcome of a renegotiation, by its number.
    Answer(u64, Result<String, Refusal>),
    /// Encoded video.
    Video(EncodedVideo),
    /// The client cannot decode what it was sent.
    KeyframeRequest,
    /// Bandwidth towards the client, bits per second.
    Bitrate(u64),
    /// What is sent towards the client waits.
    Queue(Queue),
    /// Something that whoever runs the server should know.
    Warning(String),
}
