//! The clock of one outgoing track: which time of the wall its RTP times belong to.
//!
//! A client plays sound and pictures together by the sender reports of both (RFC 3550, section
//! 6.4.1). str0m's reports go by the packet written last and the time given with it. If that were
//! the time of writing, each packet that is late, because its picture took long to encode or the
//! machine stalled, would move the whole track against the other one. So the time given is that
//! of a packet which nothing delayed: the least delayed one of the last seconds tells.

use std::time::{Duration, Instant};

/// How long the least delay is looked for, and remembered after that: clocks drift, and a delay
/// that stays is none.
const SPAN: Duration = Duration::from_secs(5);
/// Further off than this the track's own clock began anew.
const JUMP_NS: i64 = 1_000_000_000;
/// Before the first packet str0m reports RTP time 0, which belongs to nothing. libwebrtc fits a
/// line through the reports, but discards those from before a jump of more than 2^25.
const FIRST_RTP_TIME: u64 = 1 << 30;

/// When a packet leaves: for the wire, and for the sender reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The RTP time on the wire.
    pub rtp_time: u64,
    /// The time of the wall that it belongs to; never later than the packet is written.
    pub wallclock: Instant,
}

/// See the module.
pub struct SendClock {
    rate_hz: u32,
    first_rtp_time: Option<u64>,
    /// What delays are counted from.
    origin: Option<(u64, Instant)>,
    span_began: Option<Instant>,
    /// The least delay of the span that is on, and of the one before it.
    least_ns: [Option<i64>; 2],
}

impl SendClock {
    /// A clock of `rate_hz` RTP ticks a second.
    pub fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            first_rtp_time: None,
            origin: None,
            span_began: None,
            least_ns: [None; 2],
        }
    }

    /// The times of a packet that is written at `now`; `rtp_time` in ticks from any beginning.
    pub fn stamp(&mut self, rtp_time: u64, now: Instant) -> Stamp {
        let first = *self.first_rtp_time.get_or_insert(rtp_time);
        let mut delay_ns = self.delay_ns(rtp_time, now);
        if self
            .least()
            .is_some_and(|least| (delay_ns - least).abs() > JUMP_NS)
        {
            self.origin = None;
            self.span_began = None;
            self.least_ns = [None; 2];
            delay_ns = self.delay_ns(rtp_time, now);
        }
        self.note(delay_ns, now);
        let late_ns = delay_ns - self.least().unwrap_or(delay_ns);
        let late = Duration::from_nanos(late_ns.unsigned_abs());
        Stamp {
            rtp_time: FIRST_RTP_TIME.wrapping_add(rtp_time.wrapping_sub(first)),
            wallclock: now.checked_sub(late).unwrap_or(now),
        }
    }

    /// By how much more the wall's clock has moved on than the track's, since the origin.
    fn delay_ns(&mut self, rtp_time: u64, now: Instant) -> i64 {
        let (first, began) = *self.origin.get_or_insert((rtp_time, now));
        let ticks = i128::from(rtp_time) - i128::from(first);
        let media_ns = ticks * 1_000_000_000 / i128::from(self.rate_hz);
        let wall_ns = now.saturating_duration_since(began).as_nanos() as i128;
        (wall_ns - media_ns) as i64
    }

    fn least(&self) -> Option<i64> {
        self.least_ns.iter().flatten().min().copied()
    }

    fn note(&mut self, delay_ns: i64, now: Instant) {
        let began = *self.span_began.get_or_insert(now);
        let since = now.saturating_duration_since(began);
        if since >= SPAN {
            let [newest, _] = self.least_ns;
            self.least_ns = [None, newest.filter(|_| since < 2 * SPAN)];
            self.span_began = Some(now);
        }
        let newest = &mut self.least_ns[0];
        *newest = Some(newest.map_or(delay_ns, |least| least.min(delay_ns)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE_HZ: u32 = 90_000;
    const PERIOD: Duration = Duration::from_millis(33);
    const PERIOD_TICKS: u64 = 2_970;

    /// Writes `count` packets from the `from`th on, each late by what `late_ms` says; returns by
    /// how many milliseconds what the clock said was off.
    fn write(
        clock: &mut SendClock,
        began: Instant,
        from: u64,
        count: u64,
        late_ms: impl Fn(u64) -> u64,
    ) -> Vec<f64> {
        (from..from + count)
            .map(|number| {
                let due = began + PERIOD * number as u32;
                let now = due + Duration::from_millis(late_ms(number));
                let stamp = clock.stamp(7_777 + number * PERIOD_TICKS, now);
                assert!(stamp.wallclock <= now, "reports cannot look ahead");
                stamp.wallclock.saturating_duration_since(due).as_secs_f64() * 1e3
                    - due.saturating_duration_since(stamp.wallclock).as_secs_f64() * 1e3
            })
            .collect()
    }

    #[test]
    fn a_late_packet_does_not_move_the_track() {
        let (mut clock, began) = (SendClock::new(RATE_HZ), Instant::now());
        let off_ms = write(&mut clock, began, 0, 300, |number| match number {
            0 => 0,
            _ if number % 50 == 0 => 250,
            _ => number % 7,
        });
        assert!(off_ms.iter().all(|off| off.abs() < 0.01), "{off_ms:?}");
    }

    #[test]
    fn a_late_beginning_is_forgotten_with_the_next_packet() {
        let (mut clock, began) = (SendClock::new(RATE_HZ), Instant::now());
        let off_ms = write(&mut clock, began, 0, 30, |number| {
            250 * u64::from(number == 0)
        });
        assert_eq!(off_ms[0], 250.0);
        assert!(off_ms[1..].iter().all(|off| off.abs() < 0.01), "{off_ms:?}");
    }

    #[test]
    fn what_stays_is_no_delay() {
        let (mut clock, began) = (SendClock::new(RATE_HZ), Instant::now());
        write(&mut clock, began, 0, 200, |_| 0);
        let off_ms = write(&mut clock, began, 200, 400, |_| 120);
        assert!(off_ms[0].abs() < 0.01);
        assert_eq!(off_ms[399], 120.0, "after two spans at the latest");
    }

    #[test]
    fn a_drift_is_followed() {
        let (mut clock, began) = (SendClock::new(RATE_HZ), Instant::now());
        // The track loses a millisecond each second: as slow as no crystal is.
        let off_ms = write(&mut clock, began, 0, 3_000, |number| number * 33 / 1_000);
        assert!((off_ms[2_999] - 99.0).abs() < 12.0, "{}", off_ms[2_999]);
    }

    #[test]
    fn a_track_that_begins_anew_is_followed_at_once() {
        for jump in [-5_000_000i64, 5_000_000] {
            let (mut clock, began) = (SendClock::new(RATE_HZ), Instant::now());
            clock.stamp(10_000_000, began);
            let later = began + PERIOD;
            let stamp = clock.stamp(10_000_000u64.wrapping_add_signed(jump), later);
            assert_eq!(stamp.wallclock, later);
        }
    }

    #[test]
    fn rtp_times_begin_far_from_zero_and_keep_their_steps() {
        let (mut clock, began) = (SendClock::new(RATE_HZ), Instant::now());
        assert_eq!(clock.stamp(u64::MAX - 1, began).rtp_time, FIRST_RTP_TIME);
        let next = clock.stamp(u64::MAX, began + PERIOD).rtp_time;
        assert_eq!(next, FIRST_RTP_TIME + 1);
    }
}
