use std::sync::Arc;
use std::time::Duration;

use super::super::jitter::{CAPACITY, JitterBuffer, MIN_REORDER_WAIT, Packet, Step};
use super::{Clock, Random};

/// Packet `seq` of a stream of 20 ms packets, arriving at `ms`.
fn packet(clock: &Clock, seq: u64, ms: f64) -> Packet {
    let payload = Arc::from([0u8].as_slice());
    Packet {
        seq,
        rtp_time: seq.wrapping_mul(960),
        payload,
        arrival: clock.at(ms),
    }
}

/// Everything that may be taken at `ms`, sequence numbers as they are and losses as negatives.
fn taken(buffer: &mut JitterBuffer, clock: &Clock, ms: f64) -> Vec<i64> {
    std::iter::from_fn(|| buffer.next(clock.at(ms)))
        .map(|step| match step {
            Step::Packet(packet) => packet.seq as i64,
            Step::Lost(count) => -(count as i64),
            Step::Restart => 0,
        })
        .collect()
}

#[test]
fn packets_in_order_pass_at_once() {
    let clock = Clock::new();
    let mut buffer = JitterBuffer::default();
    for seq in 100..200 {
        let ms = seq as f64 * 20.0;
        buffer.push(packet(&clock, seq, ms));
        assert_eq!(taken(&mut buffer, &clock, ms), [seq as i64]);
        assert_eq!(buffer.timeout(), None);
    }
}

#[test]
fn a_reordered_packet_ends_the_wait_at_once() {
    let clock = Clock::new();
    let mut buffer = JitterBuffer::default();
    buffer.push(packet(&clock, 1, 0.0));
    buffer.push(packet(&clock, 3, 40.0));
    assert_eq!(taken(&mut buffer, &clock, 40.0), [1]);
    assert_eq!(buffer.timeout(), Some(clock.at(40.0) + MIN_REORDER_WAIT));
    buffer.push(packet(&clock, 2, 43.0));
    assert_eq!(taken(&mut buffer, &clock, 43.0), [2, 3]);
    assert_eq!(buffer.timeout(), None);
    assert_eq!(buffer.counters().lost, 0);
}

#[test]
fn a_lost_packet_is_given_up_after_the_wait() {
    let clock = Clock::new();
    let mut buffer = JitterBuffer::default();
    buffer.push(packet(&clock, 1, 0.0));
    buffer.push(packet(&clock, 4, 60.0));
    assert_eq!(taken(&mut buffer, &clock, 74.9), [1]);
    assert_eq!(taken(&mut buffer, &clock, 75.0), [-2, 4]);
    // Two gaps wait side by side, each from its own beginning.
    buffer.push(packet(&clock, 6, 100.0));
    buffer.push(packet(&clock, 8, 110.0));
    assert_eq!(taken(&mut buffer, &clock, 115.0), [-1, 6]);
    assert_eq!(buffer.timeout(), Some(clock.at(125.0)));
    assert_eq!(taken(&mut buffer, &clock, 125.0), [-1, 8]);
    assert_eq!(buffer.counters().lost, 4);
}

#[test]
fn late_packets_and_duplicates_are_counted_and_dropped() {
    let clock = Clock::new();
    let mut buffer = JitterBuffer::default();
    for (seq, ms) in [(10, 0.0), (12, 40.0)] {
        buffer.push(packet(&clock, seq, ms));
    }
    assert_eq!(taken(&mut buffer, &clock, 60.0), [10, -1, 12]);
    buffer.push(packet(&clock, 11, 70.0));
    buffer.push(packet(&clock, 12, 71.0));
    buffer.push(packet(&clock, 14, 80.0));
    buffer.push(packet(&clock, 14, 81.0));
    // Before the first packet there was nothing to wait for.
    buffer.push(packet(&clock, 9, 82.0));
    assert_eq!(taken(&mut buffer, &clock, 82.0), [] as [i64; 0]);
    let counters = buffer.counters();
    assert_eq!(
        (counters.received, counters.late, counters.duplicated),
        (7, 2, 2)
    );
}

#[test]
fn the_wait_grows_with_reordering_and_falls_back_within_two_seconds() {
    let clock = Clock::new();
    let mut buffer = JitterBuffer::default();
    let wait_ms = |buffer: &JitterBuffer, ms| buffer.reorder_wait(clock.at(ms)).as_secs_f64() * 1e3;
    assert_eq!(wait_ms(&buffer, 0.0), 15.0);
    for (seq, ms) in [(1, 0.0), (3, 40.0)] {
        buffer.push(packet(&clock, seq, ms));
    }
    taken(&mut buffer, &clock, 60.0);
    // 50 ms after its follower: too late this time, but the next one will be waited for.
    buffer.push(packet(&clock, 2, 90.0));
    assert_eq!(buffer.counters().late, 1);
    assert_eq!(wait_ms(&buffer, 100.0), 55.0);
    for (seq, ms) in [(5, 100.0), (4, 150.0)] {
        buffer.push(packet(&clock, seq, ms));
        taken(&mut buffer, &clock, ms);
    }
    assert_eq!(buffer.counters().late, 1);
    assert_eq!(buffer.counters().lost, 1);
    assert!(wait_ms(&buffer, 1_900.0) < 55.0);
    assert_eq!(wait_ms(&buffer, 2_150.0), 15.0);
    // Never longer than 120 ms.
    for (seq, ms) in [(7, 3_000.0), (8, 3_020.0)] {
        buffer.push(packet(&clock, seq, ms));
        taken(&mut buffer, &clock, ms + 100.0);
    }
    buffer.push(packet(&clock, 6, 3_400.0));
    assert_eq!(wait_ms(&buffer, 3_400.0), 120.0);
}

