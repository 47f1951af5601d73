//! Whether packets carry copies against loss, by what the receiver reports. It knows no packets.

use std::time::{Duration, Instant};

use super::opus::Mode;

/// How long FEC stays on after the last report of loss.
const PROTECTION_HOLD: Duration = Duration::from_secs(10);

/// Less announced loss than this makes Opus' copies too rare to be of use.
const MIN_LOSS_PERCENT: u8 = 10;
const MAX_LOSS_PERCENT: u8 = 40;

/// Loss as the receiver reported it.
struct Loss {
    percent: u8,
    reported: Instant,
}

/// FEC, off until the first report of loss.
#[derive(Default)]
pub struct Protection(Option<Loss>);

impl Protection {
    /// Takes note of a receiver report: `fraction_lost` is 0 to 1.
    pub fn on_report(&mut self, fraction_lost: f32, now: Instant) {
        if fraction_lost > 0.0 {
            let percent = (fraction_lost * 100.0).ceil().clamp(0.0, 100.0) as u8;
            let percent = percent.clamp(MIN_LOSS_PERCENT, MAX_LOSS_PERCENT);
            // Loss comes in bursts: forget a high figure slowly.
            let percent = percent.max(self.percent().saturating_sub(2));
            self.0 = Some(Loss {
                percent,
                reported: now,
            });
        }
        self.expire(now);
    }

    /// Forgets a report that is too old.
    pub fn expire(&mut self, now: Instant) {
        self.0
            .take_if(|loss| now.saturating_duration_since(loss.reported) >= PROTECTION_HOLD);
    }

    /// Loss in percent that FEC protects against; 0 while it is off.
    pub fn percent(&self) -> u8 {
        self.0.as_ref().map_or(0, |loss| loss.percent)
    }

    /// How to encode.
    pub fn mode(&self) -> Mode {
        self.0.as_ref().map_or(Mode::Clean, |loss| Mode::Lossy {
            loss_percent: loss.percent,
        })
    }
}
