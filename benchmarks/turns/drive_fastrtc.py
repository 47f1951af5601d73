"""Says scenes to FastRTC 0.0.34's ReplyOnPause in virtual time; see ``run.py``.

The handler is called as its tracks do: ``receive`` with frames of 20 ms, ``emit`` again and again.
Its model is its own code over the Silero weights that we ship: a window of 512 samples with 64
before it, the state starting afresh with each chunk, as the original's does.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from fastrtc.pause_detection.silero import SileroVADModel
from scenes import FRAME_S, RATE_HZ, place

from fastrtc import ReplyOnPause, SileroVadOptions

FRAME = round(FRAME_S * RATE_HZ)


class SameWeights(SileroVADModel):
    """The original's model with the current weights."""

    def __init__(self, weights: str) -> None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            weights, options, providers=["CPUExecutionProvider"]
        )

    def get_initial_state(self, batch_size: int) -> Any:
        """State and context of nothing heard."""
        return np.zeros((2, batch_size, 128), np.float32), np.zeros(64, np.float32)

    def __call__(self, x: Any, state: Any, sr: int) -> Any:
        """The probability of one window."""
        state, context = state
        sound = np.concatenate((context, x))[None].astype(np.float32)
        probability, state = self.session.run(
            None, {"input": sound, "state": state, "sr": np.array(sr, np.int64)}
        )
        return probability[0, 0], (state, x[-64:])


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
