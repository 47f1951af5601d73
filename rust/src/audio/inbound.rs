//! RTP packets of one Opus track to PCM at the handler's rate and layout.
//!
//! The order comes from [`JitterBuffer`]; this file keeps the timeline: every sample's RTP time
//! follows the one before. Missing time is filled from in-band FEC, then by concealment, then by
//! silence, and only an outage is cut short. It must not wait for anything itself.

use std::sync::Arc;
use std::time::Instant;

use super::jitter::{JitterBuffer, Packet, Step};
use super::opus::{self, Decoder, MAX_PACKET_TICKS};
use super::resample::{RATE_RANGE_HZ, Resampler};
use super::{AudioError, FRAME_TICKS, Pcm, TICKS_PER_S, check_channels};

/// The most concealment of one gap; Opus has faded to nothing by then.
const MAX_CONCEALED_TICKS: u64 = TICKS_PER_S as u64 * 120 / 1_000;

/// The most time of one gap that is filled although nothing was lost (DTX); the rest is skipped.
const MAX_SILENCE_TICKS: u64 = TICKS_PER_S as u64;

/// The most lost time of one gap that is filled; the rest is skipped. What is filled in comes all at
/// once, after the gap: a handler that answers in real time is late by it, and
/// [`Outbound`](super::Outbound) makes up for no more at once.
const MAX_FILLED_TICKS: u64 = TICKS_PER_S as u64 * 200 / 1_000;

/// A loss beyond this is an outage; nothing of it is filled.
const OUTAGE_TICKS: u64 = TICKS_PER_S as u64;

/// A jump of the timestamps beyond this is a new timeline, not a gap.
const MAX_GAP_TICKS: u64 = TICKS_PER_S as u64 * 60;

/// libopus conceals in units of 2.5 ms.
const CONCEAL_UNIT_TICKS: u64 = TICKS_PER_S as u64 / 400;

/// What the handler wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundConfig {
    /// Sample rate in Hz; exact 20 ms frames need a multiple of 50.
    pub rate_hz: u32,
    /// 1 (mono) or 2 (stereo), whatever the packets carry.
    pub channels: u8,
}

/// Where the samples of a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The packet itself.
    Decoded,
    /// A lost packet, from the coarse copy in the packet after it.
    Fec,
    /// A lost or corrupt packet, invented from what came before.
    Concealed,
    /// Time that the sender did not transmit (DTX), or a loss too long to conceal.
    Silence,
}

/// Some milliseconds of audio, following the frame before it without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundFrame {
    /// The samples.
    pub pcm: Pcm,
    /// Where they came from.
    pub origin: Origin,
    /// Extended RTP time of their beginning, in ticks (the resampler's delay not counted).
    pub rtp_time: u64,
}

/// Counters since the track began, and the estimates of now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InboundStats {
    /// Packets taken in.
    pub received: u64,
    /// Packets given up.
    pub lost: u64,
    /// Packets that arrived after they had been given up.
    pub late: u64,
    /// Packets that had arrived before.
    pub duplicated: u64,
    /// Lost packets recovered from in-band FEC.
    pub recovered_fec: u64,
    /// Ticks that were concealed.
    pub concealed_samples_48k: u64,
    /// Ticks of silence put in for DTX and for losses too long to conceal.
    pub silence_samples_48k: u64,
    /// Ticks of outages and long pauses that were skipped.
    pub skipped_samples_48k: u64,
    /// Packets that Opus could not decode.
    pub decode_errors: u64,
    /// How often the stream or its timeline began anew.
    pub restarts: u64,
    /// Interarrival jitter (RFC 3550) in milliseconds.
    pub jitter_ms: f64,
    /// How long a gap is held open for reordered packets, in milliseconds.
    pub reorder_wait_ms: f64,
    /// The constant delay of the change of sample rate, in milliseconds; 0 where Opus does it.
    pub resampler_delay_ms: f64,
}

/// Missing time that is being filled, in ticks, before the packet that ended the gap.
#[derive(Default)]
struct Filling {
    concealed: u64,
    silence: u64,
    fec: u64,
}

/// One inbound audio track; see the module.
///
/// After each [`push`](Self::push), and at [`timeout`](Self::timeout), call [`poll`](Self::poll)
/// until `None`.
pub struct Inbound {
    config: InboundConfig,
    order: JitterBuffer,
    decoder: Decoder,
    decoder_hz: u32,
    resampler: Option<Resampler>,
    /// Room for the longest packet at the decoder's rate.
    decoded: Vec<i16>,
    /// The RTP time at which the next frame begins, once there was one.
    timeline: Option<u64>,
    /// Duration of the last packet: the best guess for one that is missing.
    packet_ticks: u32,
    last_was_celt: bool,
    lost_before_next: u64,
    filling: Filling,
    ready: Option<Packet>,
    latest_arrival: Option<Instant>,
    stats: InboundStats,
}

