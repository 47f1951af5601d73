"""What a handler may return or yield besides plain media, and how such a value is read.

Pure: reading a value decides nothing about when it is played or who is told.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from fastrtc.errors import OutputError
from fastrtc.types import AudioOutput

__all__ = ["AdditionalOutputs", "AudioEmitType", "CloseStream", "Outputs", "split_outputs"]


class AdditionalOutputs:
    """Values for the application beside the media; see ``Stream.output_stream``.

    Example::

        yield (24000, samples), AdditionalOutputs(transcript)
    """

    __slots__ = ("args",)

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __repr__(self) -> str:
        return f"AdditionalOutputs{self.args!r}"


class CloseStream:
    """Ends the session once the media that came before it was played out.

    Args:
        msg: shown to the client's user.

    Example::

        yield (24000, goodbye), CloseStream("Thank you for calling.")
    """

    __slots__ = ("msg",)

    def __init__(self, msg: str = "Stream closed") -> None:
        self.msg = msg

    def __repr__(self) -> str:
        return f"CloseStream({self.msg!r})"


AudioEmitType: TypeAlias = (
    AudioOutput
    | AdditionalOutputs
    | CloseStream
    | tuple[AudioOutput | None, AdditionalOutputs | CloseStream]
    | None
)
"""What an audio handler may return or yield."""


class Outputs(NamedTuple):
    """One returned or yielded value, taken apart."""

    media: object | None
    additional: AdditionalOutputs | None
    close: CloseStream | None


def split_outputs(value: object) -> Outputs:
    """Takes a returned or yielded value apart.

    Args:
        value: media, ``AdditionalOutputs``, ``CloseStream``, a tuple of media and one or both of
            these, or None. What counts as media is not checked here.

    Raises:
        OutputError: a tuple holds several of a kind.
    """
    if isinstance(value, AdditionalOutputs):
        return Outputs(None, value, None)
    if isinstance(value, CloseStream):
        return Outputs(None, None, value)
    if not (
        isinstance(value, tuple)
        and value
        and isinstance(value[-1], (AdditionalOutputs, CloseStream))
    ):
        return Outputs(value, None, None)
    media: list[object] = []
    additional: list[AdditionalOutputs] = []
    close: list[CloseStream] = []
    for part in value:
        if isinstance(part, AdditionalOutputs):
            additional.append(part)
        elif isinstance(part, CloseStream):
            close.append(part)
        else:
            media.append(part)
    if 2 <= len(media) <= 3 and isinstance(media[1], np.ndarray):
        media = [tuple(media)]
    if max(len(media), len(additional), len(close)) > 1:
        kinds = ", ".join(type(part).__name__ for part in value)
        raise OutputError(
            f"received a tuple of ({kinds}); allowed: (media, AdditionalOutputs), "
            "(media, CloseStream) or (media, AdditionalOutputs, CloseStream)"
        )
    return Outputs(
        media[0] if media else None,
        additional[0] if additional else None,
        close[0] if close else None,
    )
