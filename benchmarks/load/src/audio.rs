//! What sessions say, encoded ahead of time, and how a mark is found in what comes back.

use std::path::Path;
use std::sync::Arc;

use opusic_c::{Application, Bitrate, Channels, Decoder, Encoder, SampleRate};

const RATE_HZ: usize = 48_000;
/// Samples of a 20 ms frame.
pub const FRAME: usize = RATE_HZ / 50;
const BITRATE_BPS: u32 = 32_000;
/// A hum under the speech, so that no server's silence suppression makes a run cheaper.
const HUM: f32 = 0.01;
const HUM_HZ: f32 = 200.0;
const MARK_HZ: f32 = 2_000.0;
const MARK_EVERY: usize = RATE_HZ;
const MARK_AT: usize = RATE_HZ * 317 / 1000;
const MARK_LENGTH: usize = RATE_HZ * 40 / 1000;
const MARK_SECONDS: usize = 5;
/// Resolution of mark detection: five periods of the mark's tone.
const BLOCK: usize = 120;
const MARK_LEVEL: f32 = 0.15;
const QUIET_BLOCKS: usize = 100;

/// Encoded frames that are said in a loop.
pub struct Track {
    /// One Opus packet per 20 ms.
    pub packets: Vec<Arc<[u8]>>,
    /// Where marks begin: packet and milliseconds within its sound.
    pub marks: Vec<(usize, f64)>,
}

impl Track {
    /// Recorded speech, one file after another.
    pub fn speech(files: &[impl AsRef<Path>]) -> Result<Self, String> {
        let mut sound = Vec::new();
        for file in files {
            sound.extend(read_wav(file.as_ref())?);
        }
        for (at, sample) in sound.iter_mut().enumerate() {
            *sample += tone(HUM_HZ, at) * HUM;
        }
        Self::encode(&sound)
    }

    /// A faint tone with a loud mark every second.
    pub fn marked() -> Result<Self, String> {
        let sound: Vec<f32> = (0..RATE_HZ * MARK_SECONDS)
            .map(|at| {
                let since_mark = (at + MARK_EVERY - MARK_AT) % MARK_EVERY;
                let mark = if since_mark < MARK_LENGTH { 0.5 } else { 0.0 };
                tone(HUM_HZ, at) * HUM + tone(MARK_HZ, at) * mark
            })
            .collect();
        let mut track = Self::encode(&sound)?;
        let mut finder = MarkFinder::new()?;
        for (index, packet) in track.packets.iter().enumerate() {
            if let Some(offset_ms) = finder.push(packet)? {
                track.marks.push((index, offset_ms));
            }
        }
        if track.marks.len() != MARK_SECONDS {
            return Err(format!(
                "{} marks were found in {MARK_SECONDS} s of own sound, one per second was put there",
                track.marks.len()
            ));
        }
        Ok(track)
    }

    fn encode(sound: &[f32]) -> Result<Self, String> {
        let wrong = |error| format!("cannot encode: {error:?}");
        let mut encoder =
            Encoder::new(Channels::Mono, SampleRate::Hz48000, Application::Voip).map_err(wrong)?;
        encoder
            .set_bitrate(Bitrate::Value(BITRATE_BPS))
            .map_err(wrong)?;
        let mut buffer = [0; 1275];
        let mut packets = Vec::with_capacity(sound.len() / FRAME);
        for frame in sound.chunks_exact(FRAME) {
            let length = encoder
                .encode_float_to_slice(frame, &mut buffer)
                .map_err(wrong)?;
            packets.push(Arc::from(&buffer[..length]));
        }
        Ok(Self {
            packets,
            marks: Vec::new(),
        })
    }
}

/// Decodes one session's packets and finds the marks in them.
pub struct MarkFinder {
    decoder: Decoder,
    samples: Vec<f32>,
    quiet_blocks: usize,
}

impl MarkFinder {
    /// A finder for a stream that begins.
    pub fn new() -> Result<Self, String> {
        let decoder = Decoder::new(Channels::Mono, SampleRate::Hz48000)
            .map_err(|error| format!("cannot make a decoder: {error:?}"))?;
        Ok(Self {
            decoder,
            samples: vec![0.0; FRAME * 6],
            quiet_blocks: 0,
        })
    }

