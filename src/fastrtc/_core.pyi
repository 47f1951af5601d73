"""The border between the media plane (Rust) and the control plane (Python).

Everything below is implemented in ``rust/src/py/``. Media threads never take the GIL: what
they have to say waits in bounded queues until :meth:`Hub.drain` collects it, and what Python
has to say is handed over without waiting for them.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypedDict

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

AUDIO: Final = 0
"""Event: ``(peer_id, AUDIO, samples, rate_hz)``. ``samples`` is a ``bytearray`` of interleaved
native-endian int16, which ``numpy.frombuffer`` wraps without a copy."""
TEXT: Final = 1
"""Event: ``(peer_id, TEXT, text, 0)``, a message from the client's data channel."""
STATE: Final = 2
"""Event: ``(peer_id, STATE, state, reason)`` with state ``"live"``, ``"disconnected"`` or
``"closed"``. ``"live"`` comes again when a disconnected peer is heard again."""
ANSWER: Final = 3
"""Event: ``(peer_id, ANSWER, sdp | None, (request, error | None))``, the outcome of
:meth:`Peer.renegotiate`; ``error`` is ``(kind, message)`` as :class:`OfferError` carries it."""
VIDEO: Final = 4
"""Event: ``(peer_id, VIDEO, data, VideoInfo)``, one complete encoded frame."""
KEYFRAME_REQUEST: Final = 5
"""Event: ``(peer_id, KEYFRAME_REQUEST, None, 0)``: the client cannot decode what it got."""
BITRATE: Final = 6
"""Event: ``(peer_id, BITRATE, None, bits_per_second)``, what the way to the client carries."""
WARNING: Final = 7
"""Event: ``(peer_id, WARNING, message, 0)``: something that belongs into the log."""
QUEUE: Final = 8
"""Event: ``(peer_id, QUEUE, None, (in_flight_bytes, carries_bps))``: what is sent waits in front
of a way that carries so much, and so much has yet to arrive. Comes with each report while the queue
grows."""

class OfferError(ValueError):
    """An offer that cannot be answered. ``args`` is ``(kind, message)`` with kind
    ``"invalid_sdp"`` or ``"unsupported_media"``."""

class VideoInfo(TypedDict):
    codec: Literal["vp8", "vp9", "h264", "av1"]
    rtp_time: int
    """90 kHz ticks."""
    contiguous: bool
    """False after a loss: the decoder needs a keyframe."""
    keyframe: bool
    age_ms: float
    """Milliseconds between the arrival of the first packet and the end of reassembly."""

Stats = dict[str, float]
"""Counters and gauges of one peer by name; units are in the names."""

class Hub:
    """Collects the events of all sessions of one event loop.

    ``loop.add_reader(hub.fileno(), ...)`` wakes the loop once however many events wait.
    """

    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
    def drain(self) -> list[tuple[int, int, object, object]]:
        """All waiting events, oldest first per peer, as described beside the constants above."""

class MediaPlane:
    """The sockets and threads of one process.

    Args:
        udp_ports: first and last port to try; ``(0, 0)`` lets the system choose.
        tcp_port: port for ICE-TCP, None for no TCP candidates.
        public_addresses: ``"ip"`` or ``"ip:port"``, announced instead of the bound addresses.
        interfaces: names or addresses to bind candidates to; empty means all.
        threads: shards; None means one per core.
        ice_lite: answer connectivity checks only, for hosts with a public address.

    Raises:
        OSError: no port of the range can be bound.
        ValueError: an address or interface name is not valid here.
    """

    udp_port: int
    tcp_port: int | None

    def __init__(
        self,
        *,
        udp_ports: tuple[int, int] = (0, 0),
        tcp_port: int | None = None,
        public_addresses: Sequence[str] = (),
        interfaces: Sequence[str] = (),
        threads: int | None = None,
        ice_lite: bool = False,
    ) -> None: ...
    def accept(
        self,
        hub: Hub,
        sdp: str,
        *,
        audio: bool,
        video: bool,
        allow_extra_tracks: bool = False,
        rate_hz: int = 48000,
        channels: int = 1,
        ice_servers: Sequence[tuple[str, str, str]] = (),
        disconnect_after_s: float = 6.0,
        close_after_s: float = 30.0,
        audio_bitrate_bps: int | None = None,
    ) -> Peer:
        """Answers an offer. Blocks without the GIL, at most 500 ms, while STUN and TURN servers
        (``(url, username, credential)``) are asked for addresses: call it in a worker thread
        when there are any.

        Raises:
            OfferError: see there.
            RuntimeError: the plane is closed, or belongs to the parent of a forked process.
        """

    def stats(self) -> Stats:
        """Counters of the whole process."""

    def close(self) -> None:
        """Closes all peers and joins the threads. Idempotent."""

class AudioBroadcast:
    """One source of audio for many peers: paced and encoded once, on a thread of its own.

    Args:
        bitrate_bps: of Opus; None for 48 kbit/s a channel.

    Raises:
        ValueError: Opus does not take this bit rate.
        RuntimeError: the system has no thread left.
    """

    def __init__(self, bitrate_bps: int | None = None) -> None: ...
    def add(self, peer: Peer) -> None:
        """The peer hears what is encoded from now on, in place of what it is given to play."""

    def remove(self, peer: Peer) -> None: ...
    def play(self, samples: Buffer | npt.NDArray[np.int16], rate_hz: int, channels: int) -> float:
        """As :meth:`Peer.play`, for all.

        Raises:
            RuntimeError: an internal error ended the thread; make a new broadcast.
        """

    def clear(self) -> float:
        """As :meth:`Peer.clear`, for all."""

    @property
    def queued_s(self) -> float: ...
    @property
    def sent_s(self) -> float: ...
    @property
    def packets(self) -> int:
        """How many were encoded."""

    @property
    def fec_percent(self) -> int:
        """The loss that copies in the packets protect against: what a quarter of the listeners
        report, or more; 0 without copies."""

    def close(self) -> None:
        """Ends the thread and waits for it. Idempotent."""

