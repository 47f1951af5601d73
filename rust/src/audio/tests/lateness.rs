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

/// A source in real time that says nothing from 400 ms until `back_ms`, and then hands over `at_once`
/// frames and goes on: how late it is 0.8 s and 2 s after that.
fn delays_after_a_pause_ms(back_ms: f64, at_once: usize, clears: bool) -> [f64; 2] {
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
    (0..at_once).for_each(|_| track.play(20.0));
    for n in 1..=110 {
        track.run_to(back_ms + f64::from(n) * 20.0);
        track.play(20.0);
    }
    track.run_to(back_ms + 10_000.0);
    let rtp_times = track.sent.iter().map(|(_, packet)| packet.rtp_time);
    assert!(rtp_times.is_sorted_by(|one, next| one < next));
    let media = track.media();
    [40, 100].map(|frame| media[19 + at_once + frame].0 - (back_ms + 20.0 * frame as f64))
}

#[test]
fn what_waits_since_a_stall_is_a_buffer_for_a_while_and_then_leaves() {
    for back_ms in [590.0, 650.0, 900.0, 1_300.0] {
        let [early_ms, late_ms] = delays_after_a_pause_ms(back_ms, 10, false);
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
    for (heard, at_once) in [(0, 2), (0, 5), (10, 10), (30, 30), (110, 100), (200, 200)] {
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

/// How far ahead of its time a frame was sent at most, of a reply whose chunk `n` is handed over at
/// `n * every_ms`, after half a second of the client's silence, or `pause_ms` after an earlier reply.
fn sent_ahead_ms(pause_ms: Option<f64>, chunks: u32, chunk_ms: f64, every_ms: f64) -> f64 {
    let mut track = Track::new(1);
    track.outbound.note_heard(25 * u64::from(FRAME_TICKS));
    let mut begin_ms = 0.0;
    if let Some(pause_ms) = pause_ms {
        track.play(200.0);
        begin_ms = 200.0 + pause_ms;
        track.run_to(begin_ms);
        track.sent.clear();
    }
    for n in 0..chunks {
        track.run_to(begin_ms + f64::from(n) * every_ms);
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
        for pause_ms in [
            None,
            Some(600.0),
            Some(1_300.0),
            Some(2_000.0),
            Some(2_900.0),
        ] {
            let ahead_ms = sent_ahead_ms(pause_ms, chunks, chunk_ms, every_ms);
            assert!(
                ahead_ms <= 0.1,
                "{chunk_ms} ms each {every_ms} ms after {pause_ms:?}: {ahead_ms} ms ahead"
            );
        }
    }
}

/// A source in real time that is stopped for `stalled` frames and then hands over all that it missed,
/// or the last `bound` frames of it: how late it is shortly before that is made up for, and in the end.
fn delays_after_a_stall_ms(stalled: u32, bound: u32) -> [f64; 2] {
    let mut track = Track::new(1);
    let back = 20 + stalled;
    let lost = stalled.saturating_sub(bound);
    for n in 0..back + 200 {
        track.outbound.note_heard(u64::from(FRAME_TICKS));
        if !(20..back).contains(&n) {
            track.run_to(f64::from(n) * 20.0);
            (lost..stalled)
                .take_while(|_| n == back)
                .for_each(|_| track.play(20.0));
            track.play(20.0);
        }
    }
    track.run_to(20_000.0);
    let media = track.media();
    assert_eq!(media.len() as u32, back + 200 - lost, "nothing is lost");
    assert!(media.iter().all(|(_, packet)| packet.media_ticks == 960));
    [60 + lost, back + 199].map(|n| media[(n - lost) as usize].0 - f64::from(n) * 20.0)
}

#[test]
fn a_live_source_that_stalled_catches_up_when_it_hands_over_all_that_it_missed() {
    for stalled in [15, 30, 45, 55, 75, 100, 140, 250, 400] {
        let bound = stalled.min(250);
        let [early_ms, late_ms] = delays_after_a_stall_ms(stalled, bound);
        let held_ms = 19.0 * f64::from(bound);
        assert!(early_ms > held_ms, "{stalled} frames: {early_ms} ms late");
        assert!(late_ms <= 20.1, "{stalled} frames: {late_ms} ms late");
    }
}

#[test]
fn a_live_source_catches_up_with_what_came_of_a_gap_in_which_some_was_lost() {
    // 0.8 s without network: half of it was lost, the rest came at once.
    let mut track = Track::new(1);
    let mut played = 0;
    for n in 0..300 {
        track.run_to(f64::from(n) * 20.0);
        let came = match n {
            20..60 => 0,
            60 => 20,
            _ => 1,
        };
        track.outbound.note_heard(came * u64::from(FRAME_TICKS));
        (0..came).for_each(|_| track.play(20.0));
        played += came;
    }
    track.run_to(20_000.0);
    let media = track.media();
    assert_eq!(media.len() as u64, played);
    let late_ms = media.last().unwrap().0 - 299.0 * 20.0;
    assert!(late_ms <= 20.1, "{late_ms} ms late");
}

#[test]
fn a_source_that_keeps_a_lead_is_not_sent_ahead_after_a_pause() {
    for lead in [15, 20, 30] {
        for pause_ms in [20.0 * f64::from(lead) + 100.0, 700.0, 800.0, 990.0, 3_000.0] {
            let mut track = Track::new(1);
            track.play(200.0);
            let begin_ms = 200.0 + pause_ms;
            let heard_ticks = (begin_ms * 48.0) as u64;
            track.run_to(begin_ms - 1.0);
            track.outbound.note_heard(heard_ticks);
            track.run_to(begin_ms);
            track.sent.clear();
            (0..lead).for_each(|_| track.play(20.0));
            for n in 1..200 {
                track.run_to(begin_ms + f64::from(n) * 20.0);
                track.outbound.note_heard(u64::from(FRAME_TICKS));
                track.play(20.0);
            }
            let media = track.media();
            let last = media.len() - 1;
            let elapsed_ms = media[last].0 - media[0].0;
            assert!(
                elapsed_ms >= last as f64 * 20.0 - 0.1,
                "{lead} frames of lead after {pause_ms} ms: {last} frames in {elapsed_ms} ms"
            );
        }
    }
}

/// A source in real time that always has `waiting` frames queued, while nobody sends for `stopped`
/// frames: how late it is in the end, and how late it was before.
fn delays_when_we_are_stopped_ms(waiting: u32, stopped: u32) -> [f64; 2] {
    let mut track = Track::new(1);
    let end = 50 + stopped + 250;
    for n in 0..end {
        // Its packets wait meanwhile where the network left them, and come at once.
        if !(50..50 + stopped).contains(&n) {
            let now_ms = f64::from(n) * 20.0 + 1.0;
            if n == 50 + stopped {
                track.now_ms = now_ms;
                track.poll();
            }
            track.run_to(now_ms);
            if n == 0 {
                track.play(20.0 * f64::from(waiting));
            }
        }
        track.play(20.0);
    }
    track.run_to(60_000.0);
    let media = track.media();
    assert_eq!(media.len() as u32, end + waiting);
    [49 + waiting, end + waiting - 1].map(|n| media[n as usize].0 - f64::from(n - waiting) * 20.0)
}

#[test]
fn a_live_source_is_not_late_for_good_after_we_were_stopped_ourselves() {
    for waiting in [0, 1, 8] {
        for stopped in [5, 15, 40, 75, 100] {
            let [before_ms, after_ms] = delays_when_we_are_stopped_ms(waiting, stopped);
            assert!(
                after_ms <= before_ms + 20.1,
                "{waiting} waiting, {stopped} frames: {after_ms} ms late, {before_ms} before"
            );
        }
    }
}

#[test]
fn what_follows_a_pause_that_was_meant_is_paced_from_beginning_to_end() {
    for (back_ms, at_once, clears) in [
        (1_700.0, 10, false),
        (1_700.0, 40, false),
        (1_700.0, 80, false),
        (5_000.0, 10, false),
        (5_000.0, 150, false),
        (650.0, 10, true),
        (1_700.0, 65, true),
    ] {
        let delays_ms = delays_after_a_pause_ms(back_ms, at_once, clears);
        let paced_ms = 20.0 * at_once as f64 - 50.0;
        assert!(
            delays_ms.iter().all(|&delay_ms| delay_ms >= paced_ms),
            "back at {back_ms} ms with {at_once} frames: {delays_ms:?}"
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
