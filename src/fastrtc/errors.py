"""Every exception that fastrtc raises, in one tree.

This room only names failures. It must not import anything of the package, send anything, or
decide what happens next.

* :class:`FastRTCError`
    * :class:`WebRTCError` (raised by user code: the client is shown its message)
    * :class:`CorruptFrame` (an encoded picture that cannot be decoded)
    * :class:`OutputError` (a handler's output is not usable media; also TypeError, ValueError)
    * :class:`HandlerError`
        * :class:`InputsTimeout` (also TimeoutError)
        * :class:`ModelError` (a model that hears for the handler failed)
    * :class:`SessionClosed`
    * :class:`ConfigurationError` (also ValueError)
    * :class:`CallFailed` (a telephone provider did not dial, or not hang up)
    * :class:`CredentialsError` (a service that rents out TURN servers gave no credentials)
    * :class:`FastphoneError` (no tunnel, or no telephone number)
    * :class:`MissingExtension` (also ImportError)
    * :class:`FeatureUnavailable` (also NotImplementedError)
    * :class:`SpeechError` (a speech engine or its service failed)
        * :class:`MissingModel` (also FileNotFoundError)
    * :class:`OfferRefused` (a request that is answered with a ``failed`` body)
        * :class:`ConcurrencyLimitReached`
        * :class:`ConnectionAlreadyExists`
        * :class:`UnknownConnection`
        * :class:`ConnectionClosed`
        * :class:`InvalidCandidate`
        * :class:`InvalidSdp`
        * :class:`UnsupportedMedia`
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "CallFailed",
    "ConcurrencyLimitReached",
    "ConfigurationError",
    "ConnectionAlreadyExists",
    "ConnectionClosed",
    "CorruptFrame",
    "CredentialsError",
    "FastRTCError",
    "FastphoneError",
    "FeatureUnavailable",
    "HandlerError",
    "InputsTimeout",
    "InvalidCandidate",
    "InvalidSdp",
    "MissingExtension",
    "MissingModel",
    "ModelError",
    "OfferRefused",
    "OutputError",
    "SessionClosed",
    "SpeechError",
    "UnknownConnection",
    "UnsupportedMedia",
    "WebRTCError",
]


class FastRTCError(Exception):
    """Base of everything below."""


class WebRTCError(FastRTCError):
    """Raise it in a handler: the client shows ``message`` to its user, the session goes on.

    Example::

        if not samples.any():
            raise WebRTCError("Your microphone is muted.")
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class CorruptFrame(FastRTCError):
    """An encoded picture that is damaged, or needs one that is missing: ask for a keyframe."""


class OutputError(FastRTCError, TypeError, ValueError):
    """A handler returned or yielded something that is not media we can send."""


class HandlerError(FastRTCError):
    """A handler cannot go on for a reason that its author or user has to know."""


class InputsTimeout(HandlerError, TimeoutError):
    """The client was asked for its inputs and did not send them in time."""


class ModelError(HandlerError):
    """A model of speech failed, so that nobody knows who speaks; its own error is the cause."""


class SessionClosed(FastRTCError):
    """The session ended while something waited for it."""


class ConfigurationError(FastRTCError, ValueError):
    """A setting has a value that cannot be used, or came too late to have an effect."""


class CallFailed(FastRTCError):
    """A telephone provider could not be asked to dial or to hang up, or refused."""


class CredentialsError(FastRTCError):
    """A service that rents out TURN servers could not be asked, or refused."""


class FastphoneError(FastRTCError):
    """No telephone number leads here, for a reason that the message tells."""


class MissingExtension(FastRTCError, ImportError):
    """The compiled media plane, or an optional package, is not installed."""


class FeatureUnavailable(FastRTCError, NotImplementedError):
    """This build of fastrtc does not have the feature that was asked for."""


class SpeechError(FastRTCError):
    """A speech engine, or the service behind it, could not do what it was asked for."""


class MissingModel(SpeechError, FileNotFoundError):
    """The weights of a model are not on this machine and could not be downloaded."""


class OfferRefused(FastRTCError):
    """A signalling request that gets a ``{"status": "failed", ...}`` body and holds no slot.

    Attributes:
        code: the ``error`` of the body's ``meta``.
        http_status: 200, or 400 where the request itself can never succeed.
        meta: further entries of the body's ``meta``.
    """

    code: ClassVar[str]
    http_status: ClassVar[int] = 200

    def __init__(self, message: str, **meta: Any) -> None:
        super().__init__(message)
        self.meta = meta

    def body(self) -> dict[str, Any]:
        """The JSON body that tells the client."""
        return {"status": "failed", "meta": {"error": self.code, **self.meta}}


class ConcurrencyLimitReached(OfferRefused):
    """All slots are taken; ``meta["limit"]`` says how many there are."""

    code = "concurrency_limit_reached"

    def __init__(self, limit: int) -> None:
        super().__init__(f"all {limit} connections of this stream are in use", limit=limit)


class ConnectionAlreadyExists(OfferRefused):
    """The id belongs to a session whose DTLS fingerprint the offer does not have."""

    code = "connection_already_exists"

    def __init__(self, webrtc_id: str) -> None:
        super().__init__(f"webrtc_id {webrtc_id!r} is in use by another connection")


class UnknownConnection(OfferRefused):
    """No session has this id, and none is about to."""

    code = "unknown_connection"

    def __init__(self, webrtc_id: str) -> None:
        super().__init__(f"no connection with webrtc_id {webrtc_id!r}")


class ConnectionClosed(OfferRefused):
    """The session has ended, or the stream takes no new ones because it shuts down."""

    code = "connection_closed"


class InvalidCandidate(OfferRefused):
    """An ICE candidate that no reading of RFC 8839 makes sense of."""

    code = "invalid_candidate_format"


class InvalidSdp(OfferRefused):
    """A session description that cannot be parsed; ``meta["reason"]`` says where it fails."""

    code = "invalid_sdp"
    http_status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason, reason=reason)


class UnsupportedMedia(OfferRefused):
    """An offer whose media this stream cannot serve; ``meta["reason"]`` says why."""

    code = "unsupported_media"
    http_status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason, reason=reason)
