//! PCM to paced Opus packets.
//!
//! Frames of 20 ms leave on ticks 20 ms apart. While there is audio the ticks do not drift and the
//! RTP time runs on without a jump; when there is none, a few packets of silence end the talk spurt
//! and then nothing is sent and nobody is woken. Loss reported by the receiver turns in-band FEC on.
//!
//! Silence is not transmitted. libopus 1.6 has DTX for CELT only on digital silence, after 200 ms,
//! so silence is detected here, at [`SILENCE_PEAK`], the same way in every mode.

use std::time::{Duration, Instant};

use super::backlog::{Backlog, Verdict};
use super::feed::{Feed, Format, Supply};
use super::opus::{Effort, Encoder, Mode};
use super::protection::Protection;
use super::{AudioError, FRAME_TICKS, Pcm};

/// The time between two ticks.
pub(super) const FRAME: Duration = Duration::from_millis(20);

/// A tick at which audio waited, missed by less than this because the machine was busy, is made up
/// for at once, as if the network had held the packets up. Otherwise each stall would delay a live
/// source for the rest of the call. A tick missed by more moves all that follow.
const MAX_TICK_DELAY: Duration = Duration::from_millis(200);

/// How long after its tick a partial frame waits for the rest.
const PARTIAL_WAIT: Duration = FRAME;

/// How long after a tick with nothing to send silence begins. A live source that is late by less
/// has its frames sent as they come, and loses nothing.
const STARVING_WAIT: Duration = Duration::from_millis(40);

/// The most slots that a source may make up for without having shown that it is a live one.
pub(super) const MAX_MISSED_SLOTS: u32 = 10;

/// Frames of a backlog that leave at one tick. A clear should still catch the rest, and other tracks
/// on the thread should not wait until all are encoded.
const RELEASED_PER_TICK: u32 = 5;

/// A frame in which no sample exceeds this (-72 dBFS) is silence.
pub const SILENCE_PEAK: u16 = 8;

/// Packets that end a talk spurt: silence, so that the receiver fades from what was there, and last
/// an empty frame, which tells it that the pause is meant and not loss.
pub const TRAILING_PACKETS: u32 = 5;

/// While the user plays silence, one packet in this many frames says that we are still here.
const REFRESH_FRAMES: u32 = 20;

/// For each channel: room for speech in full band, and for the copies that FEC adds.
const DEFAULT_BITRATE_BPS: u32 = 48_000;

/// No Opus packet of 20 ms is longer (RFC 6716, section 3.2.1, with two bytes of framing).
const MAX_PACKET_BYTES: usize = 1_277;

/// What the client can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundConfig {
    /// 1: stereo is mixed down; 2: stereo is sent as such. Mono is always sent as mono.
    pub max_channels: u8,
    /// Average bit rate; `None` means 48 kbit/s for mono and 96 kbit/s for stereo.
    pub bitrate_bps: Option<u32>,
}

/// One packet, to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundPacket {
    /// The Opus packet of 20 ms.
    pub payload: Vec<u8>,
    /// RTP time in ticks, from 0; jumps over time in which nothing was sent.
    pub rtp_time: u64,
    /// The first after a pause: RTP's marker bit.
    pub start_of_talkspurt: bool,
    /// Ticks of the user's audio that this packet accounts for: its own, and those of silent frames
    /// that were not transmitted before it. 0 for packets that only end a talk spurt.
    pub media_ticks: u32,
}

/// Counters since the track began, and what is going on now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboundStats {
    /// Packets given out.
    pub packets: u64,
    /// Their Opus payload in bytes.
    pub payload_bytes: u64,
    /// Packets of them without any of the user's audio.
    pub trailing_packets: u64,
    /// Silent frames that were not transmitted.
    pub suppressed_frames: u64,
    /// Ticks of the user's audio that were played, transmitted or not.
    pub played_ticks: u64,
    /// Ticks that came so late that the following ones moved.
    pub late_ticks: u64,
    /// Frames that Opus refused to encode.
    pub encode_errors: u64,
    /// Loss in percent that FEC protects against; 0 while it is off.
    pub protection_percent: u8,
}

