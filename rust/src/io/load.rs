//! How busy a media thread is, and how long it may therefore gather work before doing it.
//!
//! Waking a thread costs more than all work on one packet. A quiet thread answers at once; a busy
//! one lets a few packets come together, for at most [`LONGEST_PAUSE`] on any packet's way.

use std::time::{Duration, Instant};

/// The most that gathering adds to a packet's way through one thread.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(2);
/// The time over which work is counted.
const WINDOW: Duration = Duration::from_millis(40);
/// Work items per second from which on a thread pauses, and for how long.
const PAUSES: [(f64, Duration); 2] = [(2_000.0, LONGEST_PAUSE), (800.0, Duration::from_millis(1))];

/// Counts work over a sliding window.
pub struct Load {
    window_began: Instant,
    in_window: u32,
    pause: Option<Duration>,
}

impl Load {
    /// A thread that has done nothing yet.
    pub fn new(now: Instant) -> Self {
        Self {
            window_began: now,
            in_window: 0,
            pause: None,
        }
    }

    /// Some work was done.
    pub fn count(&mut self, items: u32, now: Instant) {
        self.in_window += items;
        let elapsed = now - self.window_began;
        if elapsed >= WINDOW {
            let per_s = f64::from(self.in_window) / elapsed.as_secs_f64();
            self.pause = PAUSES
                .iter()
                .find(|(from, _)| per_s >= *from)
                .map(|(_, pause)| *pause);
            (self.window_began, self.in_window) = (now, 0);
        }
    }

    /// How long to gather before the next look; None when there is no reason to.
    pub fn pause(&self) -> Option<Duration> {
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause_at(per_s: u32) -> Option<Duration> {
        let start = Instant::now();
        let mut load = Load::new(start);
        for n in 1..=per_s {
            load.count(1, start + Duration::from_secs(1) * n / per_s);
        }
        load.pause()
    }

    #[test]
    fn only_a_busy_thread_gathers() {
        assert_eq!(pause_at(50), None);
        assert_eq!(pause_at(1_000), Some(Duration::from_millis(1)));
        assert_eq!(pause_at(5_000), Some(LONGEST_PAUSE));
    }

    #[test]
    fn quiet_returns() {
        let start = Instant::now();
        let mut load = Load::new(start);
        load.count(10_000, start + WINDOW);
        assert!(load.pause().is_some());
        load.count(1, start + WINDOW * 3);
        assert_eq!(load.pause(), None);
    }
}
