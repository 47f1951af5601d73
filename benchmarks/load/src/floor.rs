//! What an echoed frame costs any server at least: one packet received, decoded, encoded and sent,
//! and nothing else, with the packets that the calls are made of, on this machine, now.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use opusic_c::{Application, Bitrate, Channels, Decoder, Encoder, SampleRate, Signal};
use serde_json::{Value, json};

use crate::audio::{FRAME, Track};

/// As many as the calls of the CPU row: each has codecs of its own, as in a server.
const SESSIONS: usize = 100;
const FRAMES_PER_SESSION: usize = 250;
/// What our server encodes with.
const BITRATE_BPS: u32 = 32_000;
const COMPLEXITY: u8 = 1;

/// Measures on the calling thread; microseconds of its CPU time.
pub fn measure(speech: &[PathBuf]) -> Result<Value, String> {
    let track = Track::speech(speech)?;
    let mut codecs = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        codecs.push((decoder()?, encoder()?));
    }
    let here = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let there = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = there.local_addr().map_err(|error| error.to_string())?;

    let (mut sound, mut packet, mut received) = (vec![0; FRAME * 6], [0; 1275], [0; 1500]);
    let (mut opus, mut network) = (Duration::ZERO, Duration::ZERO);
    for frame in 0..FRAMES_PER_SESSION {
        for (session, (decoder, encoder)) in codecs.iter_mut().enumerate() {
            let spoken = &track.packets[(frame + session * 7) % track.packets.len()];
            let begun = cpu_time()?;
            decoder
                .decode_to_slice(spoken, &mut sound, false)
                .map_err(|error| format!("cannot decode: {error:?}"))?;
            let length = encoder
                .encode_to_slice(&sound[..FRAME], &mut packet)
                .map_err(|error| format!("cannot encode: {error:?}"))?;
            let coded = cpu_time()?;
            here.send_to(&packet[..length], address)
                .and_then(|_| there.recv(&mut received))
                .map_err(|error| error.to_string())?;
            opus += coded - begun;
            network += cpu_time()? - coded;
        }
    }
    let per_frame =
        |time: Duration| time.as_secs_f64() * 1e6 / (SESSIONS * FRAMES_PER_SESSION) as f64;
    Ok(json!({
        "opus_us": per_frame(opus),
        "network_us": per_frame(network),
        "floor_us_per_frame": per_frame(opus + network),
    }))
}

fn decoder() -> Result<Decoder, String> {
    Decoder::new(Channels::Mono, SampleRate::Hz48000)
        .map_err(|error| format!("cannot make a decoder: {error:?}"))
}

fn encoder() -> Result<Encoder, String> {
    let wrong = |error| format!("cannot make an encoder: {error:?}");
    let mut encoder =
        Encoder::new(Channels::Mono, SampleRate::Hz48000, Application::Audio).map_err(wrong)?;
    encoder
        .set_bitrate(Bitrate::Value(BITRATE_BPS))
        .map_err(wrong)?;
    encoder.set_complexity(COMPLEXITY).map_err(wrong)?;
    encoder.set_signal(Signal::Music).map_err(wrong)?;
    Ok(encoder)
}

fn cpu_time() -> Result<Duration, String> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .map_err(|error| error.to_string())
}