class Peer:
    """One client. Calls hand over and return; none waits for a media thread."""

    id: int
    answer: str
    fingerprint: str
    """The client's DTLS fingerprint, ``"sha-256 AB:CD:..."``: the proof of later offers."""
    warnings: list[str]
    """One sentence for each STUN or TURN server that gave no address."""

    def start(self) -> None:
        """From now on events reach the hub. Before it, media is not decoded."""

    def play(self, samples: Buffer | npt.NDArray[np.int16], rate_hz: int, channels: int) -> float:
        """Queues interleaved int16 samples for sending; returns the seconds now queued.

        The queue has no bound of its own: callers hold back while :attr:`queued_s` is large.
        """

    def clear(self) -> float:
        """Drops what is queued; returns the seconds sent since the last clear. No sample queued
        before the call is sent after it."""

    @property
    def queued_s(self) -> float: ...
    @property
    def sent_s(self) -> float: ...
    def bundle_audio(self, span_s: float) -> None:
        """Audio waits until there are ``span_s`` of it, 0 to have it as it comes; audio that is
        louder than before waits for 60 ms at most. Any other event takes along what waits."""

    @property
    def channel_open(self) -> bool: ...
    def send_text(self, text: str) -> bool:
        """Sends on the data channel; a message before it opens waits for it. False when the
        client offered none."""

    def send_video(self, data: Buffer, rtp_time: int, codec: str) -> None:
        """Queues one complete encoded frame; ``rtp_time`` in 90 kHz ticks."""

    def request_keyframe(self) -> None: ...
    def add_candidate(self, candidate: str) -> None:
        """A trickled candidate in any browser's form; empty means end of candidates.

        Raises:
            ValueError: it is not a candidate; the message says what was wrong.
        """

    def renegotiate(self, sdp: str) -> int:
        """Answers a later offer of the same client; the outcome is an ``ANSWER`` event with the
        number returned here."""

    def stats(self) -> Stats:
        """Updated every second."""

    def close(self) -> None:
        """Says goodbye to the client (RTCP BYE, DTLS close) and ends. Idempotent."""

class Resampler:
    """One stream of interleaved int16 from one rate to another, in pieces of any length.

    Raises:
        ValueError: a rate is not within 4000 to 384000 Hz, or there are not 1 or 2 channels.
    """

    def __init__(self, from_hz: int, to_hz: int, channels: int = 1) -> None: ...
    @property
    def delay_s(self) -> float:
        """The delay of the filter, which stands as silence before the first sample."""

    def push(self, samples: Buffer | npt.NDArray[np.int16]) -> bytearray:
        """Takes samples, returns those that are ready: native-endian int16."""

    def flush(self) -> bytearray:
        """What is still inside; then the resampler is as new."""

    def reset(self) -> None:
        """Forgets what has not come out."""

class OpusEncoder:
    """Opus for one stream of frames (application AUDIO, VBR).

    Raises:
        ValueError: Opus does not take this rate (:func:`opus_takes`) or number of channels.
    """

    def __init__(self, rate_hz: int, channels: int = 1, bitrate_bps: int = 48_000) -> None: ...
    def encode(self, samples: Buffer | npt.NDArray[np.int16]) -> bytes:
        """One packet of one frame of interleaved int16: 2.5, 5, 10, 20, 40 or 60 ms.

        Raises:
            ValueError: the frame has another length.
        """

class OpusDecoder:
    """Opus packets of one stream to interleaved int16 at ``rate_hz``."""

    def __init__(self, rate_hz: int, channels: int = 1) -> None: ...
    def decode(self, packet: bytes) -> bytearray:
        """The packet's samples, native-endian int16.

        Raises:
            ValueError: it is no Opus packet.
        """

def opus_takes(rate_hz: int) -> bool:
    """Whether Opus codes this rate without a resampler."""

def array_to_planes(
    array: npt.NDArray[np.uint8],
    y: npt.NDArray[np.uint8],
    u: npt.NDArray[np.uint8],
    v: npt.NDArray[np.uint8],
    pixel_format: Literal["bgr24", "rgb24", "gray8", "yuv420p"],
    bt709: bool = False,
    full_range: bool = False,
) -> None:
    """Pixels to the planes of an I420 picture, which are written in place, without the GIL.

    Args:
        array: ``(height, width, 3)``, "gray8" ``(height, width)``, of any strides; "yuv420p":
            contiguous, all samples of the three planes.
        y: ``(height, width)``. ``u`` and ``v``: both halved and rounded up.
        bt709: with the colours of BT.709 instead of BT.601.
        full_range: brightness of 0 to 255 instead of 16 to 235.

    Raises:
        ValueError: sizes that do not fit each other, or memory that overlaps or is read-only.
    """

def planes_to_array(
    y: npt.NDArray[np.uint8],
    u: npt.NDArray[np.uint8],
    v: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    pixel_format: Literal["bgr24", "rgb24", "gray8", "yuv420p"],
    bt709: bool = False,
    full_range: bool = False,
) -> None:
    """The reverse of :func:`array_to_planes`; ``out`` is contiguous and written in place."""
