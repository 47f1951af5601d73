//! Streaming change of sample rate, mono or stereo, over `rubato`.
//!
//! Audio goes in and comes out in pieces of any length. Inside, it travels in blocks, and the
//! filter delays it by half a block, which stands as silence before the first sample. A block is
//! about 10 ms (at most 20) and divides 20 ms for every pair of rates that are multiples of 50 Hz:
//! then 20 ms in give exactly 20 ms out at once, and the only delay is the filter's
//! ([`Resampler::delay_ms`], 5 ms or less for the usual rates). Other pairs of rates wait for a full block too.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, Fft, FixedAsync, FixedSync, SincInterpolationParameters, WindowFunction};

use super::{AudioError, check_channels};

/// Blocks aim at this many per second: 10 ms each, hence 5 ms of filter delay.
const BLOCKS_PER_S: u32 = 100;

/// Taps of the filter for pairs of rates that have no common block within 20 ms.
const SINC_TAPS: usize = 128;

/// The lowest and the highest rate accepted on either side, in Hz.
pub const RATE_RANGE_HZ: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Converts one stream from one rate to another.
pub struct Resampler {
    inner: Box<dyn rubato::Resampler<f32>>,
    channels: usize,
    ratio: f64,
    to_hz: u32,
    /// Input that does not yet fill a block, interleaved.
    pending: Vec<f32>,
    /// One block of output, interleaved.
    block: Vec<f32>,
    /// Samples per channel taken in and given out since the start or the last flush.
    frames_in: u64,
    frames_out: u64,
}

impl Resampler {
    /// A resampler for interleaved audio of 1 or 2 channels.
    pub fn new(from_hz: u32, to_hz: u32, channels: u8) -> Result<Self, AudioError> {
        check_channels(channels)?;
        for rate_hz in [from_hz, to_hz] {
            if !RATE_RANGE_HZ.contains(&rate_hz) {
                return Err(AudioError::Rate {
                    rate_hz,
                    accepted: "4000 to 384000 Hz",
                });
            }
        }
        let refused = |error: rubato::ResamplerConstructionError| AudioError::Resampler {
            from_hz,
            to_hz,
            message: error.to_string(),
        };
        let channels = usize::from(channels);
        let ratio = f64::from(to_hz) / f64::from(from_hz);
        let inner: Box<dyn rubato::Resampler<f32>> = match block_frames(from_hz, to_hz) {
            Some(frames) => Box::new(
                Fft::new_custom(
                    from_hz as usize,
                    to_hz as usize,
                    frames,
                    1,
                    channels,
                    WindowFunction::BlackmanHarris2,
                    FixedSync::Both,
                )
                .map_err(refused)?,
            ),
            None => Box::new(
                Async::new_sinc(
                    ratio,
                    1.0,
                    &SincInterpolationParameters::new(SINC_TAPS, WindowFunction::BlackmanHarris2),
                    (from_hz / BLOCKS_PER_S) as usize,
                    channels,
                    FixedAsync::Input,
                )
                .map_err(refused)?,
            ),
        };
        Ok(Self {
            block: vec![0.0; inner.output_frames_max() * channels],
            inner,
            channels,
            ratio,
            to_hz,
            pending: Vec::new(),
            frames_in: 0,
            frames_out: 0,
        })
    }

    /// The delay of the filter in milliseconds, without the wait for a full block.
    pub fn delay_ms(&self) -> f64 {
        self.inner.output_delay() as f64 * 1e3 / f64::from(self.to_hz)
    }

    /// Output samples per channel that [`flush`](Self::flush) would give: the end of the input,
    /// still inside.
    pub fn owed_frames(&self) -> u64 {
        self.frames_due().saturating_sub(self.frames_out)
    }

    /// Takes interleaved `input` and appends what is ready to `out`.
    pub fn push(&mut self, input: &[i16], out: &mut Vec<i16>) {
        self.frames_in += (input.len() / self.channels) as u64;
        self.pending
            .extend(input.iter().map(|&sample| f32::from(sample)));
        self.run(out, u64::MAX);
    }

    /// Appends everything that is still owed to `out` and starts anew, as if nothing had been heard.
    pub fn flush(&mut self, out: &mut Vec<i16>) {
        let due = self.frames_due();
        while self.frames_out < due {
            let short = self.inner.input_frames_next() * self.channels;
            self.pending.resize(self.pending.len().max(short), 0.0);
            self.run(out, due);
        }
        self.reset();
    }

    /// Forgets everything that has not come out.
    pub fn reset(&mut self) {
        self.inner.reset();
        self.pending.clear();
        self.frames_in = 0;
        self.frames_out = 0;
    }

    fn frames_due(&self) -> u64 {
        if self.frames_in == 0 {
            return 0;
        }
        (self.frames_in as f64 * self.ratio).round() as u64 + self.inner.output_delay() as u64
    }

    /// Converts the full blocks of `pending`, giving out no more than `limit` frames in all.
    fn run(&mut self, out: &mut Vec<i16>, limit: u64) {
        let mut start = 0;
        loop {
            let needed = self.inner.input_frames_next();
            let end = start + needed * self.channels;
            if end > self.pending.len() {
                break;
            }
            let made = self.convert(start, end, needed);
            start = end;
            let kept = made.min(usize::try_from(limit - self.frames_out).unwrap_or(usize::MAX));
            let samples = &self.block[..kept * self.channels];
            out.extend(samples.iter().map(|&sample| to_i16(sample)));
            self.frames_out += kept as u64;
        }
        self.pending.drain(..start);
    }

    /// Converts one block into `self.block`; returns its samples per channel.
    fn convert(&mut self, start: usize, end: usize, frames: usize) -> usize {
        let room = self.block.len() / self.channels;
        let made = InterleavedSlice::new(&self.pending[start..end], self.channels, frames)
            .and_then(|input| {
                let output = InterleavedSlice::new_mut(&mut self.block, self.channels, room)?;
                Ok((input, output))
            })
            .map(|(input, mut output)| self.inner.process_into_buffer(&input, &mut output, None));
        match made {
            Ok(Ok((_, made))) => made,
            // Both buffers are sized by what rubato itself asks for.
            refused => unreachable!("rubato refused buffers of its own size: {refused:?}"),
        }
    }
}

/// The block, in input frames, that is a whole number of frames on both sides, divides 20 ms if it
/// can and comes closest to 10 ms from below; `None` when even the smallest exceeds 20 ms.
fn block_frames(from_hz: u32, to_hz: u32) -> Option<usize> {
    let unit = from_hz / gcd(from_hz, to_hz);
    let longest = from_hz / 50;
    if unit > longest {
        return None;
    }
    let target = from_hz / BLOCKS_PER_S;
    let units = (target / unit).max(1);
    let dividing = (1..=units)
        .rev()
        .find(|units| longest.is_multiple_of(units * unit));
    // A block below a quarter of the target would filter too bluntly.
    let frames = dividing
        .map(|units| units * unit)
        .filter(|frames| frames * 4 >= target);
    Some(frames.unwrap_or(units * unit) as usize)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn to_i16(sample: f32) -> i16 {
    // `as` saturates, so a filter's overshoot clips instead of wrapping.
    sample.round_ties_even() as i16
}
