use std::sync::Arc;

use super::super::opus::{Encoder, MAX_PACKET_TICKS, Mode, is_celt};
use super::super::{Inbound, InboundConfig, InboundFrame, Origin};
use super::{Clock, Random, all_speech, packets, rms, speech, tone};

const LOSSY: Mode = Mode::Lossy { loss_percent: 10 };

fn inbound(rate_hz: u32, channels: u8) -> Inbound {
    Inbound::new(InboundConfig { rate_hz, channels }).unwrap()
}

/// A track that is fed packet `n` of 20 ms as sequence number and time `n`.
struct Track {
    clock: Clock,
    inbound: Inbound,
    frames: Vec<InboundFrame>,
}

impl Track {
    fn new(inbound: Inbound) -> Self {
        Self {
            clock: Clock::new(),
            inbound,
            frames: Vec::new(),
        }
    }

    /// Packet `n` arrives at `ms`; returns how many frames it brought.
    fn arrive(&mut self, n: u64, payload: &[u8], ms: f64) -> usize {
        self.inbound.push(
            1_000 + n,
            70_000 + n * 960,
            Arc::from(payload),
            self.clock.at(ms),
        );
        self.poll(ms)
    }

    fn poll(&mut self, ms: f64) -> usize {
        let before = self.frames.len();
        while let Some(frame) = self.inbound.poll(self.clock.at(ms)) {
            self.frames.push(frame);
        }
        self.frames.len() - before
    }

    /// Polls at the timeout, if there is one.
    fn wait(&mut self) -> usize {
        let Some(timeout) = self.inbound.timeout() else {
            return 0;
        };
        self.poll(self.clock.ms(timeout))
    }

    fn origins(&self) -> Vec<Origin> {
        self.frames.iter().map(|frame| frame.origin).collect()
    }

    /// Checks that each frame begins where the one before ended.
    fn assert_continuous(&self) {
        for pair in self.frames.windows(2) {
            let pcm = &pair[0].pcm;
            let ticks = pcm.frames() as u64 * 48_000 / u64::from(pcm.rate_hz);
            assert_eq!(pair[0].rtp_time + ticks, pair[1].rtp_time);
        }
    }

    fn ms_of(&self, origin: Origin) -> usize {
        let of_origin = self.frames.iter().filter(|frame| frame.origin == origin);
        of_origin
            .map(|frame| frame.pcm.frames() * 1_000 / frame.pcm.rate_hz as usize)
            .sum()
    }
}

#[test]
fn packets_in_order_become_frames_at_once() {
    let packets = packets(&speech("austen-0880.wav"), 16_000, 1, Mode::Clean);
    let mut track = Track::new(inbound(24_000, 1));
    for (n, packet) in packets.iter().enumerate() {
        assert_eq!(track.arrive(n as u64, packet, n as f64 * 20.0), 1);
        assert_eq!(track.inbound.timeout(), None);
    }
    track.assert_continuous();
    assert!(
        track
            .frames
            .iter()
            .all(|frame| frame.pcm.samples.len() == 480)
    );
    assert!(
        track
            .origins()
            .iter()
            .all(|&origin| origin == Origin::Decoded)
    );
    let stats = track.inbound.stats();
    assert_eq!((stats.received, stats.lost), (packets.len() as u64, 0));
}

#[test]
fn a_lost_packet_of_celt_is_concealed_after_a_short_wait() {
    let packets = packets(&tone(440.0, 48_000, 1, 48_000), 48_000, 1, Mode::Clean);
    let mut track = Track::new(inbound(48_000, 1));
    for n in 0..10 {
        track.arrive(n, &packets[n as usize], n as f64 * 20.0);
    }
    assert_eq!(track.arrive(11, &packets[11], 220.0), 0);
    assert_eq!(track.inbound.timeout(), Some(track.clock.at(235.0)));
    assert_eq!(track.wait(), 2);
    assert_eq!(track.origins()[10..], [Origin::Concealed, Origin::Decoded]);
    // The delay is gone with the gap.
    assert_eq!(track.arrive(12, &packets[12], 240.0), 1);
    track.assert_continuous();
    assert!(
        rms(&track.frames[10].pcm.samples) > 3_000.0,
        "a tone goes on through a loss"
    );
    let stats = track.inbound.stats();
    assert_eq!(
        (stats.lost, stats.concealed_samples_48k, stats.recovered_fec),
        (1, 960, 0)
    );
    // Too late now.
    assert_eq!(track.arrive(10, &packets[10], 250.0), 0);
    assert_eq!(track.arrive(12, &packets[12], 251.0), 0);
    let stats = track.inbound.stats();
    assert_eq!((stats.late, stats.duplicated), (1, 1));
}

