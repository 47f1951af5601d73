//! Between a peer and those around it: what the control plane sets, asks and shares, and what a shard
//! does for it. Declarations only.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use str0m::Candidate;
use str0m::format::Codec;
use str0m::net::Transmit;

use crate::audio::OutboundPacket;
use crate::handover::Mailbox;
use crate::offer::Allowed;
use crate::playout::Playout;
use crate::stats::Stats;

/// How one peer is set up.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Which tracks fit.
    pub allowed: Allowed,
    /// Rate of inbound audio for the handler.
    pub rate_hz: u32,
    /// Channels of inbound audio for the handler, 1 or 2.
    pub channels: u8,
    /// Opus bit rate; the default depends on the channels.
    pub audio_bitrate_bps: Option<u32>,
    /// Silence of the network after which the peer counts as disconnected.
    pub disconnect_after: Duration,
    /// Time a disconnected peer is kept.
    pub close_after: Duration,
}

/// The part of a peer that the control plane shares with its shard.
pub struct Link {
    /// Events towards Python.
    pub mailbox: Arc<Mailbox>,
    /// Audio towards the client.
    pub playout: Playout,
    /// Whether the data channel takes messages.
    pub channel_open: AtomicBool,
    /// Whether the client offered a data channel, so that messages may wait for it.
    pub channel_offered: AtomicBool,
    /// What was measured last.
    pub stats: Mutex<Stats>,
}

/// What the control plane asks of a peer.
pub enum Command {
    /// A trickled remote candidate.
    Candidate(Candidate),
    /// A later offer, with the number for its answer.
    Renegotiate(u64, String),
    /// A message for the data channel.
    Text(String),
    /// An encoded frame: bytes, 90 kHz ticks, codec.
    Video(Vec<u8>, u64, Codec),
    /// Ask the client for a keyframe.
    RequestKeyframe,
    /// New audio waits in the playout queue.
    Play,
    /// A packet of audio that was made for many.
    Audio(OutboundPacket),
    /// Say goodbye.
    Close,
}

/// What a peer asks of its shard.
pub trait Outlet {
    /// Sends a datagram.
    fn transmit(&mut self, transmit: Transmit);
    /// The client proved that it owns `address`.
    fn authenticated(&mut self, address: SocketAddr);
    /// Connectivity checks go to `address`, which has proved nothing yet.
    fn checking(&mut self, address: SocketAddr);
    /// From now on the peer answers to this ICE user fragment too.
    fn local_ufrag(&mut self, ufrag: &str);
}
