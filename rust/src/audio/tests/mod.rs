//! What this room's tests share: recorded speech, tones, and a virtual clock.

mod feed;
mod inbound;
mod jitter;
mod lateness;
mod opus;
mod outbound;
mod protection;
mod resample;
mod track;

use std::path::Path;
use std::time::{Duration, Instant};

use super::opus::{Encoder, Mode};
use super::resample::Resampler;

/// Recorded speech of `tests/data`, mono at 16 kHz.
pub fn speech(name: &str) -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data")
        .join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let data = bytes
        .windows(4)
        .position(|window| window == b"data")
        .expect("a WAV file")
        + 8;
    bytes[data..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// All the recorded speech, one after the other.
pub fn all_speech() -> Vec<i16> {
    [
        "austen-0870.wav",
        "austen-0880.wav",
        "austen-0930.wav",
        "go-forward.wav",
    ]
    .iter()
    .flat_map(|name| speech(name))
    .collect()
}

/// The same at another rate, over 16 kHz.
pub fn all_speech_at(rate_hz: u32) -> Vec<i16> {
    let pcm = all_speech();
    if rate_hz == 16_000 {
        return pcm;
    }
    let mut resampled = Vec::new();
    Resampler::new(16_000, rate_hz, 1)
        .unwrap()
        .push(&pcm, &mut resampled);
    resampled
}

/// A sine wave, interleaved, the same in all channels.
pub fn tone(frequency_hz: f64, rate_hz: u32, channels: u8, frames: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU * frequency_hz / f64::from(rate_hz);
    (0..frames)
        .flat_map(|n| {
            let sample = ((n as f64 * step).sin() * 10_000.0) as i16;
            std::iter::repeat_n(sample, usize::from(channels))
        })
        .collect()
}

/// Opus packets of 20 ms.
pub fn packets(pcm: &[i16], rate_hz: u32, channels: u8, mode: Mode) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(rate_hz, channels, 48_000).unwrap();
    encoder.set_mode(mode).unwrap();
    let mut out = [0; 1_500];
    pcm.chunks_exact(rate_hz as usize / 50 * usize::from(channels))
        .map(|frame| {
            let length = encoder.encode(frame, &mut out).unwrap();
            out[..length].to_vec()
        })
        .collect()
}

/// Root mean square of samples.
pub fn rms(samples: &[i16]) -> f64 {
    let sum: f64 = samples
        .iter()
        .map(|&sample| f64::from(sample).powi(2))
        .sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// A clock that only tests move.
pub struct Clock(Instant);

impl Clock {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// The instant so many milliseconds after the start.
    pub fn at(&self, ms: f64) -> Instant {
        self.0 + Duration::from_secs_f64(ms / 1e3)
    }

    /// How many milliseconds after the start an instant is.
    pub fn ms(&self, at: Instant) -> f64 {
        at.duration_since(self.0).as_secs_f64() * 1e3
    }
}

/// Small reproducible random numbers (xorshift), for loss and noise.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
