//! The hand-over between media threads and Python event loops.
//!
//! Media threads push into bounded, lock-free queues and raise one wake descriptor per event
//! loop; Python drains them all at once. Neither side ever waits for the other, and nothing here
//! knows of the GIL.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_queue::{ArrayQueue, SegQueue};

use crate::audio::Pcm;
use crate::stats::Stats;
use lull::Lull;
use wake::Wake;

mod event;
mod lull;
mod wake;

pub use event::{EncodedVideo, Event, Queue, Refusal, State};

/// So much audio is bundled while it is louder than before, whatever span was asked for: somebody
/// may have begun to speak.
const LOUD_BUNDLE: Duration = Duration::from_millis(60);
/// Frames of audio that may wait for Python, about five seconds; then the oldest is dropped.
const AUDIO_BACKLOG: usize = 250;
/// Encoded video frames that may wait for Python; then the oldest is dropped.
const VIDEO_BACKLOG: usize = 30;
/// Messages of the client that may wait for Python; then new ones are refused.
const TEXT_BACKLOG: usize = 256;

/// The queues of one peer towards Python.
pub struct Mailbox {
    /// The peer's number.
    pub id: u64,
    hub: Arc<Hub>,
    audio: ArrayQueue<Pcm>,
    video: ArrayQueue<EncodedVideo>,
    control: Mutex<VecDeque<Event>>,
    /// Whether the mailbox already stands in the hub's list.
    listed: AtomicBool,
    started: AtomicBool,
    /// Audio is announced once so much of it waits, in microseconds; louder audio than before once
    /// [`LOUD_BUNDLE`] waits.
    bundle_us: AtomicU64,
    lull: Mutex<Lull>,
    dropped_audio: AtomicU64,
    dropped_video: AtomicU64,
    /// Video was dropped before the frame that is handed out next.
    video_gap: AtomicBool,
    dropped_text: AtomicU64,
}

impl Mailbox {
    /// A mailbox that reports to `hub`.
    pub fn new(id: u64, hub: Arc<Hub>) -> Self {
        Self {
            id,
            hub,
            audio: ArrayQueue::new(AUDIO_BACKLOG),
            video: ArrayQueue::new(VIDEO_BACKLOG),
            control: Mutex::new(VecDeque::new()),
            listed: AtomicBool::new(false),
            started: AtomicBool::new(false),
            bundle_us: AtomicU64::new(0),
            lull: Mutex::default(),
            dropped_audio: AtomicU64::new(0),
            dropped_video: AtomicU64::new(0),
            video_gap: AtomicBool::new(false),
            dropped_text: AtomicU64::new(0),
        }
    }

    /// Lets events through; those that already wait are announced.
    pub fn start(self: &Arc<Self>) {
        self.started.store(true, Ordering::Release);
        self.announce();
        self.hub.raise();
    }

    /// Audio waits until there is `span` of it, so that it wakes the event loop less often; when
    /// it is louder than before, for 60 ms at most. Anything else that is announced takes it along.
    pub fn bundle_audio(self: &Arc<Self>, span: Duration) {
        let span_us = span.as_micros().try_into().unwrap_or(u64::MAX);
        *self.lull.lock().unwrap_or_else(PoisonError::into_inner) = Lull::default();
        let before_us = self.bundle_us.swap(span_us, Ordering::AcqRel);
        if span_us < before_us && self.is_started() && !self.audio.is_empty() {
            self.announce();
            self.hub.raise();
        }
    }

