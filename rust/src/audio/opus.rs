//! Safe wrappers over the bundled libopus: the one file of this room that contains `unsafe`.
//!
//! It knows about packets and PCM of one call, nothing about time, order or loss. Every failure of
//! libopus becomes [`AudioError::Opus`]; a corrupt packet is such a failure and nothing worse.

use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};

use opusic_sys as sys;

use super::{AudioError, check_channels};

/// The longest packet that Opus allows, 120 ms, in samples per channel at 48 kHz.
pub const MAX_PACKET_TICKS: usize = 5_760;

/// Rates at which Opus codes and decodes without a resampler of ours.
pub const NATIVE_RATES_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// Whether Opus runs at this rate itself.
pub fn is_native_rate(rate_hz: u32) -> bool {
    NATIVE_RATES_HZ.contains(&rate_hz)
}

fn failure(operation: &'static str, code: c_int) -> AudioError {
    // SAFETY: `opus_strerror` takes any integer and returns a pointer to a static,
    // NUL-terminated string.
    let message = unsafe { CStr::from_ptr(sys::opus_strerror(code)) };
    AudioError::Opus {
        operation,
        code,
        message: message.to_string_lossy().into_owned(),
    }
}

fn check(operation: &'static str, code: c_int) -> Result<usize, AudioError> {
    usize::try_from(code).map_err(|_| failure(operation, code))
}

/// A length as libopus takes it; what does not fit is longer than libopus accepts anyway.
fn c_len(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}

fn native_rate(rate_hz: u32) -> Result<c_int, AudioError> {
    if is_native_rate(rate_hz) {
        Ok(rate_hz as c_int)
    } else {
        Err(AudioError::Rate {
            rate_hz,
            accepted: "8000, 12000, 16000, 24000 or 48000 Hz",
        })
    }
}

/// Duration of a packet in 48 kHz ticks; an error when its framing is not valid Opus.
pub fn packet_ticks(packet: &[u8]) -> Result<u32, AudioError> {
    if packet.is_empty() {
        return Err(failure(
            "opus_packet_get_nb_samples",
            sys::OPUS_INVALID_PACKET,
        ));
    }
    // SAFETY: the pointer and the length describe the same live, non-empty slice, and the function
    // only reads within it.
    let code =
        unsafe { sys::opus_packet_get_nb_samples(packet.as_ptr(), c_len(packet.len()), 48_000) };
    check("opus_packet_get_nb_samples", code).map(|ticks| ticks as u32)
}

/// How many 48 kHz ticks before this packet its in-band FEC describes; 0 when it carries none.
pub fn fec_ticks(packet: &[u8]) -> u32 {
    if packet.is_empty() {
        return 0;
    }
    // SAFETY: the pointer and the length describe the same live, non-empty slice, and both functions
    // only read within it (the second one reads only the first byte).
    let (has_fec, ticks) = unsafe {
        (
            sys::opus_packet_has_lbrr(packet.as_ptr(), c_len(packet.len())),
            sys::opus_packet_get_samples_per_frame(packet.as_ptr(), 48_000),
        )
    };
    if has_fec == 1 { ticks.max(0) as u32 } else { 0 }
}

/// Whether a packet was coded by CELT alone (as opposed to SILK or hybrid), by its first byte
/// (RFC 6716, section 3.1).
pub fn is_celt(packet: &[u8]) -> bool {
    packet.first().is_some_and(|toc| toc & 0x80 != 0)
}

/// One Opus decoder, for one stream of packets.
pub struct Decoder {
    state: NonNull<sys::OpusDecoder>,
    channels: usize,
}

// SAFETY: libopus keeps all of a decoder's state behind this pointer, which we own alone; it has no
// thread affinity, and `&mut self` on every call keeps calls from overlapping.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder that yields PCM at `rate_hz` (one of [`NATIVE_RATES_HZ`]) with 1 or 2 channels,
    /// whatever the packets were coded from.
    pub fn new(rate_hz: u32, channels: u8) -> Result<Self, AudioError> {
        check_channels(channels)?;
        let mut code = sys::OPUS_OK;
        // SAFETY: rate and channels were checked, and `code` outlives the call.
        let state = unsafe {
            sys::opus_decoder_create(native_rate(rate_hz)?, c_int::from(channels), &mut code)
        };
        match NonNull::new(state) {
            Some(state) if code == sys::OPUS_OK => Ok(Self {
                state,
                channels: usize::from(channels),
            }),
            _ => Err(failure("opus_decoder_create", code)),
        }
    }

    /// Decodes a packet into `out`; returns the samples per channel.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, AudioError> {
        if packet.is_empty() {
            // libopus would take an empty packet as a request for concealment.
            return Err(failure("opus_decode", sys::OPUS_INVALID_PACKET));
        }
        self.call(packet, out, false)
    }

    /// Decodes what `next` remembers of the packet before it, filling all of `out`, whose length
    /// must be what [`fec_ticks`] of `next` says.
    pub fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> Result<usize, AudioError> {
        self.call(next, out, true)
    }

    /// Invents a continuation of what was decoded last, filling all of `out`: a multiple of 2.5 ms.
    pub fn conceal(&mut self, out: &mut [i16]) -> Result<usize, AudioError> {
        self.call(&[], out, false)
    }

    /// Forgets the past, for a stream that starts anew.
    pub fn reset(&mut self) {
        // SAFETY: the state is valid until drop, and this request takes no further argument.
        unsafe { sys::opus_decoder_ctl(self.state.as_ptr(), sys::OPUS_RESET_STATE) };
    }

    fn call(&mut self, packet: &[u8], out: &mut [i16], fec: bool) -> Result<usize, AudioError> {
        let data = if packet.is_empty() {
            ptr::null()
        } else {
            packet.as_ptr()
        };
        let frames = c_len(out.len() / self.channels);
        // SAFETY: the state is valid until drop; `data` is null with length 0, which libopus takes
        // for a lost packet, or covers a live slice; libopus writes at most `frames` samples per
        // channel, which `out` holds.
        let code = unsafe {
            sys::opus_decode(
                self.state.as_ptr(),
                data,
                c_len(packet.len()),
                out.as_mut_ptr(),
                frames,
                c_int::from(fec),
            )
        };
        check("opus_decode", code)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: created by `opus_decoder_create`, and dropped once.
        unsafe { sys::opus_decoder_destroy(self.state.as_ptr()) };
    }
}

