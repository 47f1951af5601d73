//! One source of audio for many peers: paced and encoded once, on a thread of its own.
//!
//! The thread makes packets and hands each to the shards of all listeners; what happens to it there
//! is theirs. A listener that joins hears what is made from then on. Packets carry copies against
//! loss while a quarter of the listeners report some.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::audio::{AudioError, OutboundConfig, OutboundPacket, Pcm};
use crate::peer::{Command, Link};
use crate::playout::{Playout, Speaker};
use crate::shard::ShardHandle;

/// Stereo is sent as such: whoever plays mono mixes it down when decoding.
const MAX_CHANNELS: u8 = 2;
/// How often listeners report, so how often their loss is looked at.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// One in so many listeners has to lose something before all get copies, which cost music quality.
const LOSERS_IN: usize = 4;

/// Why a broadcast cannot be.
#[derive(Debug, Error)]
pub enum BroadcastError {
    /// The bit rate is none of Opus'.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The system has no thread left.
    #[error("the thread of an audio broadcast cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// The thread has ended by itself.
    #[error("an internal error ended this audio broadcast; make a new one")]
    Ended,
}

struct Listener {
    link: Arc<Link>,
    shard: Arc<ShardHandle>,
}

#[derive(Default)]
struct State {
    listeners: HashMap<u64, Listener>,
    /// Something happened since the thread looked.
    news: bool,
    stopped: bool,
    /// The thread has ended by itself, and nothing will be sent.
    failed: bool,
}

#[derive(Default)]
struct Shared {
    playout: Playout,
    state: Mutex<State>,
    changed: Condvar,
    packets: AtomicU64,
    fec_percent: AtomicU8,
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
    /// The bit rate is none of Opus', or the system has no thread left.
    pub fn start(bitrate_bps: Option<u32>) -> Result<Self, BroadcastError> {
        let speaker = Speaker::new(OutboundConfig {
            max_channels: MAX_CHANNELS,
            bitrate_bps,
        })?;
        Self::run(move |shared| shared.run(speaker))
    }

