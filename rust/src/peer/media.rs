//! What a peer carries: audio and video of both directions, between the engine and its tracks.

use std::time::Instant;

use str0m::bwe::Bitrate;
use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, MediaData, MediaTime};
use str0m::rtp::RawPacket;
use str0m::rtp::rtcp::Rtcp;

use super::{AUDIO_CLOCK_HZ, Outlet, Peer, Phase, VIDEO_CLOCK_HZ, VIDEO_MINIMUM_BPS};
use crate::audio::OutboundPacket;
use crate::handover::{EncodedVideo, Event};

impl Peer {
    pub(super) fn on_media(&mut self, now: Instant, data: MediaData) {
        let codec = data.params.spec().codec;
        if Some(data.mid) == self.audio_mid && codec == Codec::Opus {
            if self.link.mailbox.is_started() {
                let seq = **data.seq_range.start();
                self.inbound.push(seq, data.time.numer(), data.data, now);
            }
        } else if Some(data.mid) == self.video_mid
            && let Some(name) = codec_name(codec)
        {
            let keyframe = data.is_keyframe();
            self.link.mailbox.push(Event::Video(EncodedVideo {
                codec: name,
                rtp_time: data.time.numer(),
                contiguous: data.contiguous,
                keyframe,
                age_ms: now
                    .saturating_duration_since(data.network_time)
                    .as_secs_f64()
                    * 1e3,
                data: data.data,
            }));
        }
    }

    /// What leaves, and what the client reports of it; the engine tells when there is video.
    pub(super) fn on_raw_packet(&mut self, now: Instant, packet: RawPacket) {
        match packet {
            RawPacket::RtpTx(header, payload) => {
                if let Some(seq) = header.ext_vals.transport_cc {
                    self.bottleneck.on_sent(seq, payload.len(), now);
                }
            }
            RawPacket::RtcpRx(Rtcp::Twcc(report)) => {
                if let Some(queue) = self.bottleneck.on_feedback(report) {
                    self.regain.on_queue(now);
                    self.link.mailbox.push(Event::Queue(queue));
                } else if self.regain.ask(now) {
                    self.desire_video();
                }
            }
            _ => {}
        }
    }

    /// Tells the engine what pictures may come to.
    pub(super) fn desire_video(&mut self) {
        self.rtc.bwe().set_bitrate(
            Bitrate::from(VIDEO_MINIMUM_BPS),
            Bitrate::from(self.regain.desired_bps()),
        );
    }

    /// Playout waits while nobody is there to hear it.
    pub(super) fn can_play(&self) -> bool {
        self.connected && self.audio_mid.is_some() && matches!(self.phase, Phase::Live)
    }

    pub(super) fn outbound_timeout(&self) -> Option<Instant> {
        if self.can_play() {
            self.speaker.outbound.timeout()
        } else {
            None
        }
    }

    pub(super) fn send_audio(&mut self, now: Instant, out: &mut dyn Outlet) {
        if let Err(error) = self.speaker.load(&self.link.playout) {
            self.end(&format!("sending audio failed: {error}"));
            return;
        }
        if !self.can_play() {
            return;
        }
        while let Some(packet) = self.speaker.poll(&self.link.playout, now) {
            if !self.write_audio(now, packet) {
                return;
            }
            self.drain(now, out);
        }
    }

    /// Returns false when there is no way to send.
    pub(super) fn write_audio(&mut self, now: Instant, packet: OutboundPacket) -> bool {
        let Some(writer) = self.audio_mid.and_then(|mid| self.rtc.writer(mid)) else {
            return false;
        };
        let Some(pt) = writer
            .payload_params()
            .find(|params| params.spec().codec == Codec::Opus)
            .map(|params| params.pt())
        else {
            return false;
        };
        let stamp = self.audio_clock.stamp(packet.rtp_time, now);
        let written = writer.start_of_talkspurt(packet.start_of_talkspurt).write(
            pt,
            stamp.wallclock,
            MediaTime::new(stamp.rtp_time, AUDIO_CLOCK_HZ),
            packet.payload,
        );
        if let Err(error) = &written {
            self.end(&format!("sending audio failed: {error}"));
        }
        written.is_ok()
    }

    pub(super) fn send_video(&mut self, now: Instant, data: Vec<u8>, rtp_time: u64, codec: Codec) {
        let Some(writer) = self.video_mid.and_then(|mid| self.rtc.writer(mid)) else {
            return;
        };
        let Some(pt) = writer
            .payload_params()
            .find(|params| params.spec().codec == codec)
            .map(|params| params.pt())
        else {
            return;
        };
        let stamp = self.video_clock.stamp(rtp_time, now);
        let time = MediaTime::new(stamp.rtp_time, VIDEO_CLOCK_HZ);
        if let Err(error) = writer.write(pt, stamp.wallclock, time, data) {
            self.end(&format!("sending video failed: {error}"));
        }
    }

    pub(super) fn request_keyframe(&mut self) {
        let Some(mut writer) = self.video_mid.and_then(|mid| self.rtc.writer(mid)) else {
            return;
        };
        if writer.is_request_keyframe_possible(KeyframeRequestKind::Pli)
            && let Err(error) = writer.request_keyframe(None, KeyframeRequestKind::Pli)
        {
            self.end(&format!("asking for a keyframe failed: {error}"));
        }
    }
}

/// The border's name of a video codec that can be exchanged.
fn codec_name(codec: Codec) -> Option<&'static str> {
    match codec {
        Codec::Vp8 => Some("vp8"),
        Codec::Vp9 => Some("vp9"),
        Codec::H264 => Some("h264"),
        Codec::Av1 => Some("av1"),
        _ => None,
    }
}
