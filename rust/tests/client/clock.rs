//! What happens in a millisecond of a call: both ends act, the network delivers.

use std::net::SocketAddr;
use std::time::Duration;

use _core::audio::Pcm;
use _core::audio::opus::fec_ticks;
use _core::handover::{Event as HubEvent, State};
use _core::peer::Command;
use str0m::format::Codec;
use str0m::media::{Frequency, MediaTime};
use str0m::net::Receive;
use str0m::{Event, Input, Output};
use str0m_netem::{Input as NetIn, Output as NetOut};

use super::media::number_of;
use super::{CLIENT, Call, FRAME, Packet, SPEECH_FRAME, Wire};

const STEP: Duration = Duration::from_millis(1);

impl Call {
    pub(super) fn step(&mut self) {
        if self.talking && self.now >= self.next_frame {
            self.next_frame += FRAME;
            self.client_sends_frame();
        }
        if self.client_deadline <= self.now {
            // What ails a client that cannot connect shows in `drain_client`.
            let _failed_handshake = self.client.handle_input(Input::Timeout(self.now));
            self.drain_client();
        }
        if self.server.deadline() <= self.now && !self.server.is_closed() {
            let mut wire = Wire::default();
            self.server.handle_timeout(self.now, &mut wire);
            self.send(wire.0, true);
        }
        self.deliver();
        self.take_events();
        self.now += STEP;
    }

    fn client_sends_frame(&mut self) {
        let at = (self.media_ticks / 3) as usize % (self.speech.len() - SPEECH_FRAME);
        let mut packet = [0; 1_500];
        let len = self
            .encoder
            .encode(&self.speech[at..at + SPEECH_FRAME], &mut packet)
            .unwrap();
        let time = MediaTime::new(self.media_ticks, Frequency::FORTY_EIGHT_KHZ);
        self.media_ticks += 960;
        let Some(writer) = self.client.writer(self.mid) else {
            return;
        };
        let pt = writer
            .payload_params()
            .find(|p| p.spec().codec == Codec::Opus)
            .unwrap()
            .pt();
        writer
            .write(pt, self.now, time, packet[..len].to_vec())
            .unwrap();
        self.last_arrival = self.now;
        self.drain_client();
    }

    pub(super) fn drain_client(&mut self) {
        let mut packets = Vec::new();
        loop {
            match self.client.poll_output() {
                // A handshake that ran out of time: the client has given up.
                Err(_) => {
                    self.client_deadline = self.now + Duration::from_secs(3600);
                    break;
                }
                Ok(Output::Timeout(deadline)) => {
                    self.client_deadline = deadline;
                    break;
                }
                Ok(Output::Transmit(transmit)) => packets.push(transmit.into()),
                Ok(Output::Event(Event::ChannelOpen(id, _))) => self.channel = Some(id),
                Ok(Output::Event(Event::ChannelData(data))) => {
                    self.client_texts
                        .push(String::from_utf8(data.data).unwrap());
                }
                Ok(Output::Event(Event::MediaData(data))) if Some(data.mid) == self.video_mid => {
                    self.client_video.push(number_of(&data.data));
                }
                Ok(Output::Event(Event::SenderFeedback(report))) => {
                    self.client_reports.push(report)
                }
                Ok(Output::Event(Event::KeyframeRequest(_))) => self.client_keyframe_requests += 1,
                Ok(Output::Event(Event::MediaData(data))) => {
                    self.fec.push(fec_ticks(&data.data) > 0)
                }
                Ok(Output::Event(_)) => {}
            }
        }
        self.send(packets, false);
    }

    pub(super) fn send(&mut self, packets: Vec<Packet>, from_server: bool) {
        for mut packet in packets {
            if from_server && packet.bytes.starts_with(&[0, 1]) {
                self.checked.push(packet.destination.to_string());
            }
            if self.muted_network || (from_server && packet.destination != self.nat) {
                continue;
            }
            let client: SocketAddr = CLIENT.parse().unwrap();
            if from_server {
                packet.destination = client;
            } else if packet.source == client {
                packet.source = self.nat;
            }
            let netem = if from_server {
                &mut self.to_client
            } else {
                &mut self.to_server
            };
            netem.handle_input(NetIn::Packet(self.now, packet));
        }
    }

    fn deliver(&mut self) {
        self.to_server.handle_input(NetIn::Timeout(self.now));
        while let Some(output) = self.to_server.poll_output() {
            let NetOut::Packet(packet) = output else {
                continue;
            };
            self.note_order(&packet.bytes);
            let mut wire = Wire::default();
            self.server.handle_datagram(
                self.now,
                packet.proto,
                packet.source,
                packet.destination,
                &packet.bytes,
                &mut wire,
            );
            self.send(wire.0, true);
        }
        self.to_client.handle_input(NetIn::Timeout(self.now));
        while let Some(output) = self.to_client.poll_output() {
            let NetOut::Packet(packet) = output else {
                continue;
            };
            let received = Receive::new(
                packet.proto,
                packet.source,
                packet.destination,
                &packet.bytes,
            )
            .unwrap();
            self.client
                .handle_input(Input::Receive(self.now, received))
                .unwrap();
            self.drain_client();
        }
    }

    /// Counts media packets that arrive after a later one.
    fn note_order(&mut self, bytes: &[u8]) {
        if bytes.len() > 12 && bytes[0] >> 6 == 2 && !(192..=223).contains(&bytes[1]) {
            let seq = u64::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            if seq < self.highest_arrived && self.highest_arrived - seq < 1_000 {
                self.reordered += 1;
            }
            self.highest_arrived = seq;
        }
    }

    pub(super) fn take_events(&mut self) {
        let mut audio: Vec<Pcm> = Vec::new();
        let (states, texts, answers) = (
            &mut self.server_states,
            &mut self.server_texts,
            &mut self.answers,
        );
        let (server_video, bitrates) = (&mut self.server_video, &mut self.bitrates_bps);
        let keyframe_requests = &mut self.server_keyframe_requests;
        let queues = &mut self.queues;
        self.hub.drain(|_, event| match event {
            HubEvent::Audio(pcm) => audio.push(pcm),
            HubEvent::Text(text) => texts.push(text),
            HubEvent::State(State::Live) => states.push("live".into()),
            HubEvent::State(State::Disconnected) => states.push("disconnected".into()),
            HubEvent::State(State::Closed(reason)) => states.push(format!("closed: {reason}")),
            HubEvent::Answer(_, answer) => answers.push(answer.unwrap()),
            HubEvent::Video(frame) => {
                server_video.push((number_of(&frame.data), frame.contiguous, frame.keyframe));
            }
            HubEvent::KeyframeRequest => *keyframe_requests += 1,
            HubEvent::Bitrate(rate) => bitrates.push(rate),
            HubEvent::Queue(queue) => queues.push(queue),
            HubEvent::Warning(warning) => panic!("{warning}"),
        });
        for pcm in audio {
            self.frames += 1;
            self.seconds += pcm.samples.len() as f64 / 48_000.0;
            let delay = self
                .now
                .saturating_duration_since(self.last_arrival + self.latency);
            self.delay_ms_max = self.delay_ms_max.max(delay.as_secs_f64() * 1e3);
            if self.echoing {
                self.server.link().playout.push(pcm);
                self.command(Command::Play);
            }
        }
    }
}