    fn run(
        work: impl FnOnce(&Shared) -> Result<(), AudioError> + Send + 'static,
    ) -> Result<Self, BroadcastError> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new()
            .name("fastrtc-broadcast".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || {
                    match catch_unwind(AssertUnwindSafe(|| work(&shared))) {
                        Ok(Ok(())) => return,
                        Ok(Err(error)) => {
                            eprintln!("fastrtc: the thread of an audio broadcast ended: {error}");
                        }
                        // It has already said so.
                        Err(_panic) => {}
                    }
                    shared.locked().failed = true;
                    shared.playout.clear();
                }
            })?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
            process: std::process::id(),
        })
    }

    /// The peer of this number hears what is made from now on.
    pub fn add(&self, peer: u64, link: Arc<Link>, shard: Arc<ShardHandle>) {
        let listener = Listener { link, shard };
        self.shared.locked().listeners.insert(peer, listener);
    }

    /// The peer hears no more.
    pub fn remove(&self, peer: u64) {
        self.shared.locked().listeners.remove(&peer);
    }

    /// Queues audio; returns the seconds that now wait.
    ///
    /// # Errors
    /// The thread has ended by itself.
    pub fn play(&self, pcm: Pcm) -> Result<f64, BroadcastError> {
        self.shared.tell(|state| {
            if state.failed {
                return Err(BroadcastError::Ended);
            }
            Ok(self.shared.playout.push(pcm))
        })
    }

    /// The queue.
    pub fn playout(&self) -> &Playout {
        &self.shared.playout
    }

    /// How many packets were made.
    pub fn packets(&self) -> u64 {
        self.shared.packets.load(Ordering::Relaxed)
    }

    /// Loss in percent that FEC protects against; 0 while it is off.
    pub fn fec_percent(&self) -> u8 {
        self.shared.fec_percent.load(Ordering::Relaxed)
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
            // A panic does not get this far.
            let _joined = thread.join();
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

    fn tell<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.locked();
        let outcome = change(&mut state);
        state.news = true;
        self.changed.notify_one();
        outcome
    }

    fn run(&self, mut speaker: Speaker) -> Result<(), AudioError> {
        let mut looked = Instant::now();
        loop {
            speaker.load(&self.playout)?;
            let now = Instant::now();
            if now.duration_since(looked) >= REPORT_EVERY {
                looked = now;
                let outbound = &mut speaker.outbound;
                outbound.on_receiver_report(worth_protecting(self.losses()), now);
                let percent = outbound.stats().protection_percent;
                self.fec_percent.store(percent, Ordering::Relaxed);
            }
            while let Some(packet) = speaker.poll(&self.playout, now) {
                self.packets.fetch_add(1, Ordering::Relaxed);
                self.give(&packet);
            }
            if !self.wait_until(speaker.outbound.timeout()) {
                return Ok(());
            }
        }
    }

    fn give(&self, packet: &OutboundPacket) {
        for (peer, listener) in &self.locked().listeners {
            let command = Command::Audio(packet.clone());
            listener.shard.command(*peer, command);
        }
    }

    /// What each listener reported last, 0 to 1.
    fn losses(&self) -> Vec<f32> {
        let state = self.locked();
        let reported = state.listeners.values().map(|listener| {
            let stats = listener.link.stats.lock();
            let stats = stats.unwrap_or_else(PoisonError::into_inner);
            stats.get("remote_audio_loss").unwrap_or(0.0) as f32
        });
        reported.collect()
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

/// The loss that one in [`LOSERS_IN`] listeners has, or more; 0 when fewer lose anything.
fn worth_protecting(mut losses: Vec<f32>) -> f32 {
    losses.sort_by(|a, b| b.total_cmp(a));
    let quarter = losses.len().div_ceil(LOSERS_IN);
    quarter.checked_sub(1).map_or(0.0, |place| losses[place])
}

#[cfg(test)]
mod tests {
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
        assert_eq!(broadcast.play(tone(200)).unwrap(), 0.2);
        until(|| broadcast.playout().queued_s() == 0.0);
        assert!(began.elapsed() >= Duration::from_millis(170), "not faster");
        assert_eq!(broadcast.playout().clear(), 0.2);
        assert!(broadcast.packets() >= 10);
        broadcast.close();
        broadcast.close();
    }

    #[test]
    fn a_quarter_of_the_listeners_decides_about_copies() {
        assert_eq!(worth_protecting(vec![]), 0.0);
        assert_eq!(worth_protecting(vec![0.1]), 0.1);
        assert_eq!(worth_protecting(vec![0.0, 0.0, 0.1, 0.0]), 0.1);
        assert_eq!(worth_protecting(vec![0.0, 0.0, 0.1, 0.0, 0.0]), 0.0);
        assert_eq!(worth_protecting(vec![0.3, 0.0, 0.1, 0.0, 0.0]), 0.1);
    }

    #[test]
    fn nothing_that_was_cleared_is_sent() {
        let broadcast = Broadcast::start(Some(32_000)).unwrap();
        broadcast.play(tone(5_000)).unwrap();
        until(|| broadcast.packets() > 0);
        assert!(broadcast.playout().clear() < 4.0);
        assert_eq!(broadcast.playout().queued_s(), 0.0);
        broadcast.play(tone(40)).unwrap();
        until(|| broadcast.playout().sent_s() == 0.04);
    }

    #[test]
    fn a_thread_that_ended_by_itself_leaves_nothing_queued_and_takes_nothing() {
        let broadcast = Broadcast::run(|shared| {
            while shared.playout.queued_s() == 0.0 {
                shared.wait_until(None);
            }
            panic!("as this test wants it");
        })
        .unwrap();
        broadcast.play(tone(100)).unwrap();
        until(|| matches!(broadcast.play(tone(1)), Err(BroadcastError::Ended)));
        until(|| broadcast.playout().queued_s() == 0.0);
        broadcast.close();

        // Half a sample of stereo, which the border lets nobody queue.
        let broadcast = Broadcast::start(None).unwrap();
        let odd = Pcm {
            samples: vec![0; 3],
            rate_hz: 24_000,
            channels: 2,
        };
        broadcast.play(odd).unwrap();
        until(|| matches!(broadcast.play(tone(1)), Err(BroadcastError::Ended)));
    }
}