#[test]
fn small_reordering_draws_a_long_wait_down() {
    let clock = Clock::new();
    let mut buffer = JitterBuffer::default();
    let mut ms = 0.0;
    for (n, lateness_ms) in std::iter::once(100.0).chain([2.0; 30]).enumerate() {
        let seq = n as u64 * 3;
        buffer.push(packet(&clock, seq, ms));
        buffer.push(packet(&clock, seq + 2, ms));
        taken(&mut buffer, &clock, ms);
        buffer.push(packet(&clock, seq + 1, ms + lateness_ms));
        taken(&mut buffer, &clock, ms + lateness_ms);
        ms += 200.0;
    }
    assert!(buffer.reorder_wait(clock.at(ms)) < Duration::from_millis(20));
}

#[test]
fn a_restarted_stream_needs_two_witnesses_and_loses_nothing() {
    let clock = Clock::new();
    for jump in [1u64 << 40, 1 << 16, 4_000] {
        let mut buffer = JitterBuffer::default();
        let base = 1 << 20;
        buffer.push(packet(&clock, base, 0.0));
        taken(&mut buffer, &clock, 0.0);
        // A single stray packet changes nothing.
        buffer.push(packet(&clock, base + jump, 10.0));
        buffer.push(packet(&clock, base + 1, 20.0));
        assert_eq!(taken(&mut buffer, &clock, 20.0), [base as i64 + 1]);
        let fresh = if jump == 1 << 16 {
            base - jump
        } else {
            base + jump
        };
        buffer.push(packet(&clock, fresh, 40.0));
        assert_eq!(taken(&mut buffer, &clock, 40.0), [] as [i64; 0]);
        buffer.push(packet(&clock, fresh + 1, 60.0));
        assert_eq!(
            taken(&mut buffer, &clock, 60.0),
            [0, fresh as i64, fresh as i64 + 1]
        );
        assert_eq!(buffer.counters().restarts, 1);
        assert_eq!(buffer.counters().lost, 0);
    }
}

#[test]
fn a_restart_with_near_sequence_numbers_is_told_by_its_timestamps() {
    let clock = Clock::new();
    let mut buffer = JitterBuffer::default();
    let strange = |seq, rtp_time, ms| Packet {
        rtp_time,
        ..packet(&clock, seq, ms)
    };
    buffer.push(strange(1_000, 5_000_000, 0.0));
    taken(&mut buffer, &clock, 0.0);
    for (seq, ms) in [(990, 20.0), (991, 40.0)] {
        buffer.push(strange(seq, 70_000_000_000 + seq * 960, ms));
    }
    assert_eq!(taken(&mut buffer, &clock, 40.0), [0, 990, 991]);
}

#[test]
fn the_buffer_is_bounded_polled_or_not() {
    let clock = Clock::new();
    let mut buffer = JitterBuffer::default();
    buffer.push(packet(&clock, 0, 0.0));
    taken(&mut buffer, &clock, 0.0);
    // All at one instant: the gap is given up when the buffer is full, not when time has passed.
    for seq in 2..=CAPACITY as u64 + 1 {
        buffer.push(packet(&clock, seq, 1.0));
    }
    assert_eq!(taken(&mut buffer, &clock, 1.0).len(), CAPACITY + 1);
    for seq in 1_000..3_000 {
        buffer.push(packet(&clock, seq, 2.0));
    }
    let last = taken(&mut buffer, &clock, 2.0);
    assert_eq!(last.len(), CAPACITY + 1);
    assert_eq!(last.last(), Some(&2_999));
}

#[test]
fn jitter_follows_rfc_3550() {
    let clock = Clock::new();
    let mut even = JitterBuffer::default();
    let mut uneven = JitterBuffer::default();
    for seq in 0..1_000 {
        even.push(packet(&clock, seq, seq as f64 * 20.0));
        taken(&mut even, &clock, seq as f64 * 20.0);
        let ms = seq as f64 * 20.0 + (seq % 2) as f64 * 8.0;
        uneven.push(packet(&clock, seq, ms));
        taken(&mut uneven, &clock, ms);
    }
    assert!(even.jitter_ms() < 0.01);
    assert!(
        (uneven.jitter_ms() - 8.0).abs() < 0.1,
        "{}",
        uneven.jitter_ms()
    );
}

#[test]
fn any_sequence_of_packets_is_survived_in_order() {
    let clock = Clock::new();
    let mut random = Random::new(7);
    let mut buffer = JitterBuffer::default();
    let mut ms = 0.0;
    let mut last = None;
    for _ in 0..50_000 {
        ms += random.unit() * 10.0;
        let seq = match random.next() % 20 {
            0 => random.next() >> (random.next() % 64),
            _ => (ms / 20.0) as u64 + random.next() % 8,
        };
        let rtp_time = match random.next() % 20 {
            0 => random.next() >> (random.next() % 64),
            _ => seq.wrapping_mul(960),
        };
        buffer.push(Packet {
            rtp_time,
            ..packet(&clock, seq, ms)
        });
        while let Some(step) = buffer.next(clock.at(ms)) {
            match step {
                Step::Packet(packet) => {
                    assert!(last.is_none_or(|last| packet.seq > last));
                    last = Some(packet.seq);
                }
                Step::Lost(count) => assert!(count > 0),
                Step::Restart => last = None,
            }
        }
        assert!(
            buffer
                .timeout()
                .is_none_or(|timeout| timeout > clock.at(ms))
        );
    }
}
