//! One client: a `str0m::Rtc`, its tracks and its data channel, without sockets or clocks.
//!
//! Datagrams, commands and the time come in as arguments; datagrams to send, events and the next
//! deadline come out. After each mutation the engine is drained to its timeout, as str0m demands.

mod bottleneck;
mod link;
mod media;
mod regain;
mod send_clock;
mod stats;

pub use link::{Command, Link, Outlet, PeerConfig};

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use str0m::bwe::BweKind;
use str0m::change::SdpOffer;
use str0m::channel::ChannelId;
use str0m::media::{Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Event as RtcEvent, Input, Output, Rtc};

use crate::audio::{AudioError, Effort, Inbound, InboundConfig, OutboundConfig};
use crate::handover::{Event, Refusal, State};
use crate::offer::{self, Offer};
use crate::path::{Path, Remote};
use crate::playout::Speaker;
use bottleneck::Bottleneck;
use regain::Regain;
use send_clock::SendClock;

/// RTP ticks of Opus (RFC 7587) and of video (RFC 3551, section 5) a second.
const AUDIO_CLOCK_HZ: Frequency = Frequency::FORTY_EIGHT_KHZ;
const VIDEO_CLOCK_HZ: Frequency = Frequency::NINETY_KHZ;

/// A peer that has not connected by then is given up.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
const NEVER_CONNECTED: &str = "the client did not connect";
/// How long a goodbye may take to leave.
const CLOSE_WITHIN: Duration = Duration::from_millis(300);
/// Messages that may wait for the data channel to open.
const MAX_EARLY_TEXTS: usize = 64;
/// Candidates that may wait for the offer they belong to.
const MAX_EARLY_CANDIDATES: usize = 32;
/// What the bandwidth probes keep up and aim for when there is video, bits per second.
const VIDEO_MINIMUM_BPS: u64 = 100_000;
const VIDEO_DESIRED_BPS: u64 = 2_500_000;

/// How the STUN messages of ICE begin (RFC 8489, section 5).
const BINDING_REQUEST: [u8; 2] = [0, 1];
const BINDING_SUCCESS: [u8; 2] = [1, 1];
/// What begins with more is no STUN message (RFC 7983).
const LAST_OF_STUN: u8 = 3;

enum Phase {
    Connecting { until: Instant },
    Live,
    Disconnected { until: Instant },
    Closing { until: Instant },
    Closed,
}

/// One client.
pub struct Peer {
    rtc: Rtc,
    config: PeerConfig,
    link: Arc<Link>,
    phase: Phase,
    rtc_deadline: Instant,
    last_heard: Instant,
    responses_received: u64,
    connected: bool,
    audio_mid: Option<Mid>,
    video_mid: Option<Mid>,
    channel: Option<ChannelId>,
    early_texts: VecDeque<String>,
    lost_texts: u64,
    remote_ufrag: String,
    early_candidates: Vec<Candidate>,
    path: Path,
    inbound: Inbound,
    speaker: Speaker,
    audio_clock: SendClock,
    video_clock: SendClock,
    bottleneck: Bottleneck,
    regain: Regain,
    rejected_datagrams: u64,
}

