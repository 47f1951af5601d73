//! One call over str0m, without sockets: datagrams and times in, datagrams and measurements out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::audio::{FRAME, MarkFinder, Track};

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
pub struct Session {
    rtc: Rtc,
    local: SocketAddr,
    pending: Option<SdpPendingOffer>,
    mid: Mid,
    pt: Option<Pt>,
    track: Arc<Track>,
    next_packet: usize,
    sequence: u64,
    ticks: u32,
    connected: bool,
    finder: Option<MarkFinder>,
    /// When the engine wants to be called.
    pub timeout: Instant,
    /// When the first sound came.
    pub first_sound: Option<Instant>,
    /// Frames sent.
    pub sent: u64,
    /// Everything that came back, in the order in which it came.
    pub arrivals: Vec<Arrival>,
    /// When marks were said and heard.
    pub marks_sent: Vec<Instant>,
    /// See `marks_sent`.
    pub marks_heard: Vec<Instant>,
    /// Why the call ended before its time.
    pub failure: Option<String>,
}

impl Session {
    /// A call that talks `track` from packet `start`, and its offer. `probe` looks for marks.
    pub fn new(
        local: SocketAddr,
        track: Arc<Track>,
        start: usize,
        probe: bool,
        now: Instant,
    ) -> Result<(Self, String), String> {
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, false)
            .set_rtp_mode(true)
            .build(now);
        let candidate = Candidate::host(local, "udp").map_err(|error| error.to_string())?;
        rtc.add_local_candidate(candidate);
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        changes.add_channel("text".into());
        let (offer, pending) = changes.apply().ok_or("there was nothing to offer")?;
        let session = Self {
            rtc,
            local,
            pending: Some(pending),
            mid,
            pt: None,
            next_packet: start % track.packets.len(),
            track,
            sequence: 0,
            ticks: 0,
            connected: false,
            finder: if probe {
                Some(MarkFinder::new()?)
            } else {
                None
            },
            timeout: now,
            first_sound: None,
            sent: 0,
            arrivals: Vec::new(),
            marks_sent: Vec::new(),
            marks_heard: Vec::new(),
            failure: None,
        };
        Ok((session, offer.to_sdp_string()))
    }

    /// Takes the server's answer.
    pub fn answer(&mut self, sdp: &str, now: Instant) -> Result<(), String> {
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(|error| error.to_string())?;
        let pending = self.pending.take().ok_or("a second answer came")?;
        self.rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .map_err(|error| error.to_string())?;
        // The answer gives the engine something to do at once.
        self.timeout = now;
        Ok(())
    }

    /// Takes a datagram that the kernel received at `at`.
    pub fn receive(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        at: Instant,
        out: &mut Vec<Transmit>,
    ) {
        let contents = match datagram.try_into() {
            Ok(contents) => contents,
            Err(error) => return self.fail(&format!("a strange datagram came: {error}")),
        };
        let receive = Receive {
            proto: Protocol::Udp,
            source,
            destination: self.local,
            contents,
        };
        match self.rtc.handle_input(Input::Receive(at, receive)) {
            Ok(()) => self.drain(out),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// Says the next 20 ms, if the call is up, and lets the engine do what is due.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Transmit>) {
        if self.failure.is_some() {
            return;
        }
        if self.connected {
            self.say(now);
        }
        if self.connected || now >= self.timeout {
            match self.rtc.handle_input(Input::Timeout(now)) {
                Ok(()) => self.drain(out),
                Err(error) => self.fail(&error.to_string()),
            }
        }
    }

    /// Whether the call is neither up nor over.
    pub fn is_connecting(&self) -> bool {
        !self.connected && self.failure.is_none()
    }

    /// Hangs up.
    pub fn close(&mut self, out: &mut Vec<Transmit>) {
        if self.rtc.close().is_ok() {
            self.drain(out);
        }
    }

    fn say(&mut self, now: Instant) {
        let Some(pt) = self.pt.or_else(|| self.payload_type()) else {
            return;
        };
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.mid, None) else {
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

    fn payload_type(&mut self) -> Option<Pt> {
        let media = self.rtc.media(self.mid)?;
        self.pt = media.remote_pts().first().copied();
        self.pt
    }

    fn drain(&mut self, out: &mut Vec<Transmit>) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => out.push(transmit),
                Ok(Output::Event(event)) => self.handle(event),
                Err(error) => return self.fail(&error.to_string()),
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::Closed => self.fail("the server hung up"),
            Event::RtpPacket(packet) => {
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
                    Some(Err(error)) => self.fail(&error),
                    Some(Ok(None)) | None => {}
                }
            }
            _ => {}
        }
    }

    fn fail(&mut self, reason: &str) {
        self.connected = false;
        self.failure.get_or_insert_with(|| reason.to_owned());
    }
}
