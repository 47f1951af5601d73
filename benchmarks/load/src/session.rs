//! One spoken call: what is said in it and what came back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::{MediaKind, Pt};
use str0m::rtp::RtpWrite;
use str0m::{Event, Rtc};

use crate::audio::{FRAME, MarkFinder, Track};
use crate::link::{Link, Session};

/// Packets no longer than this carry no sound (Opus's own silence).
const SILENCE_BYTES: usize = 3;

/// A packet that came back.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When the kernel had it.
    pub at: Instant,
    /// Its place in the server's sound, 48 kHz ticks.
    pub ticks: u64,
    /// Its number.
    pub sequence: u64,
}

/// A call.
pub struct SpokenCall {
    link: Link,
    pt: Option<Pt>,
    track: Arc<Track>,
    next_packet: usize,
    sequence: u64,
    ticks: u32,
    finder: Option<MarkFinder>,
    /// When the first sound came.
    pub first_sound: Option<Instant>,
    sent: u64,
    /// Everything that came back, in the order in which it came.
    pub arrivals: Vec<Arrival>,
    /// When marks were said and heard.
    pub marks_sent: Vec<Instant>,
    /// See `marks_sent`.
    pub marks_heard: Vec<Instant>,
}

impl SpokenCall {
    /// A call that talks `track` from packet `start`, and its offer. `probe` looks for marks.
    pub fn new(
        local: SocketAddr,
        track: Arc<Track>,
        start: usize,
        probe: bool,
        now: Instant,
    ) -> Result<(Self, String), String> {
        let config = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, false)
            .set_rtp_mode(true);
        let (link, offer) = Link::new(config, MediaKind::Audio, local, now)?;
        let session = Self {
            link,
            pt: None,
            next_packet: start % track.packets.len(),
            track,
            sequence: 0,
            ticks: 0,
            finder: if probe {
                Some(MarkFinder::new()?)
            } else {
                None
            },
            first_sound: None,
            sent: 0,
            arrivals: Vec::new(),
            marks_sent: Vec::new(),
            marks_heard: Vec::new(),
        };
        Ok((session, offer))
    }

    fn payload_type(&mut self) -> Option<Pt> {
        let media = self.link.rtc.media(self.link.mid)?;
        self.pt = media.remote_pts().first().copied();
        self.pt
    }
}

impl Session for SpokenCall {
    fn link(&self) -> &Link {
        &self.link
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }

    fn is_heard(&self) -> bool {
        self.first_sound.is_some()
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn say(&mut self, now: Instant) {
        let Some(pt) = self.pt.or_else(|| self.payload_type()) else {
            return;
        };
        let mut api = self.link.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.link.mid, None) else {
            return;
        };
        let payload = self.track.packets[self.next_packet].clone();
        stream.write_rtp(RtpWrite::new(
            pt,
            self.sequence.into(),
            self.ticks,
            now,
            payload,
        ));
        for (packet, offset_ms) in &self.track.marks {
            if *packet == self.next_packet {
                self.marks_sent
                    .push(now + Duration::from_secs_f64(offset_ms / 1000.0));
            }
        }
        self.sent += 1;
        self.sequence += 1;
        self.ticks = self.ticks.wrapping_add(FRAME as u32);
        self.next_packet = (self.next_packet + 1) % self.track.packets.len();
    }

    fn handle(&mut self, event: Event, _at: Instant) {
        let Event::RtpPacket(packet) = event else {
            return;
        };
        let at = packet.timestamp;
        if packet.payload.len() > SILENCE_BYTES {
            self.first_sound.get_or_insert(at);
        }
        self.arrivals.push(Arrival {
            at,
            ticks: packet.time.numer(),
            sequence: *packet.seq_no,
        });
        let found = self
            .finder
            .as_mut()
            .map(|finder| finder.push(&packet.payload));
        match found {
            Some(Ok(Some(offset_ms))) => self
                .marks_heard
                .push(at + Duration::from_secs_f64(offset_ms / 1000.0)),
            Some(Err(error)) => self.link.fail(&error),
            Some(Ok(None)) | None => {}
        }
    }
}
