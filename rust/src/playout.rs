//! The outbound audio queue of one peer, between the control plane and its shard.
//!
//! The control plane appends and clears, the shard takes and counts, without a lock between them.
//! One word holds the epoch (how often the queue was cleared) and the ticks sent in it, so that a
//! clear knows exactly what was sent and no older sample can leave after it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crossbeam_queue::SegQueue;

use crate::audio::{AudioError, Outbound, OutboundConfig, OutboundPacket, Pcm};

/// RTP ticks of Opus per second.
pub const TICKS_PER_SECOND: u64 = 48_000;
const SENT_BITS: u32 = 48;
const SENT_MASK: u64 = (1 << SENT_BITS) - 1;

/// A piece of audio and the epoch in which it was queued.
struct Chunk {
    epoch: u64,
    pcm: Pcm,
}

/// Audio on its way out. The bound is kept by the callers, who see [`Playout::queued_s`].
#[derive(Default)]
pub struct Playout {
    chunks: SegQueue<Chunk>,
    /// Epoch in the upper 16 bits, ticks sent in it in the lower 48.
    word: AtomicU64,
    /// Ticks queued in this epoch; only ever locked by the control plane.
    queued_ticks: Mutex<u64>,
    queued_published: AtomicU64,
}

impl Playout {
    /// Appends audio; returns the seconds that now wait.
    pub fn push(&self, pcm: Pcm) -> f64 {
        let frames = pcm.samples.len() as u64 / u64::from(pcm.channels.max(1));
        let ticks = frames * TICKS_PER_SECOND / u64::from(pcm.rate_hz.max(1));
        let mut queued = self
            .queued_ticks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *queued += ticks;
        self.queued_published.store(*queued, Ordering::Release);
        let epoch = self.word.load(Ordering::Acquire) >> SENT_BITS;
        self.chunks.push(Chunk { epoch, pcm });
        drop(queued);
        self.queued_s()
    }

    /// Drops what waits; returns the seconds sent since the last clear.
    pub fn clear(&self) -> f64 {
        let mut queued = self
            .queued_ticks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *queued = 0;
        self.queued_published.store(0, Ordering::Release);
        let old = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                Some((word >> SENT_BITS).wrapping_add(1) << SENT_BITS)
            })
            .unwrap_or_else(|word| word);
        seconds(old & SENT_MASK)
    }

    /// Seconds queued and not yet sent.
    pub fn queued_s(&self) -> f64 {
        let sent = self.word.load(Ordering::Acquire) & SENT_MASK;
        seconds(
            self.queued_published
                .load(Ordering::Acquire)
                .saturating_sub(sent),
        )
    }

    /// Seconds sent since the last clear.
    pub fn sent_s(&self) -> f64 {
        seconds(self.word.load(Ordering::Acquire) & SENT_MASK)
    }

    /// The current epoch. Shard side.
    pub fn epoch(&self) -> u64 {
        self.word.load(Ordering::Acquire) >> SENT_BITS
    }

    /// The next chunk with its epoch. Shard side.
    pub fn pop(&self) -> Option<(u64, Pcm)> {
        self.chunks.pop().map(|chunk| (chunk.epoch, chunk.pcm))
    }

    /// Counts `ticks` as sent in `epoch`; false when the queue was cleared since, and then the
    /// packet must not leave. Shard side.
    pub fn commit(&self, epoch: u64, ticks: u64) -> bool {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word >> SENT_BITS == epoch).then_some(word + ticks)
            })
            .is_ok()
    }
}

/// What makes packets of a [`Playout`]: the side of it that has a clock.
pub struct Speaker {
    /// The track; its clock and its reports are the owner's business.
    pub outbound: Outbound,
    epoch: u64,
    /// Ticks of the user's audio that were counted as sent so far.
    played_ticks: u64,
}

impl Speaker {
    /// One that sends what `config` says.
    ///
    /// # Errors
    /// It is nothing that Opus can serve.
    pub fn new(config: OutboundConfig) -> Result<Self, AudioError> {
        Ok(Self {
            outbound: Outbound::new(config)?,
            epoch: 0,
            played_ticks: 0,
        })
    }

    /// Takes what waits.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn load(&mut self, playout: &Playout) -> Result<(), AudioError> {
        self.follow_epoch(playout.epoch());
        while let Some((epoch, pcm)) = playout.pop() {
            self.follow_epoch(epoch);
            self.outbound.push(pcm)?;
        }
        Ok(())
    }

    /// The next packet to send at `now`, counted as sent.
    pub fn poll(&mut self, playout: &Playout, now: Instant) -> Option<OutboundPacket> {
        loop {
            let packet = self.outbound.poll(now);
            // Silence that is not transmitted counts as sent, so not only packets are counted.
            let played = self.outbound.stats().played_ticks;
            let ticks = played - std::mem::replace(&mut self.played_ticks, played);
            if ticks == 0 || playout.commit(self.epoch, ticks) {
                return packet;
            }
            self.follow_epoch(playout.epoch());
        }
    }

    /// After a clear, nothing queued before it may leave.
    fn follow_epoch(&mut self, epoch: u64) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.outbound.clear();
        }
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcm(millis: usize) -> Pcm {
        Pcm {
            samples: vec![0; 24 * millis],
            rate_hz: 24_000,
            channels: 1,
        }
    }

    #[test]
    fn a_clear_returns_what_was_sent_and_lets_nothing_older_out() {
        let playout = Playout::default();
        assert_eq!(playout.push(pcm(100)), 0.1);
        let (epoch, _) = playout.pop().unwrap();
        assert!(playout.commit(epoch, 960));
        assert_eq!((playout.sent_s(), playout.queued_s()), (0.02, 0.08));
        assert_eq!(playout.clear(), 0.02);
        assert!(!playout.commit(epoch, 960));
        assert_eq!((playout.sent_s(), playout.queued_s()), (0.0, 0.0));
        playout.push(pcm(20));
        assert_ne!(playout.pop().unwrap().0, epoch);
    }

    #[test]
    fn epochs_wrap_without_touching_the_count() {
        let playout = Playout::default();
        for _ in 0..70_000 {
            playout.clear();
        }
        assert_eq!(playout.sent_s(), 0.0);
        assert!(playout.commit(playout.epoch(), 960));
        assert_eq!(playout.clear(), 0.02);
    }
}