impl Inbound {
    /// A track for a handler that wants `config`.
    pub fn new(config: InboundConfig) -> Result<Self, AudioError> {
        check_channels(config.channels)?;
        let (decoder_hz, resampler) = if opus::is_native_rate(config.rate_hz) {
            (config.rate_hz, None)
        } else if RATE_RANGE_HZ.contains(&config.rate_hz) {
            let resampler = Resampler::new(TICKS_PER_S, config.rate_hz, config.channels)?;
            (TICKS_PER_S, Some(resampler))
        } else {
            let accepted = "4000 to 384000 Hz";
            return Err(AudioError::Rate {
                rate_hz: config.rate_hz,
                accepted,
            });
        };
        let channels = usize::from(config.channels);
        Ok(Self {
            config,
            order: JitterBuffer::default(),
            decoder: Decoder::new(decoder_hz, config.channels)?,
            decoder_hz,
            resampler,
            decoded: vec![0; MAX_PACKET_TICKS * channels * decoder_hz as usize / 48_000],
            timeline: None,
            packet_ticks: FRAME_TICKS,
            last_was_celt: true,
            lost_before_next: 0,
            filling: Filling::default(),
            ready: None,
            latest_arrival: None,
            stats: InboundStats::default(),
        })
    }

    /// Takes in a packet: extended sequence number, extended RTP time in ticks, Opus payload.
    pub fn push(&mut self, seq: u64, rtp_time: u64, payload: Arc<[u8]>, arrival: Instant) {
        self.latest_arrival = Some(arrival);
        self.order.push(Packet {
            seq,
            rtp_time,
            payload,
            arrival,
        });
    }

    /// The next frame that is ready at `now`.
    pub fn poll(&mut self, now: Instant) -> Option<InboundFrame> {
        loop {
            let frame = match self.fill() {
                Some(frame) => Some(frame),
                None => match self.ready.take() {
                    Some(packet) => self.play(&packet),
                    None => {
                        self.advance(now)?;
                        None
                    }
                },
            };
            // A resampler may keep a short frame for the next one.
            if let Some(frame) = frame.filter(|frame| !frame.pcm.samples.is_empty()) {
                return Some(frame);
            }
        }
    }

    /// When [`poll`](Self::poll) wants to be called without a new packet; `None` if never.
    pub fn timeout(&self) -> Option<Instant> {
        self.order.timeout()
    }

    /// Counters and estimates.
    pub fn stats(&self) -> InboundStats {
        let order = self.order.counters();
        let wait = self
            .latest_arrival
            .map(|at| self.order.reorder_wait(at))
            .unwrap_or_default();
        InboundStats {
            received: order.received,
            lost: order.lost,
            late: order.late,
            duplicated: order.duplicated,
            restarts: order.restarts + self.stats.restarts,
            jitter_ms: self.order.jitter_ms(),
            reorder_wait_ms: wait.as_secs_f64() * 1e3,
            resampler_delay_ms: self.resampler.as_ref().map_or(0.0, Resampler::delay_ms),
            ..self.stats
        }
    }

    /// Takes one step in the packets' order; `None` when there is none to take now.
    fn advance(&mut self, now: Instant) -> Option<()> {
        match self.order.next(now)? {
            Step::Restart => self.begin_timeline(),
            Step::Lost(packets) => self.lost_before_next += packets,
            // A packet without a payload takes no time, it only fills a sequence number.
            Step::Packet(packet) if packet.payload.is_empty() => {}
            Step::Packet(packet) => {
                self.plan(&packet);
                self.ready = Some(packet);
            }
        }
        Some(())
    }

    fn begin_timeline(&mut self) {
        self.timeline = None;
        self.lost_before_next = 0;
        self.last_was_celt = true;
        self.packet_ticks = FRAME_TICKS;
        self.decoder.reset();
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
    }