    /// Where its events are collected.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Whether events wait that the hub will hand out; [`Hub::raise`] tells the event loop so.
    pub fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// Whether anyone listens yet.
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Queues one event, by the policy of its kind. The caller raises the hub when its turn ends.
    pub fn push(self: &Arc<Self>, event: Event) {
        match event {
            Event::Audio(pcm) => {
                let frame_us = pcm.duration().as_micros() as u64;
                let bundle_us = self.bundle_us(&pcm);
                if self.audio.force_push(pcm).is_some() {
                    self.dropped_audio.fetch_add(1, Ordering::Relaxed);
                }
                let waiting_us = self.audio.len() as u64 * frame_us;
                if waiting_us < bundle_us {
                    return;
                }
            }
            Event::Video(frame) => {
                if self.video.force_push(frame).is_some() {
                    self.dropped_video.fetch_add(1, Ordering::Relaxed);
                    self.video_gap.store(true, Ordering::Release);
                }
            }
            other => {
                let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
                let is_text = matches!(other, Event::Text(_));
                if is_text && control.len() >= TEXT_BACKLOG {
                    self.dropped_text.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                control.push_back(other);
            }
        }
        if self.is_started() {
            self.announce();
        }
    }

    /// How much audio waits with this frame before it is announced, in microseconds.
    fn bundle_us(&self, pcm: &Pcm) -> u64 {
        let bundle_us = self.bundle_us.load(Ordering::Acquire);
        if bundle_us == 0 {
            return 0;
        }
        let mut lull = self.lull.lock().unwrap_or_else(PoisonError::into_inner);
        if lull.goes_on(pcm) {
            bundle_us
        } else {
            bundle_us.min(LOUD_BUNDLE.as_micros() as u64)
        }
    }

    fn announce(self: &Arc<Self>) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.hub.ready.push(Arc::clone(self));
        }
    }

    /// Adds what was dropped for want of room to `stats`.
    pub fn add_to(&self, stats: &mut Stats) {
        stats.set(
            "dropped_audio_frames",
            self.dropped_audio.load(Ordering::Relaxed) as f64,
        );
        stats.set(
            "dropped_video_frames",
            self.dropped_video.load(Ordering::Relaxed) as f64,
        );
        stats.set(
            "dropped_messages",
            self.dropped_text.load(Ordering::Relaxed) as f64,
        );
        stats.set("waiting_audio_frames", self.audio.len() as f64);
    }
}

/// The meeting point of one Python event loop with all media threads.
pub struct Hub {
    ready: SegQueue<Arc<Mailbox>>,
    raised: AtomicBool,
    wake: Wake,
}

