//! Datagrams that wait for the permission to be sent to their peer: few, and not for long.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Most datagrams that wait; the oldest makes room.
pub const MAX_WAITING: usize = 32;
/// Longest wait. Later a datagram is dropped: checks and handshakes are repeated by those who
/// sent them.
pub const MAX_WAIT: Duration = Duration::from_secs(2);

/// A datagram and its peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) to: SocketAddr,
    pub(super) data: Vec<u8>,
    since: Instant,
}

/// The queue, oldest first. Each method that drops says how many.
#[derive(Debug, Default)]
pub(super) struct WaitingQueue {
    queue: VecDeque<Waiting>,
}

impl WaitingQueue {
    #[must_use]
    pub(super) fn push(&mut self, to: SocketAddr, data: &[u8], now: Instant) -> u64 {
        let full = self.queue.len() == MAX_WAITING;
        if full {
            self.queue.pop_front();
        }
        self.queue.push_back(Waiting {
            to,
            data: data.to_vec(),
            since: now,
        });
        u64::from(full)
    }

    /// Takes out what waits for `ip`, in order.
    pub(super) fn take(&mut self, ip: IpAddr) -> VecDeque<Waiting> {
        let all = std::mem::take(&mut self.queue);
        let (taken, kept) = all.into_iter().partition(|waiting| waiting.to.ip() == ip);
        self.queue = kept;
        taken
    }

    #[must_use]
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let before = self.queue.len();
        self.queue
            .retain(|waiting| now.saturating_duration_since(waiting.since) < MAX_WAIT);
        (before - self.queue.len()) as u64
    }

    #[must_use]
    pub(super) fn clear(&mut self) -> u64 {
        let count = self.queue.len() as u64;
        self.queue.clear();
        count
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.queue.front().map(|oldest| oldest.since + MAX_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 5000))
    }

    #[test]
    fn one_peers_datagrams_leave_in_order_and_others_stay() {
        let now = Instant::now();
        let mut queue = WaitingQueue::default();
        for (last, byte) in [(1, 10), (2, 20), (1, 11)] {
            assert_eq!(queue.push(peer(last), &[byte], now), 0);
        }
        let taken: Vec<_> = queue
            .take(peer(1).ip())
            .into_iter()
            .map(|w| w.data[0])
            .collect();
        assert_eq!(taken, [10, 11]);
        assert_eq!(queue.take(peer(2).ip()).len(), 1);
        assert_eq!(queue.timeout(), None);
    }

    #[test]
    fn the_oldest_makes_room() {
        let now = Instant::now();
        let mut queue = WaitingQueue::default();
        let dropped: u64 = (0..40).map(|byte| queue.push(peer(1), &[byte], now)).sum();
        assert_eq!(dropped, 8);
        let kept = queue.take(peer(1).ip());
        assert_eq!((kept.len(), kept[0].data[0]), (MAX_WAITING, 8));
    }

    #[test]
    fn nobody_waits_longer_than_the_limit() {
        let start = Instant::now();
        let mut queue = WaitingQueue::default();
        assert_eq!(queue.push(peer(1), &[1], start), 0);
        assert_eq!(queue.push(peer(2), &[2], start + MAX_WAIT / 2), 0);
        assert_eq!(queue.timeout(), Some(start + MAX_WAIT));
        assert_eq!(queue.expire(start + MAX_WAIT), 1);
        assert_eq!(queue.clear(), 1);
    }
}
