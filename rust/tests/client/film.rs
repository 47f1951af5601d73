//! Pictures of a call: sent by both ends, asked for, and when the client is told to show them.

use std::time::{Duration, UNIX_EPOCH};

use _core::audio::Pcm;
use _core::peer::Command;
use str0m::format::Codec;
use str0m::media::{Frequency, KeyframeRequestKind, MediaTime, SenderFeedback};

use super::Call;
use super::media::vp8_frame;

impl Call {
    /// Both sides send 30 frames a second of `bytes` each, every 30th a keyframe.
    pub fn film(&mut self, seconds: u32, bytes: usize) {
        for number in 0..seconds * 30 {
            let frame = vp8_frame(number, bytes);
            let ticks = u64::from(number) * 3_000;
            self.command(Command::Video(frame.clone(), ticks, Codec::Vp8));
            let writer = self.client.writer(self.video_mid.unwrap()).unwrap();
            let pt = writer
                .payload_params()
                .find(|p| p.spec().codec == Codec::Vp8)
                .unwrap()
                .pt();
            writer
                .write(
                    pt,
                    self.now,
                    MediaTime::new(ticks, Frequency::NINETY_KHZ),
                    frame,
                )
                .unwrap();
            self.drain_client();
            self.run(Duration::from_millis(33));
        }
        self.run(Duration::from_millis(500));
    }

    /// The server shows `seconds` of pictures, and says a tone as long, from now on. `late` tells by
    /// how much the picture of this number leaves after its time.
    pub fn play_film(&mut self, seconds: u32, late: impl Fn(u32) -> Duration) {
        self.server.link().playout.push(Pcm {
            samples: (0..48_000 * seconds)
                .map(|at| (at % 100) as i16 * 100)
                .collect(),
            rate_hz: 48_000,
            channels: 1,
        });
        self.command(Command::Play);
        let began = self.now;
        for number in 0..seconds * 30 {
            let leaves = began + number * Duration::from_secs(1) / 30 + late(number);
            self.run(leaves.saturating_duration_since(self.now));
            let ticks = 123_456_789 + u64::from(number) * 3_000;
            let frame = vp8_frame(number, 500);
            self.command(Command::Video(frame, ticks, Codec::Vp8));
        }
    }

    /// From the sender reports that the client got: whether each is of the video, the NTP time in
    /// milliseconds, and the RTP time in milliseconds from any beginning.
    pub fn client_reports(&self) -> Vec<(bool, f64, f64)> {
        let as_ms = |report: &SenderFeedback| {
            let info = &report.sender_info;
            let ntp = info.ntp_time.duration_since(UNIX_EPOCH).unwrap();
            let is_video = Some(report.mid) == self.video_mid;
            let rate_hz = if is_video { 90_000.0 } else { 48_000.0 };
            let rtp_ms = info.rtp_time.numer() as f64 * 1e3 / rate_hz;
            (is_video, ntp.as_secs_f64() * 1e3, rtp_ms)
        };
        self.client_reports.iter().map(as_ms).collect()
    }

    pub fn server_asks_for_keyframe(&mut self) {
        self.command(Command::RequestKeyframe);
    }

    pub fn client_asks_for_keyframe(&mut self) {
        let mut writer = self.client.writer(self.video_mid.unwrap()).unwrap();
        writer
            .request_keyframe(None, KeyframeRequestKind::Pli)
            .unwrap();
        self.drain_client();
    }

    /// Keyframe requests that reached the server and the client.
    pub fn keyframe_requests(&self) -> (usize, usize) {
        (self.server_keyframe_requests, self.client_keyframe_requests)
    }

    /// Frames that the server got: number, contiguous, keyframe.
    pub fn server_video(&self) -> &[(u32, bool, bool)] {
        &self.server_video
    }

    pub fn client_video(&self) -> &[u32] {
        &self.client_video
    }
}
