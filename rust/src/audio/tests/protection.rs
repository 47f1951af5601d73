//! FEC towards a client that reports loss.

use std::sync::Arc;

use super::super::opus::{Mode, fec_ticks, is_celt};
use super::super::{Inbound, InboundConfig, Origin};
use super::track::Track;
use super::{Random, all_speech_at, packets, rms, speech};

#[test]
fn fec_is_on_while_the_receiver_reports_loss() {
    let mut track = Track::new(1);
    let sound: Vec<i16> = std::iter::repeat_n(speech("austen-0870.wav"), 4)
        .flatten()
        .collect();
    track.push(sound, 16_000, 1);
    track.outbound.on_receiver_report(0.0, track.clock.at(0.0));
    track.run_to(2_000.0);
    track
        .outbound
        .on_receiver_report(0.08, track.clock.at(2_000.0));
    assert_eq!(track.outbound.stats().protection_percent, 10);
    track.run_to(4_000.0);
    track
        .outbound
        .on_receiver_report(0.25, track.clock.at(4_000.0));
    track
        .outbound
        .on_receiver_report(0.0, track.clock.at(5_000.0));
    assert_eq!(track.outbound.stats().protection_percent, 25);
    track.run_to(20_000.0);
    assert_eq!(track.outbound.stats().protection_percent, 0);
    let protected = |from_ms: f64, to_ms: f64| {
        let packets = track
            .sent
            .iter()
            .filter(|(ms, _)| (from_ms..to_ms).contains(ms));
        let (celt, silk): (Vec<_>, Vec<_>) =
            packets.partition(|(_, packet)| is_celt(&packet.payload));
        let fec = silk
            .iter()
            .filter(|(_, packet)| fec_ticks(&packet.payload) > 0)
            .count();
        (celt.len(), silk.len(), fec)
    };
    assert_eq!(protected(0.0, 1_990.0), (protected(0.0, 1_990.0).0, 0, 0));
    let (celt, silk, fec) = protected(2_050.0, 13_990.0);
    assert!(
        celt == 0 && fec * 2 > silk,
        "{celt} CELT, {silk} SILK, {fec} with FEC"
    );
    assert_eq!(protected(14_100.0, 20_000.0).1, 0);
}

#[test]
fn a_lossy_call_recovers_most_single_losses() {
    for rate_hz in [16_000, 24_000, 48_000] {
        let mut track = Track::new(1);
        let sound = all_speech_at(rate_hz);
        track.outbound.on_receiver_report(0.1, track.clock.at(0.0));
        track.push(sound.clone(), rate_hz, 1);
        for second in 1..17 {
            track.run_to(f64::from(second) * 1_000.0);
            track
                .outbound
                .on_receiver_report(0.1, track.clock.at(track.now_ms));
        }
        let mut inbound = Inbound::new(InboundConfig {
            rate_hz: 16_000,
            channels: 1,
        })
        .unwrap();
        let mut random = Random::new(21);
        let (mut single, mut recovered, mut last_lost) = (0, 0, false);
        let spoken = |rtp_time: u64| {
            let samples = rate_hz as usize / 50;
            let at = (rtp_time / 960) as usize * samples;
            sound
                .get(at..at + samples)
                .is_some_and(|frame| rms(frame) > 300.0)
        };
        let mut heard = std::collections::HashMap::new();
        let mut lost_singles = Vec::new();
        for (seq, (ms, packet)) in track.sent.iter().enumerate() {
            let lose = !last_lost && seq > 0 && random.unit() < 0.1;
            if lose {
                lost_singles.push(packet.rtp_time);
            } else {
                let payload = Arc::from(&packet.payload[..]);
                inbound.push(seq as u64, packet.rtp_time, payload, track.clock.at(*ms));
                while let Some(frame) = inbound.poll(track.clock.at(*ms + 15.0)) {
                    heard.insert(frame.rtp_time, frame.origin);
                }
            }
            last_lost = lose;
        }
        for rtp_time in lost_singles
            .into_iter()
            .filter(|&rtp_time| spoken(rtp_time))
        {
            single += 1;
            recovered += u32::from(heard.get(&rtp_time) == Some(&Origin::Fec));
        }
        assert!(single > 20, "{single}");
        assert!(
            recovered * 100 >= single * 80,
            "{rate_hz} Hz: {recovered} of {single}"
        );
    }
}

#[test]
fn an_echo_over_a_lossy_network_does_not_grow_late() {
    let sound: Vec<i16> = all_speech_at(16_000)
        .iter()
        .map(|sample| sample | 16)
        .collect();
    let packets = packets(&sound, 16_000, 1, Mode::Lossy { loss_percent: 10 });
    for seed in 1..20 {
        let mut random = Random::new(seed);
        let mut track = Track::new(1);
        let mut inbound = Inbound::new(InboundConfig {
            rate_hz: 16_000,
            channels: 1,
        })
        .unwrap();
        let mut arrived_last = 0.0f64;
        for (n, packet) in packets.iter().enumerate() {
            // Ten seconds of 10 % loss, then none; up to 10 ms of jitter all the time.
            let due_ms = n as f64 * 20.0;
            let lost = n > 0 && n < 500 && random.unit() < 0.1;
            let arrival_ms = (due_ms + random.unit() * 10.0).max(arrived_last);
            arrived_last = arrival_ms;
            while let Some(at) = inbound
                .timeout()
                .filter(|&at| at <= track.clock.at(arrival_ms))
            {
                track.run_to(track.clock.ms(at));
                while let Some(frame) = inbound.poll(at) {
                    track.push(frame.pcm.samples, 16_000, 1);
                }
            }
            track.run_to(arrival_ms);
            if !lost {
                let at = track.clock.at(arrival_ms);
                inbound.push(n as u64, n as u64 * 960, Arc::from(&packet[..]), at);
                while let Some(frame) = inbound.poll(at) {
                    track.push(frame.pcm.samples, 16_000, 1);
                }
            }
        }
        track.run_to(arrived_last + 30.0);
        let media = track.media();
        assert_eq!(media.len(), packets.len());
        let delays: Vec<f64> = media
            .iter()
            .enumerate()
            .map(|(n, (ms, _))| ms - n as f64 * 20.0)
            .collect();
        let after = delays[600..].iter().copied().fold(0.0, f64::max);
        assert!(after <= 20.0, "seed {seed}: {after} ms");
    }
}
