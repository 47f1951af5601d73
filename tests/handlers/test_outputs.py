"""Everything that API.md lets a handler return is taken apart rightly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastrtc import AdditionalOutputs, CloseStream
from fastrtc.errors import OutputError
from fastrtc.handlers.outputs import split_outputs

AUDIO = (24000, np.zeros(480, np.int16))
MORE = AdditionalOutputs("a", 1)
END = CloseStream("bye")


@pytest.mark.parametrize(
    ("value", "media", "additional", "close"),
    [
        (None, None, None, None),
        (AUDIO, AUDIO, None, None),
        (MORE, None, MORE, None),
        (END, None, None, END),
        ((AUDIO, MORE), AUDIO, MORE, None),
        ((AUDIO, END), AUDIO, None, END),
        ((AUDIO, MORE, END), AUDIO, MORE, END),
        ((None, MORE), None, MORE, None),
        ((*AUDIO, MORE), AUDIO, MORE, None),
        ((), (), None, None),
    ],
)
def test_values_are_taken_apart(value: Any, media: Any, additional: Any, close: Any) -> None:
    outputs = split_outputs(value)
    assert outputs.media is media or outputs.media == media
    assert outputs.additional is additional
    assert outputs.close is close


def test_two_of_a_kind_are_refused() -> None:
    with pytest.raises(OutputError, match="AdditionalOutputs, AdditionalOutputs"):
        split_outputs((MORE, MORE))


def test_defaults_and_reprs() -> None:
    assert CloseStream().msg == "Stream closed"
    assert AdditionalOutputs(1, "b").args == (1, "b")
    assert repr(MORE) == "AdditionalOutputs('a', 1)"
