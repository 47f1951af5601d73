"""The process's media plane and its hub on each event loop.

Started by the first offer, never by an import, and started afresh in a forked child. This is the
only module that makes objects of the extension ``fastrtc._core``.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from fastrtc.errors import ConfigurationError, MissingExtension
from fastrtc.settings import MediaSettings, freeze_settings

if TYPE_CHECKING:
    from fastrtc._core import AudioBroadcast, Hub, MediaPlane

__all__ = [
    "LoopHub",
    "Sink",
    "audio_broadcast",
    "loop_hub",
    "media_plane",
    "shutdown_media_plane",
]

_lock = threading.Lock()
_plane: MediaPlane | None = None
_plane_pid = 0
_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopHub] = weakref.WeakKeyDictionary()


class Sink(Protocol):
    """Takes the events of one peer, on its event loop."""

    def on_event(self, kind: int, content: Any, detail: Any) -> None:
        """One event, as ``fastrtc._core`` describes them."""


def _start_afresh() -> None:
    """In a forked child: whoever held the lock in the parent does not exist here."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def media_plane() -> MediaPlane:
    """The running media plane of this process.

    Raises:
        MissingExtension: the compiled extension is not installed.
        ConfigurationError: a port is taken, or a configured address is not this machine's.
    """
    global _plane, _plane_pid
    with _lock:
        if _plane is None or _plane_pid != os.getpid():
            _plane = _start(freeze_settings())
            _plane_pid = os.getpid()
        return _plane


def shutdown_media_plane() -> None:
    """Closes all peers and joins the media threads; the next offer starts them again."""
    global _plane
    with _lock:
        plane, _plane = _plane, None
    if plane is not None:
        plane.close()


def audio_broadcast(bitrate_bps: int | None) -> AudioBroadcast:
    """One source of audio for many peers, with a thread of its own until it is closed."""
    from fastrtc._core import AudioBroadcast

    return AudioBroadcast(bitrate_bps)


def _start(settings: MediaSettings) -> MediaPlane:
    try:
        from fastrtc._core import MediaPlane
    except ImportError as error:
        raise MissingExtension(
            "fastrtc's compiled media plane is missing: install the wheel from PyPI, or build it "
            "with 'pip install -e .' in a checkout (needs Rust)"
        ) from error
    first, last = settings.udp_ports
    try:
        return MediaPlane(
            udp_ports=(first, last),
            tcp_port=settings.tcp_port,
            public_addresses=settings.public_addresses,
            interfaces=settings.interfaces,
            threads=settings.threads,
            ice_lite=settings.ice_lite,
        )
    except OSError as error:
        ports = f"UDP port {first}" if first == last else f"UDP ports {first}-{last}"
        tcp = f" or TCP port {settings.tcp_port}" if settings.tcp_port else ""
        raise ConfigurationError(
            f"{ports}{tcp} cannot be bound ({error}). Another process, or another worker of this "
            "one, has it: give a port range such as FASTRTC_UDP_PORT=8000-8009, one port for each "
            "worker, or run one worker"
        ) from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


class LoopHub:
    """Brings the events of one event loop's peers to their sinks.

    One wake descriptor, whatever the number of peers; it is watched only while there are peers,
    so that an idle or closed loop holds nothing.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        from fastrtc._core import Hub

        self.hub: Hub = Hub()
        # Weak, because the table of hubs is keyed by loops and must not keep them.
        self._loop = weakref.ref(loop)
        self._sinks: dict[int, Sink] = {}

    def add(self, peer_id: int, sink: Sink) -> None:
        """Events of the peer go to ``sink`` from now on."""
        loop = self._loop()
        if not self._sinks and loop is not None:
            loop.add_reader(self.hub.fileno(), self._drain)
        self._sinks[peer_id] = sink

    def remove(self, peer_id: int) -> None:
        """Forgets the peer; idempotent."""
        loop = self._loop()
        if self._sinks.pop(peer_id, None) is not None and not self._sinks and loop is not None:
            loop.remove_reader(self.hub.fileno())

    def _drain(self) -> None:
        sinks = self._sinks
        for peer_id, kind, content, detail in self.hub.drain():
            sink = sinks.get(peer_id)
            if sink is not None:
                sink.on_event(kind, content, detail)


def loop_hub() -> LoopHub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = LoopHub(loop)
    return hub
