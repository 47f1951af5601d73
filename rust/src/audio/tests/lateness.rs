//! What a live source is late by, and how it catches up; and that a reply does not.

use super::super::FRAME_TICKS;
use super::track::Track;
use super::{Random, tone};

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
fn what_leaves_leaves_a_few_frames_at_a_time_so_that_a_clear_catches_the_rest() {
    let begun = || {
        let mut track = Track::new(1);
        track.outbound.note_heard(110 * u64::from(FRAME_TICKS));
        (0..100).for_each(|_| track.play(20.0));
        track
    };
    let mut track = begun();
    for n in 1..=110 {
        track.run_to(f64::from(n) * 20.0);
        track.play(20.0);
    }
    let times_ms = track.times_ms();
    let most_at_once = times_ms
        .chunk_by(|one, next| one == next)
        .map(<[f64]>::len)
        .max();
    assert!(most_at_once <= Some(6), "{most_at_once:?} frames at once");

    let mut track = begun();
    for n in 1..=54 {
        track.run_to(f64::from(n) * 20.0);
        track.play(20.0);
    }
    assert!(track.sent.len() > 56, "it has begun to leave");
    assert!(track.outbound.queued_ticks() > 60 * u64::from(FRAME_TICKS));
    let sent = track.media().len();
    track.outbound.clear();
    track.run_to(5_000.0);
    assert_eq!(track.media().len(), sent);
}
