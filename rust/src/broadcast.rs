//! One source of audio for many peers: paced and encoded once, on a thread of its own.
//!
//! The thread makes packets and hands each to the shards of all listeners; what happens to it there
//! is theirs. A listener that joins hears what is made from then on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::audio::{AudioError, OutboundConfig, OutboundPacket, Pcm};
use crate::peer::Command;
use crate::playout::{Playout, Speaker};
use crate::shard::ShardHandle;

/// Stereo is sent as such: whoever plays mono mixes it down when decoding.
const MAX_CHANNELS: u8 = 2;

#[derive(Default)]
struct State {
    listeners: HashMap<u64, Arc<ShardHandle>>,
    /// Something happened since the thread looked.
    news: bool,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    playout: Playout,
    state: Mutex<State>,
    changed: Condvar,
    packets: AtomicU64,
}

/// See the module.
pub struct Broadcast {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    process: u32,
}

impl Broadcast {
    /// Starts the thread.
    ///
    /// # Errors
    /// The bit rate is none of Opus'.
    pub fn start(bitrate_bps: Option<u32>) -> Result<Self, AudioError> {
        let speaker = Speaker::new(OutboundConfig {
            max_channels: MAX_CHANNELS,
            bitrate_bps,
        })?;
        let shared = Arc::new(Shared::default());
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.run(speaker)
        });
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
            process: std::process::id(),
        })
    }

    /// The peer of this number hears what is made from now on.
    pub fn add(&self, peer: u64, shard: Arc<ShardHandle>) {
        self.shared.locked().listeners.insert(peer, shard);
    }

    /// The peer hears no more.
    pub fn remove(&self, peer: u64) {
        self.shared.locked().listeners.remove(&peer);
    }

    /// Queues audio; returns the seconds that now wait.
    pub fn play(&self, pcm: Pcm) -> f64 {
        let queued_s = self.shared.playout.push(pcm);
        self.shared.tell(|_| ());
        queued_s
    }

    /// The queue.
    pub fn playout(&self) -> &Playout {
        &self.shared.playout
    }

    /// How many packets were made.
    pub fn packets(&self) -> u64 {
        self.shared.packets.load(Ordering::Relaxed)
    }

    /// Ends the thread and waits for it; idempotent. In a forked child there is none.
    pub fn close(&self) {
        if self.process != std::process::id() {
            return;
        }
        self.shared.tell(|state| state.stopped = true);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // One that panicked has already said so.
            let _panicked = thread.join();
        }
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.locked();
        change(&mut state);
        state.news = true;
        self.changed.notify_one();
    }

    fn run(&self, mut speaker: Speaker) {
        loop {
            // What cannot be encoded was refused at the border.
            let _refused = speaker.load(&self.playout);
            let now = Instant::now();
            while let Some(packet) = speaker.poll(&self.playout, now) {
                self.packets.fetch_add(1, Ordering::Relaxed);
                self.give(&packet);
            }
            if !self.wait_until(speaker.outbound.timeout()) {
                return;
            }
        }
    }

    fn give(&self, packet: &OutboundPacket) {
        for (peer, shard) in &self.locked().listeners {
            shard.command(*peer, Command::Audio(packet.clone()));
        }
    }

    /// Returns at news, or at `deadline`; false when there is nothing more to do.
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.locked();
        while !state.news {
            let wait = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            state = match wait {
                Some(wait) if wait.is_zero() => break,
                Some(wait) => {
                    self.changed
                        .wait_timeout(state, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.news = false;
        !state.stopped
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tone(millis: usize) -> Pcm {
        Pcm {
            samples: (0..24 * millis)
                .map(|n| ((n % 48) as i16 - 24) * 300)
                .collect(),
            rate_hz: 24_000,
            channels: 1,
        }
    }

    fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "it never came");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn audio_is_encoded_in_real_time_without_anybody_asking() {
        let broadcast = Broadcast::start(None).unwrap();
        let began = Instant::now();
        assert_eq!(broadcast.play(tone(200)), 0.2);
        until(|| broadcast.playout().queued_s() == 0.0);
        assert!(began.elapsed() >= Duration::from_millis(170), "not faster");
        assert_eq!(broadcast.playout().clear(), 0.2);
        assert!(broadcast.packets() >= 10);
        broadcast.close();
        broadcast.close();
    }

    #[test]
    fn nothing_that_was_cleared_is_sent() {
        let broadcast = Broadcast::start(Some(32_000)).unwrap();
        broadcast.play(tone(5_000));
        until(|| broadcast.packets() > 0);
        assert!(broadcast.playout().clear() < 4.0);
        assert_eq!(broadcast.playout().queued_s(), 0.0);
        broadcast.play(tone(40));
        until(|| broadcast.playout().sent_s() == 0.04);
    }
}
