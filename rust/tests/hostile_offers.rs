//! Offers that nobody sane would send: whatever the bytes, the outcome is an answer or a refusal.
//!
//! Real offers are mutated from fixed seeds, so that a failure can be repeated. What is checked is
//! `offer::inspect` and `engine::answer`, str0m's parser and negotiation included.

use std::net::SocketAddr;
use std::panic;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use _core::engine::{self, EngineConfig, LocalAddresses};
use _core::handover::{Hub, Mailbox, Refusal};
use _core::offer::{self, Allowed, MAX_SDP_BYTES};
use _core::peer::{Command, Link, Outlet, Peer, PeerConfig};
use _core::playout::Playout;
use proptest::prelude::*;
use str0m::Rtc;
use str0m::config::DtlsCert;
use str0m::net::Transmit;

const REAL: [&str; 2] = [
    include_str!("offers/chromium.sdp"),
    include_str!("offers/aiortc.sdp"),
];
const MUTANTS: u64 = 4_000;
/// Far more than the longest offer takes; an attacker must not buy time with a few bytes.
const LONGEST: Duration = Duration::from_millis(500);
const EVERYTHING: Allowed = Allowed {
    audio: true,
    video: true,
    extra_tracks: true,
};
const ODD_VALUES: [&str; 12] = [
    "",
    "0",
    "-1",
    "255",
    "65536",
    "4294967296",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "\u{e9}",
    "\0",
    "::",
    "/ /;=,",
];

/// A small generator of its own (xorshift64*), the same on every machine.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

fn mutant(seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let mut lines: Vec<String> = REAL[dice.below(REAL.len())]
        .lines()
        .map(str::to_owned)
        .collect();
    for _ in 0..=dice.below(4) {
        mutate(&mut lines, &mut dice);
    }
    let end = ["\r\n", "\r\n", "\r\n", "\n"][dice.below(4)];
    let mut sdp = lines.join(end);
    if dice.below(8) != 0 {
        sdp.push_str(end);
    }
    sdp
}

fn mutate(lines: &mut Vec<String>, dice: &mut Dice) {
    let (here, there) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(9) {
        0 if lines.len() > 1 => drop(lines.remove(here)),
        1 => lines.insert(here, lines[there].clone()),
        2 => lines.swap(here, there),
        3 => lines.truncate(here + 1),
        4 => {
            let other: Vec<_> = REAL[dice.below(REAL.len())].lines().collect();
            lines.insert(here, other[dice.below(other.len())].to_owned());
        }
        5 => replace_value(&mut lines[here], dice),
        6 => {
            // One character for another.
            let mut characters: Vec<char> = lines[here].chars().collect();
            if !characters.is_empty() {
                let at = dice.below(characters.len());
                characters[at] = char::from(dice.below(256) as u8);
                lines[here] = characters.into_iter().collect();
            }
        }
        7 => {
            let keep = dice.below(lines[here].chars().count());
            lines[here] = lines[here].chars().take(keep).collect();
        }
        _ => {
            // A piece of the offer again, as often as fits.
            let (from, to) = (here.min(there), here.max(there));
            let piece = lines[from..to].to_vec();
            for _ in 0..=dice.below(20) {
                lines.splice(to..to, piece.iter().cloned());
            }
        }
    }
}

/// Puts an odd value where a number or a word was.
fn replace_value(line: &mut String, dice: &mut Dice) {
    let odd = ODD_VALUES[dice.below(ODD_VALUES.len())];
    let separator = [' ', ':', '=', '/', ';'][dice.below(5)];
    let parts: Vec<&str> = line.split(separator).collect();
    let at = dice.below(parts.len());
    let replaced: Vec<&str> = parts
        .iter()
        .enumerate()
        .map(|(n, part)| if n == at { odd } else { *part })
        .collect();
    *line = replaced.join(&separator.to_string());
}

fn certificate() -> DtlsCert {
    str0m::crypto::from_feature_flags()
        .dtls_provider
        .generate_certificate()
        .expect("a certificate")
}

/// Panics inside str0m are what some tests provoke; their reports would hide the others'.
fn hush_str0m() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !panic
                .location()
                .is_some_and(|at| at.file().contains("str0m"))
            {
                report(panic);
            }
        }));
    });
}

fn answer(sdp: &str, video: bool, certificate: &DtlsCert) -> Result<(Rtc, String), Refusal> {
    let config = EngineConfig {
        channels: 1,
        ice_lite: false,
        video,
    };
    let addresses = LocalAddresses {
        udp: vec!["192.0.2.1:8000".parse().unwrap()],
        ..LocalAddresses::default()
    };
    let (mut rtc, answer) =
        engine::answer(sdp, config, certificate.clone(), &addresses, Instant::now())?;
    // What plane.rs does next.
    assert!(!rtc.direct_api().local_ice_credentials().ufrag.is_empty());
    Ok((rtc, answer))
}

fn must_be_named(refusal: &Refusal, sdp: &str) {
    assert!(
        ["invalid_sdp", "unsupported_media"].contains(&refusal.kind),
        "{}",
        refusal.kind
    );
    assert!(
        !refusal.message.is_empty(),
        "a refusal without a reason for {sdp:?}"
    );
}

#[test]
fn real_offers_are_answered() {
    let certificate = certificate();
    for sdp in REAL {
        offer::inspect(sdp, EVERYTHING).unwrap();
        let (_, answer) = answer(sdp, true, &certificate).unwrap();
        assert!(answer.starts_with("v=0"));
    }
}

