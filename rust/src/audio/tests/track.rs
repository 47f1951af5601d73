//! What these tests drive: an outbound track in virtual time.

use super::super::{Outbound, OutboundConfig, OutboundPacket, Pcm};
use super::{Clock, tone};

/// A track and everything it sent, with the time in milliseconds.
pub struct Track {
    pub clock: Clock,
    pub outbound: Outbound,
    pub sent: Vec<(f64, OutboundPacket)>,
    pub now_ms: f64,
}

impl Track {
    pub fn new(max_channels: u8) -> Self {
        let config = OutboundConfig {
            max_channels,
            bitrate_bps: None,
        };
        Self {
            clock: Clock::new(),
            outbound: Outbound::new(config).unwrap(),
            sent: Vec::new(),
            now_ms: 0.0,
        }
    }

    pub fn push(&mut self, samples: Vec<i16>, rate_hz: u32, channels: u8) {
        self.outbound
            .push(Pcm {
                samples,
                rate_hz,
                channels,
            })
            .unwrap();
        self.poll();
    }

    /// A tone of so many milliseconds at 16 kHz.
    pub fn play(&mut self, ms: f64) {
        self.push(tone(440.0, 16_000, 1, (ms * 16.0) as usize), 16_000, 1);
    }

    pub fn poll(&mut self) {
        while let Some(packet) = self.outbound.poll(self.clock.at(self.now_ms)) {
            self.sent.push((self.now_ms, packet));
        }
    }

    /// Lets time pass, polling exactly when asked to.
    pub fn run_to(&mut self, ms: f64) {
        while let Some(at) = self.outbound.timeout() {
            let at_ms = self.clock.ms(at);
            if at_ms > ms {
                break;
            }
            self.now_ms = self.now_ms.max(at_ms);
            let before = self.outbound.timeout();
            self.poll();
            assert_ne!(
                self.outbound.timeout(),
                before,
                "a poll that changes nothing spins"
            );
        }
        self.now_ms = ms;
    }

    pub fn times_ms(&self) -> Vec<f64> {
        self.sent.iter().map(|(ms, _)| ms.round()).collect()
    }

    /// Packets that carry the user's audio.
    pub fn media(&self) -> Vec<(f64, OutboundPacket)> {
        self.sent
            .iter()
            .filter(|(_, packet)| packet.media_ticks > 0)
            .cloned()
            .collect()
    }

    pub fn media_ticks(&self) -> u64 {
        self.sent
            .iter()
            .map(|(_, packet)| u64::from(packet.media_ticks))
            .sum()
    }
}