#[test]
fn fec_restores_the_frame_before_and_concealment_the_rest() {
    let pcm = tone(300.0, 16_000, 1, 16_000);
    let packets = packets(&pcm, 16_000, 1, LOSSY);
    let mut track = Track::new(inbound(16_000, 1));
    for n in (0..50).filter(|n| ![10, 20, 21, 22].contains(n)) {
        track.arrive(n, &packets[n as usize], n as f64 * 20.0);
        track.wait();
    }
    track.assert_continuous();
    let origins = track.origins();
    assert_eq!(origins.len(), 50);
    assert_eq!(origins[10], Origin::Fec);
    assert_eq!(
        origins[20..23],
        [Origin::Concealed, Origin::Concealed, Origin::Fec]
    );
    let stats = track.inbound.stats();
    assert_eq!(
        (stats.lost, stats.recovered_fec, stats.concealed_samples_48k),
        (4, 2, 1_920)
    );
}

#[test]
fn a_long_loss_is_concealed_for_120_ms_and_silent_after() {
    let packets = packets(&tone(440.0, 48_000, 1, 96_000), 48_000, 1, Mode::Clean);
    let mut track = Track::new(inbound(48_000, 1));
    for n in (0..100).filter(|n| !(30..40).contains(n)) {
        track.arrive(n, &packets[n as usize], n as f64 * 20.0);
        track.wait();
    }
    track.assert_continuous();
    assert_eq!(track.ms_of(Origin::Concealed), 120);
    assert_eq!(track.ms_of(Origin::Silence), 80);
    assert_eq!(track.ms_of(Origin::Decoded), 1_800);
    assert_eq!(track.inbound.stats().lost, 10);
}

#[test]
fn a_loss_is_filled_for_200_ms_at_most_and_an_outage_not_at_all() {
    // What is filled in comes after the gap and delays whoever answers in real time.
    for (lost, filled_ms) in [(10, 200), (30, 200), (50, 200), (51, 0), (500, 0)] {
        let packets = packets(&tone(440.0, 48_000, 1, 96_000), 48_000, 1, Mode::Clean);
        let mut track = Track::new(inbound(8_000, 2));
        track.arrive(0, &packets[0], 0.0);
        let back_ms = 20.0 * (lost + 1) as f64;
        track.arrive(lost + 1, &packets[1], back_ms);
        track.wait();
        assert_eq!(track.arrive(lost + 2, &packets[2], back_ms + 20.0), 1);
        let filled = track.ms_of(Origin::Concealed) + track.ms_of(Origin::Silence);
        assert_eq!(filled, filled_ms, "{lost} packets");
        let stats = track.inbound.stats();
        assert_eq!(
            stats.skipped_samples_48k,
            48 * (20 * lost - filled_ms as u64)
        );
        assert_eq!(stats.lost, lost);
        track.frames.drain(..1);
        track.assert_continuous();
    }
}

#[test]
fn time_that_was_not_transmitted_is_silence() {
    let packets = packets(&tone(440.0, 48_000, 1, 96_000), 48_000, 1, Mode::Clean);
    let mut track = Track::new(inbound(48_000, 1));
    track.arrive(0, &packets[0], 0.0);
    track.arrive(1, &packets[1], 20.0);
    // DTX: the next sequence number, 400 ms later in time.
    let at = track.clock.at(440.0);
    track
        .inbound
        .push(1_002, 70_000 + 22 * 960, Arc::from(&packets[2][..]), at);
    assert_eq!(track.poll(440.0), 21);
    track.assert_continuous();
    assert_eq!(track.ms_of(Origin::Silence), 400);
    // A packet lost during DTX: its own 20 ms are concealed, what the sender left out is silence.
    let at = track.clock.at(860.0);
    track
        .inbound
        .push(1_004, 70_000 + 43 * 960, Arc::from(&packets[3][..]), at);
    track.wait();
    track.assert_continuous();
    assert_eq!(track.ms_of(Origin::Silence), 400 + 380);
    assert_eq!(track.ms_of(Origin::Concealed), 20);
    // Muted for five minutes: the timeline begins anew.
    let at = track.clock.at(300_000.0);
    track
        .inbound
        .push(1_005, 70_000 + 15_000 * 960, Arc::from(&packets[4][..]), at);
    assert_eq!(track.poll(300_000.0), 1);
    assert_eq!(track.inbound.stats().restarts, 1);
}

