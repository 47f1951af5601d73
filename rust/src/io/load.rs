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

/// A thread awake for more than this share of the time is pressed, until it is below the second.
const PRESSED: (f64, f64) = (0.5, 0.4);

/// Counts work over a sliding window.
pub struct Load {
    window_began: Instant,
    in_window: u32,
    slept: Duration,
    pause: Option<Duration>,
    pressed: bool,
}

impl Load {
    /// A thread that has done nothing yet.
    pub fn new(now: Instant) -> Self {
        Self {
            window_began: now,
            in_window: 0,
            slept: Duration::ZERO,
            pause: None,
            pressed: false,
        }
    }

    /// The thread slept for a while. What it was kept waiting by others does not count as sleep.
    pub fn slept(&mut self, time: Duration) {
        self.slept += time;
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
            let awake = 1.0 - self.slept.as_secs_f64() / elapsed.as_secs_f64();
            let (from, until) = PRESSED;
            self.pressed = awake > if self.pressed { until } else { from };
            (self.window_began, self.in_window) = (now, 0);
            self.slept = Duration::ZERO;
        }
    }

    /// Whether the thread is so busy that it should save work.
    pub fn is_pressed(&self) -> bool {
        self.pressed
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
    fn pressed_from_half_of_the_time_until_it_is_clearly_less() {
        let start = Instant::now();
        let mut load = Load::new(start);
        for (window, (awake, pressed)) in [(0.45, false), (0.55, true), (0.45, true), (0.35, false)]
            .into_iter()
            .enumerate()
        {
            load.slept(WINDOW.mul_f64(1.0 - awake));
            load.count(1, start + WINDOW * (window as u32 + 1));
            assert_eq!(load.is_pressed(), pressed, "window {window}");
        }
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