impl Peer {
    /// A peer around an engine that has already answered its first offer.
    ///
    /// # Errors
    /// The audio configuration is not one that Opus can serve.
    pub fn new(
        rtc: Rtc,
        config: PeerConfig,
        offer: &Offer,
        link: Arc<Link>,
        now: Instant,
    ) -> Result<Self, AudioError> {
        Ok(Self {
            inbound: Inbound::new(InboundConfig {
                rate_hz: config.rate_hz,
                channels: config.channels,
            })?,
            speaker: Speaker::new(OutboundConfig {
                max_channels: if offer.stereo { 2 } else { 1 },
                bitrate_bps: config.audio_bitrate_bps,
            })?,
            rtc,
            config,
            link,
            phase: Phase::Connecting {
                until: now + CONNECT_WITHIN,
            },
            rtc_deadline: now,
            last_heard: now,
            responses_received: 0,
            connected: false,
            audio_mid: None,
            video_mid: None,
            channel: None,
            early_texts: VecDeque::new(),
            lost_texts: 0,
            remote_ufrag: offer.ice_ufrag.clone(),
            early_candidates: Vec::new(),
            path: Path::new(&offer.candidates),
            audio_clock: SendClock::new(AUDIO_CLOCK_HZ.get()),
            video_clock: SendClock::new(VIDEO_CLOCK_HZ.get()),
            bottleneck: Bottleneck::new(now),
            regain: Regain::new(VIDEO_DESIRED_BPS),
            rejected_datagrams: 0,
        })
    }

    /// How much encoding may cost from now on.
    pub fn set_effort(&mut self, effort: Effort) {
        self.speaker.outbound.set_effort(effort);
    }

    /// The state shared with the control plane.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Whether the shard may forget the peer.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// When [`Peer::handle_timeout`] wants to be called, at the latest.
    pub fn deadline(&self) -> Instant {
        let mut deadline = self.rtc_deadline;
        for timeout in [self.inbound.timeout(), self.outbound_timeout()]
            .into_iter()
            .flatten()
        {
            deadline = deadline.min(timeout);
        }
        deadline.min(match self.phase {
            Phase::Connecting { until }
            | Phase::Disconnected { until }
            | Phase::Closing { until } => until,
            Phase::Live => self.last_heard + self.config.disconnect_after,
            Phase::Closed => deadline,
        })
    }

