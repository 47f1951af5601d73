"""From the probabilities of windows to stretches of speech, as ``SileroVadOptions`` shapes them.

Pure. Not used to end turns: that is the detector's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from fastrtc.turns.options import SileroVadOptions
from fastrtc.turns.protocol import RATE_HZ, WINDOW_SAMPLES, SpeechChunk

__all__ = ["speech_chunks"]

HYSTERESIS: Final = 0.15
"""Speech begins at the threshold and ends this far below it."""
SPLITTING_SILENCE: Final = 0.098 * RATE_HZ
"""A silence longer than this, in samples, is a good place to split speech that is too long."""


def speech_chunks(
    probabilities: Sequence[float], samples: int, options: SileroVadOptions
) -> list[SpeechChunk]:
    """Where speech is.

    Args:
        probabilities: of each window of 512 samples at 16 kHz, the first at sample 0.
        samples: length of the audio at 16 kHz; the last window may reach beyond it.
        options: see there.

    Returns:
        Chunks in samples at 16 kHz, in order, without overlap.

    Example::

        speech_chunks([0.9] * 20, 10240, SileroVadOptions())  # [{"start": 0, "end": 10240}]
    """
    min_speech = options.min_speech_duration_ms * RATE_HZ / 1000
    chunks = [
        chunk
        for chunk in _stretches(probabilities, samples, options)
        if chunk["end"] - chunk["start"] > min_speech
    ]
    _pad(chunks, samples, int(options.speech_pad_ms * RATE_HZ / 1000))
    return chunks


def _stretches(
    probabilities: Sequence[float], samples: int, options: SileroVadOptions
) -> list[SpeechChunk]:
    low = options.threshold - HYSTERESIS
    min_silence = options.min_silence_duration_ms * RATE_HZ / 1000
    pads = 2 * options.speech_pad_ms * RATE_HZ / 1000
    max_speech = max(0.0, options.max_speech_duration_s * RATE_HZ - WINDOW_SAMPLES - pads)
    found: list[SpeechChunk] = []
    start: int | None = None
    silent_since: int | None = None
    split: tuple[int, int] | None = None
    for window, probability in enumerate(probabilities):
        at = window * WINDOW_SAMPLES
        if start is None:
            if probability >= options.threshold:
                start, silent_since, split = at, None, None
            continue
        if probability >= options.threshold:
            if silent_since is not None and at - silent_since > SPLITTING_SILENCE:
                split = silent_since, at
            silent_since = None
        elif probability < low and silent_since is None:
            silent_since = at
        silence = 0 if silent_since is None else at - silent_since
        if silent_since is not None and probability < low and silence >= min_silence:
            found.append({"start": start, "end": silent_since})
            start = None
        elif at - start > max_speech:
            if silent_since is not None and silence > SPLITTING_SILENCE:
                found.append({"start": start, "end": silent_since})
                start = None
            elif split is not None:
                found.append({"start": start, "end": split[0]})
                start, split = split[1], None
            else:
                found.append({"start": start, "end": at})
                start = None
    if start is not None:
        found.append({"start": start, "end": samples})
    return found


def _pad(chunks: list[SpeechChunk], samples: int, pad: int) -> None:
    """Makes chunks longer at both ends; two that would overlap share what is between them."""
    previous: SpeechChunk | None = None
    for chunk in chunks:
        gap = math.inf if previous is None else chunk["start"] - previous["end"]
        room = pad if gap >= 2 * pad else int(gap // 2)
        chunk["start"] = max(0, chunk["start"] - room)
        if previous is not None:
            previous["end"] += room
        previous = chunk
    if previous is not None:
        previous["end"] = min(samples, previous["end"] + pad)
