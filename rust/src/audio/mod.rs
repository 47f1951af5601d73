//! Audio of one track: RTP packets of Opus to PCM ([`inbound`]) and PCM to paced Opus ([`outbound`]).
//!
//! This room is pure. It opens no socket, starts no thread and reads no clock: packets and
//! `Instant`s come in as arguments, frames and packets come out as values. Whatever a remote peer
//! sends is either played or counted; it never panics and never grows a queue without bound.
//!
//! Two units of time appear here: `Instant` for when something happens on this machine, and
//! *ticks*, the 48 kHz RTP clock of Opus (RFC 7587), for where a sample lies in the stream.

use std::fmt;
use std::time::Duration;

mod backlog;
pub mod feed;
pub mod inbound;
pub mod jitter;
pub mod opus;
pub mod outbound;
mod protection;
pub mod resample;

#[cfg(test)]
mod tests;

pub use inbound::{Inbound, InboundConfig, InboundFrame, InboundStats, Origin};
pub use opus::Effort;
pub use outbound::{Outbound, OutboundConfig, OutboundPacket, OutboundStats};

/// RTP ticks per second of Opus, whatever rate the codec itself runs at (RFC 7587, section 4.1).
pub const TICKS_PER_S: u32 = 48_000;

/// RTP ticks of the 20 ms frame that we send.
pub const FRAME_TICKS: u32 = TICKS_PER_S / 50;

/// 16-bit audio of one or two channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcm {
    /// Samples, interleaved when there are two channels (left first).
    pub samples: Vec<i16>,
    /// Sample rate in Hz.
    pub rate_hz: u32,
    /// 1 (mono) or 2 (stereo).
    pub channels: u8,
}

impl Pcm {
    /// How many samples each channel holds.
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels.max(1))
    }

    /// How long it sounds, in RTP ticks of Opus.
    pub fn ticks(&self) -> u64 {
        feed::ticks_of(self.frames() as u64, self.rate_hz)
    }

    /// How long it sounds.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.frames() as f64 / f64::from(self.rate_hz.max(1)))
    }
}

/// Why audio could not be set up, decoded or encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioError {
    /// The sample rate is outside what this side can convert.
    Rate {
        /// The rate that was asked for.
        rate_hz: u32,
        /// What would have been accepted.
        accepted: &'static str,
    },
    /// Neither mono nor stereo.
    Channels {
        /// The number of channels that was asked for.
        channels: u8,
    },
    /// The number of samples is not a multiple of the number of channels.
    Interleaving {
        /// How many samples came.
        samples: usize,
        /// For how many channels.
        channels: u8,
    },
    /// libopus refused; for a decoder this means a corrupt packet.
    Opus {
        /// The libopus function that failed.
        operation: &'static str,
        /// Its return code (`OPUS_BAD_ARG` is -1, `OPUS_INVALID_PACKET` -4, and so on).
        code: i32,
        /// libopus' own words for the code.
        message: String,
    },
    /// The resampler could not be built or refused a block.
    Resampler {
        /// Rate of its input in Hz.
        from_hz: u32,
        /// Rate of its output in Hz.
        to_hz: u32,
        /// rubato's own words.
        message: String,
    },
}

impl fmt::Display for AudioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { rate_hz, accepted } => {
                write!(
                    f,
                    "sample rate {rate_hz} Hz is not supported: use {accepted}"
                )
            }
            Self::Channels { channels } => {
                write!(
                    f,
                    "{channels} channels are not supported: use 1 (mono) or 2 (stereo)"
                )
            }
            Self::Interleaving { samples, channels } => write!(
                f,
                "{samples} samples do not divide into {channels} channels: \
                 pass interleaved samples, one per channel for each instant"
            ),
            Self::Opus {
                operation,
                code,
                message,
            } => {
                write!(f, "{operation} failed with code {code}: {message}")
            }
            Self::Resampler {
                from_hz,
                to_hz,
                message,
            } => {
                write!(
                    f,
                    "cannot resample from {from_hz} Hz to {to_hz} Hz: {message}"
                )
            }
        }
    }
}

impl std::error::Error for AudioError {}

/// Refuses everything but mono and stereo.
fn check_channels(channels: u8) -> Result<(), AudioError> {
    match channels {
        1 | 2 => Ok(()),
        _ => Err(AudioError::Channels { channels }),
    }
}
