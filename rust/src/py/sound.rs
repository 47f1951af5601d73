//! Audio without a peer, for transports that Python carries: a resampler and an Opus codec.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use crate::audio::AudioError;
use crate::audio::opus::{Decoder, Encoder, is_native_rate};
use crate::audio::resample::Resampler;

/// Longest frame of an Opus packet (RFC 6716, section 2.1.4).
const LONGEST_PACKET_MS: usize = 120;
/// What a packet of 20 ms may take at the highest bit rate that libopus gives one.
const PACKET_ROOM: usize = 1_500;

fn refused(error: AudioError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The samples as Python holds them: native-endian int16 in a `bytearray`.
fn to_python<'py>(py: Python<'py>, samples: &[i16]) -> PyResult<Bound<'py, PyByteArray>> {
    PyByteArray::new_with(py, samples.len() * 2, |bytes| {
        for (pair, sample) in bytes.chunks_exact_mut(2).zip(samples) {
            pair.copy_from_slice(&sample.to_ne_bytes());
        }
        Ok(())
    })
}

#[pyclass(name = "Resampler", module = "fastrtc._core", frozen)]
pub struct PyResampler {
    inner: Mutex<Resampler>,
}

#[pymethods]
impl PyResampler {
    #[new]
    #[pyo3(signature = (from_hz, to_hz, channels = 1))]
    fn new(from_hz: u32, to_hz: u32, channels: u8) -> PyResult<Self> {
        let inner = Resampler::new(from_hz, to_hz, channels).map_err(refused)?;
        Ok(Self {
            inner: Mutex::new(inner),
        })
    }

    #[getter]
    fn delay_s(&self) -> f64 {
        locked(&self.inner).delay_ms() / 1e3
    }

    fn push<'py>(
        &self,
        py: Python<'py>,
        samples: PyBuffer<i16>,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        let mut out = Vec::new();
        locked(&self.inner).push(&samples.to_vec(py)?, &mut out);
        to_python(py, &out)
    }

    fn flush<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyByteArray>> {
        let mut out = Vec::new();
        locked(&self.inner).flush(&mut out);
        to_python(py, &out)
    }

    fn reset(&self) {
        locked(&self.inner).reset();
    }
}

#[pyclass(name = "OpusEncoder", module = "fastrtc._core", frozen)]
pub struct PyOpusEncoder {
    inner: Mutex<Encoder>,
}

#[pymethods]
impl PyOpusEncoder {
    #[new]
    #[pyo3(signature = (rate_hz, channels = 1, bitrate_bps = 48_000))]
    fn new(rate_hz: u32, channels: u8, bitrate_bps: u32) -> PyResult<Self> {
        let inner = Encoder::new(rate_hz, channels, bitrate_bps).map_err(refused)?;
        Ok(Self {
            inner: Mutex::new(inner),
        })
    }

    fn encode<'py>(
        &self,
        py: Python<'py>,
        samples: PyBuffer<i16>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut packet = [0; PACKET_ROOM];
        let length = locked(&self.inner)
            .encode(&samples.to_vec(py)?, &mut packet)
            .map_err(refused)?;
        Ok(PyBytes::new(py, &packet[..length]))
    }
}

#[pyclass(name = "OpusDecoder", module = "fastrtc._core", frozen)]
pub struct PyOpusDecoder {
    inner: Mutex<Decoder>,
    longest: usize,
    channels: usize,
}

#[pymethods]
impl PyOpusDecoder {
    #[new]
    #[pyo3(signature = (rate_hz, channels = 1))]
    fn new(rate_hz: u32, channels: u8) -> PyResult<Self> {
        let inner = Decoder::new(rate_hz, channels).map_err(refused)?;
        let channels = usize::from(channels);
        Ok(Self {
            inner: Mutex::new(inner),
            longest: rate_hz as usize * LONGEST_PACKET_MS / 1_000 * channels,
            channels,
        })
    }

    fn decode<'py>(&self, py: Python<'py>, packet: &[u8]) -> PyResult<Bound<'py, PyByteArray>> {
        let mut samples = vec![0; self.longest];
        let frames = locked(&self.inner)
            .decode(packet, &mut samples)
            .map_err(refused)?;
        to_python(py, &samples[..frames * self.channels])
    }
}

/// Whether Opus codes this rate without a resampler.
#[pyfunction]
pub fn opus_takes(rate_hz: u32) -> bool {
    is_native_rate(rate_hz)
}
