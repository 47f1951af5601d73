//! By how much a source that lives in real time is late, judged by what waits of it.
//!
//! An echo that was stopped hands over at once all that it missed, and from then on as much comes as
//! goes: what waits stays at that level for the rest of the call, unless it is sent ahead. A reply
//! that was made ahead of time fills its queue or empties it, and nothing of it may be sent ahead: a
//! clear could not take it back. This file tells the two apart. It knows nothing of packets.

use std::time::{Duration, Instant};

use super::FRAME_TICKS;
use super::outbound::{FRAME, MAX_MISSED_SLOTS};

/// Who was handed more than this before his first sound, or was silent for longer, is answering, not
/// late with an echo.
const LONGEST_ECHO_FRAMES: u32 = 150;

/// The queue of a live source that is late varies by no more than this: it takes in real time what
/// it gives. One that is ahead of time fills or empties it.
const LIVE_VARIATION_FRAMES: u32 = 5;

/// A source that is silent for less than this has stalled. After more it may as well have had nothing
/// to say, and is late only if it comes back with about as much as it was silent for.
const LONGEST_STALL: Duration = Duration::from_secs(1);

/// How long what a source is late by is kept, as a buffer against its next stall.
const HOLD: Duration = Duration::from_secs(1);

/// What waits, as seen for [`HOLD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is too early to say.
    Open,
    /// The source is ahead of time.
    Ahead,
    /// This many frames waited all the time and may leave; 0 if nothing is certain yet.
    Late(u32),
}

/// What a source may be late by, since it was silent.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Frames that may still be made up for.
    owed: u32,
    /// Fewer waiting than this are no stall's.
    needed: u32,
    /// The fewest and the most frames that waited at a tick since `since`.
    least: u32,
    greatest: u32,
    since: Instant,
}

impl Backlog {
    /// A source begins that was handed `heard_ticks` before: what waited for the call to be ready came
    /// to it at once.
    pub fn at_beginning(heard_ticks: u64, now: Instant) -> Self {
        let heard = u32::try_from(heard_ticks / u64::from(FRAME_TICKS))
            .ok()
            .filter(|frames| *frames <= LONGEST_ECHO_FRAMES)
            .unwrap_or_default();
        Self::new(heard.max(MAX_MISSED_SLOTS), 0, now)
    }

    /// A source goes on that gave nothing for `silence`.
    pub fn after(silence: Duration, now: Instant) -> Option<Self> {
        let missed = u32::try_from(silence.as_micros() / FRAME.as_micros()).ok()?;
        if silence < LONGEST_STALL {
            return Some(Self::new(missed.max(MAX_MISSED_SLOTS), 0, now));
        }
        // A little of it may have been lost, or has left at once.
        let needed = missed - missed / 4;
        (missed <= LONGEST_ECHO_FRAMES).then(|| Self::new(missed, needed, now))
    }

    fn new(owed: u32, needed: u32, since: Instant) -> Self {
        Self {
            owed,
            needed,
            least: u32::MAX,
            greatest: 0,
            since,
        }
    }

    /// The same on top of what an earlier silence left, of which nothing was made up for.
    pub fn on_top_of(self, earlier: Option<Self>) -> Self {
        let owed = earlier.map_or(0, |earlier| earlier.owed);
        Self {
            owed: self.owed + owed,
            ..self
        }
    }

    /// Takes note of what waits at a tick.
    pub fn note(&mut self, waiting: u32, now: Instant) -> Verdict {
        if waiting > self.owed + LIVE_VARIATION_FRAMES {
            return Verdict::Ahead;
        }
        self.least = self.least.min(waiting);
        self.greatest = self.greatest.max(waiting);
        if now.saturating_duration_since(self.since) < HOLD {
            return Verdict::Open;
        }
        let is_live = self.greatest - self.least <= LIVE_VARIATION_FRAMES;
        let is_little = self.greatest <= MAX_MISSED_SLOTS;
        if self.least >= self.needed && (is_live || is_little) {
            Verdict::Late(self.least.min(self.owed))
        } else {
            Verdict::Late(0)
        }
    }

    /// What is left once `released` frames were made up for, watched from `now` on.
    pub fn without(self, released: u32, now: Instant) -> Option<Self> {
        let owed = self.owed - released;
        let needed = if released > 0 { 0 } else { self.needed };
        (owed > 0).then(|| Self::new(owed, needed, now))
    }
}