#[test]
fn reordered_packets_cost_no_quality_and_no_lasting_delay() {
    let packets = packets(&speech("austen-0870.wav"), 16_000, 1, Mode::Clean);
    let mut track = Track::new(inbound(16_000, 1));
    for pair in 0..100 {
        let (first, second) = (2 * pair, 2 * pair + 1);
        let ms = first as f64 * 20.0;
        track.arrive(second, &packets[second as usize], ms + 20.0);
        track.arrive(first, &packets[first as usize], ms + 28.0);
        assert_eq!(track.inbound.timeout(), None, "all was delivered");
    }
    // The very first packet had nothing before it to be waited for.
    assert_eq!(track.frames.len(), 199);
    assert!(
        track
            .origins()
            .iter()
            .all(|&origin| origin == Origin::Decoded)
    );
    track.assert_continuous();
}

#[test]
fn a_new_stream_begins_cleanly() {
    let packets = packets(&speech("austen-0880.wav"), 16_000, 1, Mode::Clean);
    let mut track = Track::new(inbound(44_100, 1));
    for n in 0..20 {
        track.arrive(n, &packets[n as usize], n as f64 * 20.0);
    }
    for n in 0..20u64 {
        let at = track.clock.at(400.0 + n as f64 * 20.0);
        track.inbound.push(
            40_000 + n,
            (1 << 40) + n * 960,
            Arc::from(&packets[20 + n as usize][..]),
            at,
        );
        track.poll(400.0 + n as f64 * 20.0);
    }
    assert_eq!(track.origins(), [Origin::Decoded; 40]);
    track.frames.drain(..20);
    assert_eq!(track.frames[0].rtp_time, 1 << 40);
    track.assert_continuous();
}

#[test]
fn every_duration_and_layout_is_played() {
    for (channels_in, channels_out) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        for duration_ticks in [120, 240, 480, 960, 1_920, 2_880, 3_840, 4_800, 5_760] {
            let frames = 48_000 / duration_ticks;
            let pcm = tone(440.0, 48_000, channels_in, frames * duration_ticks);
            let mut encoder = Encoder::new(48_000, channels_in, 64_000).unwrap();
            let mut track = Track::new(inbound(48_000, channels_out));
            let mut packet = vec![0; 4_000];
            for (n, pcm) in pcm
                .chunks(duration_ticks * usize::from(channels_in))
                .enumerate()
            {
                let length = encoder.encode(pcm, &mut packet).unwrap();
                let (seq, rtp_time) = (n as u64, (n * duration_ticks) as u64);
                // In the second half, every 7th is lost.
                if n < frames / 2 || n % 7 != 6 {
                    let at = track.clock.at(rtp_time as f64 / 48.0);
                    track
                        .inbound
                        .push(seq, rtp_time, Arc::from(&packet[..length]), at);
                    track.poll(rtp_time as f64 / 48.0);
                    track.wait();
                }
            }
            track.assert_continuous();
            let decoded = track
                .frames
                .iter()
                .filter(|frame| frame.origin == Origin::Decoded);
            let mut samples = Vec::new();
            for frame in decoded {
                assert_eq!(frame.pcm.channels, channels_out);
                assert_eq!(frame.pcm.frames(), duration_ticks);
                if frame.rtp_time < 24_000 {
                    samples.extend_from_slice(&frame.pcm.samples);
                }
            }
            let level = rms(&samples);
            assert!(
                (level - 7_071.0).abs() < 1_000.0,
                "{duration_ticks} ticks: {level}"
            );
        }
    }
}

#[test]
fn a_stereo_packet_keeps_its_sides() {
    let mut pcm = tone(440.0, 48_000, 2, 48_000);
    pcm.iter_mut()
        .skip(1)
        .step_by(2)
        .for_each(|right| *right = 0);
    let mut encoder = Encoder::new(48_000, 2, 96_000).unwrap();
    let mut track = Track::new(inbound(48_000, 2));
    let mut packet = [0; 1_500];
    for (n, pcm) in pcm.chunks(1_920).enumerate() {
        let length = encoder.encode(pcm, &mut packet).unwrap();
        track.arrive(n as u64, &packet[..length], n as f64 * 20.0);
    }
    let last = &track.frames.last().unwrap().pcm.samples;
    let left: Vec<i16> = last.iter().copied().step_by(2).collect();
    let right: Vec<i16> = last.iter().copied().skip(1).step_by(2).collect();
    assert!(
        rms(&left) > 50.0 * rms(&right),
        "{} {}",
        rms(&left),
        rms(&right)
    );
}