impl Hub {
    /// A hub with its own wake descriptor.
    ///
    /// # Errors
    /// The system is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            ready: SegQueue::new(),
            raised: AtomicBool::new(false),
            wake: Wake::new()?,
        })
    }

    /// The descriptor that becomes readable when events wait.
    pub fn fd(&self) -> RawFd {
        self.wake.fd()
    }

    /// Makes the descriptor readable, unless it is already.
    pub fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.wake.raise();
        }
    }

    /// Hands every waiting event to `take`, with the peer's number.
    pub fn drain(&self, mut take: impl FnMut(u64, Event)) {
        self.wake.lower();
        self.raised.store(false, Ordering::Release);
        // One round: who lists a mailbox again meanwhile raises the descriptor again.
        for _ in 0..self.ready.len() {
            let Some(mailbox) = self.ready.pop() else {
                break;
            };
            mailbox.listed.store(false, Ordering::Release);
            let control = std::mem::take(
                &mut *mailbox
                    .control
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            // A session learns that it is live before its first frame, that it is over after its last.
            let mut last = None;
            for event in control {
                match event {
                    Event::State(State::Closed(_)) => last = Some(event),
                    other => take(mailbox.id, other),
                }
            }
            while let Some(pcm) = mailbox.audio.pop() {
                take(mailbox.id, Event::Audio(pcm));
            }
            while let Some(mut frame) = mailbox.video.pop() {
                if mailbox.video_gap.swap(false, Ordering::AcqRel) {
                    frame.contiguous = false;
                }
                take(mailbox.id, Event::Video(frame));
            }
            if let Some(event) = last {
                take(mailbox.id, event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcm(sample: i16) -> Event {
        Event::Audio(Pcm {
            samples: vec![sample],
            rate_hz: 48_000,
            channels: 1,
        })
    }

    fn drained(hub: &Hub) -> Vec<Event> {
        let mut events = Vec::new();
        hub.drain(|_, event| events.push(event));
        events
    }

    #[test]
    fn nothing_is_announced_before_the_start() {
        let hub = Arc::new(Hub::new().unwrap());
        let mailbox = Arc::new(Mailbox::new(7, Arc::clone(&hub)));
        mailbox.push(pcm(1));
        assert!(drained(&hub).is_empty());
        mailbox.start();
        assert_eq!(drained(&hub).len(), 1);
    }

    #[test]
    fn bundled_audio_waits_for_its_span_or_for_something_else() {
        let hub = Arc::new(Hub::new().unwrap());
        let mailbox = Arc::new(Mailbox::new(7, Arc::clone(&hub)));
        mailbox.start();
        let frame = || {
            Event::Audio(Pcm {
                samples: vec![0; 960],
                rate_hz: 48_000,
                channels: 1,
            })
        };
        assert!(drained(&hub).is_empty());
        mailbox.bundle_audio(Duration::from_millis(60));
        mailbox.push(frame());
        mailbox.push(frame());
        assert!(!mailbox.is_listed());
        assert!(drained(&hub).is_empty());
        mailbox.push(frame());
        assert!(mailbox.is_listed());
        assert_eq!(drained(&hub).len(), 3);
        mailbox.push(frame());
        mailbox.push(Event::Text("now".into()));
        assert_eq!(drained(&hub).len(), 2);
        mailbox.push(frame());
        mailbox.bundle_audio(Duration::ZERO);
        assert_eq!(drained(&hub).len(), 1);
        mailbox.push(frame());
        assert_eq!(drained(&hub).len(), 1);
    }

    #[test]
    fn bundled_audio_waits_less_once_it_is_louder() {
        let hub = Arc::new(Hub::new().unwrap());
        let mailbox = Arc::new(Mailbox::new(7, Arc::clone(&hub)));
        mailbox.start();
        assert!(drained(&hub).is_empty());
        mailbox.bundle_audio(Duration::from_millis(500));
        let push = |sample: i16| {
            mailbox.push(Event::Audio(Pcm {
                samples: [sample, -sample].repeat(480),
                rate_hz: 48_000,
                channels: 1,
            }));
            drained(&hub).len()
        };
        assert_eq!((0..25).map(|_| push(50)).max(), Some(25));
        assert_eq!((0..10).map(|_| push(50)).max(), Some(0));
        assert_eq!(push(500), 11);
        assert_eq!([push(500), push(500), push(500)], [0, 0, 3]);
    }

    #[test]
    fn a_full_backlog_drops_the_oldest_audio_and_counts_it() {
        let hub = Arc::new(Hub::new().unwrap());
        let mailbox = Arc::new(Mailbox::new(7, Arc::clone(&hub)));
        mailbox.start();
        for sample in 0..AUDIO_BACKLOG as i16 + 3 {
            mailbox.push(pcm(sample));
        }
        let events = drained(&hub);
        assert_eq!(events.len(), AUDIO_BACKLOG);
        assert!(matches!(&events[0], Event::Audio(pcm) if pcm.samples == [3]));
        let mut stats = Stats::default();
        mailbox.add_to(&mut stats);
        assert_eq!(stats.get("dropped_audio_frames"), Some(3.0));
    }

    #[test]
    fn video_after_a_full_backlog_is_not_contiguous() {
        let hub = Arc::new(Hub::new().unwrap());
        let mailbox = Arc::new(Mailbox::new(7, Arc::clone(&hub)));
        mailbox.start();
        let contiguous = |count: usize| {
            for number in 0..count {
                mailbox.push(Event::Video(EncodedVideo {
                    codec: "vp8",
                    rtp_time: number as u64,
                    contiguous: true,
                    keyframe: false,
                    age_ms: 0.0,
                    data: vec![1].into(),
                }));
            }
            drained(&hub)
                .into_iter()
                .map(|event| matches!(event, Event::Video(frame) if frame.contiguous))
                .collect::<Vec<_>>()
        };
        assert_eq!(contiguous(VIDEO_BACKLOG), [true; VIDEO_BACKLOG]);
        let after_a_drop = contiguous(VIDEO_BACKLOG + 1);
        assert!(!after_a_drop[0]);
        assert_eq!(after_a_drop[1..], [true; VIDEO_BACKLOG - 1]);
        assert_eq!(contiguous(1), [true]);
    }

    #[test]
    fn the_end_comes_after_the_last_frame() {
        let hub = Arc::new(Hub::new().unwrap());
        let mailbox = Arc::new(Mailbox::new(7, Arc::clone(&hub)));
        mailbox.start();
        mailbox.push(Event::State(State::Closed("bye".into())));
        mailbox.push(pcm(1));
        let events = drained(&hub);
        assert!(matches!(events[0], Event::Audio(_)));
        assert!(matches!(events[1], Event::State(State::Closed(_))));
    }
}
