//! The jitter buffer's order of packets: who is next, who is missing, how long to wait for them.
//!
//! Pure logic in virtual time; it never looks into a payload and knows nothing of Opus. A packet in
//! order is handed on at once. A gap is held open for [`reorder wait`](JitterBuffer::reorder_wait),
//! which grows with the lateness of reordered packets seen and falls back when there are none;
//! then the gap is declared lost and everything behind it follows without delay.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::TICKS_PER_S;

/// How many packets may wait behind a gap before it is given up.
pub const CAPACITY: usize = 128;

/// The wait while no packet was ever reordered.
pub const MIN_REORDER_WAIT: Duration = Duration::from_millis(15);

/// The longest wait.
pub const MAX_REORDER_WAIT: Duration = Duration::from_millis(120);

/// Added to the observed lateness, so that the next one as late still finds its gap open.
const REORDER_MARGIN: Duration = Duration::from_millis(5);

/// How long an observed lateness counts in full, and when it is forgotten.
const REORDER_HOLD: Duration = Duration::from_millis(1_500);
const REORDER_FORGET: Duration = Duration::from_millis(2_000);

/// Sequence numbers further ahead, or further behind, are not of the same stream
/// (compare `MAX_DROPOUT` and `MAX_MISORDER` in RFC 3550, appendix A.1).
const MAX_AHEAD: u64 = 3_000;
const MAX_BEHIND: u64 = 500;

/// The most RTP time that one sequence number may stand for when a packet comes out of order.
const MAX_TICKS_PER_PACKET: u64 = TICKS_PER_S as u64;

/// Two strange packets whose sequence numbers are this close make a restarted stream.
const RESTART_SPAN: u64 = 16;

/// How many lost gaps are remembered, to tell a late packet from a duplicate.
const REMEMBERED_GAPS: usize = 32;

/// One RTP packet, with sequence number and timestamp extended to 64 bits.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Extended sequence number.
    pub seq: u64,
    /// Extended RTP timestamp in ticks.
    pub rtp_time: u64,
    /// What the packet carries.
    pub payload: Arc<[u8]>,
    /// When it arrived.
    pub arrival: Instant,
}

/// What comes next in the order of the stream.
#[derive(Debug)]
pub enum Step {
    /// The next packet.
    Packet(Packet),
    /// This many packets are given up; the next step is the packet behind them.
    Lost(u64),
    /// The stream begins anew: nothing before this has to do with what follows.
    Restart,
}

/// Counters since the buffer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets taken in, duplicates and late ones included.
    pub received: u64,
    /// Packets given up.
    pub lost: u64,
    /// Packets that arrived after they had been given up.
    pub late: u64,
    /// Packets that had arrived before.
    pub duplicated: u64,
    /// How often the stream began anew.
    pub restarts: u64,
}

struct Gap {
    first: u64,
    end: u64,
    revealed: Instant,
}

/// Puts packets in order; see the module.
#[derive(Default)]
pub struct JitterBuffer {
    next_seq: Option<u64>,
    /// The first packet of the stream; what is before it came too late.
    first_seq: u64,
    /// Ordered by sequence number.
    waiting: VecDeque<Packet>,
    lost_gaps: VecDeque<Gap>,
    suspect: Option<Packet>,
    restarted: bool,
    /// Sequence number and RTP time of the packet furthest ahead.
    head: Option<(u64, u64)>,
    /// The lateness that counts, and when a reordered packet was last seen.
    reordered: Option<(Duration, Instant)>,
    jitter: InterarrivalJitter,
    counters: Counters,
}

impl JitterBuffer {
    /// Takes a packet in.
    pub fn push(&mut self, packet: Packet) {
        self.counters.received += 1;
        if !self.belongs(&packet) {
            self.suspect(packet);
            return;
        }
        self.suspect = None;
        self.insert(packet);
    }

    /// The next step that may be taken at `now`; call until `None`.
    pub fn next(&mut self, now: Instant) -> Option<Step> {
        if self.restarted {
            self.restarted = false;
            return Some(Step::Restart);
        }
        let front = self.waiting.front()?.seq;
        let expected = self.next_seq.unwrap_or(front);
        if front == expected {
            self.next_seq = Some(front.saturating_add(1));
            return self.waiting.pop_front().map(Step::Packet);
        }
        let revealed = self.revealed()?;
        if self.waiting.len() < CAPACITY && now < revealed + self.reorder_wait(revealed) {
            return None;
        }
        let lost = front - expected;
        self.counters.lost += lost;
        if self.lost_gaps.len() == REMEMBERED_GAPS {
            self.lost_gaps.pop_front();
        }
        self.lost_gaps.push_back(Gap {
            first: expected,
            end: front,
            revealed,
        });
        self.next_seq = Some(front);
        Some(Step::Lost(lost))
    }

    /// When [`next`](Self::next) will have something without another packet; `None` if never.
    pub fn timeout(&self) -> Option<Instant> {
        let front = self.waiting.front()?;
        let revealed = self.revealed()?;
        let in_order = self.next_seq.is_none_or(|expected| expected == front.seq);
        if in_order || self.restarted || self.waiting.len() >= CAPACITY {
            return Some(revealed);
        }
        Some(revealed + self.reorder_wait(revealed))
    }

    /// How long a gap that is revealed at `now` is held open.
    pub fn reorder_wait(&self, now: Instant) -> Duration {
        let Some((lateness, seen)) = self.reordered else {
            return MIN_REORDER_WAIT;
        };
        let peak = (lateness + REORDER_MARGIN).clamp(MIN_REORDER_WAIT, MAX_REORDER_WAIT);
        let clean = now.saturating_duration_since(seen);
        let forgetting = REORDER_FORGET - REORDER_HOLD;
        let left = REORDER_FORGET.saturating_sub(clean).min(forgetting);
        let share = left.as_secs_f64() / forgetting.as_secs_f64();
        MIN_REORDER_WAIT + (peak - MIN_REORDER_WAIT).mul_f64(share)
    }

