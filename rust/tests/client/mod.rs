//! The other end of a call in virtual time, which sends recorded speech, and the call itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use _core::audio::Pcm;
use _core::audio::opus::{Encoder, fec_ticks};
use _core::engine::{self, EngineConfig, LocalAddresses};
use _core::handover::{Event as HubEvent, Hub, Mailbox, State};
use _core::offer::{self, Allowed};
use _core::peer::{Command, Link, Outlet, Peer, PeerConfig};
use _core::playout::Playout;
use str0m::bwe::Bitrate;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::config::DtlsCert;
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, KeyframeRequestKind, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Event, Input, Output, Rtc};
use str0m_netem::{Input as NetIn, LossModel, Netem, NetemConfig, Output as NetOut, WithLen};

const SERVER: &str = "192.0.2.1:8000";
const CLIENT: &str = "198.51.100.7:40000";
const MOVED_CLIENT: &str = "203.0.113.9:50000";
/// Samples of 20 ms of the recording.
const SPEECH_FRAME: usize = 320;
const FRAME: Duration = Duration::from_millis(20);
const STEP: Duration = Duration::from_millis(1);

/// The state of the network in both directions.
#[derive(Clone, Copy, Default)]
pub struct Condition(NetemConfig);

impl Condition {
    pub fn loss(self, model: impl Into<LossModel>) -> Self {
        Self(self.0.loss(model))
    }

    pub fn latency_ms(self, ms: u64) -> Self {
        Self(self.0.latency(Duration::from_millis(ms)))
    }

    /// Every n-th packet overtakes those before it.
    pub fn reorder_gap(self, gap: u32) -> Self {
        Self(self.0.reorder_gap(gap))
    }
}

#[derive(Clone)]
struct Packet {
    proto: Protocol,
    source: SocketAddr,
    destination: SocketAddr,
    bytes: Vec<u8>,
}

impl WithLen for Packet {
    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl From<Transmit> for Packet {
    fn from(t: Transmit) -> Self {
        Self {
            proto: t.proto,
            source: t.source,
            destination: t.destination,
            bytes: t.contents.to_vec(),
        }
    }
}

#[derive(Default)]
struct Wire(Vec<Packet>);

impl Outlet for Wire {
    fn transmit(&mut self, transmit: Transmit) {
        self.0.push(transmit.into());
    }
    fn authenticated(&mut self, _: SocketAddr) {}
    fn checking(&mut self, _: SocketAddr) {}
    fn local_ufrag(&mut self, _: &str) {}
}

/// What the server's handler would have heard.
#[derive(Debug, Clone)]
pub struct Heard {
    pub frames: usize,
    pub seconds: f64,
    /// The longest time from sending a packet to hearing a frame, beyond the latency of the wire.
    pub delay_ms_max: f64,
    pub reordered: usize,
    stats: Vec<(&'static str, f64)>,
}

impl Heard {
    pub fn stat(&self, name: &str) -> f64 {
        self.stats
            .iter()
            .find(|(n, _)| *n == name)
            .unwrap_or_else(|| panic!("no statistic {name}"))
            .1
    }
}

/// Both ends, the network between them, and the clock.
pub struct Call {
    now: Instant,
    latency: Duration,
    server: Peer,
    hub: Arc<Hub>,
    client: Rtc,
    pending: Option<SdpPendingOffer>,
    mid: Mid,
    video_mid: Option<Mid>,
    channel: Option<ChannelId>,
    encoder: Encoder,
    speech: Vec<i16>,
    next_frame: Instant,
    media_ticks: u64,
    talking: bool,
    echoing: bool,
    muted_network: bool,
    /// The address that the server sees the client at.
    nat: SocketAddr,
    to_server: Netem<Packet>,
    to_client: Netem<Packet>,
    client_deadline: Instant,
    frames: usize,
    seconds: f64,
    last_arrival: Instant,
    delay_ms_max: f64,
    reordered: usize,
    highest_arrived: u64,
    server_states: Vec<String>,
    server_texts: Vec<String>,
    client_texts: Vec<String>,
    fec: Vec<bool>,
    answers: Vec<String>,
    /// Where the server's connectivity checks went.
    checked: Vec<String>,
    /// Frame numbers that the server got, and whether each was contiguous and a keyframe.
    server_video: Vec<(u32, bool, bool)>,
    client_video: Vec<u32>,
    server_keyframe_requests: usize,
    client_keyframe_requests: usize,
    bitrates_bps: Vec<u64>,
    random: u64,
}

impl Call {
    /// A call with audio and a data channel.
    pub fn new(condition: Condition) -> Self {
        Self::build(condition, false)
    }