#[test]
fn mutated_offers_are_answered_or_refused() {
    hush_str0m();
    let certificate = certificate();
    let mut answered = 0;
    for seed in 0..MUTANTS {
        let sdp = mutant(seed);
        let video = seed % 2 == 0;
        let started = Instant::now();
        match offer::inspect(&sdp, EVERYTHING).and_then(|_| answer(&sdp, video, &certificate)) {
            Ok(_) => answered += 1,
            Err(refusal) => must_be_named(&refusal, &sdp),
        }
        assert!(
            started.elapsed() < LONGEST,
            "seed {seed} took {:?}",
            started.elapsed()
        );
    }
    // Else the mutants are too wild to reach the negotiation.
    assert!(
        answered > MUTANTS / 10,
        "only {answered} of {MUTANTS} mutants were answered"
    );
}

struct Nowhere;

impl Outlet for Nowhere {
    fn transmit(&mut self, _: Transmit) {}
    fn authenticated(&mut self, _: SocketAddr) {}
    fn checking(&mut self, _: SocketAddr) {}
    fn local_ufrag(&mut self, _: &str) {}
}

fn peer(rtc: Rtc, sdp: &str, now: Instant) -> Peer {
    let link = Arc::new(Link {
        mailbox: Arc::new(Mailbox::new(1, Arc::new(Hub::new().unwrap()))),
        playout: Playout::default(),
        channel_open: AtomicBool::new(false),
        channel_offered: AtomicBool::new(true),
        stats: Default::default(),
    });
    let config = PeerConfig {
        allowed: EVERYTHING,
        rate_hz: 48_000,
        channels: 1,
        audio_bitrate_bps: None,
        disconnect_after: Duration::from_secs(6),
        close_after: Duration::from_secs(30),
    };
    let facts = offer::inspect(sdp, EVERYTHING).unwrap();
    Peer::new(rtc, config, &facts, link, now).unwrap()
}

#[test]
fn mutated_later_offers_leave_the_peer_alive() {
    let certificate = certificate();
    for seed in 0..MUTANTS {
        let (first, later) = (REAL[seed as usize / 2 % 2], mutant(seed));
        let (rtc, _) = answer(first, seed % 2 == 0, &certificate).unwrap();
        let now = Instant::now();
        let mut peer = peer(rtc, first, now);
        peer.handle_command(now, Command::Renegotiate(1, later), &mut Nowhere);
        for ms in [10, 60, 250] {
            peer.handle_timeout(now + Duration::from_millis(ms), &mut Nowhere);
        }
        assert!(!peer.is_closed(), "seed {seed}");
    }
}

#[test]
fn the_longest_offers_are_answered_or_refused_soon() {
    let certificate = certificate();
    let head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n\
        a=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\na=fingerprint:sha-256 00:11:22\r\n";
    let channel = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n";
    let audio =
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\n";
    // Whether the lines are sections, to be named in the group; and the n-th of them.
    let repeated: [(bool, &dyn Fn(usize) -> String); 6] = [
        (true, &|n| format!("{channel}a=mid:{n}\r\n")),
        (true, &|n| format!("{audio}a=sendrecv\r\na=mid:{n}\r\n")),
        (true, &|n| {
            format!("{audio}a=sendrecv\r\na=mid:{n}\r\na=ssrc:{n} cname:x\r\n")
        }),
        (false, &|n| {
            let port = 1 + n % 65_535;
            format!("a=candidate:1 1 udp 1 192.0.2.7 {port} typ host\r\n")
        }),
        (false, &|n| format!("a=rtpmap:{} opus/48000/2\r\n", n % 128)),
        (false, &|n| format!("a=ssrc:{n} msid:a b\r\n")),
    ];
    for (kind, (are_sections, line)) in repeated.iter().enumerate() {
        let (mut lines, mut group) = (String::new(), String::from("first"));
        for n in 0.. {
            let line = line(n);
            if head.len() + group.len() + lines.len() + line.len() > MAX_SDP_BYTES - 500 {
                break;
            }
            lines.push_str(&line);
            if *are_sections {
                group.push_str(&format!(" {n}"));
            }
        }
        let sdp =
            format!("{head}a=group:BUNDLE {group}\r\n{audio}a=sendrecv\r\na=mid:first\r\n{lines}");
        // The shortest of three, because the machine may be busy with something else.
        let took = (0..3).map(|_| {
            let started = Instant::now();
            let outcome =
                offer::inspect(&sdp, EVERYTHING).and_then(|_| answer(&sdp, true, &certificate));
            let took = started.elapsed();
            if let Err(refusal) = outcome {
                must_be_named(&refusal, "a long offer");
            }
            took
        });
        let took = took.min().unwrap();
        assert!(took < LONGEST, "kind {kind} took {took:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_inspected(sdp in "\\PC*", extra_tracks: bool) {
        let allowed = Allowed { extra_tracks, ..EVERYTHING };
        for sdp in [sdp.clone(), format!("v=0\r\n{sdp}"), format!("v=0\r\na=fingerprint:x y\r\nm={sdp}")] {
            if let Err(refusal) = offer::inspect(&sdp, allowed) {
                must_be_named(&refusal, &sdp);
            }
        }
    }

    #[test]
    fn lines_of_any_kind_are_inspected(
        lines in prop::collection::vec(
            ("(v=|m=|m=audio |m=video 0 |a=rtpmap:|a=fmtp:|a=fingerprint:|a=|c=)", "[ -~]{0,40}"),
            0..20,
        ),
        audio: bool,
        video: bool,
    ) {
        let mut sdp = String::from("v=0\r\n");
        for (name, value) in lines {
            sdp.push_str(&format!("{name}{value}\r\n"));
        }
        if let Err(refusal) = offer::inspect(&sdp, Allowed { audio, video, extra_tracks: false }) {
            must_be_named(&refusal, &sdp);
        }
    }
}
