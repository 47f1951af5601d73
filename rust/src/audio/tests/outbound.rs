use std::sync::Arc;

use super::super::opus::{Mode, fec_ticks, is_celt, packet_ticks};
use super::super::outbound::TRAILING_PACKETS;
use super::super::{
    FRAME_TICKS, Inbound, InboundConfig, Origin, Outbound, OutboundConfig, OutboundPacket, Pcm,
};
use super::{Clock, Random, all_speech_at, packets, rms, speech, tone};

/// A track and everything it sent, with the time in milliseconds.
struct Track {
    clock: Clock,
    outbound: Outbound,
    sent: Vec<(f64, OutboundPacket)>,
    now_ms: f64,
}

impl Track {
    fn new(max_channels: u8) -> Self {
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

    fn push(&mut self, samples: Vec<i16>, rate_hz: u32, channels: u8) {
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
    fn play(&mut self, ms: f64) {
        self.push(tone(440.0, 16_000, 1, (ms * 16.0) as usize), 16_000, 1);
    }

    fn poll(&mut self) {
        while let Some(packet) = self.outbound.poll(self.clock.at(self.now_ms)) {
            self.sent.push((self.now_ms, packet));
        }
    }

    /// Lets time pass, polling exactly when asked to.
    fn run_to(&mut self, ms: f64) {
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

    fn times_ms(&self) -> Vec<f64> {
        self.sent.iter().map(|(ms, _)| ms.round()).collect()
    }

    /// Packets that carry the user's audio.
    fn media(&self) -> Vec<(f64, OutboundPacket)> {
        self.sent
            .iter()
            .filter(|(_, packet)| packet.media_ticks > 0)
            .cloned()
            .collect()
    }

    fn media_ticks(&self) -> u64 {
        self.sent
            .iter()
            .map(|(_, packet)| u64::from(packet.media_ticks))
            .sum()
    }
}

#[test]
fn queued_audio_leaves_every_20_ms_without_drift() {
    let mut track = Track::new(1);
    assert_eq!(track.outbound.timeout(), None);
    track.now_ms = 5.0;
    track.play(2_000.0);
    assert_eq!(track.outbound.queued_ticks(), 99 * 960);
    // The shard is up to 30 ms late at each tick; none of the later ticks moves.
    let mut random = Random::new(5);
    for n in 1..100 {
        let tick_ms = 5.0 + f64::from(n) * 20.0;
        track.now_ms = (tick_ms + random.unit() * 30.0).max(track.now_ms);
        track.poll();
        assert_eq!(
            track.clock.ms(track.outbound.timeout().unwrap()).round() % 20.0,
            5.0
        );
    }
    track.run_to(2_020.0);
    assert_eq!(track.media_ticks(), 96_000);
    for (n, (ms, packet)) in track.media().iter().enumerate() {
        assert_eq!(packet.rtp_time, n as u64 * 960);
        assert_eq!(packet.start_of_talkspurt, n == 0);
        assert!(
            (0.0..35.0).contains(&(ms - 5.0 - n as f64 * 20.0)),
            "{n} at {ms}"
        );
    }
}

#[test]
fn a_stall_of_the_machine_is_made_up_for_at_once() {
    let mut track = Track::new(1);
    track.play(400.0);
    track.run_to(50.0);
    track.now_ms = 145.0;
    track.poll();
    track.run_to(200.0);
    assert_eq!(
        track.times_ms(),
        [
            0.0, 20.0, 40.0, 145.0, 145.0, 145.0, 145.0, 145.0, 160.0, 180.0, 200.0
        ]
    );
    assert_eq!(track.sent.last().unwrap().1.rtp_time, 10 * 960);
    assert_eq!(track.outbound.stats().late_ticks, 0);
}

#[test]
fn a_poll_that_is_200_ms_late_moves_the_ticks() {
    let mut track = Track::new(1);
    track.play(400.0);
    track.run_to(50.0);
    track.now_ms = 260.0;
    track.poll();
    track.run_to(300.0);
    assert_eq!(track.times_ms(), [0.0, 20.0, 40.0, 260.0, 280.0, 300.0]);
    assert_eq!(track.sent.last().unwrap().1.rtp_time, 5 * 960);
    assert_eq!(track.outbound.stats().late_ticks, 1);
}

#[test]
fn the_end_is_a_little_silence_and_then_nothing() {
    let mut track = Track::new(1);
    track.play(60.0);
    track.run_to(10_000.0);
    assert_eq!(track.outbound.timeout(), None);
    let trailing = &track.sent[3..];
    assert_eq!(trailing.len(), TRAILING_PACKETS as usize);
    assert!(trailing.iter().all(|(_, packet)| packet.media_ticks == 0));
    assert_eq!(
        trailing.last().unwrap().1.payload.len(),
        1,
        "an empty frame: the pause is meant"
    );
    assert!(
        track
            .sent
            .iter()
            .all(|(_, packet)| packet_ticks(&packet.payload) == Ok(960))
    );
    assert_eq!(track.times_ms()[3..], [100.0, 120.0, 140.0, 160.0, 180.0]);
    assert_eq!(track.outbound.stats().trailing_packets, 5);
    // After 10 s of nothing the next frame leaves at once; the RTP clock has gone on.
    track.play(40.0);
    let (ms, packet) = &track.sent[8];
    assert_eq!(*ms, 10_000.0);
    assert!(packet.start_of_talkspurt);
    let elapsed = packet.rtp_time - track.sent[7].1.rtp_time;
    assert_eq!(elapsed % 960, 0);
    assert!(elapsed.abs_diff((10_000 - 180) * 48) <= 960, "{elapsed}");
    assert!(
        !track
            .sent
            .get(9)
            .is_some_and(|(_, packet)| packet.start_of_talkspurt)
    );
}

#[test]
fn a_frame_just_after_the_end_keeps_20_ms_distance() {
    let mut track = Track::new(1);
    track.play(20.0);
    track.run_to(145.0);
    assert_eq!(track.outbound.timeout(), None);
    track.play(20.0);
    track.run_to(150.0);
    assert_eq!(track.times_ms(), [0.0, 60.0, 80.0, 100.0, 120.0, 140.0]);
    track.run_to(165.0);
    assert_eq!(track.times_ms()[6..], [160.0]);
    assert_eq!(track.sent[6].1.rtp_time, 6 * 960);
    assert!(track.sent[6].1.start_of_talkspurt);
}

#[test]
fn a_piece_waits_20_ms_for_the_rest() {
    let mut track = Track::new(1);
    track.play(30.0);
    track.run_to(35.0);
    assert_eq!(track.times_ms(), [0.0]);
    track.play(15.0);
    // The rest came in time: a whole frame, at once.
    assert_eq!(track.times_ms(), [0.0, 35.0]);
    track.run_to(200.0);
    // The next tick is at 40; nobody completes these 5 ms.
    assert_eq!(
        track.media().iter().map(|(ms, _)| *ms).collect::<Vec<_>>(),
        [0.0, 35.0, 60.0]
    );
    assert_eq!(track.sent[2].1.media_ticks, 5 * 48);
    // From idle: 20 ms from when it came.
    track.now_ms = 500.0;
    track.play(10.0);
    track.run_to(600.0);
    assert_eq!(track.media().last().unwrap().0, 520.0);
    assert_eq!(track.media_ticks(), (45 + 10) * 48);
}

#[test]
fn a_live_source_with_jitter_is_not_delayed_nor_padded() {
    for rate_hz in [16_000, 22_050, 48_000] {
        let mut track = Track::new(1);
        let mut random = Random::new(9);
        let mut delays = Vec::new();
        for n in 0..500 {
            let due_ms = f64::from(n) * 20.0;
            track.run_to((due_ms + random.unit() * 30.0).max(track.now_ms));
            let pushed = track.now_ms;
            track.push(tone(440.0, rate_hz, 1, rate_hz as usize / 50), rate_hz, 1);
            delays.push((track.sent.len(), pushed));
        }
        let last = track.now_ms + 10.0;
        track.run_to(last);
        assert_eq!(track.outbound.stats().trailing_packets, 0, "{rate_hz} Hz");
        assert_eq!(track.sent.len(), 500);
        for (n, (ms, packet)) in track.sent.iter().enumerate() {
            assert_eq!(packet.rtp_time, n as u64 * 960);
            assert!(*ms - n as f64 * 20.0 <= 30.1 + 20.0, "frame {n} at {ms}");
        }
    }
}

#[test]
fn a_live_source_that_stalled_is_not_late_from_then_on() {
    let mut track = Track::new(1);
    for n in 0..20 {
        track.run_to(f64::from(n) * 20.0);
        track.play(20.0);
    }
    // The handler is stopped for 110 ms, then gives all that it missed at once.
    track.run_to(510.0);
    assert!(track.sent.len() > 20, "silence has begun");
    for _ in 20..=25 {
        track.play(20.0);
    }
    for n in 26..60 {
        track.run_to(f64::from(n) * 20.0);
        track.play(20.0);
    }
    for (n, (ms, packet)) in track.media().iter().enumerate().skip(26) {
        assert!(ms - n as f64 * 20.0 < 20.0, "frame {n} at {ms}");
        assert_eq!(packet.media_ticks, 960);
    }
    assert_eq!(track.media().len(), 60);
    let rtp_times: Vec<u64> = track
        .sent
        .iter()
        .map(|(_, packet)| packet.rtp_time)
        .collect();
    assert!(rtp_times.windows(2).all(|pair| pair[1] == pair[0] + 960));
}

/// A source in real time that says nothing from 400 ms until `back_ms`, and then hands over 200 ms at
/// once and goes on: how late it is 0.8 s and 2 s after that.
fn delays_after_a_pause_ms(back_ms: f64, clears: bool) -> [f64; 2] {
    let mut track = Track::new(1);
    for n in 0..20 {
        track.run_to(f64::from(n) * 20.0);
        track.play(20.0);
    }
    if clears {
        track.run_to(400.0);
        track.outbound.clear();
    }
    track.run_to(back_ms);
    (0..10).for_each(|_| track.play(20.0));
    for n in 1..=110 {
        track.run_to(back_ms + f64::from(n) * 20.0);
        track.play(20.0);
    }
    track.run_to(back_ms + 3_000.0);
    let rtp_times = track.sent.iter().map(|(_, packet)| packet.rtp_time);
    assert!(rtp_times.is_sorted_by(|one, next| one < next));
    let media = track.media();
    [40, 100].map(|frame| media[29 + frame].0 - (back_ms + 20.0 * frame as f64))
}

#[test]
fn what_waits_since_a_stall_is_a_buffer_for_a_while_and_then_leaves() {
    for back_ms in [590.0, 650.0, 900.0, 1_300.0] {
        let [early_ms, late_ms] = delays_after_a_pause_ms(back_ms, false);
        assert!(early_ms > 150.0, "back at {back_ms} ms: {early_ms} ms late");
        assert!(late_ms <= 20.1, "back at {back_ms} ms: {late_ms} ms late");
    }
}

/// A source that was handed `heard` frames begins with `at_once` frames and goes on in real time: how
/// late its frames are 0.8 s and 2 s after that.
fn delays_from_the_beginning_ms(heard: u64, at_once: usize) -> [f64; 2] {
    let mut track = Track::new(1);
    track.outbound.note_heard(heard * u64::from(FRAME_TICKS));
    (0..at_once).for_each(|_| track.play(20.0));
    for n in 1..=110 {
        track.run_to(f64::from(n) * 20.0);
        track.play(20.0);
    }
    track.run_to(10_000.0);
    [40, 100].map(|frame| track.media()[at_once - 1 + frame].0 - 20.0 * frame as f64)
}

#[test]
fn what_waited_for_a_live_source_to_begin_does_not_delay_it_for_good() {
    for (heard, at_once) in [(0, 2), (0, 5), (10, 10), (30, 30), (110, 100)] {
        let [early_ms, late_ms] = delays_from_the_beginning_ms(heard, at_once);
        let buffered_ms = 20.0 * (at_once.min(11) - 1) as f64;
        assert!(early_ms >= buffered_ms, "{early_ms} ms");
        assert!(late_ms <= 20.1, "{at_once} at once: {late_ms} ms late");
    }
}

#[test]
fn a_reply_that_is_ahead_of_time_is_paced_from_its_beginning() {
    // More than it could echo, or after listening for longer than an echo would.
    for heard in [0, 10, 200] {
        let [early_ms, late_ms] = delays_from_the_beginning_ms(heard, 20);
        assert!(early_ms > 350.0 && late_ms > 350.0, "{early_ms}, {late_ms}");
    }
}

/// The longest that a frame waited before it was sent, of a reply whose chunk `n` is handed over at
/// `n * every_ms`, after half a second of the client's silence.
fn sent_ahead_ms(chunks: u32, chunk_ms: f64, every_ms: f64) -> f64 {
    let mut track = Track::new(1);
    track.outbound.note_heard(25 * u64::from(FRAME_TICKS));
    for n in 0..chunks {
        track.run_to(f64::from(n) * every_ms);
        track.play(chunk_ms);
    }
    track.run_to(60_000.0);
    let media = track.media();
    let paced = |n: usize, ms: f64| n as f64 * 20.0 - (ms - media[0].0);
    media
        .iter()
        .enumerate()
        .map(|(n, (ms, _))| paced(n, *ms))
        .fold(0.0, f64::max)
}

#[test]
fn a_reply_in_chunks_is_not_sent_ahead_of_its_time() {
    // All at once, faster than it is spoken, and as fast as it is spoken in long chunks.
    for (chunks, chunk_ms, every_ms) in [(1, 3_000.0, 0.0), (40, 100.0, 70.0), (10, 400.0, 400.0)] {
        let ahead_ms = sent_ahead_ms(chunks, chunk_ms, every_ms);
        assert!(
            ahead_ms <= 0.1,
            "{chunk_ms} ms each {every_ms} ms: {ahead_ms} ms ahead"
        );
    }
}

#[test]
fn a_live_source_that_stalled_for_most_of_a_second_catches_up() {
    for stalled in [15, 30, 45] {
        let mut track = Track::new(1);
        for n in 0..200 {
            if !(20..20 + stalled).contains(&n) {
                track.run_to(f64::from(n) * 20.0);
            }
            track.play(20.0);
        }
        track.run_to(10_000.0);
        let media = track.media();
        assert_eq!(media.len(), 200);
        let late_ms = media[199].0 - 199.0 * 20.0;
        assert!(late_ms <= 20.1, "{stalled} frames: {late_ms} ms late");
    }
}

#[test]
fn what_follows_a_pause_that_was_meant_is_paced_from_beginning_to_end() {
    for (back_ms, clears) in [(1_700.0, false), (5_000.0, false), (650.0, true)] {
        let delays_ms = delays_after_a_pause_ms(back_ms, clears);
        assert!(
            delays_ms.iter().all(|&delay_ms| delay_ms > 150.0),
            "back at {back_ms} ms: {delays_ms:?}"
        );
    }
}

#[test]
fn silence_is_played_but_not_transmitted() {
    let mut track = Track::new(1);
    let mut samples = tone(440.0, 48_000, 1, 9_600);
    samples.extend((0..96_000).map(|n| (n % 13 - 6) as i16));
    samples.extend(tone(440.0, 48_000, 1, 9_600));
    samples.extend([0; 48_000]);
    let ticks = samples.len() as u64;
    track.push(samples, 48_000, 1);
    track.run_to(1_000.0);
    // 200 ms of tone, then 4 encoded frames, an empty one, and one in 400 ms.
    assert!(track.sent.len() <= 10 + 5 + 2, "{}", track.sent.len());
    let played = track.outbound.stats().played_ticks;
    assert!(played.abs_diff(48_000) <= 960, "{played}");
    track.run_to(10_000.0);
    assert_eq!(track.outbound.timeout(), None);
    assert_eq!(track.media_ticks(), ticks);
    assert_eq!(track.outbound.stats().played_ticks, ticks);
    assert_eq!(
        track.outbound.stats().trailing_packets,
        0,
        "it ended in silence of its own"
    );
    assert!(track.sent.len() < 40);
    // The second tone begins when it should, as a talk spurt of its own.
    let starts: Vec<_> = track
        .sent
        .iter()
        .filter(|(_, packet)| packet.start_of_talkspurt)
        .collect();
    assert_eq!(
        starts.iter().map(|(ms, _)| ms.round()).collect::<Vec<_>>(),
        [0.0, 2_200.0]
    );
    assert_eq!(starts[1].1.rtp_time, 110 * 960);
    for pair in track.sent.windows(2) {
        let elapsed = (pair[1].1.rtp_time - pair[0].1.rtp_time) as f64 / 48.0;
        assert!((pair[1].0 - pair[0].0 - elapsed).abs() < 41.0);
    }
}

#[test]
fn clear_is_heard_at_the_next_tick() {
    for rate_hz in [16_000, 22_050] {
        let mut track = Track::new(1);
        track.push(tone(440.0, rate_hz, 1, rate_hz as usize), rate_hz, 1);
        track.run_to(110.0);
        track.outbound.clear();
        assert_eq!(track.outbound.queued_ticks(), 0);
        track.poll();
        track.run_to(1_000.0);
        assert_eq!(track.media_ticks(), 6 * 960);
        assert_eq!(track.times_ms()[6..], [120.0, 140.0, 160.0, 180.0, 200.0]);
        assert_eq!(track.outbound.timeout(), None);
        // What follows is not mixed with what was dropped.
        track.push(vec![9; rate_hz as usize / 10], rate_hz, 1);
        track.run_to(1_200.0);
        assert_eq!(track.media_ticks(), 6 * 960 + 4_800);
    }
}

#[test]
fn a_change_of_rate_or_layout_loses_nothing() {
    let mut track = Track::new(2);
    for (rate_hz, channels) in [(24_000, 1), (24_000, 2), (44_100, 2), (8_000, 1)] {
        let frames = rate_hz as usize / 2;
        track.push(tone(440.0, rate_hz, channels, frames), rate_hz, channels);
    }
    track.run_to(3_000.0);
    assert_eq!(track.media_ticks(), 4 * 24_000);
    let mut inbound = Inbound::new(InboundConfig {
        rate_hz: 48_000,
        channels: 2,
    })
    .unwrap();
    let mut heard = Vec::new();
    for (seq, (ms, packet)) in track.sent.iter().enumerate() {
        let at = track.clock.at(*ms);
        inbound.push(
            seq as u64,
            packet.rtp_time,
            Arc::from(&packet.payload[..]),
            at,
        );
        heard.extend(std::iter::from_fn(|| inbound.poll(at)));
    }
    assert!(heard.iter().all(|frame| frame.origin == Origin::Decoded));
    for (n, frame) in heard[..100].iter().enumerate().filter(|(n, _)| n % 25 > 1) {
        assert!(rms(&frame.pcm.samples) > 5_000.0, "frame {n}");
    }
}

#[test]
fn stereo_is_sent_only_to_those_who_take_it() {
    let is_stereo = |track: &Track| track.sent[0].1.payload[0] & 0b100 != 0;
    for (max_channels, channels, expected) in [(1, 2, false), (2, 2, true), (2, 1, false)] {
        let mut track = Track::new(max_channels);
        let mut samples = tone(440.0, 48_000, channels, 960);
        if channels == 2 {
            samples.iter_mut().step_by(2).for_each(|left| *left /= 2);
        }
        track.push(samples, 48_000, channels);
        assert_eq!(is_stereo(&track), expected);
    }
}

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

#[test]
fn bad_audio_is_refused_and_bad_configuration_too() {
    let mut track = Track::new(1);
    let bad = Pcm {
        samples: vec![0; 3],
        rate_hz: 48_000,
        channels: 2,
    };
    assert!(track.outbound.push(bad).is_err());
    assert!(
        Outbound::new(OutboundConfig {
            max_channels: 7,
            bitrate_bps: None
        })
        .is_err()
    );
    assert_eq!(FRAME_TICKS, 960);
}
