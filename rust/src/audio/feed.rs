//! The queue of PCM that the user wants played, cut into frames of 20 ms at a rate Opus runs at.
//!
//! It accepts any rate and any length, downmixes where stereo is not wanted, resamples piece by
//! piece (never a whole reply at once), and keeps account of how much of a frame is the user's
//! audio. It knows nothing of time or codecs; when to take a frame is [`outbound`](super::outbound)'s business.

use std::collections::VecDeque;

use super::opus::is_native_rate;
use super::resample::{RATE_RANGE_HZ, Resampler};
use super::{AudioError, FRAME_TICKS, Pcm, TICKS_PER_S, check_channels};

/// Rate and layout of frames: what an encoder is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// A rate that Opus runs at, in Hz.
    pub rate_hz: u32,
    /// 1 or 2.
    pub channels: u8,
}

impl Format {
    /// Interleaved samples of a 20 ms frame.
    pub fn frame_samples(self) -> usize {
        self.rate_hz as usize / 50 * usize::from(self.channels)
    }
}

/// How much there is for the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// A whole frame, or the end of audio that cannot be continued (the next has another format).
    Frame,
    /// Less than a frame.
    Partial,
    /// Nothing, or only what a resampler holds back for its filter.
    Empty,
}

/// Audio of one source format on its way to frames.
struct Lane {
    source_hz: u32,
    format: Format,
    resampler: Option<Resampler>,
    /// Samples ready for frames, interleaved.
    staged: Vec<i16>,
    /// Samples per channel that came in, at the source's rate, and ticks of them that went out.
    frames_in: u64,
    ticks_out: u64,
}

impl Lane {
    fn new(source_hz: u32, channels: u8) -> Result<Self, AudioError> {
        let (rate_hz, resampler) = if is_native_rate(source_hz) {
            (source_hz, None)
        } else {
            (
                TICKS_PER_S,
                Some(Resampler::new(source_hz, TICKS_PER_S, channels)?),
            )
        };
        Ok(Self {
            source_hz,
            format: Format { rate_hz, channels },
            resampler,
            staged: Vec::with_capacity(2 * rate_hz as usize / 50 * usize::from(channels)),
            frames_in: 0,
            ticks_out: 0,
        })
    }

    fn accepts(&self, pcm: &Pcm) -> bool {
        self.source_hz == pcm.rate_hz && self.format.channels == pcm.channels
    }

    fn is_full(&self) -> bool {
        self.staged.len() >= self.format.frame_samples()
    }

    /// The user's ticks inside.
    fn ticks_left(&self) -> u64 {
        ticks_of(self.frames_in, self.source_hz).saturating_sub(self.ticks_out)
    }

    fn holds_tail(&self) -> bool {
        self.resampler
            .as_ref()
            .is_some_and(|resampler| resampler.owed_frames() > 0)
    }

    fn take_in(&mut self, samples: &[i16]) {
        self.frames_in += (samples.len() / usize::from(self.format.channels)) as u64;
        match &mut self.resampler {
            None => self.staged.extend_from_slice(samples),
            Some(resampler) => resampler.push(samples, &mut self.staged),
        }
    }

    fn flush(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.flush(&mut self.staged);
        }
    }

    /// Moves up to a frame, padded with silence, to `frame`; returns the user's ticks in it.
    fn give_out(&mut self, frame: &mut Vec<i16>) -> u32 {
        let length = self.format.frame_samples();
        let taken = self.staged.len().min(length);
        frame.clear();
        frame.extend(self.staged.drain(..taken));
        frame.resize(length, 0);
        let ticks = self.ticks_left().min(u64::from(FRAME_TICKS)) as u32;
        self.ticks_out += u64::from(ticks);
        if self.staged.is_empty() && !self.holds_tail() {
            // Nothing is inside, so a rounding of rates must not remain either.
            self.frames_in = 0;
            self.ticks_out = 0;
        }
        ticks
    }

    fn clear(&mut self) {
        self.staged.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
        self.frames_in = 0;
        self.ticks_out = 0;
    }
}

/// The queue; see the module.
pub struct Feed {
    max_channels: u8,
    chunks: VecDeque<Pcm>,
    /// Interleaved samples of the first chunk that were taken already.
    taken: usize,
    lane: Option<Lane>,
}

impl Feed {
    /// A queue whose frames have at most `max_channels` (1 or 2).
    pub fn new(max_channels: u8) -> Result<Self, AudioError> {
        check_channels(max_channels)?;
        Ok(Self {
            max_channels,
            chunks: VecDeque::new(),
            taken: 0,
            lane: None,
        })
    }

