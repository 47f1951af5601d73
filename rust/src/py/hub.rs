//! `Hub`: events towards one event loop.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyTuple};

use super::kind;
use crate::audio::Pcm;
use crate::handover::{EncodedVideo, Event, Hub, State};

#[pyclass(name = "Hub", module = "fastrtc._core", frozen)]
pub struct PyHub(pub Arc<Hub>);

#[pymethods]
impl PyHub {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(Arc::new(Hub::new()?)))
    }

    fn fileno(&self) -> i32 {
        self.0.fd()
    }

    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let events = PyList::empty(py);
        let mut outcome = Ok(());
        self.0.drain(|id, event| {
            if outcome.is_ok() {
                outcome = to_python(py, id, event).and_then(|event| events.append(event));
            }
        });
        outcome.map(|()| events)
    }
}

fn to_python<'py>(py: Python<'py>, id: u64, event: Event) -> PyResult<Bound<'py, PyTuple>> {
    match event {
        Event::Audio(pcm) => (id, kind::AUDIO, samples(py, &pcm)?, pcm.rate_hz).into_pyobject(py),
        Event::Text(text) => (id, kind::TEXT, text, 0).into_pyobject(py),
        Event::State(state) => {
            let (name, reason) = match state {
                State::Live => ("live", String::new()),
                State::Disconnected => ("disconnected", String::new()),
                State::Closed(reason) => ("closed", reason),
            };
            (id, kind::STATE, name, reason).into_pyobject(py)
        }
        Event::Answer(request, Ok(sdp)) => {
            (id, kind::ANSWER, sdp, (request, py.None())).into_pyobject(py)
        }
        Event::Answer(request, Err(refusal)) => (
            id,
            kind::ANSWER,
            py.None(),
            (request, (refusal.kind, refusal.message)),
        )
            .into_pyobject(py),
        Event::Video(frame) => (
            id,
            kind::VIDEO,
            PyBytes::new(py, &frame.data),
            video_info(py, &frame)?,
        )
            .into_pyobject(py),
        Event::KeyframeRequest => (id, kind::KEYFRAME_REQUEST, py.None(), 0).into_pyobject(py),
        Event::Warning(message) => (id, kind::WARNING, message, 0).into_pyobject(py),
        Event::Bitrate(rate) => (id, kind::BITRATE, py.None(), rate).into_pyobject(py),
        Event::Queue(queue) => (
            id,
            kind::QUEUE,
            py.None(),
            (queue.in_flight_bytes, queue.carries_bps),
        )
            .into_pyobject(py),
    }
}

/// The samples as bytes of native order, writable so that the array around them is.
fn samples<'py>(py: Python<'py>, pcm: &Pcm) -> PyResult<Bound<'py, PyByteArray>> {
    PyByteArray::new_with(py, pcm.samples.len() * 2, |bytes| {
        for (pair, sample) in bytes.chunks_exact_mut(2).zip(&pcm.samples) {
            pair.copy_from_slice(&sample.to_ne_bytes());
        }
        Ok(())
    })
}

fn video_info<'py>(py: Python<'py>, frame: &EncodedVideo) -> PyResult<Bound<'py, PyDict>> {
    let info = PyDict::new(py);
    info.set_item("codec", frame.codec)?;
    info.set_item("rtp_time", frame.rtp_time)?;
    info.set_item("contiguous", frame.contiguous)?;
    info.set_item("keyframe", frame.keyframe)?;
    info.set_item("age_ms", frame.age_ms)?;
    Ok(info)
}