#[test]
fn rates_that_opus_lacks_get_exact_frames_too() {
    let packets = packets(&tone(440.0, 48_000, 1, 96_000), 48_000, 1, Mode::Clean);
    for rate_hz in [11_050, 22_050, 32_000, 44_100, 96_000] {
        let mut track = Track::new(inbound(rate_hz, 1));
        for n in (0..100).filter(|n| n % 10 != 5) {
            track.arrive(n, &packets[n as usize], n as f64 * 20.0);
            track.wait();
        }
        assert_eq!(track.frames.len(), 100);
        for (n, frame) in track.frames.iter().enumerate() {
            assert_eq!(
                frame.pcm.samples.len(),
                rate_hz as usize / 50,
                "{rate_hz} Hz"
            );
            assert_eq!(frame.rtp_time, 70_000 + n as u64 * 960);
        }
        assert!((rms(&track.frames[50].pcm.samples) - 7_071.0).abs() < 400.0);
    }
}

#[test]
fn corrupt_and_empty_payloads_are_counted_or_ignored() {
    let packets = packets(&tone(440.0, 48_000, 1, 48_000), 48_000, 1, Mode::Clean);
    let mut track = Track::new(inbound(48_000, 1));
    track.arrive(0, &packets[0], 0.0);
    assert_eq!(track.arrive(1, &[0xff], 20.0), 1);
    assert_eq!(track.arrive(2, &packets[2], 40.0), 1);
    assert_eq!(
        track.origins(),
        [Origin::Decoded, Origin::Concealed, Origin::Decoded]
    );
    track.assert_continuous();
    // An empty packet uses up a sequence number but no time.
    let at = track.clock.at(50.0);
    track
        .inbound
        .push(1_003, 70_000 + 3 * 960, Arc::from([].as_slice()), at);
    track
        .inbound
        .push(1_004, 70_000 + 3 * 960, Arc::from(&packets[3][..]), at);
    assert_eq!(track.poll(50.0), 1);
    track.assert_continuous();
    let stats = track.inbound.stats();
    assert_eq!((stats.decode_errors, stats.lost), (1, 0));
}

#[test]
fn random_payloads_never_panic_and_never_grow_the_output() {
    let mut random = Random::new(3);
    for rate_hz in [16_000, 44_100] {
        let mut track = Track::new(inbound(rate_hz, 2));
        let mut rtp_time = 0;
        for n in 0..4_000u64 {
            let length = (random.next() % 60) as usize;
            let payload: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            let seq = n + random.next() % 4;
            rtp_time += random.next() % 3_000;
            let at = track.clock.at(n as f64 * 20.0);
            track.inbound.push(seq, rtp_time, Arc::from(payload), at);
            track.poll(n as f64 * 20.0);
            track.wait();
            for frame in track.frames.drain(..) {
                assert!(frame.pcm.frames() <= MAX_PACKET_TICKS * rate_hz as usize / 48_000 + 1);
            }
        }
        assert!(track.inbound.stats().decode_errors > 100);
    }
}

#[test]
fn speech_over_a_lossy_network_keeps_its_time() {
    let mut pcm = all_speech();
    pcm.extend(all_speech());
    let packets = packets(&pcm, 16_000, 1, LOSSY);
    assert!(packets.iter().all(|packet| !is_celt(packet)));
    let mut random = Random::new(11);
    let mut track = Track::new(inbound(16_000, 1));
    let mut kept = vec![true; packets.len()];
    // 10 % random loss and up to 15 ms of jitter, which does not reorder.
    for n in 0..packets.len() {
        kept[n] = n == 0 || n + 1 == packets.len() || random.unit() >= 0.1;
        if kept[n] {
            let ms = n as f64 * 20.0 + random.unit() * 15.0;
            while track
                .inbound
                .timeout()
                .is_some_and(|at| track.clock.ms(at) <= ms)
            {
                track.wait();
            }
            track.arrive(n as u64, &packets[n], ms);
        }
    }
    track.wait();
    track.assert_continuous();
    assert_eq!(track.frames.len(), packets.len());
    let stats = track.inbound.stats();
    let lost = kept.iter().filter(|kept| !**kept).count() as u64;
    assert_eq!(stats.lost, lost);
    assert!(stats.concealed_samples_48k / 960 + stats.recovered_fec <= lost);
    // Single losses within speech.
    let (mut single, mut recovered) = (0, 0);
    for n in 1..packets.len() - 1 {
        let frame = &pcm[n * 320..(n + 1) * 320];
        if !kept[n] && kept[n - 1] && kept[n + 1] && rms(frame) > 300.0 {
            single += 1;
            recovered += u32::from(track.frames[n].origin == Origin::Fec);
        }
    }
    assert!(single > 40, "{single}");
    assert!(recovered * 100 >= single * 80, "{recovered} of {single}");
}

#[test]
fn what_cannot_be_configured_is_an_error() {
    assert!(
        Inbound::new(InboundConfig {
            rate_hz: 48_000,
            channels: 3
        })
        .is_err()
    );
    assert!(
        Inbound::new(InboundConfig {
            rate_hz: 100,
            channels: 1
        })
        .is_err()
    );
}