/// One outbound audio track; see the module.
///
/// After each [`push`](Self::push) or [`clear`](Self::clear), and at [`timeout`](Self::timeout),
/// call [`poll`](Self::poll) until `None`.
pub struct Outbound {
    config: OutboundConfig,
    feed: Feed,
    encoder: Option<(Format, Encoder)>,
    protection: Protection,
    effort: Effort,
    frame: Vec<i16>,
    packet: Vec<u8>,
    /// First byte of the last encoded packet, from which an empty one is made.
    toc: Option<u8>,
    /// Whether a talk spurt is on, trailing silence included.
    talking: bool,
    /// When the next frame is due, once there was one.
    next_tick: Option<Instant>,
    last_poll: Option<Instant>,
    /// Until when a partial frame waits.
    partial_until: Option<Instant>,
    /// The user wants silence now: no wait before it begins.
    cleared: bool,
    /// No audio of the user was sent since he wanted silence, so the pause is meant.
    interrupted: bool,
    /// Whether trailing silence has begun.
    trailing: bool,
    /// Slots that passed without the user's audio although a talk spurt was on. As many frames may
    /// leave before their tick, so that a source that stalled is not late from then on.
    missed_slots: u32,
    /// Set when a source begins or was silent, until what it is late by was made up for.
    backlog: Option<Backlog>,
    /// Frames of the backlog that are leaving, a few at each tick.
    surplus: u32,
    /// Ticks that the source was handed since its last sound.
    heard_ticks: u64,
    /// When a slot last carried the user's audio.
    last_audio: Option<Instant>,
    /// Silent frames in a row, the user's and trailing ones.
    silent_frames: u32,
    /// Whether the next packet follows a pause.
    after_pause: bool,
    rtp_time: u64,
    unreported_ticks: u32,
    stats: OutboundStats,
}

impl Outbound {
    /// A track for a client that can take `config`.
    pub fn new(config: OutboundConfig) -> Result<Self, AudioError> {
        Ok(Self {
            config,
            feed: Feed::new(config.max_channels)?,
            encoder: None,
            protection: Protection::default(),
            effort: Effort::Normal,
            frame: Vec::new(),
            packet: vec![0; MAX_PACKET_BYTES],
            toc: None,
            talking: false,
            next_tick: None,
            last_poll: None,
            partial_until: None,
            cleared: false,
            interrupted: false,
            trailing: false,
            missed_slots: 0,
            backlog: None,
            surplus: 0,
            heard_ticks: 0,
            last_audio: None,
            silent_frames: 0,
            after_pause: true,
            rtp_time: 0,
            unreported_ticks: 0,
            stats: OutboundStats::default(),
        })
    }

    /// Queues audio of 4 to 384 kHz, mono or stereo, of any length; the caller bounds the queue.
    pub fn push(&mut self, pcm: Pcm) -> Result<(), AudioError> {
        self.feed.push(pcm)?;
        self.cleared = false;
        Ok(())
    }

    /// The source was handed `ticks` of the client's audio. If it echoes them, it comes after a silence
    /// with all that it was handed meanwhile.
    pub fn note_heard(&mut self, ticks: u64) {
        self.heard_ticks += ticks;
    }

    /// Drops what is queued; silence begins at the next tick.
    pub fn clear(&mut self) {
        self.feed.clear();
        self.cleared = true;
        self.interrupted = true;
        self.missed_slots = 0;
        self.backlog = None;
        self.surplus = 0;
        self.partial_until = None;
        self.unreported_ticks = 0;
    }

    /// Ticks of the user's audio that wait to be played.
    pub fn queued_ticks(&self) -> u64 {
        self.feed.queued_ticks()
    }

    /// The next packet to send at `now`.
    pub fn poll(&mut self, now: Instant) -> Option<OutboundPacket> {
        self.last_poll = Some(now);
        loop {
            let waits = match self.supply() {
                Supply::Frame => self.missed_slots == 0 && self.next_tick > Some(now),
                Supply::Partial => {
                    let tick = self.next_tick.map_or(now, |tick| tick.max(now));
                    now < *self.partial_until.get_or_insert(tick + PARTIAL_WAIT)
                }
                Supply::Empty => !self.talking || self.starving_until() > Some(now),
            };
            if waits {
                return None;
            }
            if self.feed.is_drained() && self.silent_frames >= TRAILING_PACKETS {
                return self.end_talkspurt(now);
            }
            if let Some(packet) = self.send_frame(now) {
                return Some(packet);
            }
        }
    }

