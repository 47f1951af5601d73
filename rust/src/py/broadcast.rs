//! `AudioBroadcast`: one source of audio for many peers.

use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use super::peer::{PyPeer, pcm};
use crate::broadcast::{Broadcast, BroadcastError};

#[pyclass(name = "AudioBroadcast", module = "fastrtc._core", frozen)]
pub struct PyAudioBroadcast(Broadcast);

fn refusal(error: BroadcastError) -> PyErr {
    let message = error.to_string();
    match error {
        BroadcastError::Audio(_) => PyValueError::new_err(message),
        BroadcastError::Thread(_) | BroadcastError::Ended => PyRuntimeError::new_err(message),
    }
}

#[pymethods]
impl PyAudioBroadcast {
    #[new]
    #[pyo3(signature = (bitrate_bps = None))]
    fn new(bitrate_bps: Option<u32>) -> PyResult<Self> {
        Broadcast::start(bitrate_bps).map(Self).map_err(refusal)
    }

    fn add(&self, peer: &PyPeer) {
        let accepted = &peer.accepted;
        let (link, shard) = (Arc::clone(&accepted.link), Arc::clone(&accepted.shard));
        self.0.add(accepted.id, link, shard);
    }

    fn remove(&self, peer: &PyPeer) {
        self.0.remove(peer.accepted.id);
    }

    fn play(
        &self,
        py: Python<'_>,
        samples: PyBuffer<i16>,
        rate_hz: u32,
        channels: u8,
    ) -> PyResult<f64> {
        self.0
            .play(pcm(py, &samples, rate_hz, channels)?)
            .map_err(refusal)
    }

    fn clear(&self) -> f64 {
        self.0.playout().clear()
    }

    #[getter]
    fn queued_s(&self) -> f64 {
        self.0.playout().queued_s()
    }

    #[getter]
    fn sent_s(&self) -> f64 {
        self.0.playout().sent_s()
    }

    #[getter]
    fn packets(&self) -> u64 {
        self.0.packets()
    }

    #[getter]
    fn fec_percent(&self) -> u8 {
        self.0.fec_percent()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}
