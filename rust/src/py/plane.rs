//! `MediaPlane`: sockets, threads, offers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use super::OfferError;
use super::hub::PyHub;
use super::peer::PyPeer;
use crate::gather::IceServerLogin;
use crate::offer::Allowed;
use crate::peer::PeerConfig;
use crate::plane::{AcceptRequest, Plane, PlaneConfig, PlaneError};

#[pyclass(name = "MediaPlane", module = "fastrtc._core", frozen)]
pub struct PyMediaPlane(Arc<Plane>);

#[pymethods]
impl PyMediaPlane {
    #[new]
    #[pyo3(signature = (*, udp_ports=(0, 0), tcp_port=None, public_addresses=vec![], interfaces=vec![],
        threads=None, ice_lite=false))]
    fn new(
        py: Python<'_>,
        udp_ports: (u16, u16),
        tcp_port: Option<u16>,
        public_addresses: Vec<String>,
        interfaces: Vec<String>,
        threads: Option<usize>,
        ice_lite: bool,
    ) -> PyResult<Self> {
        let config = PlaneConfig {
            udp_ports: udp_ports.0..=udp_ports.1,
            tcp_port,
            public_addresses,
            interfaces,
            threads,
            ice_lite,
        };
        match py.detach(|| Plane::start(config)) {
            Ok(plane) => Ok(Self(Arc::new(plane))),
            Err(PlaneError::Io(error)) => Err(PyOSError::new_err((
                error.raw_os_error(),
                error.to_string(),
            ))),
            Err(PlaneError::Config(message)) => Err(PyValueError::new_err(message)),
        }
    }

    #[getter]
    fn udp_port(&self) -> u16 {
        self.0.udp_port()
    }

    #[getter]
    fn tcp_port(&self) -> Option<u16> {
        self.0.tcp_port
    }

    #[pyo3(signature = (hub, sdp, *, audio, video, allow_extra_tracks=false, rate_hz=48_000, channels=1,
        ice_servers=vec![], disconnect_after_s=6.0, close_after_s=30.0, audio_bitrate_bps=None))]
    #[allow(clippy::too_many_arguments)]
    fn accept(
        &self,
        py: Python<'_>,
        hub: PyRef<'_, PyHub>,
        sdp: &str,
        audio: bool,
        video: bool,
        allow_extra_tracks: bool,
        rate_hz: u32,
        channels: u8,
        ice_servers: Vec<(String, String, String)>,
        disconnect_after_s: f64,
        close_after_s: f64,
        audio_bitrate_bps: Option<u32>,
    ) -> PyResult<PyPeer> {
        if !self.0.is_usable() {
            return Err(PyRuntimeError::new_err(
                "this media plane is closed, or belongs to the process that this one was forked from",
            ));
        }
        let seconds = |name: &str, value: f64| {
            Duration::try_from_secs_f64(value).map_err(|_| {
                PyValueError::new_err(format!("{name} must be a non-negative number, not {value}"))
            })
        };
        let request = AcceptRequest {
            sdp,
            config: PeerConfig {
                allowed: Allowed {
                    audio,
                    video,
                    extra_tracks: allow_extra_tracks,
                },
                rate_hz,
                channels,
                audio_bitrate_bps,
                disconnect_after: seconds("disconnect_after_s", disconnect_after_s)?,
                close_after: seconds("close_after_s", close_after_s)?,
            },
            ice_servers: ice_servers
                .into_iter()
                .map(|(url, username, credential)| IceServerLogin {
                    url,
                    username,
                    credential,
                })
                .collect(),
        };
        let (plane, hub) = (Arc::clone(&self.0), Arc::clone(&hub.0));
        py.detach(|| plane.accept(hub, request))
            .map(PyPeer::new)
            .map_err(|refusal| OfferError::new_err((refusal.kind, refusal.message)))
    }

    fn stats(&self) -> HashMap<&'static str, f64> {
        self.0.stats().iter().collect()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}
