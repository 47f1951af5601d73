//! What a network does to packets in one direction: the JSON a test sends, checked and kept.
//! Knows nothing of sockets or time.

use std::time::Duration;

use serde::Deserialize;
use str0m_netem::{
    Bitrate, DataSize, GilbertElliot, LossModel, NetemConfig, Probability, RandomLoss,
};

/// The state of one direction. Everything off means a perfect wire.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Conditions {
    loss: f32,
    burst_packets: f32,
    delay_ms: f32,
    jitter_ms: f32,
    reorder: f32,
    reorder_ms: f32,
    duplicate: f32,
    rate_kbps: f32,
    buffer_kbytes: f32,
    outage: bool,
}

/// A change to [`Conditions`]: fields that are absent stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Share of packets lost, 0 to 1.
    pub loss: Option<f32>,
    /// Mean length of a run of lost packets; 0 makes every loss independent (Gilbert-Elliott otherwise).
    pub burst_packets: Option<f32>,
    /// Delay of every packet.
    pub delay_ms: Option<f32>,
    /// Further delay, uniform between 0 and this, that keeps the order of packets.
    pub jitter_ms: Option<f32>,
    /// Share of packets that are held back so that later ones overtake them.
    pub reorder: Option<f32>,
    /// How long those are held back (60 ms when absent).
    pub reorder_ms: Option<f32>,
    /// Share of packets delivered twice.
    pub duplicate: Option<f32>,
    /// Capacity of the link; 0 means no limit.
    pub rate_kbps: Option<f32>,
    /// What the link queues before it drops (64 kB when absent).
    pub buffer_kbytes: Option<f32>,
    /// Nothing passes while true.
    pub outage: Option<bool>,
}

const DEFAULT_REORDER_MS: f32 = 60.0;
const DEFAULT_BUFFER_KBYTES: f32 = 64.0;

impl Conditions {
    /// These conditions with a change made, or what is wrong with the change.
    pub fn changed(self, change: &Change) -> Result<Self, String> {
        Ok(Self {
            loss: share("loss", change.loss, self.loss)?,
            burst_packets: amount("burst_packets", change.burst_packets, self.burst_packets)?,
            delay_ms: amount("delay_ms", change.delay_ms, self.delay_ms)?,
            jitter_ms: amount("jitter_ms", change.jitter_ms, self.jitter_ms)?,
            reorder: share("reorder", change.reorder, self.reorder)?,
            reorder_ms: amount("reorder_ms", change.reorder_ms, self.reorder_ms)?,
            duplicate: share("duplicate", change.duplicate, self.duplicate)?,
            rate_kbps: amount("rate_kbps", change.rate_kbps, self.rate_kbps)?,
            buffer_kbytes: amount("buffer_kbytes", change.buffer_kbytes, self.buffer_kbytes)?,
            outage: change.outage.unwrap_or(self.outage),
        })
    }

    /// Whether nothing passes at all.
    pub fn is_outage(&self) -> bool {
        self.outage
    }

    /// Share of packets to hold back.
    pub fn reorder_share(&self) -> f32 {
        self.reorder
    }

    /// The delay of a packet that meets no jitter.
    pub fn delay(&self) -> Duration {
        millis(self.delay_ms)
    }

    /// How long packets that others shall overtake are held back.
    pub fn reorder_delay(&self) -> Duration {
        millis(if self.reorder_ms > 0.0 {
            self.reorder_ms
        } else {
            DEFAULT_REORDER_MS
        })
    }

    /// The emulator's configuration for packets that keep their order.
    pub fn emulator(&self, seed: u64) -> NetemConfig {
        let half_jitter = self.jitter_ms / 2.0;
        let mut config = NetemConfig::new()
            .latency(millis(self.delay_ms + half_jitter))
            .jitter(millis(half_jitter))
            .loss(self.loss_model())
            .duplicate(Probability::new(self.duplicate))
            .seed(seed);
        if self.rate_kbps > 0.0 {
            let buffer = if self.buffer_kbytes > 0.0 {
                self.buffer_kbytes
            } else {
                DEFAULT_BUFFER_KBYTES
            };
            config = config.link(
                Bitrate::bps((self.rate_kbps * 1000.0) as u64),
                DataSize::bytes((buffer * 1000.0) as i64),
            );
        }
        config
    }

    fn loss_model(&self) -> LossModel {
        if self.loss == 0.0 {
            return LossModel::None;
        }
        if self.burst_packets <= 1.0 || self.loss >= 1.0 {
            return LossModel::Random(RandomLoss::new(Probability::new(self.loss)));
        }
        // The bad state loses everything, so its share of packets is the loss: bad / (bad + good).
        let good_packets = self.burst_packets * (1.0 - self.loss) / self.loss;
        LossModel::GilbertElliot(
            GilbertElliot::new()
                .good_duration(good_packets)
                .bad_duration(self.burst_packets),
        )
    }
}

fn millis(value_ms: f32) -> Duration {
    Duration::from_secs_f32(value_ms / 1000.0)
}

fn share(name: &str, wanted: Option<f32>, current: f32) -> Result<f32, String> {
    match wanted {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            Err(format!("{name} is a share between 0 and 1, not {value}"))
        }
        other => Ok(other.unwrap_or(current)),
    }
}

fn amount(name: &str, wanted: Option<f32>, current: f32) -> Result<f32, String> {
    match wanted {
        Some(value) if !(0.0..=1e6).contains(&value) => {
            Err(format!("{name} is between 0 and a million, not {value}"))
        }
        other => Ok(other.unwrap_or(current)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: &str) -> Change {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn absent_fields_stay_as_they_are() {
        let lossy = Conditions::default()
            .changed(&change(r#"{"loss": 0.1}"#))
            .unwrap();
        let dark = lossy.changed(&change(r#"{"outage": true}"#)).unwrap();
        assert!(dark.is_outage());
        assert_eq!(
            dark.changed(&change(r#"{"outage": false}"#)).unwrap(),
            lossy
        );
    }

    #[test]
    fn a_share_above_one_is_refused_with_its_name() {
        let error = Conditions::default()
            .changed(&change(r#"{"loss": 10}"#))
            .unwrap_err();
        assert!(error.contains("loss") && error.contains("10"), "{error}");
    }

    #[test]
    fn a_negative_delay_is_refused() {
        assert!(
            Conditions::default()
                .changed(&change(r#"{"delay_ms": -1}"#))
                .is_err()
        );
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<Change>(r#"{"lost": 0.1}"#).is_err());
    }
}