    /// Decodes the next packet; where in its sound a mark begins, in milliseconds, if one does.
    pub fn push(&mut self, packet: &[u8]) -> Result<Option<f64>, String> {
        let count = self
            .decoder
            .decode_float_to_slice(packet, &mut self.samples, false)
            .map_err(|error| format!("cannot decode: {error:?}"))?;
        let mut found = None;
        for (index, block) in self.samples[..count].chunks_exact(BLOCK).enumerate() {
            if level(block) < MARK_LEVEL {
                self.quiet_blocks += 1;
            } else {
                if self.quiet_blocks >= QUIET_BLOCKS {
                    found = Some((index * BLOCK) as f64 * 1000.0 / RATE_HZ as f64);
                }
                self.quiet_blocks = 0;
            }
        }
        Ok(found)
    }
}

/// Amplitude of the mark's tone in a block.
fn level(block: &[f32]) -> f32 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (at, sample) in block.iter().enumerate() {
        let phase = std::f32::consts::TAU * MARK_HZ * at as f32 / RATE_HZ as f32;
        real += sample * phase.cos();
        imaginary += sample * phase.sin();
    }
    2.0 * (real * real + imaginary * imaginary).sqrt() / block.len() as f32
}

fn tone(frequency_hz: f32, at: usize) -> f32 {
    let turns = f64::from(frequency_hz) * at as f64 / RATE_HZ as f64;
    (turns.fract() as f32 * std::f32::consts::TAU).sin()
}

/// A 16-bit mono PCM file at 48 kHz.
fn read_wav(path: &Path) -> Result<Vec<f32>, String> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let wrong = || format!("{name} is not a 16-bit mono WAV file at 48 kHz or a divisor of it");
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Err(wrong());
    }
    let (mut at, mut rate_hz) = (12, 0);
    while let Some(header) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let body = bytes.get(at + 8..at + 8 + length).ok_or_else(wrong)?;
        match &header[..4] {
            b"fmt "
                if body.get(..4) == Some(&[1, 0, 1, 0]) && body.get(14..16) == Some(&[16, 0]) =>
            {
                rate_hz = u32::from_le_bytes([body[4], body[5], body[6], body[7]]) as usize;
            }
            b"data" if rate_hz > 0 && RATE_HZ.is_multiple_of(rate_hz) => {
                let samples: Vec<f32> = body
                    .chunks_exact(2)
                    .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32768.0)
                    .collect();
                return Ok(stretched(&samples, RATE_HZ / rate_hz));
            }
            _ => {}
        }
        at += 8 + length + length % 2;
    }
    Err(wrong())
}

/// More samples of the same sound, by straight lines between them.
fn stretched(samples: &[f32], factor: usize) -> Vec<f32> {
    (0..samples.len() * factor)
        .map(|at| {
            let (index, part) = (at / factor, (at % factor) as f32 / factor as f32);
            let next = samples.get(index + 1).unwrap_or(&samples[index]);
            samples[index] + (next - samples[index]) * part
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_marks_are_found_where_they_were_put() {
        let track = Track::marked().unwrap();
        let first_ms = track.marks[0].0 as f64 * 20.0 + track.marks[0].1;
        assert!((317.0..330.0).contains(&first_ms), "{first_ms}");
        for pair in track.marks.windows(2) {
            let apart_ms = (pair[1].0 - pair[0].0) as f64 * 20.0 + pair[1].1 - pair[0].1;
            assert!((apart_ms - 1000.0).abs() <= 2.5, "{apart_ms}");
        }
    }

    #[test]
    fn recorded_speech_becomes_packets() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/austen-0880.wav"
        );
        let track = Track::speech(&[file]).unwrap();
        assert!(
            (148..=150).contains(&track.packets.len()),
            "{}",
            track.packets.len()
        );
        assert!(track.packets.iter().all(|packet| packet.len() > 3));
    }

    #[test]
    fn a_file_that_is_no_sound_is_named() {
        let error = Track::speech(&[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
        assert!(error.err().unwrap().contains("Cargo.toml"));
    }
}