/// What an encoder is told about its input and its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// CELT: cheap, full band, no protection against loss.
    Clean,
    /// SILK or hybrid, each packet carrying a coarse copy of the one before it.
    Lossy {
        /// Expected loss in percent, which decides how good the copies are.
        loss_percent: u8,
    },
}

/// One Opus encoder (application AUDIO, VBR), for one stream of frames.
pub struct Encoder {
    state: NonNull<sys::OpusEncoder>,
    channels: usize,
    mode: Mode,
    effort: Effort,
}

// SAFETY: as for `Decoder`: the state is ours alone, has no thread affinity, and is reached only
// through `&mut self`.
unsafe impl Send for Encoder {}

/// How much an encoder may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// The lowest complexity at which CELT still looks for attacks. Five costs half as much again
    /// and gains 0.4 dB; SILK here takes half the time of the next one and loses 0.7 dB.
    #[default]
    Normal,
    /// A fifth cheaper. Attacks are smeared over 20 ms: noise before a click is at -25 dB instead of
    /// -64, before a syllable at -20 dB instead of -24. For a machine that would otherwise be late.
    Least,
}

impl Effort {
    /// Of 0 to 10.
    fn complexity(self) -> c_int {
        match self {
            Self::Normal => 1,
            Self::Least => 0,
        }
    }
}

impl Encoder {
    /// An encoder in [`Mode::Clean`] for PCM at `rate_hz` (one of [`NATIVE_RATES_HZ`]).
    pub fn new(rate_hz: u32, channels: u8, bitrate_bps: u32) -> Result<Self, AudioError> {
        check_channels(channels)?;
        let mut code = sys::OPUS_OK;
        // SAFETY: rate and channels were checked, and `code` outlives the call.
        let state = unsafe {
            sys::opus_encoder_create(
                native_rate(rate_hz)?,
                c_int::from(channels),
                sys::OPUS_APPLICATION_AUDIO,
                &mut code,
            )
        };
        let mut encoder = match NonNull::new(state) {
            Some(state) if code == sys::OPUS_OK => Self {
                state,
                channels: usize::from(channels),
                mode: Mode::Clean,
                effort: Effort::Normal,
            },
            _ => return Err(failure("opus_encoder_create", code)),
        };
        encoder.set(sys::OPUS_SET_BITRATE_REQUEST, bitrate_bps as c_int)?;
        encoder.set(sys::OPUS_SET_VBR_REQUEST, 1)?;
        encoder.set(
            sys::OPUS_SET_COMPLEXITY_REQUEST,
            Effort::Normal.complexity(),
        )?;
        encoder.set_mode(Mode::Clean)?;
        Ok(encoder)
    }

    /// The mode that was set last.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Changes the mode from the next packet on; the decoder follows without a gap.
    pub fn set_mode(&mut self, mode: Mode) -> Result<(), AudioError> {
        let (fec, loss_percent, signal) = match mode {
            Mode::Clean => (0, 0, sys::OPUS_SIGNAL_MUSIC),
            Mode::Lossy { loss_percent } => (
                1,
                c_int::from(loss_percent.min(100)),
                sys::OPUS_SIGNAL_VOICE,
            ),
        };
        self.set(sys::OPUS_SET_INBAND_FEC_REQUEST, fec)?;
        self.set(sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST, loss_percent)?;
        self.set(sys::OPUS_SET_SIGNAL_REQUEST, signal)?;
        self.mode = mode;
        Ok(())
    }

    /// Changes the effort from the next packet on.
    pub fn set_effort(&mut self, effort: Effort) -> Result<(), AudioError> {
        if effort != self.effort {
            self.set(sys::OPUS_SET_COMPLEXITY_REQUEST, effort.complexity())?;
            self.effort = effort;
        }
        Ok(())
    }

    /// Encodes one frame of interleaved PCM (2.5, 5, 10, 20, 40 or 60 ms) into `out`; returns the
    /// length of the packet.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, AudioError> {
        let frames = c_len(pcm.len() / self.channels);
        // SAFETY: the state is valid until drop; libopus reads `frames` samples per channel, which
        // `pcm` holds, and writes at most `out.len()` bytes.
        let code = unsafe {
            sys::opus_encode(
                self.state.as_ptr(),
                pcm.as_ptr(),
                frames,
                out.as_mut_ptr(),
                c_len(out.len()),
            )
        };
        check("opus_encode", code)
    }

    fn set(&mut self, request: c_int, value: c_int) -> Result<(), AudioError> {
        // SAFETY: the state is valid until drop; every request passed here is one of the
        // `OPUS_SET_*` that take exactly one `opus_int32` by value.
        let code = unsafe { sys::opus_encoder_ctl(self.state.as_ptr(), request, value) };
        check("opus_encoder_ctl", code).map(|_| ())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: created by `opus_encoder_create`, and dropped once.
        unsafe { sys::opus_encoder_destroy(self.state.as_ptr()) };
    }
}
