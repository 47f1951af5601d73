//! When to ask a way that has become narrow whether it is wide again.
//!
//! The engine's own probes of a way that is used to its limit are 15 s apart, and without one an
//! estimate rises by 8 % a second.

use std::time::{Duration, Instant};

/// It is when it carries this share of what it did.
const REGAINED: f64 = 0.8;
/// It is asked after a tenth of the time since it became narrow, between these.
const ASK_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
const SINCE_BY_ASK: u32 = 10;
/// For so long after a queue estimates may still be those of before.
const SETTLES: Duration = Duration::from_secs(3);

struct Lost {
    bps: u64,
    at: Instant,
    queued_at: Instant,
    asked_at: Instant,
}

/// The estimate, and what was lost of it.
pub(super) struct Regain {
    desired_bps: u64,
    estimate_bps: u64,
    lost: Option<Lost>,
}

impl Regain {
    /// More than `desired_bps` is of no use.
    pub(super) fn new(desired_bps: u64) -> Self {
        Self {
            desired_bps,
            estimate_bps: 0,
            lost: None,
        }
    }

    /// The way carries so much.
    pub(super) fn on_estimate(&mut self, bps: u64, now: Instant) {
        self.estimate_bps = bps;
        self.lost = self.lost.take().filter(|lost| {
            (bps as f64) < lost.bps as f64 * REGAINED || now < lost.queued_at + SETTLES
        });
    }

    /// A queue stands: the way has become narrow, or still is.
    pub(super) fn on_queue(&mut self, now: Instant) {
        let bps = self.estimate_bps.min(self.desired_bps);
        let lost = self.lost.get_or_insert(Lost {
            bps,
            at: now,
            queued_at: now,
            asked_at: now,
        });
        (lost.queued_at, lost.asked_at) = (now, now);
    }

    /// What the engine is told to desire; it tries the way whenever that has become more.
    pub(super) fn desired_bps(&self) -> u64 {
        self.desired_bps
    }

    /// Desires a little more when it is time to ask, and says whether it was.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        let Some(lost) = &mut self.lost else {
            return false;
        };
        let (least, most) = ASK_AFTER;
        let since = now.saturating_duration_since(lost.at) / SINCE_BY_ASK;
        let is_due = now >= lost.asked_at + since.clamp(least, most);
        if is_due {
            lost.asked_at = now;
            self.desired_bps += 1;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Call {
        regain: Regain,
        begin: Instant,
    }

    impl Call {
        fn new(estimate_bps: u64) -> Self {
            let mut call = Self {
                regain: Regain::new(2_500_000),
                begin: Instant::now(),
            };
            call.estimate(estimate_bps, 0);
            call
        }

        fn at(&self, second: u64) -> Instant {
            self.begin + Duration::from_secs(second)
        }

        fn estimate(&mut self, bps: u64, second: u64) {
            self.regain.on_estimate(bps, self.at(second));
        }

        fn queue(&mut self, second: u64) {
            self.regain.on_queue(self.at(second));
        }

        fn asks(&mut self, seconds: std::ops::Range<u64>) -> usize {
            let tenth = Duration::from_millis(100);
            let (mut now, end) = (self.at(seconds.start), self.at(seconds.end));
            let mut count = 0;
            while now < end {
                count += usize::from(self.regain.ask(now));
                now += tenth;
            }
            count
        }
    }

    #[test]
    fn a_way_is_asked_until_it_is_wide_again() {
        let mut call = Call::new(1_000_000);
        assert_eq!(call.asks(0..10), 0);
        call.queue(10);
        call.estimate(1_050_000, 11);
        call.estimate(300_000, 12);
        assert_eq!(call.asks(12..20), 8, "estimates know later than queues");
        call.queue(20);
        assert_eq!(call.asks(20..21), 0, "it has just said no");
        assert!((4..=8).contains(&call.asks(21..30)));
        call.estimate(810_000, 30);
        assert_eq!(call.asks(30..60), 0);
    }

    #[test]
    fn one_that_stays_narrow_is_asked_seldom() {
        let mut call = Call::new(1_000_000);
        call.queue(0);
        call.estimate(300_000, 1);
        assert!((18..=30).contains(&call.asks(1..60)));
        assert!(call.asks(600..1_200) <= 41);
    }

    #[test]
    fn no_more_is_asked_for_than_anybody_wants() {
        let mut call = Call::new(9_000_000);
        call.queue(0);
        call.estimate(1_900_000, 1);
        assert!(call.asks(1..5) > 0);
        call.estimate(2_100_000, 5);
        assert_eq!(call.asks(5..50), 0);
    }
}
