//! The network between both ends of a call: its state, and what is on it.

use std::net::SocketAddr;
use std::time::Duration;

use _core::peer::Outlet;
use str0m::net::{Protocol, Transmit};
use str0m_netem::{Bitrate, DataSize, LossModel, NetemConfig, WithLen};

/// The state of the network in both directions.
#[derive(Clone, Copy, Default)]
pub struct Condition(pub(super) NetemConfig);

impl Condition {
    pub fn loss(self, model: impl Into<LossModel>) -> Self {
        Self(self.0.loss(model))
    }

    pub fn latency_ms(self, ms: u64) -> Self {
        Self(self.0.latency(Duration::from_millis(ms)))
    }

    /// Carries so much, and keeps 64 kB that are more before it drops any.
    pub fn carries(self, kbps: u64) -> Self {
        Self(self.0.link(Bitrate::kbps(kbps), DataSize::bytes(64_000)))
    }

    /// Every n-th packet overtakes those before it.
    pub fn reorder_gap(self, gap: u32) -> Self {
        Self(self.0.reorder_gap(gap))
    }
}

#[derive(Clone)]
pub struct Packet {
    pub proto: Protocol,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub bytes: Vec<u8>,
}

impl WithLen for Packet {
    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl From<Transmit> for Packet {
    fn from(t: Transmit) -> Self {
        Self {
            proto: t.proto,
            source: t.source,
            destination: t.destination,
            bytes: t.contents.to_vec(),
        }
    }
}

#[derive(Default)]
pub struct Wire(pub Vec<Packet>);

impl Outlet for Wire {
    fn transmit(&mut self, transmit: Transmit) {
        self.0.push(transmit.into());
    }
    fn authenticated(&mut self, _: SocketAddr) {}
    fn checking(&mut self, _: SocketAddr) {}
    fn local_ufrag(&mut self, _: &str) {}
}
