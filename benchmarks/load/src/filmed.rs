//! One video call: the frames of a clip are shown in a loop, and what comes back is kept with its
//! times. Nothing is decoded here: what the frames show is looked at after the run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::media::{Frequency, KeyframeRequestKind, MediaKind, MediaTime, Pt};
use str0m::{Event, Rtc};

use crate::link::{Link, Session};

/// Pictures per second.
pub const FPS: u32 = 30;
const TICKS_PER_FRAME: u64 = 90_000 / FPS as u64;
/// How often a server that goes by REMB (draft-alvestrand-rmcat-remb) is told its bit rate.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A frame that came back, complete.
pub struct Shown {
    /// When the kernel had the packet that made it complete.
    pub at: Instant,
    /// The frame.
    pub data: Arc<[u8]>,
}

/// A call.
pub struct FilmedCall {
    link: Link,
    pt: Option<Pt>,
    clip: Arc<Vec<Arc<[u8]>>>,
    next_frame: usize,
    rtp_time: u64,
    bitrate_bps: u64,
    told: Option<Instant>,
    /// Which frame of the clip was sent when.
    pub frames_sent: Vec<(usize, Instant)>,
    /// Everything that came back, in the order in which it came.
    pub shown: Vec<Shown>,
    /// Keyframes that the server asked for.
    pub keyframe_requests: u64,
}

impl FilmedCall {
    /// A call that shows `clip` and lets the server send `bitrate_bps`, and its offer.
    pub fn new(
        local: SocketAddr,
        clip: Arc<Vec<Arc<[u8]>>>,
        bitrate_bps: u64,
        now: Instant,
    ) -> Result<(Self, String), String> {
        let config = Rtc::builder().clear_codecs().enable_vp8(true);
        let (link, offer) = Link::new(config, MediaKind::Video, local, now)?;
        let session = Self {
            link,
            pt: None,
            clip,
            next_frame: 0,
            rtp_time: 0,
            bitrate_bps,
            told: None,
            frames_sent: Vec::new(),
            shown: Vec::new(),
            keyframe_requests: 0,
        };
        Ok((session, offer))
    }

    fn tell_bitrate(&mut self, now: Instant) {
        if self.told.is_some_and(|told| now - told < TELL_EVERY) {
            return;
        }
        let mut api = self.link.rtc.direct_api();
        if let Some(stream) = api.stream_rx_by_mid(self.link.mid, None) {
            stream.request_remb(Bitrate::from(self.bitrate_bps));
            self.told = Some(now);
        }
    }
}

impl Session for FilmedCall {
    fn link(&self) -> &Link {
        &self.link
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }

    fn is_heard(&self) -> bool {
        !self.shown.is_empty()
    }

    fn sent(&self) -> u64 {
        self.frames_sent.len() as u64
    }

    fn say(&mut self, now: Instant) {
        self.tell_bitrate(now);
        let Some(writer) = self.link.rtc.writer(self.link.mid) else {
            return;
        };
        let pt = self
            .pt
            .or_else(|| writer.payload_params().next().map(|params| params.pt()));
        let Some(pt) = pt else { return };
        self.pt = Some(pt);
        let time = MediaTime::new(self.rtp_time, Frequency::NINETY_KHZ);
        let frame = self.clip[self.next_frame].clone();
        match writer.write(pt, now, time, frame) {
            Ok(()) => self.frames_sent.push((self.next_frame, now)),
            Err(error) => return self.link.fail(&error.to_string()),
        }
        self.rtp_time += TICKS_PER_FRAME;
        self.next_frame = (self.next_frame + 1) % self.clip.len();
    }

    fn handle(&mut self, event: Event, at: Instant) {
        match event {
            Event::MediaData(media) => {
                if !media.contiguous
                    && let Some(mut writer) = self.link.rtc.writer(self.link.mid)
                    && let Err(error) = writer.request_keyframe(None, KeyframeRequestKind::Pli)
                {
                    self.link.fail(&error.to_string());
                }
                self.shown.push(Shown {
                    at,
                    data: media.data,
                });
            }
            // The clip has one keyframe, and it begins with that.
            Event::KeyframeRequest(_) => {
                self.keyframe_requests += 1;
                self.next_frame = 0;
            }
            _ => {}
        }
    }
}
