"""A spoken conversation through a real Chromium: answered soon, and silent when spoken to."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from e2e import sound
from e2e.browser import Chromium, Tab
from e2e.server import Server

Serve = Callable[..., Server]
OpenTab = Callable[[str], Tab]

FRAME = sound.RATE_HZ // 100
PAUSE_FRAMES = 60
"""Shorter pauses are within an utterance."""


def stretches(track: Any, level: float) -> list[tuple[float, float]]:
    """Where a track is louder than a level: (start, end) in seconds."""
    frames = track[: len(track) // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > level)
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > PAUSE_FRAMES)
    starts = loud[np.concatenate(([0], breaks + 1))]
    ends = loud[np.concatenate((breaks, [len(loud) - 1]))] + 1
    return [
        (start / 100, end / 100) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def test_turns_are_answered_and_interrupt(
    chromium: Chromium, serve: Serve, open_tab: OpenTab
) -> None:
    words = sound.speech("go-forward.wav")
    quiet = np.zeros(sound.RATE_HZ)
    said = np.concatenate([quiet, words, quiet, quiet, words, quiet, quiet, quiet])
    chromium.set_microphone(sound.to_int16(said))
    server = serve("turns")
    call = open_tab(server.url).connect()
    call.wait()
    both = sound.to_sound(call.compare(2 * len(said) / sound.RATE_HZ + 3))
    length_s = len(both) / sound.RATE_HZ
    utterances = stretches(both[:, 0], 0.01)
    tone = np.abs(both[:, 1]) > 0.02
    answers_s, silences_s = [], []
    for start_s, end_s in utterances:
        if end_s - start_s < 1.5 or end_s + 1.5 > length_s:
            continue
        after = np.flatnonzero(tone[round(end_s * sound.RATE_HZ) :])
        assert len(after), "no answer"
        answers_s.append(after[0] / sound.RATE_HZ)
        onset = round(start_s * sound.RATE_HZ)
        if start_s > 0.1 and tone[onset - sound.RATE_HZ // 10 : onset].any():
            spoken_into = np.flatnonzero(tone[onset : round(end_s * sound.RATE_HZ)])
            silences_s.append((spoken_into[-1] + 1) / sound.RATE_HZ)
    assert len(answers_s) >= 3, utterances
    assert len(silences_s) >= 2, utterances
    assert max(answers_s) < 1.0, answers_s
    # Far below the 1.9 s of the utterance: it is silent while the user speaks.
    assert max(silences_s) < 0.7, silences_s
    print(f"answers after {np.round(answers_s, 3)} s, silent after {np.round(silences_s, 3)} s")
    messages = " ".join(call.messages())
    for log in ("started_talking", "pause_detected", "response_starting"):
        assert log in messages


def test_a_cough_pauses_the_reply_and_nothing_of_it_is_lost(
    chromium: Chromium, serve: Serve, open_tab: OpenTab
) -> None:
    words = sound.speech("go-forward.wav")
    loud = np.flatnonzero(np.abs(words) > 0.02)
    cough = words[loud[0] : loud[0] + sound.RATE_HZ * 35 // 100]
    quiet = np.zeros(sound.RATE_HZ)
    said = np.concatenate([quiet, words, quiet, quiet, cough, *[quiet] * 5])
    chromium.set_microphone(sound.to_int16(said))
    server = serve("turns", TURNS_RESUME="1")
    call = open_tab(server.url).connect()
    call.wait()
    both = sound.to_sound(call.compare(2 * len(said) / sound.RATE_HZ + 2))
    tones = [stretch for stretch in stretches(both[:, 1], 0.02) if stretch[0] > 0.1]
    pairs = [(first, second) for first, second in pairwise(tones) if second[0] - first[1] < 2.0]
    assert pairs, tones
    (begin_s, pause_s), (resume_s, end_s) = pairs[0]
    assert 0.5 < resume_s - pause_s < 1.4, tones
    # What was on its way when it paused fades into Chromium's concealment of the gap.
    assert abs((pause_s - begin_s) + (end_s - resume_s) - 3.0) < 0.15, tones