    /// A call that has video too.
    pub fn with_video(condition: Condition) -> Self {
        Self::build(condition, true)
    }

    fn build(condition: Condition, video: bool) -> Self {
        let now = Instant::now();
        let certificate = certificate();
        let mut client = Rtc::builder()
            .set_dtls_cert(certificate.clone())
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .enable_bwe(Some(Bitrate::kbps(1_000)))
            .set_reordering_size_audio(0)
            .set_rtcp_report_interval_audio(Duration::from_secs(1))
            .build(now);
        client.add_local_candidate(Candidate::host(CLIENT.parse().unwrap(), "udp").unwrap());
        let mut change = client.sdp_api();
        let mid = change.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let video_mid = video
            .then(|| change.add_media(MediaKind::Video, Direction::SendRecv, None, None, None));
        change.add_channel("text".into());
        let (offer, pending) = change.apply().unwrap();
        let sdp = offer.to_sdp_string();

        let allowed = Allowed {
            audio: true,
            video,
            extra_tracks: false,
        };
        let facts = offer::inspect(&sdp, allowed).unwrap();
        let addresses = LocalAddresses {
            udp: vec![SERVER.parse().unwrap()],
            ..LocalAddresses::default()
        };
        let engine = EngineConfig {
            channels: 1,
            ice_lite: false,
            video,
        };
        let (rtc, answer) = engine::answer(&sdp, engine, certificate, &addresses, now).unwrap();
        let hub = Arc::new(Hub::new().unwrap());
        let link = Arc::new(Link {
            mailbox: Arc::new(Mailbox::new(1, Arc::clone(&hub))),
            playout: Playout::default(),
            channel_open: AtomicBool::new(false),
            channel_offered: AtomicBool::new(true),
            stats: Default::default(),
        });
        link.mailbox.start();
        let config = PeerConfig {
            allowed,
            rate_hz: 48_000,
            channels: 1,
            audio_bitrate_bps: None,
            disconnect_after: Duration::from_secs(6),
            close_after: Duration::from_secs(30),
        };
        let server = Peer::new(rtc, config, &facts, link, now).unwrap();
        let seeded = |seed| Netem::new(condition.0.seed(seed));
        let mut call = Self {
            now,
            latency: Duration::ZERO,
            server,
            hub,
            client,
            pending: Some(pending),
            mid,
            video_mid,
            channel: None,
            encoder: Encoder::new(16_000, 1, 32_000).unwrap(),
            speech: speech(),
            next_frame: now,
            media_ticks: 0,
            talking: false,
            echoing: false,
            muted_network: false,
            nat: CLIENT.parse().unwrap(),
            to_server: seeded(7),
            to_client: seeded(11),
            client_deadline: now,
            frames: 0,
            seconds: 0.0,
            last_arrival: now,
            delay_ms_max: 0.0,
            reordered: 0,
            highest_arrived: 0,
            server_states: Vec::new(),
            server_texts: Vec::new(),
            client_texts: Vec::new(),
            fec: Vec::new(),
            answers: Vec::new(),
            checked: Vec::new(),
            server_video: Vec::new(),
            client_video: Vec::new(),
            server_keyframe_requests: 0,
            client_keyframe_requests: 0,
            bitrates_bps: Vec::new(),
            random: 0x9e37_79b9_7f4a_7c15,
        };
        call.take_answer(&answer);
        call
    }

    fn take_answer(&mut self, sdp: &str) {
        let answer = SdpAnswer::from_sdp_string(sdp).unwrap();
        self.client
            .sdp_api()
            .accept_answer(self.pending.take().unwrap(), answer)
            .unwrap();
        self.drain_client();
    }

    /// Lets time pass until both sides are connected.
    pub fn connect(&mut self) {
        for _ in 0..20_000 {
            self.step();
            if self.client.is_connected()
                && self.channel.is_some()
                && !self.server_states.is_empty()
            {
                return;
            }
        }
        panic!("not connected after 20 s: {:?}", self.server_states);
    }

    /// The client sends a packet every 20 ms; then the wire runs empty.
    pub fn talk(&mut self, time: Duration) {
        self.talking = true;
        self.next_frame = self.now;
        self.run(time);
        self.talking = false;
        self.run(Duration::from_millis(if self.latency.is_zero() {
            0
        } else {
            200
        }));
    }

    /// As `talk`, and the server sends back what it hears.
    pub fn echo(&mut self, time: Duration) {
        self.echoing = true;
        self.fec.clear();
        self.talk(time);
        self.echoing = false;
    }

