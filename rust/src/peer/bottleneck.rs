//! What waits in front of the narrowest part of the way to a client, by transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! An estimate of bandwidth says what a way carries once it has settled. A way that becomes narrow
//! at once is noticed here, a tenth of a second later: what was sent last took longer than what
//! takes least, and comes further apart than it was sent. Its pace is then that of the way. What is
//! late but comes as it was sent waits for somebody else's sake, or the way has become longer.

use std::collections::VecDeque;
use std::time::Instant;

use str0m::rtp::rtcp::Twcc;

use crate::handover::Queue;

/// A packet that took so much longer than the fastest one shows a queue that stands.
const STANDING_US: i64 = 100_000;
/// With less it has not waited: how fast it came says what was sent, not what the way carries.
const WAITED_US: i64 = 50_000;
/// Arrivals that a pace is taken from: within so much of the last one, over so much at least.
const PACE_WITHIN_US: i64 = 400_000;
const PACE_OVER_US: i64 = 80_000;
/// A queue grows by what is sent here when arrivals are this much further apart than departures.
const GROWTH: f64 = 1.1;
/// The fastest packet is one of the last one or two such times, for a way may become another one,
/// and clocks drift.
const FASTEST_OF_US: i64 = 10_000_000;
/// Of packets that no feedback names, these are remembered.
const MAX_SENT: usize = 2_000;

struct Sent {
    seq: u64,
    at: Instant,
    bytes: usize,
}

struct Arrived {
    sent_us: i64,
    at_us: i64,
    bytes: usize,
}

/// Pairs what is sent with what the client says of it.
pub(super) struct Bottleneck {
    zero: Instant,
    sent: VecDeque<Sent>,
    in_flight_bytes: usize,
    waited: VecDeque<Arrived>,
    fastest: Fastest,
}

impl Bottleneck {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            zero: now,
            sent: VecDeque::new(),
            in_flight_bytes: 0,
            waited: VecDeque::new(),
            fastest: Fastest::default(),
        }
    }

    /// A packet leaves, with the number that feedback will name.
    pub(super) fn on_sent(&mut self, seq: u16, bytes: usize, now: Instant) {
        // The first one leaves room below for reports of what was never sent.
        let seq = match self.sent.back() {
            Some(last) => last.seq + u64::from(seq.wrapping_sub(last.seq as u16)),
            None => (1 << 16) + u64::from(seq),
        };
        let at = now;
        self.sent.push_back(Sent { seq, at, bytes });
        self.in_flight_bytes += bytes;
        if self.sent.len() > MAX_SENT {
            self.forget_first();
        }
    }

    /// Reads a report; a queue when one stands and the pace of the way is known.
    pub(super) fn on_feedback(&mut self, report: Twcc) -> Option<Queue> {
        let newest = self.sent.back()?.seq;
        let mut last_waited_us = None;
        for (seq, _, arrival) in report.into_iter(self.zero, newest.into()) {
            let (Some(sent), Some(arrival)) = (self.take(*seq), arrival) else {
                continue;
            };
            last_waited_us = Some(self.on_arrival(&sent, self.micros(arrival)));
        }
        if last_waited_us? < STANDING_US {
            return None;
        }
        Some(Queue {
            in_flight_bytes: self.in_flight_bytes,
            carries_bps: self.pace_bps()?,
        })
    }

    /// How long the packet waited.
    fn on_arrival(&mut self, sent: &Sent, at_us: i64) -> i64 {
        let sent_us = self.micros(sent.at);
        let took_us = at_us - sent_us;
        let waited_us = took_us - self.fastest.of(took_us, at_us);
        if waited_us < WAITED_US {
            self.waited.clear();
        } else {
            self.waited.push_back(Arrived {
                sent_us,
                at_us,
                bytes: sent.bytes,
            });
            while self
                .waited
                .front()
                .is_some_and(|first| at_us - first.at_us > PACE_WITHIN_US)
            {
                self.waited.pop_front();
            }
        }
        waited_us
    }

    /// What arrived after the first of those that waited, by the time it took, if that was longer
    /// than to send it.
    fn pace_bps(&self) -> Option<u64> {
        let (first, last) = (self.waited.front()?, self.waited.back()?);
        let over_us = last.at_us - first.at_us;
        let sent_over_us = last.sent_us - first.sent_us;
        if over_us < PACE_OVER_US || (over_us as f64) < sent_over_us as f64 * GROWTH {
            return None;
        }
        let bytes: usize = self.waited.iter().skip(1).map(|packet| packet.bytes).sum();
        Some((bytes as f64 * 8e6 / over_us as f64) as u64)
    }

    /// The packet of that number, unless it was named before; those before it are lost.
    fn take(&mut self, seq: u64) -> Option<Sent> {
        while self.sent.front()?.seq < seq {
            self.forget_first();
        }
        if self.sent.front()?.seq == seq {
            self.forget_first()
        } else {
            None
        }
    }

    fn forget_first(&mut self) -> Option<Sent> {
        let first = self.sent.pop_front()?;
        self.in_flight_bytes -= first.bytes;
        Some(first)
    }

    /// On the time line that both clocks are laid on; how they differ takes itself off.
    fn micros(&self, at: Instant) -> i64 {
        at.saturating_duration_since(self.zero).as_micros() as i64
    }
}