    /// When [`poll`](Self::poll) wants to be called without a push; `None` while idle.
    pub fn timeout(&self) -> Option<Instant> {
        match self.supply() {
            Supply::Frame if self.missed_slots > 0 => self.last_poll,
            Supply::Frame => self.next_tick.or(self.last_poll),
            Supply::Partial => self.partial_until.or(self.last_poll),
            Supply::Empty if self.talking => self.starving_until(),
            Supply::Empty => None,
        }
    }

    /// Takes note of a receiver report: `fraction_lost` is 0 to 1.
    pub fn on_receiver_report(&mut self, fraction_lost: f32, now: Instant) {
        self.protection.on_report(fraction_lost, now);
    }

    /// How much encoding may cost from now on.
    pub fn set_effort(&mut self, effort: Effort) {
        self.effort = effort;
    }

    /// Counters and state.
    pub fn stats(&self) -> OutboundStats {
        OutboundStats {
            protection_percent: self.protection.percent(),
            ..self.stats
        }
    }

    fn supply(&self) -> Supply {
        match self.feed.supply() {
            // What a resampler holds back is all there is, and no one waits for it to grow.
            Supply::Empty if !self.talking && !self.feed.is_drained() => Supply::Partial,
            supply => supply,
        }
    }

    /// Until when a frame may still come for a tick that has none.
    fn starving_until(&self) -> Option<Instant> {
        let begun = self.cleared || self.trailing;
        self.next_tick
            .map(|tick| if begun { tick } else { tick + STARVING_WAIT })
    }

    /// Moves the clock over one frame; `is_user` tells whether it carries the user's audio.
    fn take_slot(&mut self, now: Instant, is_user: bool) {
        let tick = self.next_tick.unwrap_or(now);
        let delay = now.saturating_duration_since(tick);
        let slots = (delay.as_micros() / FRAME.as_micros()) as u32;
        self.trailing = !is_user;
        if is_user {
            self.end_silence(now);
        }
        if !self.talking {
            // Real time passed while nothing was sent; the RTP clock follows in whole frames.
            self.talking = true;
            self.rtp_time += u64::from(slots) * u64::from(FRAME_TICKS);
            self.next_tick = Some(if slots == 0 { tick } else { now } + FRAME);
            return;
        }
        if now < tick {
            self.missed_slots = self.missed_slots.saturating_sub(1);
            return;
        }
        self.work_off_backlog(is_user, now);
        if !is_user && !self.cleared {
            self.missed_slots = (self.missed_slots + slots + 1).min(MAX_MISSED_SLOTS);
        }
        let moves = if is_user {
            MAX_TICK_DELAY
        } else {
            STARVING_WAIT
        };
        if delay < moves {
            self.next_tick = Some(tick + FRAME);
        } else {
            self.stats.late_ticks += u64::from(is_user);
            self.next_tick = Some(now + FRAME);
        }
    }

    /// Takes a frame and sends it, unless it is silence that need not be sent.
    fn send_frame(&mut self, now: Instant) -> Option<OutboundPacket> {
        self.protection.expire(now);
        let format = self.feed.format()?;
        let ticks = self.feed.take(&mut self.frame);
        self.partial_until = None;
        self.take_slot(now, ticks > 0);
        self.stats.played_ticks += u64::from(ticks);
        self.unreported_ticks += ticks;
        let silent = self
            .frame
            .iter()
            .all(|sample| sample.unsigned_abs() <= SILENCE_PEAK);
        self.silent_frames = if silent {
            self.silent_frames.saturating_add(1)
        } else {
            0
        };
        let packet = if self.silent_frames < TRAILING_PACKETS {
            self.encode(format)
        } else if self.silent_frames.is_multiple_of(REFRESH_FRAMES)
            || self.silent_frames == TRAILING_PACKETS
        {
            self.empty_packet()
        } else {
            self.stats.suppressed_frames += 1;
            self.after_pause = true;
            None
        };
        self.rtp_time += u64::from(FRAME_TICKS);
        if ticks == 0 && self.silent_frames >= TRAILING_PACKETS {
            self.fall_idle();
        }
        packet
    }

    /// The user's audio ended in silence: accounts for what was not transmitted of it.
    fn end_talkspurt(&mut self, now: Instant) -> Option<OutboundPacket> {
        let mut packet = None;
        if self.unreported_ticks > 0 {
            self.take_slot(now, false);
            packet = self.empty_packet();
            self.rtp_time += u64::from(FRAME_TICKS);
        }
        self.fall_idle();
        packet
    }

