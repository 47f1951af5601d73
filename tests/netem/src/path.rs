//! One direction of one client's path: packets and times go in, packets come out. No sockets.

use std::time::Instant;

use serde::Serialize;
use str0m_netem::{Input, Netem, Output};

use crate::conditions::Conditions;

/// How many packets went into a direction and came out of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Packets that arrived at the proxy.
    pub received: u64,
    /// Packets that the proxy passed on, duplicates included.
    pub sent: u64,
    /// Packets that were held back for others to overtake.
    pub reordered: u64,
}

/// Emulates one direction for one client.
pub struct Path {
    conditions: Conditions,
    ordered: Netem<Vec<u8>>,
    held_back: Netem<Vec<u8>>,
    random: SplitMix,
    counts: Counts,
}

impl Path {
    /// A path under the given conditions; equal seeds treat equal packets equally.
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        let mut random = SplitMix(seed);
        Self {
            ordered: Netem::new(conditions.emulator(random.next())),
            held_back: Netem::new(late(&conditions, random.next())),
            conditions,
            random,
            counts: Counts::default(),
        }
    }

    /// Applies new conditions to packets that come from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.ordered
            .set_config(conditions.emulator(self.random.next()));
        self.held_back
            .set_config(late(&conditions, self.random.next()));
        self.conditions = conditions;
    }

    /// A packet arrived.
    pub fn push(&mut self, packet: &[u8], now: Instant) {
        self.counts.received += 1;
        if self.conditions.is_outage() {
            return;
        }
        let input = Input::Packet(now, packet.to_vec());
        if self.random.share() < self.conditions.reorder_share() {
            self.counts.reordered += 1;
            self.held_back.handle_input(input);
        } else {
            self.ordered.handle_input(input);
        }
    }

    /// The next packet that is due, None when there is none yet.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        for emulator in [&mut self.ordered, &mut self.held_back] {
            emulator.handle_input(Input::Timeout(now));
            while let Some(output) = emulator.poll_output() {
                match output {
                    // What was queued before an outage is lost with it.
                    Output::Packet(_) if self.conditions.is_outage() => {}
                    Output::Packet(packet) => {
                        self.counts.sent += 1;
                        return Some(packet);
                    }
                    Output::Timeout(_) => break,
                }
            }
        }
        None
    }

    /// When [`Path::poll`] may have something next.
    pub fn timeout(&self) -> Option<Instant> {
        [&self.ordered, &self.held_back]
            .into_iter()
            .filter(|emulator| !emulator.is_empty())
            .map(Netem::poll_timeout)
            .min()
    }

    /// What has passed so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

fn late(conditions: &Conditions, seed: u64) -> str0m_netem::NetemConfig {
    let on_time = conditions.emulator(seed);
    on_time.latency(conditions.delay() + conditions.reorder_delay())
}

/// The SplitMix64 generator (Steele, Lea and Flood, 2014): seeds and shares that can be repeated.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn share(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::conditions::Change;

    /// Sends `count` numbered packets 20 ms apart; returns (number, ms after sending) as they come out.
    fn run(json: &str, count: u32, seed: u64) -> Vec<(u32, u64)> {
        let change: Change = serde_json::from_str(json).unwrap();
        let mut path = Path::new(Conditions::default().changed(&change).unwrap(), seed);
        let start = Instant::now();
        let mut arrived = Vec::new();
        for tick_ms in 0..u64::from(count) * 20 + 2000 {
            let now = start + Duration::from_millis(tick_ms);
            if tick_ms % 20 == 0 && tick_ms / 20 < u64::from(count) {
                path.push(&(tick_ms as u32 / 20).to_be_bytes(), now);
            }
            while let Some(packet) = path.poll(now) {
                let number = u32::from_be_bytes(packet.try_into().unwrap());
                arrived.push((number, tick_ms - u64::from(number) * 20));
            }
        }
        arrived
    }

    #[test]
    fn a_perfect_wire_passes_everything_at_once() {
        let arrived = run("{}", 100, 1);
        assert_eq!(arrived, (0..100).map(|n| (n, 0)).collect::<Vec<_>>());
    }

    #[test]
    fn random_loss_loses_its_share_and_repeats_with_its_seed() {
        let arrived = run(r#"{"loss": 0.1}"#, 2000, 7);
        assert!((1740..=1860).contains(&arrived.len()), "{}", arrived.len());
        assert_eq!(arrived, run(r#"{"loss": 0.1}"#, 2000, 7));
        assert_ne!(arrived, run(r#"{"loss": 0.1}"#, 2000, 8));
    }

    #[test]
    fn bursts_lose_the_same_share_in_longer_runs() {
        let arrived = run(r#"{"loss": 0.1, "burst_packets": 4}"#, 5000, 3);
        let lost = 5000 - arrived.len();
        assert!((350..=650).contains(&lost), "{lost}");
        let runs = arrived
            .windows(2)
            .filter(|pair| pair[1].0 > pair[0].0 + 1)
            .count();
        let mean_run = lost as f32 / runs as f32;
        assert!((2.5..=5.5).contains(&mean_run), "{mean_run}");
    }

    #[test]
    fn jitter_delays_up_to_its_bound_and_keeps_the_order() {
        let arrived = run(r#"{"delay_ms": 10, "jitter_ms": 200}"#, 500, 5);
        assert!(arrived.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let (low, high) = (
            arrived.iter().map(|packet| packet.1).min().unwrap(),
            arrived.iter().map(|packet| packet.1).max().unwrap(),
        );
        assert!(low >= 10 && (150..=211).contains(&high), "{low} {high}");
    }

    #[test]
    fn reordered_packets_are_overtaken() {
        let arrived = run(r#"{"reorder": 0.1, "reorder_ms": 50}"#, 1000, 5);
        assert_eq!(arrived.len(), 1000);
        let overtaken = arrived
            .windows(2)
            .filter(|pair| pair[0].0 > pair[1].0)
            .count();
        assert!((60..=140).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn nothing_passes_during_an_outage() {
        assert_eq!(run(r#"{"outage": true}"#, 100, 1), vec![]);
    }

    #[test]
    fn a_narrow_link_delays_and_then_drops() {
        let arrived = run(r#"{"rate_kbps": 0.8, "buffer_kbytes": 0.02}"#, 100, 1);
        assert!(arrived.len() < 100, "{}", arrived.len());
        assert!(arrived.iter().any(|packet| packet.1 > 20));
    }
}