    /// Forgets the stream, for one that begins anew; counters stay.
    fn reset(&mut self) {
        self.waiting.clear();
        self.lost_gaps.clear();
        self.suspect = None;
        self.next_seq = None;
        self.head = None;
        self.reordered = None;
        self.jitter.last = None;
        self.restarted = true;
    }

    /// Counters so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Interarrival jitter (RFC 3550, section 6.4.1) in milliseconds.
    pub fn jitter_ms(&self) -> f64 {
        self.jitter.estimate_ticks * 1e3 / f64::from(TICKS_PER_S)
    }

    /// Whether sequence number and timestamp can be of the stream that we are in.
    fn belongs(&self, packet: &Packet) -> bool {
        let (Some(next_seq), Some((head_seq, head_time))) = (self.next_seq, self.head) else {
            return true;
        };
        if packet.seq > head_seq {
            return packet.seq - next_seq.min(packet.seq) <= MAX_AHEAD
                && packet.rtp_time >= head_time;
        }
        let behind = head_seq - packet.seq;
        behind <= MAX_BEHIND
            && head_time
                .checked_sub(packet.rtp_time)
                .is_some_and(|ticks| ticks <= behind * MAX_TICKS_PER_PACKET)
    }

    /// A lone strange packet is kept aside; a second one next to it proves a new stream.
    fn suspect(&mut self, packet: Packet) {
        match self.suspect.take() {
            Some(first) if first.seq.abs_diff(packet.seq) <= RESTART_SPAN => {
                self.counters.restarts += 1;
                self.reset();
                self.begin(first.seq.min(packet.seq));
                self.insert(first);
                self.insert(packet);
            }
            _ => self.suspect = Some(packet),
        }
    }

    fn begin(&mut self, seq: u64) {
        self.next_seq = Some(seq);
        self.first_seq = seq;
    }

    fn insert(&mut self, packet: Packet) {
        if self.next_seq.is_none() {
            self.begin(packet.seq);
        }
        let next_seq = self.next_seq.unwrap_or(packet.seq);
        if packet.seq < next_seq {
            self.count_overdue(&packet);
            return;
        }
        let at = self
            .waiting
            .partition_point(|waiting| waiting.seq < packet.seq);
        if self
            .waiting
            .get(at)
            .is_some_and(|waiting| waiting.seq == packet.seq)
        {
            self.counters.duplicated += 1;
            return;
        }
        if let Some(revealed) = self.waiting.range(at..).map(|later| later.arrival).min() {
            self.note_reordering(revealed, packet.arrival);
        }
        self.jitter.update(&packet);
        if self.head.is_none_or(|(head_seq, _)| packet.seq > head_seq) {
            self.head = Some((packet.seq, packet.rtp_time));
        }
        self.waiting.insert(at, packet);
        if self.waiting.len() > CAPACITY {
            // Only when nobody takes packets out: the oldest becomes a gap.
            self.waiting.pop_front();
        }
    }

    /// A packet whose turn has passed was either given up as lost, or it is here twice.
    fn count_overdue(&mut self, packet: &Packet) {
        let remembered = match self.lost_gaps.front() {
            Some(oldest) if self.lost_gaps.len() == REMEMBERED_GAPS => oldest.first,
            _ => self.first_seq,
        };
        let gap = self
            .lost_gaps
            .iter()
            .find(|gap| (gap.first..gap.end).contains(&packet.seq));
        match gap.map(|gap| gap.revealed) {
            Some(revealed) => {
                self.counters.late += 1;
                self.note_reordering(revealed, packet.arrival);
            }
            None if packet.seq < remembered => self.counters.late += 1,
            None => self.counters.duplicated += 1,
        }
    }

    /// A packet came `arrival - revealed` after one that should have followed it. A longer lateness
    /// counts at once, a shorter one draws the estimate down a little.
    fn note_reordering(&mut self, revealed: Instant, arrival: Instant) {
        let seen = arrival.saturating_duration_since(revealed);
        let before = self.reordered.map_or(Duration::ZERO, |(lateness, at)| {
            if arrival.saturating_duration_since(at) < REORDER_FORGET {
                lateness
            } else {
                Duration::ZERO
            }
        });
        self.reordered = Some((seen.max(before - before / 8), arrival));
    }

    /// When the gap in front was noticed: at the first arrival of a packet from behind it.
    fn revealed(&self) -> Option<Instant> {
        self.waiting.iter().map(|packet| packet.arrival).min()
    }
}

#[derive(Default)]
struct InterarrivalJitter {
    last: Option<(Instant, u64)>,
    estimate_ticks: f64,
}

impl InterarrivalJitter {
    fn update(&mut self, packet: &Packet) {
        let last = self.last.replace((packet.arrival, packet.rtp_time));
        if let Some((arrival, rtp_time)) = last {
            let elapsed = match packet.arrival.checked_duration_since(arrival) {
                Some(forward) => forward.as_secs_f64(),
                None => -(arrival - packet.arrival).as_secs_f64(),
            };
            let sent = packet.rtp_time.wrapping_sub(rtp_time) as i64 as f64;
            let difference = (elapsed * f64::from(TICKS_PER_S) - sent).abs();
            // A jump of the timestamps is not jitter.
            if difference < f64::from(TICKS_PER_S) {
                self.estimate_ticks += (difference - self.estimate_ticks) / 16.0;
            }
        }
    }
}