    pub fn pass(&mut self, time: Duration) {
        self.run(time);
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    pub fn improve(&mut self, condition: Condition) {
        self.to_server.set_config(condition.0.seed(7));
        self.to_client.set_config(condition.0.seed(11));
    }

    /// While true, nothing passes the network.
    pub fn silence_network(&mut self, silent: bool) {
        self.muted_network = silent;
    }

    /// A NAT gives the client an address that it does not know of, and forgets the one before.
    pub fn rebind(&mut self, port: u16) {
        self.nat = SocketAddr::from(([203, 0, 113, 9], port));
    }

    pub fn forget_delays(&mut self) {
        self.delay_ms_max = 0.0;
    }

    pub fn heard(&mut self) -> Heard {
        // Statistics are renewed every second.
        self.run(Duration::from_millis(1_100));
        Heard {
            frames: self.frames,
            seconds: self.seconds,
            delay_ms_max: self.delay_ms_max,
            reordered: self.reordered,
            stats: self.server.link().stats.lock().unwrap().iter().collect(),
        }
    }

    /// Share of the packets that the client got since `echo` began which carry FEC.
    pub fn client_fec_share(&self) -> f64 {
        self.fec.iter().filter(|fec| **fec).count() as f64 / self.fec.len().max(1) as f64
    }

    /// Packets of media that the client got since `echo` began.
    pub fn client_packets(&self) -> usize {
        self.fec.len()
    }

    pub fn states(&self) -> Vec<&str> {
        self.server_states.iter().map(String::as_str).collect()
    }

    pub fn server_texts(&self) -> &[String] {
        &self.server_texts
    }

    pub fn client_texts(&self) -> &[String] {
        &self.client_texts
    }

    pub fn server_says(&mut self, text: &str) {
        self.command(Command::Text(text.into()));
    }

    pub fn client_says(&mut self, text: &str) {
        let mut channel = self.client.channel(self.channel.unwrap()).unwrap();
        assert!(channel.write(false, text.as_bytes()).unwrap());
        self.drain_client();
    }

    pub fn server_closes(&mut self) {
        self.command(Command::Close);
    }

    pub fn client_closes(&mut self) {
        self.client.close().unwrap();
        self.drain_client();
    }

    pub fn client_is_alive(&self) -> bool {
        self.client.is_alive()
    }

    pub fn server_is_gone(&self) -> bool {
        self.server.is_closed()
    }

    /// The client offers again, with new ICE credentials.
    pub fn restart_ice(&mut self) {
        let mut change = self.client.sdp_api();
        change.ice_restart(true);
        let (offer, pending) = change.apply().unwrap();
        self.pending = Some(pending);
        self.command(Command::Renegotiate(1, offer.to_sdp_string()));
        self.take_events();
        let answer = self.answers.pop().expect("an answer");
        self.take_answer(&answer);
    }

    /// The client's candidate of its coming ICE generation overtakes the offer that announces it.
    pub fn restart_ice_with_candidate_first(&mut self) {
        let moved: SocketAddr = MOVED_CLIENT.parse().unwrap();
        let mut change = self.client.sdp_api();
        let ufrag = change.ice_restart(false).ufrag;
        let (offer, pending) = change.apply().unwrap();
        self.pending = Some(pending);
        let mut candidate = Candidate::host(moved, "udp").unwrap();
        self.client.add_local_candidate(candidate.clone());
        candidate.set_ufrag(&ufrag);
        self.command(Command::Candidate(candidate));
        let without_candidates: String = offer
            .to_sdp_string()
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("a=candidate"))
            .collect();
        self.command(Command::Renegotiate(2, without_candidates));
        self.take_events();
        let answer = self.answers.pop().expect("an answer");
        self.take_answer(&answer);
    }

    /// Both sides send 30 frames a second of `bytes` each, every 30th a keyframe.
    pub fn film(&mut self, seconds: u32, bytes: usize) {
        for number in 0..seconds * 30 {
            let frame = vp8_frame(number, bytes);
            let ticks = u64::from(number) * 3_000;
            self.command(Command::Video(frame.clone(), ticks, Codec::Vp8));
            let writer = self.client.writer(self.video_mid.unwrap()).unwrap();
            let pt = writer
                .payload_params()
                .find(|p| p.spec().codec == Codec::Vp8)
                .unwrap()
                .pt();
            writer
                .write(
                    pt,
                    self.now,
                    MediaTime::new(ticks, Frequency::NINETY_KHZ),
                    frame,
                )
                .unwrap();
            self.drain_client();
            self.run(Duration::from_millis(33));
        }
        self.run(Duration::from_millis(500));
    }

