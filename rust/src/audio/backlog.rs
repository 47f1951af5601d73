//! By how much a source that lives in real time is late, judged by what waits of it.
//!
//! An echo that was stopped hands over at once all that it missed, and from then on as much comes as
//! goes: what waits stays at that level for the rest of the call, unless it is sent ahead. A reply
//! that was made ahead of time fills its queue or empties it, and nothing of it may be sent ahead: a
//! clear could not take it back. This file tells the two apart by how much waits and whether that
//! changes. It knows nothing of packets.

use std::time::{Duration, Instant};

use super::FRAME_TICKS;
use super::outbound::{FRAME, MAX_MISSED_SLOTS};

/// Who was handed more than this before his first sound is answering, unless he comes with all of it.
const LONGEST_ECHO_FRAMES: u32 = 150;

/// No more than this is handed over at once after a stall, however long it was: what waits for Python,
/// and in Python for the handler, has this bound. More than 2 s come at once only then (back-pressure),
/// so that nothing else is taken for them.
const LONGEST_RETURN_FRAMES: u32 = 250;

/// The queue of a live source that is late varies by no more than this: it takes in real time what
/// it gives. One that is ahead of time fills or empties it.
const LIVE_VARIATION_FRAMES: u32 = 5;

/// The little that comes after a silence of less than this is late. After more the source may as well
/// have had nothing to say.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// A source that was handed less since its last sound echoes something else, if anything.
const LEAST_HEARD_FRAMES: u32 = 10;

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
    /// Fewer waiting than this are no stall's...
    needed: u32,
    /// ...unless they are as few as a gap in the network leaves.
    is_gap: bool,
    /// The fewest and the most frames that waited at a tick since `since`.
    least: u32,
    greatest: u32,
    since: Instant,
}

impl Backlog {
    /// A source begins that was handed `heard_ticks` before: what waited for the call to be ready, or
    /// for the source, came to it at once.
    pub fn at_beginning(heard_ticks: u64, now: Instant) -> Self {
        let heard = frames_of(heard_ticks);
        if heard <= LONGEST_ECHO_FRAMES {
            Self::new(heard.max(MAX_MISSED_SLOTS), 0, now)
        } else {
            Self::new(heard, almost_all(heard), now)
        }
    }

    /// A source goes on that gave nothing for `silence` and was handed `heard_ticks` meanwhile.
    pub fn after(silence: Duration, heard_ticks: u64, now: Instant) -> Self {
        let missed = u32::try_from(silence.as_micros() / FRAME.as_micros()).unwrap_or(u32::MAX);
        if silence >= LONGEST_GAP {
            return Self::new(missed, almost_all(missed), now);
        }
        // Of what the network lost nothing can come back.
        let returns = match frames_of(heard_ticks) {
            heard if heard >= LEAST_HEARD_FRAMES => missed.min(heard),
            _ => missed,
        };
        Self {
            is_gap: true,
            ..Self::new(missed.max(MAX_MISSED_SLOTS), almost_all(returns), now)
        }
    }

    fn new(owed: u32, needed: u32, since: Instant) -> Self {
        Self {
            owed,
            needed,
            is_gap: false,
            least: u32::MAX,
            greatest: 0,
            since,
        }
    }

    /// The same on top of what an earlier silence left, of which nothing was made up for.
    pub fn on_top_of(self, earlier: Option<Self>) -> Self {
        let owed = earlier.map_or(0, |earlier| earlier.owed);
        Self {
            owed: self.owed.saturating_add(owed),
            ..self
        }
    }

    /// Takes note of what waits at a tick.
    pub fn note(&mut self, waiting: u32, now: Instant) -> Verdict {
        if waiting > self.owed.saturating_add(LIVE_VARIATION_FRAMES) {
            return Verdict::Ahead;
        }
        self.least = self.least.min(waiting);
        self.greatest = self.greatest.max(waiting);
        if now.saturating_duration_since(self.since) < HOLD {
            return Verdict::Open;
        }
        let is_live = self.greatest - self.least <= LIVE_VARIATION_FRAMES;
        let is_little = self.greatest <= MAX_MISSED_SLOTS;
        let is_enough = self.least >= self.needed || (self.is_gap && is_little);
        if is_enough && (is_live || is_little) {
            Verdict::Late(self.least.min(self.owed))
        } else {
            Verdict::Late(0)
        }
    }

    /// What is left once `released` frames were made up for, watched from `now` on.
    pub fn without(self, released: u32, now: Instant) -> Option<Self> {
        let owed = self.owed - released;
        let needed = if released > 0 { 0 } else { self.needed };
        (owed > 0).then(|| Self {
            is_gap: self.is_gap,
            ..Self::new(owed, needed, now)
        })
    }
}

/// The least that a source comes back with of `frames` which it missed: a few may have been lost, or
/// have left at once.
fn almost_all(frames: u32) -> u32 {
    let frames = frames.min(LONGEST_RETURN_FRAMES);
    frames.saturating_sub((frames / 8).max(4))
}

fn frames_of(ticks: u64) -> u32 {
    u32::try_from(ticks / u64::from(FRAME_TICKS)).unwrap_or(u32::MAX)
}