    /// Queues audio of any rate in [`RATE_RANGE_HZ`] and any length.
    pub fn push(&mut self, mut pcm: Pcm) -> Result<(), AudioError> {
        check_channels(pcm.channels)?;
        if !RATE_RANGE_HZ.contains(&pcm.rate_hz) {
            let accepted = "4000 to 384000 Hz";
            return Err(AudioError::Rate {
                rate_hz: pcm.rate_hz,
                accepted,
            });
        }
        if !pcm.samples.len().is_multiple_of(usize::from(pcm.channels)) {
            let samples = pcm.samples.len();
            return Err(AudioError::Interleaving {
                samples,
                channels: pcm.channels,
            });
        }
        if pcm.samples.is_empty() {
            return Ok(());
        }
        if pcm.channels > self.max_channels {
            downmix(&mut pcm);
        }
        if self.lane.is_none() {
            self.lane = Some(Lane::new(pcm.rate_hz, pcm.channels)?);
        }
        self.chunks.push_back(pcm);
        self.refill();
        Ok(())
    }

    /// Drops everything that was not taken, a resampler's tail included.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.taken = 0;
        if let Some(lane) = &mut self.lane {
            lane.clear();
        }
    }

    /// What a frame taken now would hold.
    pub fn supply(&self) -> Supply {
        match &self.lane {
            Some(lane) if lane.is_full() || !self.chunks.is_empty() => Supply::Frame,
            Some(lane) if !lane.staged.is_empty() => Supply::Partial,
            _ => Supply::Empty,
        }
    }

    /// Whether anything at all is left of the user's audio.
    pub fn is_drained(&self) -> bool {
        self.chunks.is_empty()
            && self
                .lane
                .as_ref()
                .is_none_or(|lane| lane.staged.is_empty() && !lane.holds_tail())
    }

    /// The format of the next frame; `None` before the first push.
    pub fn format(&self) -> Option<Format> {
        self.lane.as_ref().map(|lane| lane.format)
    }

    /// Writes the next frame to `frame`, padded with silence if there is too little; returns how
    /// many ticks of it are the user's.
    pub fn take(&mut self, frame: &mut Vec<i16>) -> u32 {
        let Some(lane) = &mut self.lane else {
            frame.clear();
            return 0;
        };
        if !lane.is_full() {
            lane.flush();
        }
        let ticks = lane.give_out(frame);
        self.refill();
        ticks
    }

    /// Ticks of the user's audio that were not taken yet.
    pub fn queued_ticks(&self) -> u64 {
        let queued: u64 = self.chunks.iter().map(Pcm::ticks).sum();
        let taken = self.chunks.front().map_or(0, |pcm| {
            ticks_of((self.taken / usize::from(pcm.channels)) as u64, pcm.rate_hz)
        });
        queued - taken + self.lane.as_ref().map_or(0, Lane::ticks_left)
    }

    /// Stages audio up to a full frame. Afterwards a frame is staged, or chunks of another format
    /// follow, or the queue is empty.
    fn refill(&mut self) {
        while let (Some(pcm), Some(lane)) = (self.chunks.front(), &mut self.lane) {
            if lane.is_full() {
                return;
            }
            if !lane.accepts(pcm) {
                if lane.holds_tail() {
                    lane.flush();
                    continue;
                }
                if !lane.staged.is_empty() {
                    return;
                }
                match Lane::new(pcm.rate_hz, pcm.channels) {
                    Ok(next) => *lane = next,
                    // Rate and channels were checked on the way in.
                    Err(error) => unreachable!("a checked format was refused: {error}"),
                }
                continue;
            }
            let rest = &pcm.samples[self.taken..];
            let channels = usize::from(pcm.channels);
            let wanted = match lane.resampler {
                None => lane.format.frame_samples() - lane.staged.len(),
                Some(_) => (pcm.rate_hz as usize).div_ceil(100) * channels,
            };
            let moved = wanted.min(rest.len());
            lane.take_in(&rest[..moved]);
            self.taken += moved;
            if self.taken == pcm.samples.len() {
                self.chunks.pop_front();
                self.taken = 0;
            }
        }
    }
}

/// Time in RTP ticks of Opus, rounded.
pub(super) fn ticks_of(frames: u64, rate_hz: u32) -> u64 {
    (frames * u64::from(TICKS_PER_S) + u64::from(rate_hz) / 2) / u64::from(rate_hz)
}

fn downmix(pcm: &mut Pcm) {
    for at in 0..pcm.samples.len() / 2 {
        let pair = i32::from(pcm.samples[2 * at]) + i32::from(pcm.samples[2 * at + 1]);
        pcm.samples[at] = (pair >> 1) as i16;
    }
    pcm.samples.truncate(pcm.samples.len() / 2);
    pcm.channels = 1;
}