/// What the fastest packet took lately.
#[derive(Default)]
struct Fastest {
    since_us: Option<i64>,
    now_us: i64,
    before_us: i64,
}

impl Fastest {
    /// With one more packet.
    fn of(&mut self, took_us: i64, at_us: i64) -> i64 {
        match self.since_us {
            None => (self.now_us, self.before_us) = (took_us, took_us),
            Some(since_us) if (0..FASTEST_OF_US).contains(&(at_us - since_us)) => {
                self.now_us = self.now_us.min(took_us);
                return self.now_us.min(self.before_us);
            }
            Some(_) => (self.before_us, self.now_us) = (self.now_us, took_us),
        }
        self.since_us = Some(at_us);
        self.now_us.min(self.before_us)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A way that carries so much, with packets of 1,000 bytes every so often, reported every
    /// 100 ms by a clock of its own.
    struct Way {
        bottleneck: Bottleneck,
        zero: Instant,
        now_ms: u64,
        free_ms: f64,
        latency_ms: f64,
        seq: u16,
        arrived: VecDeque<(u16, f64)>,
        queues: Vec<(u64, Queue)>,
    }

    const BYTES: usize = 1_000;
    const CLIENT_AHEAD_MS: f64 = 3_600_000.0;

    impl Way {
        fn new() -> Self {
            let zero = Instant::now();
            Self {
                bottleneck: Bottleneck::new(zero),
                zero,
                now_ms: 0,
                free_ms: 0.0,
                latency_ms: 20.0,
                seq: 65_500,
                arrived: VecDeque::new(),
                queues: Vec::new(),
            }
        }

        /// After five seconds of a wide way, used to less than a half.
        fn settled() -> Self {
            let mut way = Self::new();
            way.run(5_000, 10, 2_000_000.0);
            way
        }

        fn run(&mut self, until_ms: u64, every_ms: u64, bps: f64) {
            while self.now_ms < until_ms {
                let now = self.now_ms;
                if now.is_multiple_of(every_ms) {
                    let at = self.zero + Duration::from_millis(now);
                    self.bottleneck.on_sent(self.seq, BYTES, at);
                    self.free_ms = self.free_ms.max(now as f64) + BYTES as f64 * 8e3 / bps;
                    self.arrived
                        .push_back((self.seq, self.free_ms + self.latency_ms));
                    self.seq = self.seq.wrapping_add(1);
                }
                if now % 100 == 99 {
                    self.report(now);
                }
                self.now_ms += 1;
            }
        }

        fn report(&mut self, now_ms: u64) {
            let mut named = Vec::new();
            while let Some((seq, at_ms)) = self.arrived.front().copied() {
                if at_ms > now_ms as f64 {
                    break;
                }
                named.push((seq, at_ms + CLIENT_AHEAD_MS));
                self.arrived.pop_front();
            }
            if let Some(queue) = feedback(&named).and_then(|it| self.bottleneck.on_feedback(it)) {
                self.queues.push((now_ms, queue));
            }
        }
    }

    /// The report of packets that follow one another, through its bytes as a client sends them.
    fn feedback(named: &[(u16, f64)]) -> Option<Twcc> {
        let (base, first_ms) = *named.first()?;
        let reference = (first_ms / 64.0) as u32;
        let mut at_ticks = i64::from(reference) * 256;
        let mut deltas = Vec::new();
        for (_, at_ms) in named {
            let ticks = (at_ms * 4.0) as i64;
            deltas.extend(((ticks - at_ticks) as i16).to_be_bytes());
            at_ticks = ticks;
        }
        let count = named.len() as u16;
        let mut bytes = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        bytes.extend(base.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        bytes.extend(&reference.to_be_bytes()[1..]);
        bytes.push(0);
        // A run of large deltas.
        bytes.extend((0x4000 | count).to_be_bytes());
        bytes.extend(deltas);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        Some(Twcc::try_from(&bytes[4..]).unwrap())
    }

    #[test]
    fn a_way_that_carries_everything_has_no_queue() {
        let mut way = Way::new();
        way.run(30_000, 10, 1_000_000.0);
        assert_eq!(way.queues, []);
    }

    #[test]
    fn a_way_that_became_narrow_is_noticed_at_once_with_its_pace() {
        let mut way = Way::settled();
        way.run(5_400, 10, 300_000.0);
        let (at_ms, queue) = way.queues[0];
        assert!(at_ms <= 5_300, "{at_ms}");
        assert!((285_000..315_000).contains(&queue.carries_bps), "{queue:?}");
        // What was sent in 300 ms at 800 kbit/s, but for what the way carried of it.
        assert!(
            (10_000..20_000).contains(&queue.in_flight_bytes),
            "{queue:?}"
        );
    }

    #[test]
    fn a_queue_that_was_left_to_empty_is_gone() {
        let mut way = Way::settled();
        way.run(5_500, 10, 300_000.0);
        way.run(8_000, 3_000, 300_000.0);
        let last_ms = way.queues.last().unwrap().0;
        assert!(last_ms < 6_600, "{last_ms}");
        way.run(20_000, 40, 300_000.0);
        assert_eq!(way.queues.last().unwrap().0, last_ms);
        assert!(way.bottleneck.sent.len() < 10);
        assert_eq!(
            way.bottleneck.in_flight_bytes,
            way.bottleneck.sent.len() * BYTES
        );
    }

    #[test]
    fn a_way_that_has_become_longer_is_taken_as_it_is() {
        let mut way = Way::new();
        way.run(5_000, 40, 1_000_000.0);
        way.latency_ms += 300.0;
        way.run(40_000, 40, 1_000_000.0);
        assert_eq!(way.queues, []);
    }

    #[test]
    fn what_waits_for_the_sake_of_others_is_no_queue_of_ours() {
        let mut way = Way::settled();
        // Somebody's download begins to keep a buffer of 400 ms full.
        for tenth in 1..=10 {
            way.latency_ms = 20.0 + 40.0 * f64::from(tenth);
            way.run(5_000 + 300 * tenth as u64, 10, 2_000_000.0);
        }
        way.run(9_000, 10, 2_000_000.0);
        let begun = way.queues.len();
        way.run(60_000, 10, 2_000_000.0);
        assert_eq!(way.queues.len(), begun);
    }

    #[test]
    fn packets_that_come_all_at_once_show_no_pace() {
        let mut way = Way::settled();
        // The client's machine stood still, and a report leaves while it reads what has come.
        way.run(5_290, 10, 2_000_000.0);
        for (_, at_ms) in &mut way.arrived {
            *at_ms = at_ms.max(if *at_ms < 5_150.0 { 5_298.0 } else { 5_301.0 });
        }
        way.run(6_000, 10, 2_000_000.0);
        assert_eq!(way.queues, []);
    }

    #[test]
    fn reports_of_what_was_never_sent_change_nothing() {
        let mut bottleneck = Bottleneck::new(Instant::now());
        let report = || feedback(&[(7, 1_000.0), (8, 1_900.0)]).unwrap();
        assert_eq!(bottleneck.on_feedback(report()), None);
        bottleneck.on_sent(3, BYTES, Instant::now());
        assert_eq!(bottleneck.on_feedback(report()), None);
        assert_eq!(bottleneck.on_feedback(report()), None);
    }

    #[test]
    fn packets_that_nobody_reports_are_forgotten() {
        let now = Instant::now();
        let mut bottleneck = Bottleneck::new(now);
        for seq in 0..10_000_u16 {
            bottleneck.on_sent(seq, BYTES, now);
        }
        assert_eq!(bottleneck.sent.len(), MAX_SENT);
        assert_eq!(bottleneck.in_flight_bytes, MAX_SENT * BYTES);
    }

    proptest! {
        #[test]
        fn no_report_does_harm(
            steps in vec((any::<u16>(), 0_u64..50, vec(0.0..1e6_f64, 0..40)), 1..60)
        ) {
            let mut now = Instant::now();
            let mut bottleneck = Bottleneck::new(now);
            for (base, wait_ms, times_ms) in steps {
                now += Duration::from_millis(wait_ms);
                bottleneck.on_sent(base, BYTES, now);
                let near = base.wrapping_add(7);
                for base in [base, near] {
                    let seqs = (0_u16..).map(|more| base.wrapping_add(more));
                    let named: Vec<_> = seqs.zip(times_ms.iter().copied()).collect();
                    if let Some(report) = feedback(&named) {
                        bottleneck.on_feedback(report);
                    }
                }
                let sent: usize = bottleneck.sent.iter().map(|packet| packet.bytes).sum();
                prop_assert_eq!(bottleneck.in_flight_bytes, sent);
            }
        }
    }
}
