"""Says scenes to FastRTC 0.0.34's ReplyOnPause in virtual time; see ``run.py``.

The handler is called as its tracks do: ``receive`` with frames of 20 ms, ``emit`` again and again.
Its model is its own code over the weights that we ship (``same_weights.py``).
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from same_weights import SameWeights
from scenes import FRAME_S, RATE_HZ, place

from fastrtc import ReplyOnPause, SileroVadOptions

FRAME = round(FRAME_S * RATE_HZ)


class Silent(ReplyOnPause):
    """Without a client to send messages to."""

    def send_message_sync(self, msg: str) -> None:
        """Nobody is there."""


def main(folder: Path, weights: str) -> None:
    """Writes for each scene when replies began, and which audio they were given."""
    model = SameWeights(weights)
    results = {name.stem: talk(np.load(name), model) for name in sorted(folder.glob("scene-*.npy"))}
    print(json.dumps(results))


def talk(scene: Any, model: SameWeights) -> dict[str, Any]:
    """One scene."""
    received: list[Any] = []
    tone = (3000 * np.sin(np.arange(4800) / 8)).astype(np.int16)

    def reply(audio: tuple[int, Any]) -> Any:
        received.append(audio[1].reshape(-1))
        yield 24_000, tone

    handler = Silent(reply, model=model, model_options=SileroVadOptions(window_size_samples=512))
    handler._clear_queue = lambda: None
    begins = []
    for number in range(len(scene) // FRAME):
        handler.receive((RATE_HZ, scene[None, number * FRAME : (number + 1) * FRAME]))
        while handler.event.is_set():
            if handler.emit() is not None:
                begins.append((number + 1) * FRAME_S)
    return {"replies_s": begins, "given": [place(scene, heard) for heard in received]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