    pub fn server_asks_for_keyframe(&mut self) {
        self.command(Command::RequestKeyframe);
    }

    pub fn client_asks_for_keyframe(&mut self) {
        let mut writer = self.client.writer(self.video_mid.unwrap()).unwrap();
        writer
            .request_keyframe(None, KeyframeRequestKind::Pli)
            .unwrap();
        self.drain_client();
    }

    /// Keyframe requests that reached the server and the client.
    pub fn keyframe_requests(&self) -> (usize, usize) {
        (self.server_keyframe_requests, self.client_keyframe_requests)
    }

    /// Frames that the server got: number, contiguous, keyframe.
    pub fn server_video(&self) -> &[(u32, bool, bool)] {
        &self.server_video
    }

    pub fn client_video(&self) -> &[u32] {
        &self.client_video
    }

    pub fn bitrates_bps(&self) -> &[u64] {
        &self.bitrates_bps
    }

    /// Whether the server sends connectivity checks to where the client has moved.
    pub fn server_checks_moved_client(&self) -> bool {
        self.checked.iter().any(|address| address == MOVED_CLIENT)
    }

    /// Feeds garbage, and real packets cut short, from the client's address.
    pub fn bombard(&mut self, count: usize) {
        let (source, destination) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
        for index in 0..count {
            let len = self.random() as usize % 64;
            let mut bytes: Vec<u8> = (0..len).map(|_| self.random() as u8).collect();
            if let Some(first) = bytes.first_mut() {
                // STUN, DTLS, RTP and RTCP in turn.
                *first = [0, 22, 128, 200][index % 4];
            }
            let mut wire = Wire::default();
            self.server.handle_datagram(
                self.now,
                Protocol::Udp,
                source,
                destination,
                &bytes,
                &mut wire,
            );
        }
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn command(&mut self, command: Command) {
        let mut wire = Wire::default();
        self.server.handle_command(self.now, command, &mut wire);
        self.send(wire.0, true);
    }

    fn step(&mut self) {
        if self.talking && self.now >= self.next_frame {
            self.next_frame += FRAME;
            self.client_sends_frame();
        }
        if self.client_deadline <= self.now {
            // What ails a client that cannot connect shows in `drain_client`.
            let _failed_handshake = self.client.handle_input(Input::Timeout(self.now));
            self.drain_client();
        }
        if self.server.deadline() <= self.now && !self.server.is_closed() {
            let mut wire = Wire::default();
            self.server.handle_timeout(self.now, &mut wire);
            self.send(wire.0, true);
        }
        self.deliver();
        self.take_events();
        self.now += STEP;
    }

    fn client_sends_frame(&mut self) {
        let at = (self.media_ticks / 3) as usize % (self.speech.len() - SPEECH_FRAME);
        let mut packet = [0; 1_500];
        let len = self
            .encoder
            .encode(&self.speech[at..at + SPEECH_FRAME], &mut packet)
            .unwrap();
        let time = MediaTime::new(self.media_ticks, Frequency::FORTY_EIGHT_KHZ);
        self.media_ticks += 960;
        let Some(writer) = self.client.writer(self.mid) else {
            return;
        };
        let pt = writer
            .payload_params()
            .find(|p| p.spec().codec == Codec::Opus)
            .unwrap()
            .pt();
        writer
            .write(pt, self.now, time, packet[..len].to_vec())
            .unwrap();
        self.last_arrival = self.now;
        self.drain_client();
    }

    fn drain_client(&mut self) {
        let mut packets = Vec::new();
        loop {
            match self.client.poll_output() {
                // A handshake that ran out of time: the client has given up.
                Err(_) => {
                    self.client_deadline = self.now + Duration::from_secs(3600);
                    break;
                }
                Ok(Output::Timeout(deadline)) => {
                    self.client_deadline = deadline;
                    break;
                }
                Ok(Output::Transmit(transmit)) => packets.push(transmit.into()),
                Ok(Output::Event(Event::ChannelOpen(id, _))) => self.channel = Some(id),
                Ok(Output::Event(Event::ChannelData(data))) => {
                    self.client_texts
                        .push(String::from_utf8(data.data).unwrap());
                }
                Ok(Output::Event(Event::MediaData(data))) if Some(data.mid) == self.video_mid => {
                    self.client_video.push(number_of(&data.data));
                }
                Ok(Output::Event(Event::KeyframeRequest(_))) => self.client_keyframe_requests += 1,
                Ok(Output::Event(Event::MediaData(data))) => {
                    self.fec.push(fec_ticks(&data.data) > 0)
                }
                Ok(Output::Event(_)) => {}
            }
        }
        self.send(packets, false);
    }

    fn send(&mut self, packets: Vec<Packet>, from_server: bool) {
        for mut packet in packets {
            if from_server && packet.bytes.starts_with(&[0, 1]) {
                self.checked.push(packet.destination.to_string());
            }
            if self.muted_network || (from_server && packet.destination != self.nat) {
                continue;
            }
            let client: SocketAddr = CLIENT.parse().unwrap();
            if from_server {
                packet.destination = client;
            } else if packet.source == client {
                packet.source = self.nat;
            }
            let netem = if from_server {
                &mut self.to_client
            } else {
                &mut self.to_server
            };
            netem.handle_input(NetIn::Packet(self.now, packet));
        }
    }

    fn deliver(&mut self) {
        self.to_server.handle_input(NetIn::Timeout(self.now));
        while let Some(output) = self.to_server.poll_output() {
            let NetOut::Packet(packet) = output else {
                continue;
            };
            self.note_order(&packet.bytes);
            let mut wire = Wire::default();
            self.server.handle_datagram(
                self.now,
                packet.proto,
                packet.source,
                packet.destination,
                &packet.bytes,
                &mut wire,
            );
            self.send(wire.0, true);
        }
        self.to_client.handle_input(NetIn::Timeout(self.now));
        while let Some(output) = self.to_client.poll_output() {
            let NetOut::Packet(packet) = output else {
                continue;
            };
            let received = Receive::new(
                packet.proto,
                packet.source,
                packet.destination,
                &packet.bytes,
            )
            .unwrap();
            self.client
                .handle_input(Input::Receive(self.now, received))
                .unwrap();
            self.drain_client();
        }
    }

    /// Counts media packets that arrive after a later one.
    fn note_order(&mut self, bytes: &[u8]) {
        if bytes.len() > 12 && bytes[0] >> 6 == 2 && !(192..=223).contains(&bytes[1]) {
            let seq = u64::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            if seq < self.highest_arrived && self.highest_arrived - seq < 1_000 {
                self.reordered += 1;
            }
            self.highest_arrived = seq;
        }
    }

    fn take_events(&mut self) {
        let mut audio: Vec<Pcm> = Vec::new();
        let (states, texts, answers) = (
            &mut self.server_states,
            &mut self.server_texts,
            &mut self.answers,
        );
        let (server_video, bitrates) = (&mut self.server_video, &mut self.bitrates_bps);
        let keyframe_requests = &mut self.server_keyframe_requests;
        self.hub.drain(|_, event| match event {
            HubEvent::Audio(pcm) => audio.push(pcm),
            HubEvent::Text(text) => texts.push(text),
            HubEvent::State(State::Live) => states.push("live".into()),
            HubEvent::State(State::Disconnected) => states.push("disconnected".into()),
            HubEvent::State(State::Closed(reason)) => states.push(format!("closed: {reason}")),
            HubEvent::Answer(_, answer) => answers.push(answer.unwrap()),
            HubEvent::Video(frame) => {
                server_video.push((number_of(&frame.data), frame.contiguous, frame.keyframe));
            }
            HubEvent::KeyframeRequest => *keyframe_requests += 1,
            HubEvent::Bitrate(rate) => bitrates.push(rate),
            HubEvent::Warning(warning) => panic!("{warning}"),
        });
        for pcm in audio {
            self.frames += 1;
            self.seconds += pcm.samples.len() as f64 / 48_000.0;
            let delay = self
                .now
                .saturating_duration_since(self.last_arrival + self.latency);
            self.delay_ms_max = self.delay_ms_max.max(delay.as_secs_f64() * 1e3);
            if self.echoing {
                self.server.link().playout.push(pcm);
                self.command(Command::Play);
            }
        }
    }
}

fn certificate() -> DtlsCert {
    str0m::crypto::from_feature_flags()
        .dtls_provider
        .generate_certificate()
        .unwrap()
}

/// The recording, 16 kHz mono.
fn speech() -> Vec<i16> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/austen-0870.wav");
    let file = std::fs::read(path).unwrap();
    let start = file.windows(4).position(|chunk| chunk == b"data").unwrap() + 8;
    file[start..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// As much of a VP8 frame as the wire looks at (RFC 6386, section 9.1), with its number inside.
fn vp8_frame(number: u32, bytes: usize) -> Vec<u8> {
    let is_delta = !number.is_multiple_of(30);
    let mut frame = vec![0; bytes];
    frame[0] = u8::from(is_delta);
    frame[3..6].copy_from_slice(&[0x9d, 0x01, 0x2a]);
    frame[bytes - 4..].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number_of(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[frame.len() - 4..].try_into().unwrap())
}
