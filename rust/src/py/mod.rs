//! The border towards Python, nothing else: classes that translate and hand over.
//! `src/fastrtc/_core.pyi` is its documentation.

mod broadcast;
mod colour;
mod hub;
mod peer;
mod plane;
mod sound;

use pyo3::prelude::*;

pyo3::create_exception!(
    _core,
    OfferError,
    pyo3::exceptions::PyValueError,
    "An offer that cannot be answered."
);

/// Numbers of the events that `Hub.drain` returns.
mod kind {
    pub const AUDIO: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const STATE: u8 = 2;
    pub const ANSWER: u8 = 3;
    pub const VIDEO: u8 = 4;
    pub const KEYFRAME_REQUEST: u8 = 5;
    pub const BITRATE: u8 = 6;
    pub const WARNING: u8 = 7;
    pub const QUEUE: u8 = 8;
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("OfferError", module.py().get_type::<OfferError>())?;
    module.add_class::<hub::PyHub>()?;
    module.add_class::<peer::PyPeer>()?;
    module.add_class::<plane::PyMediaPlane>()?;
    module.add_class::<broadcast::PyAudioBroadcast>()?;
    module.add_class::<sound::PyResampler>()?;
    module.add_class::<sound::PyOpusEncoder>()?;
    module.add_class::<sound::PyOpusDecoder>()?;
    module.add_function(wrap_pyfunction!(sound::opus_takes, module)?)?;
    module.add_function(wrap_pyfunction!(colour::array_to_planes, module)?)?;
    module.add_function(wrap_pyfunction!(colour::planes_to_array, module)?)?;
    module.add("AUDIO", kind::AUDIO)?;
    module.add("TEXT", kind::TEXT)?;
    module.add("STATE", kind::STATE)?;
    module.add("ANSWER", kind::ANSWER)?;
    module.add("VIDEO", kind::VIDEO)?;
    module.add("KEYFRAME_REQUEST", kind::KEYFRAME_REQUEST)?;
    module.add("BITRATE", kind::BITRATE)?;
    module.add("WARNING", kind::WARNING)?;
    module.add("QUEUE", kind::QUEUE)?;
    Ok(())
}
