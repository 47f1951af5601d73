//! Translates between [`std::time::Instant`] and the nanosecond counter of the STUN crates.
//!
//! Their own `Instant::from_std` measures the age of an instant and so runs backwards; it must
//! not be used.

use std::time::{Duration, Instant};

use turn_client_proto::types::Instant as WireInstant;

/// A time base shared by all calls on one STUN or TURN state machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(super) fn new(epoch: Instant) -> Self {
        Self { epoch }
    }

    /// Instants before the epoch count as the epoch.
    pub(super) fn to_wire(self, now: Instant) -> WireInstant {
        let elapsed = now.saturating_duration_since(self.epoch);
        WireInstant::from_nanos(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX / 2))
    }

    pub(super) fn to_std(self, at: WireInstant) -> Instant {
        let elapsed = Duration::from_nanos(u64::try_from(at.as_nanos()).unwrap_or(0));
        self.epoch + elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_keeps_the_instant_and_order() {
        let epoch = Instant::now();
        let clock = Clock::new(epoch);
        let later = epoch + Duration::from_micros(1_234_567);
        assert_eq!(clock.to_std(clock.to_wire(later)), later);
        assert!(clock.to_wire(later) > clock.to_wire(epoch));
    }

    #[test]
    fn the_past_is_the_epoch() {
        let now = Instant::now();
        let clock = Clock::new(now + Duration::from_secs(5));
        assert_eq!(clock.to_wire(now).as_nanos(), 0);
    }
}
