"""Takes a voice activity model that a user gave: checked, and warm before the first call.

Knows the protocols of ``protocol.py``; runs nothing but ``warmup``.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import weakref
from typing import Any

from fastrtc.turns.protocol import StreamingModel, StreamingVad

__all__ = ["is_lone_stream", "own_stream", "prepared"]

_lock = threading.Lock()
_prepared: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def prepared(model: Any) -> Any:
    """The model itself; ``warmup()`` was called, if it has one, once for all handlers.

    Raises:
        ValueError: it has none of the protocols, or keeps the state of one session and cannot be
            copied for others.
    """
    with _lock:
        if _prepared.get(id(model)) is model:
            return model
        if is_lone_stream(model):
            own_stream(model)
        elif not any(callable(getattr(model, name, None)) for name in ("vad", "stream")):
            raise ValueError(
                f"model is a {type(model).__name__} without vad(), stream() or reset() and push(); "
                "allowed is a PauseDetectionModel, such as get_silero_model(), or a model of the "
                "streaming protocol, see fastrtc.turns.protocol"
            )
        warmup = getattr(model, "warmup", None)
        if callable(warmup):
            warmup()
        # One with __slots__ and no __weakref__ cannot be remembered, and is warmed again.
        with contextlib.suppress(TypeError):
            _prepared[id(model)] = model
    return model


def is_lone_stream(model: Any) -> bool:
    """Whether a model has only the stream of one session: ``reset`` and ``push``."""
    return isinstance(model, StreamingVad) and not isinstance(model, StreamingModel)


def own_stream(model: Any) -> StreamingVad:
    """A stream with state of its own from a model that is one: a deep copy, reset.

    Raises:
        ValueError: it cannot be copied.
    """
    try:
        stream: StreamingVad = copy.deepcopy(model)
    except Exception as error:
        raise ValueError(
            f"model is a {type(model).__name__} with reset() and push(), which keeps the state of "
            f"one session, and cannot be copied for others ({error!r}): give it a stream() that "
            "returns an object with reset() and push() for each session, or a __deepcopy__()"
        ) from error
    stream.reset()
    return stream
