//! The other end of a call in virtual time, which sends recorded speech, and the call itself.

mod clock;
mod film;
mod media;
mod network;

pub use network::Condition;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use _core::audio::opus::Encoder;
use _core::engine::{self, EngineConfig, LocalAddresses};
use _core::handover::{Hub, Mailbox, Queue};
use _core::offer::{self, Allowed};
use _core::peer::{Command, Link, Peer, PeerConfig};
use _core::playout::Playout;
use str0m::bwe::Bitrate;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::media::{Direction, MediaKind, Mid, SenderFeedback};
use str0m::net::Protocol;
use str0m::{Candidate, Rtc};
use str0m_netem::Netem;

use media::{certificate, speech};
use network::{Packet, Wire};

const SERVER: &str = "192.0.2.1:8000";
const CLIENT: &str = "198.51.100.7:40000";
const MOVED_CLIENT: &str = "203.0.113.9:50000";
/// Samples of 20 ms of the recording.
const SPEECH_FRAME: usize = 320;
const FRAME: Duration = Duration::from_millis(20);

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
    client_reports: Vec<SenderFeedback>,
    bitrates_bps: Vec<u64>,
    queues: Vec<Queue>,
    random: u64,
}

impl Call {
    /// A call with audio and a data channel.
    pub fn new(condition: Condition) -> Self {
        Self::build(condition, false, false)
    }

    /// A call whose client is behind a NAT from the beginning, and offers the address of that.
    pub fn behind_nat(condition: Condition) -> Self {
        Self::build(condition, false, true)
    }

    /// A call that has video too.
    pub fn with_video(condition: Condition) -> Self {
        Self::build(condition, true, false)
    }

    fn build(condition: Condition, video: bool, behind_nat: bool) -> Self {
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
        let mut sdp = offer.to_sdp_string();
        if behind_nat {
            let mapped = sdp.replace(" typ host", " typ srflx raddr 10.0.0.7 rport 5000");
            assert_ne!(sdp, mapped);
            sdp = mapped;
        }

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
            client_reports: Vec::new(),
            bitrates_bps: Vec::new(),
            queues: Vec::new(),
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

    pub fn bitrates_bps(&self) -> &[u64] {
        &self.bitrates_bps
    }

    /// Queues in front of the way to the client, as the server noticed them.
    pub fn queues(&self) -> &[Queue] {
        &self.queues
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
}
