//! What was measured of a peer: the engine's reports and our own counters, for the control plane.

use std::sync::PoisonError;
use std::time::Instant;

use str0m::Event as RtcEvent;

use super::Peer;
use crate::stats::Stats;

impl Peer {
    /// Takes the engine's reports; other events are none of ours.
    pub(super) fn on_measured(&mut self, now: Instant, event: RtcEvent) {
        match event {
            RtcEvent::PeerStats(stats) => {
                if let Some(pair) = &stats.selected_candidate_pair {
                    if pair.responses_received > self.responses_received {
                        self.heard(now);
                    }
                    self.responses_received = pair.responses_received;
                }
                self.with_stats(|all| {
                    all.set("bytes_received", stats.peer_bytes_rx as f64);
                    all.set("bytes_sent", stats.peer_bytes_tx as f64);
                    if let Some(rtt) = stats.rtt.or_else(|| {
                        stats
                            .selected_candidate_pair
                            .as_ref()?
                            .current_round_trip_time
                    }) {
                        all.set("round_trip_time_ms", rtt.as_secs_f64() * 1e3);
                    }
                });
                self.publish_audio_stats();
            }
            RtcEvent::MediaEgressStats(stats) if Some(stats.mid) == self.audio_mid => {
                if let Some(loss) = stats.loss {
                    self.speaker.outbound.on_receiver_report(loss, now);
                    self.with_stats(|all| all.set("remote_audio_loss", f64::from(loss)));
                }
            }
            RtcEvent::MediaEgressStats(stats) if Some(stats.mid) == self.video_mid => {
                self.with_stats(|all| {
                    all.set("video_bytes_sent", stats.bytes as f64);
                    all.set("video_packets_sent", stats.packets as f64);
                    all.set("video_nacks_received", stats.nacks as f64);
                    all.set("video_plis_received", stats.plis as f64);
                    if let Some(loss) = stats.loss {
                        all.set("remote_video_loss", f64::from(loss));
                    }
                });
            }
            RtcEvent::MediaIngressStats(stats) if Some(stats.mid) == self.video_mid => {
                self.with_stats(|all| {
                    all.set("video_bytes_received", stats.bytes as f64);
                    all.set("video_packets_received", stats.packets as f64);
                    all.set("video_nacks_sent", stats.nacks as f64);
                    all.set("video_plis_sent", stats.plis as f64);
                });
            }
            _ => {}
        }
    }

    fn with_stats(&self, change: impl FnOnce(&mut Stats)) {
        change(
            &mut self
                .link
                .stats
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Writes the audio counters into the shared statistics, once a second.
    fn publish_audio_stats(&self) {
        let (inbound, outbound) = (self.inbound.stats(), self.speaker.outbound.stats());
        self.with_stats(|all| {
            all.set("audio_packets_received", inbound.received as f64);
            all.set("audio_packets_lost", inbound.lost as f64);
            all.set("audio_packets_late", inbound.late as f64);
            all.set("audio_packets_duplicated", inbound.duplicated as f64);
            all.set(
                "audio_packets_recovered_by_fec",
                inbound.recovered_fec as f64,
            );
            all.set(
                "audio_concealed_s",
                inbound.concealed_samples_48k as f64 / 48_000.0,
            );
            all.set(
                "audio_silence_s",
                inbound.silence_samples_48k as f64 / 48_000.0,
            );
            all.set(
                "audio_skipped_s",
                inbound.skipped_samples_48k as f64 / 48_000.0,
            );
            all.set("audio_restarts", inbound.restarts as f64);
            all.set("audio_decode_errors", inbound.decode_errors as f64);
            all.set("audio_jitter_ms", inbound.jitter_ms);
            all.set("audio_reorder_wait_ms", inbound.reorder_wait_ms);
            all.set("audio_packets_sent", outbound.packets as f64);
            all.set("audio_fec_percent", f64::from(outbound.protection_percent));
            all.set("audio_late_ticks", outbound.late_ticks as f64);
            all.set("audio_queued_s", self.link.playout.queued_s());
            all.set("messages_not_taken", self.lost_texts as f64);
            all.set("rejected_datagrams", self.rejected_datagrams as f64);
        });
    }
}
