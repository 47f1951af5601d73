//! `Peer`: one client, as the control plane sees it.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use str0m::format::Codec;

use crate::audio::Pcm;
use crate::net::{self, RemoteCandidate};
use crate::peer::Command;
use crate::plane::Accepted;

#[pyclass(name = "Peer", module = "fastrtc._core", frozen)]
pub struct PyPeer {
    pub(super) accepted: Accepted,
    requests: AtomicU64,
}

impl PyPeer {
    pub fn new(accepted: Accepted) -> Self {
        Self {
            accepted,
            requests: AtomicU64::new(0),
        }
    }
}

/// Audio as Python gives it.
pub(super) fn pcm(
    py: Python<'_>,
    samples: &PyBuffer<i16>,
    rate_hz: u32,
    channels: u8,
) -> PyResult<Pcm> {
    if !matches!(channels, 1 | 2) || !(4_000..=384_000).contains(&rate_hz) {
        return Err(PyValueError::new_err(format!(
            "audio has 1 or 2 channels at 4000 to 384000 Hz, not {channels} channels at {rate_hz} Hz"
        )));
    }
    let count = samples.item_count();
    if !count.is_multiple_of(usize::from(channels)) {
        return Err(PyValueError::new_err(format!(
            "{count} samples are no whole number for each of {channels} channels"
        )));
    }
    Ok(Pcm {
        samples: samples.to_vec(py)?,
        rate_hz,
        channels,
    })
}

#[pymethods]
impl PyPeer {
    #[getter]
    fn id(&self) -> u64 {
        self.accepted.id
    }

    #[getter]
    fn answer(&self) -> &str {
        &self.accepted.answer
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        &self.accepted.fingerprint
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.accepted.warnings.clone()
    }

    fn start(&self) {
        self.accepted.link.mailbox.start();
    }

    fn play(
        &self,
        py: Python<'_>,
        samples: PyBuffer<i16>,
        rate_hz: u32,
        channels: u8,
    ) -> PyResult<f64> {
        let pcm = pcm(py, &samples, rate_hz, channels)?;
        let queued = self.accepted.link.playout.push(pcm);
        self.accepted.command(Command::Play);
        Ok(queued)
    }

    fn clear(&self) -> f64 {
        self.accepted.link.playout.clear()
    }

    #[getter]
    fn queued_s(&self) -> f64 {
        self.accepted.link.playout.queued_s()
    }

    #[getter]
    fn sent_s(&self) -> f64 {
        self.accepted.link.playout.sent_s()
    }

    fn bundle_audio(&self, span_s: f64) -> PyResult<()> {
        let span = Duration::try_from_secs_f64(span_s)
            .map_err(|error| PyValueError::new_err(format!("span_s is {span_s}: {error}")))?;
        self.accepted.link.mailbox.bundle_audio(span);
        Ok(())
    }

    #[getter]
    fn channel_open(&self) -> bool {
        self.accepted.link.channel_open.load(Ordering::Acquire)
    }

    fn send_text(&self, text: String) -> bool {
        let link = &self.accepted.link;
        let reachable = link.channel_open.load(Ordering::Acquire)
            || link.channel_offered.load(Ordering::Acquire);
        if reachable {
            self.accepted.command(Command::Text(text));
        }
        reachable
    }

    fn send_video(
        &self,
        py: Python<'_>,
        data: PyBuffer<u8>,
        rtp_time: u64,
        codec: &str,
    ) -> PyResult<()> {
        let codec = match codec {
            "vp8" => Codec::Vp8,
            "vp9" => Codec::Vp9,
            "h264" => Codec::H264,
            "av1" => Codec::Av1,
            other => {
                return Err(PyValueError::new_err(format!(
                    "codec must be vp8, vp9, h264 or av1, not {other:?}"
                )));
            }
        };
        let data = data.to_vec(py)?;
        // Waking the media thread often has the kernel run it at once, in this one's place.
        py.detach(|| self.accepted.command(Command::Video(data, rtp_time, codec)));
        Ok(())
    }

    fn request_keyframe(&self) {
        self.accepted.command(Command::RequestKeyframe);
    }

    fn add_candidate(&self, candidate: &str) -> PyResult<()> {
        match net::parse_remote(candidate) {
            Ok(RemoteCandidate::Usable(candidate)) => {
                self.accepted.command(Command::Candidate(candidate));
                Ok(())
            }
            Ok(_reached_otherwise) => Ok(()),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    fn renegotiate(&self, sdp: String) -> u64 {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        self.accepted.command(Command::Renegotiate(request, sdp));
        request
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let link = &self.accepted.link;
        let mut stats = link
            .stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        link.mailbox.add_to(&mut stats);
        let all = PyDict::new(py);
        for (name, value) in stats.iter() {
            all.set_item(name, value)?;
        }
        Ok(all)
    }

    fn close(&self) {
        self.accepted.command(Command::Close);
    }
}

impl Drop for PyPeer {
    /// A peer that Python has forgotten can never be closed: it ends now.
    fn drop(&mut self) {
        self.accepted.command(Command::Close);
    }
}