    /// Takes one datagram.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        proto: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
        out: &mut dyn Outlet,
    ) {
        match Receive::new(proto, source, destination, bytes) {
            Ok(receive) => {
                self.look_at((proto, source), bytes, now);
                if self.rtc.handle_input(Input::Receive(now, receive)).is_err() {
                    self.rejected_datagrams += 1;
                }
                self.drain(now, out);
            }
            Err(_) => self.rejected_datagrams += 1,
        }
        self.advance(now, out);
    }

    /// Looks at what came before ICE does, which authenticates checks: one from an address that was
    /// given up only makes ICE listen there again, and media counts where a check was answered.
    fn look_at(&mut self, source: Remote, bytes: &[u8], now: Instant) {
        let is_check = bytes.starts_with(&BINDING_REQUEST);
        if is_check && let Some(candidate) = self.path.return_to(source) {
            self.rtc.add_remote_candidate(candidate);
        }
        if bytes.first().is_some_and(|first| *first > LAST_OF_STUN) {
            self.follow_client(source, true, now);
        }
    }

    /// Goes with a client whose address has changed, if this shows it: media, or else a check that
    /// was authenticated.
    fn follow_client(&mut self, source: Remote, is_media: bool, now: Instant) {
        if let Some(left) = self.path.heard_from(source, is_media, now) {
            for candidate in self.path.give_up(left) {
                self.rtc.direct_api().invalidate_candidate(&candidate);
            }
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut dyn Outlet) {
        if now >= self.rtc_deadline {
            if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
                self.fail(&error);
            }
            self.drain(now, out);
        }
        self.advance(now, out);
    }

    /// Does what the control plane asked for.
    pub fn handle_command(&mut self, now: Instant, command: Command, out: &mut dyn Outlet) {
        match command {
            Command::Candidate(candidate) => self.add_candidate(candidate),
            Command::Renegotiate(request, sdp) => {
                let answer = self.renegotiate(now, &sdp, out);
                self.link.mailbox.push(Event::Answer(request, answer));
            }
            Command::Text(text) => self.send_text(text),
            Command::Video(data, rtp_time, codec) => self.send_video(now, data, rtp_time, codec),
            Command::RequestKeyframe => self.request_keyframe(),
            Command::Play => {}
            Command::Audio(packet) => {
                if self.can_play() {
                    self.write_audio(now, packet);
                }
            }
            Command::Close => self.close(now),
        }
        self.drain(now, out);
        self.advance(now, out);
    }

    /// The engine drops candidates of an ICE generation that it does not know yet: they wait here
    /// for the offer that announces it.
    fn add_candidate(&mut self, candidate: Candidate) {
        let known = candidate
            .ufrag()
            .is_none_or(|ufrag| ufrag == self.remote_ufrag);
        if known {
            self.path.announce(candidate.clone());
            self.rtc.add_remote_candidate(candidate);
        } else if self.early_candidates.len() < MAX_EARLY_CANDIDATES {
            self.early_candidates.push(candidate);
        }
    }

    fn renegotiate(
        &mut self,
        now: Instant,
        sdp: &str,
        out: &mut dyn Outlet,
    ) -> Result<String, Refusal> {
        let facts = offer::inspect(sdp, self.config.allowed)?;
        let offer = SdpOffer::from_sdp_string(sdp)
            .map_err(|error| offer::invalid(format!("the offer does not parse: {error}")))?;
        let answer =
            self.rtc.sdp_api().accept_offer(offer).map_err(|error| {
                offer::invalid(format!("the offer cannot be answered: {error}"))
            })?;
        out.local_ufrag(&self.rtc.direct_api().local_ice_credentials().ufrag);
        if facts.ice_ufrag != self.remote_ufrag {
            self.path = Path::new(&facts.candidates);
            self.remote_ufrag = facts.ice_ufrag;
        }
        self.drain(now, out);
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.add_candidate(candidate);
            self.drain(now, out);
        }
        Ok(answer.to_sdp_string())
    }

    /// A client that does not read its messages, or opens no channel for them, loses some; that is
    /// counted, and no reason to end the call.
    fn send_text(&mut self, text: String) {
        match self.channel.and_then(|id| self.rtc.channel(id)) {
            Some(mut channel) => {
                if !matches!(channel.write(false, text.as_bytes()), Ok(true)) {
                    self.lost_texts += 1;
                }
            }
            None if self.early_texts.len() < MAX_EARLY_TEXTS => self.early_texts.push_back(text),
            None => self.lost_texts += 1,
        }
    }

    fn close(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Closed) {
            return;
        }
        self.link
            .mailbox
            .push(Event::State(State::Closed("closed by the server".into())));
        self.link.channel_open.store(false, Ordering::Release);
        self.phase = match self.rtc.close() {
            Ok(()) => Phase::Closing {
                until: now + CLOSE_WITHIN,
            },
            Err(_) => Phase::Closed,
        };
    }

    /// Ends the session from this side of the wire, with the reason.
    fn end(&mut self, reason: &str) {
        if !matches!(self.phase, Phase::Closing { .. } | Phase::Closed) {
            self.link
                .mailbox
                .push(Event::State(State::Closed(reason.into())));
        }
        self.link.channel_open.store(false, Ordering::Release);
        self.phase = Phase::Closed;
    }

    /// The engine cannot go on. Before the connection that is a handshake that ran out of time.
    fn fail(&mut self, error: &str0m::RtcError) {
        if matches!(self.phase, Phase::Connecting { .. }) {
            self.end(NEVER_CONNECTED);
        } else {
            self.end(&format!("the connection failed: {error}"));
        }
    }

    /// Everything the engine has to say, to its timeout.
    fn drain(&mut self, now: Instant, out: &mut dyn Outlet) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(deadline)) => {
                    self.rtc_deadline = deadline;
                    break;
                }
                Ok(Output::Transmit(transmit)) => self.transmit(now, transmit, out),
                Ok(Output::Event(event)) => self.on_event(now, event),
                Err(error) => {
                    self.fail(&error);
                    return;
                }
            }
        }
        if !self.rtc.is_alive() {
            self.end("the client closed the connection");
        }
    }

    fn transmit(&mut self, now: Instant, transmit: Transmit, out: &mut dyn Outlet) {
        match transmit.contents.get(..2) {
            // It answers an authenticated request.
            Some(kind) if kind == BINDING_SUCCESS => {
                self.heard(now);
                self.follow_client((transmit.proto, transmit.destination), false, now);
                out.authenticated(transmit.destination);
            }
            Some(kind) if kind == BINDING_REQUEST => out.checking(transmit.destination),
            Some([first, _]) if *first > LAST_OF_STUN => {
                self.path
                    .sent_to((transmit.proto, transmit.destination), now);
            }
            _ => {}
        }
        out.transmit(transmit);
    }

    fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        if matches!(self.phase, Phase::Disconnected { .. }) {
            self.phase = Phase::Live;
            self.link.mailbox.push(Event::State(State::Live));
        }
    }

    fn go_live(&mut self) {
        if matches!(self.phase, Phase::Connecting { .. }) {
            self.phase = Phase::Live;
            self.link.mailbox.push(Event::State(State::Live));
        }
    }

    fn on_event(&mut self, now: Instant, event: RtcEvent) {
        match event {
            RtcEvent::Connected => {
                self.connected = true;
                self.heard(now);
                if self.audio_mid.is_some() || self.video_mid.is_some() {
                    self.go_live();
                }
            }
            RtcEvent::MediaAdded(media) => {
                let slot = match media.kind {
                    MediaKind::Audio => &mut self.audio_mid,
                    MediaKind::Video => &mut self.video_mid,
                };
                slot.get_or_insert(media.mid);
                if media.kind == MediaKind::Video {
                    self.desire_video();
                }
                if self.connected {
                    self.go_live();
                }
            }
            RtcEvent::MediaData(data) => {
                self.heard(now);
                self.on_media(now, data);
            }
            RtcEvent::ChannelOpen(id, _label) => {
                self.channel = Some(id);
                self.link.channel_open.store(true, Ordering::Release);
                for text in std::mem::take(&mut self.early_texts) {
                    self.send_text(text);
                }
                self.go_live();
            }
            RtcEvent::ChannelData(data) => {
                self.heard(now);
                if let Ok(text) = String::from_utf8(data.data) {
                    self.link.mailbox.push(Event::Text(text));
                }
            }
            RtcEvent::ChannelClose(id) if self.channel == Some(id) => {
                self.channel = None;
                self.link.channel_open.store(false, Ordering::Release);
            }
            RtcEvent::KeyframeRequest(_) => self.link.mailbox.push(Event::KeyframeRequest),
            RtcEvent::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => {
                self.regain.on_estimate(estimate.as_u64(), now);
                self.link.mailbox.push(Event::Bitrate(estimate.as_u64()));
            }
            RtcEvent::RawPacket(packet) => self.on_raw_packet(now, *packet),
            RtcEvent::Closed => self.end("the client closed the connection"),
            other => self.on_measured(now, other),
        }
    }

    /// Audio both ways and the session's life, after every input.
    fn advance(&mut self, now: Instant, out: &mut dyn Outlet) {
        while let Some(frame) = self.inbound.poll(now) {
            self.speaker.outbound.note_heard(frame.pcm.ticks());
            self.link.mailbox.push(Event::Audio(frame.pcm));
        }
        self.send_audio(now, out);
        match self.phase {
            Phase::Connecting { until } if now >= until => {
                self.end(NEVER_CONNECTED);
            }
            Phase::Live if now >= self.last_heard + self.config.disconnect_after => {
                self.phase = Phase::Disconnected {
                    until: now + self.config.close_after,
                };
                self.link.mailbox.push(Event::State(State::Disconnected));
            }
            Phase::Disconnected { until } if now >= until => {
                self.end("the client was not heard again");
            }
            Phase::Closing { until } if now >= until => self.phase = Phase::Closed,
            _ => {}
        }
    }
}