    /// The user's audio begins or goes on: what may it be late by?
    fn end_silence(&mut self, now: Instant) {
        let interrupted = std::mem::take(&mut self.interrupted);
        let heard_ticks = std::mem::take(&mut self.heard_ticks);
        let Some(before) = self.last_audio.replace(now) else {
            self.backlog = Some(Backlog::at_beginning(heard_ticks, now));
            return;
        };
        if !self.talking {
            // The queue ran empty: what was late before is not any more.
            self.backlog = None;
        }
        let silence = now.saturating_duration_since(before);
        if !interrupted && (!self.talking || silence >= MAX_TICK_DELAY) {
            let backlog = Backlog::after(silence, heard_ticks, now);
            self.backlog = Some(backlog.on_top_of(self.backlog));
        }
    }

    /// What waited at every tick for a while is not needed against jitter, and leaves.
    fn work_off_backlog(&mut self, is_user: bool, now: Instant) {
        if self.surplus > 0 {
            let released = self.surplus.min(RELEASED_PER_TICK);
            self.missed_slots += released;
            // When the queue has run empty, nothing is late any more.
            self.surplus = if is_user { self.surplus - released } else { 0 };
            if self.surplus == 0 {
                self.backlog = self.backlog.and_then(|backlog| backlog.without(0, now));
            }
            return;
        }
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        let waiting = self.feed.queued_ticks() / u64::from(FRAME_TICKS);
        let waiting = if is_user { waiting as u32 } else { 0 };
        match backlog.note(waiting, now) {
            Verdict::Open => {}
            Verdict::Ahead => self.backlog = None,
            Verdict::Late(surplus) => {
                self.surplus = surplus;
                self.backlog = backlog.without(surplus, now);
            }
        }
    }

    fn fall_idle(&mut self) {
        self.talking = false;
        self.missed_slots = 0;
        self.surplus = 0;
        self.after_pause = true;
    }

    fn encode(&mut self, format: Format) -> Option<OutboundPacket> {
        let mode = self.protection.mode();
        let effort = self.effort;
        let encoded = match prepared(&mut self.encoder, format, mode, self.config.bitrate_bps) {
            Ok(encoder) => encoder
                .set_effort(effort)
                .and_then(|()| encoder.encode(&self.frame, &mut self.packet)),
            Err(error) => Err(error),
        };
        match encoded {
            Ok(length) => {
                let payload = self.packet[..length].to_vec();
                self.toc = payload.first().copied();
                let start_of_talkspurt = std::mem::take(&mut self.after_pause);
                Some(self.packet_of(payload, start_of_talkspurt))
            }
            Err(_) => {
                self.stats.encode_errors += 1;
                None
            }
        }
    }

    /// A packet of one frame without content (RFC 6716, section 3.2.1, code 0): the receiver goes on
    /// with comfort noise.
    fn empty_packet(&mut self) -> Option<OutboundPacket> {
        let toc = self.toc?;
        Some(self.packet_of(vec![toc & 0b1111_1100], false))
    }

    fn packet_of(&mut self, payload: Vec<u8>, start_of_talkspurt: bool) -> OutboundPacket {
        self.stats.packets += 1;
        self.stats.payload_bytes += payload.len() as u64;
        let media_ticks = std::mem::take(&mut self.unreported_ticks);
        self.stats.trailing_packets += u64::from(media_ticks == 0);
        OutboundPacket {
            payload,
            rtp_time: self.rtp_time,
            start_of_talkspurt,
            media_ticks,
        }
    }
}

/// The encoder for `format` in `mode`: the one at hand, or a new one when the format changed.
fn prepared(
    encoder: &mut Option<(Format, Encoder)>,
    format: Format,
    mode: Mode,
    bitrate_bps: Option<u32>,
) -> Result<&mut Encoder, AudioError> {
    if encoder
        .as_ref()
        .is_none_or(|(current, _)| *current != format)
    {
        let bitrate_bps = bitrate_bps.unwrap_or(DEFAULT_BITRATE_BPS * u32::from(format.channels));
        *encoder = Some((
            format,
            Encoder::new(format.rate_hz, format.channels, bitrate_bps)?,
        ));
    }
    match encoder {
        Some((_, encoder)) => {
            if encoder.mode() != mode {
                encoder.set_mode(mode)?;
            }
            Ok(encoder)
        }
        None => unreachable!("an encoder was just made"),
    }
}