    /// Decides how the time between the last frame and `packet` will be filled.
    fn plan(&mut self, packet: &Packet) {
        let lost = std::mem::take(&mut self.lost_before_next);
        let Some(expected) = self.timeline else {
            self.timeline = Some(packet.rtp_time);
            return;
        };
        let missing = match packet.rtp_time.checked_sub(expected) {
            Some(missing) if missing <= MAX_GAP_TICKS => missing,
            // Packets that overlap a little play on: the sender changed its mind about durations.
            None if expected - packet.rtp_time <= MAX_PACKET_TICKS as u64 => 0,
            _ => {
                self.stats.restarts += 1;
                self.begin_timeline();
                self.timeline = Some(packet.rtp_time);
                return;
            }
        };
        let in_lost = lost.saturating_mul(self.packet_ticks.into()).min(missing);
        let most_lost = if in_lost > OUTAGE_TICKS {
            0
        } else {
            MAX_FILLED_TICKS
        };
        let filled = in_lost.min(most_lost) + (missing - in_lost).min(MAX_SILENCE_TICKS);
        let fec = match u64::from(opus::fec_ticks(&packet.payload)) {
            ticks if lost > 0 && !self.last_was_celt && ticks <= filled => ticks,
            _ => 0,
        };
        let to_conceal = lost - u64::from(fec > 0);
        let concealed = (to_conceal.saturating_mul(self.packet_ticks.into()))
            .min(MAX_CONCEALED_TICKS)
            .min(filled - fec)
            / CONCEAL_UNIT_TICKS
            * CONCEAL_UNIT_TICKS;
        self.filling = Filling {
            concealed,
            silence: filled - fec - concealed,
            fec,
        };
        self.stats.skipped_samples_48k += missing - filled;
        self.timeline = Some(packet.rtp_time - filled.min(packet.rtp_time));
    }

    /// The next piece of missing time, if any is left.
    fn fill(&mut self) -> Option<InboundFrame> {
        if self.filling.concealed > 0 {
            let ticks = self.filling.concealed.min(self.packet_ticks.into());
            self.filling.concealed -= ticks;
            return Some(self.conceal(ticks));
        }
        if self.filling.silence > 0 {
            let ticks = self.filling.silence.min(FRAME_TICKS.into());
            self.filling.silence -= ticks;
            self.stats.silence_samples_48k += ticks;
            let samples = self.samples_of(ticks);
            self.decoded[..samples].fill(0);
            return Some(self.emit(samples, ticks, Origin::Silence));
        }
        let ticks = std::mem::take(&mut self.filling.fec);
        let packet = self.ready.as_ref().filter(|_| ticks > 0)?;
        let samples = self.samples_of(ticks);
        match self
            .decoder
            .decode_fec(&packet.payload, &mut self.decoded[..samples])
        {
            Ok(_) => {
                self.stats.recovered_fec += 1;
                Some(self.emit(samples, ticks, Origin::Fec))
            }
            Err(_) => Some(self.conceal(ticks)),
        }
    }

    /// Decodes a packet; one that Opus refuses is counted and concealed.
    fn play(&mut self, packet: &Packet) -> Option<InboundFrame> {
        let channels = usize::from(self.config.channels);
        match self.decoder.decode(&packet.payload, &mut self.decoded) {
            Ok(frames) => {
                let ticks = frames as u64 * u64::from(TICKS_PER_S / self.decoder_hz);
                self.packet_ticks = ticks as u32;
                self.last_was_celt = opus::is_celt(&packet.payload);
                Some(self.emit(frames * channels, ticks, Origin::Decoded))
            }
            Err(_) => {
                self.stats.decode_errors += 1;
                let ticks = opus::packet_ticks(&packet.payload).unwrap_or(self.packet_ticks);
                Some(self.conceal(ticks.into()))
            }
        }
    }

    fn conceal(&mut self, ticks: u64) -> InboundFrame {
        let samples = self.samples_of(ticks);
        if self.decoder.conceal(&mut self.decoded[..samples]).is_err() {
            self.decoded[..samples].fill(0);
        }
        self.stats.concealed_samples_48k += ticks;
        self.emit(samples, ticks, Origin::Concealed)
    }

    /// Interleaved samples at the decoder's rate for a time in ticks.
    fn samples_of(&self, ticks: u64) -> usize {
        ticks as usize / (TICKS_PER_S / self.decoder_hz) as usize
            * usize::from(self.config.channels)
    }

    /// Makes a frame of the first samples of `decoded` and moves the timeline on.
    fn emit(&mut self, samples: usize, ticks: u64, origin: Origin) -> InboundFrame {
        let decoded = &self.decoded[..samples];
        let samples = match &mut self.resampler {
            None => decoded.to_vec(),
            Some(resampler) => {
                let mut resampled = Vec::with_capacity(
                    samples * self.config.rate_hz as usize / self.decoder_hz as usize
                        + usize::from(self.config.channels),
                );
                resampler.push(decoded, &mut resampled);
                resampled
            }
        };
        let rtp_time = self.timeline.unwrap_or_default();
        self.timeline = Some(rtp_time.saturating_add(ticks));
        let InboundConfig { rate_hz, channels } = self.config;
        InboundFrame {
            pcm: Pcm {
                samples,
                rate_hz,
                channels,
            },
            origin,
            rtp_time,
        }
    }
}
