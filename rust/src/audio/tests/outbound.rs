use std::sync::Arc;

use super::super::opus::packet_ticks;
use super::super::outbound::TRAILING_PACKETS;
use super::super::{FRAME_TICKS, Inbound, InboundConfig, Origin, Outbound, OutboundConfig, Pcm};
use super::track::Track;
use super::{Random, rms, tone};

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
