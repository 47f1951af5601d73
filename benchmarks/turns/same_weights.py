"""FastRTC 0.0.34's own model over the Silero weights that we ship.

A window of 512 samples with 64 before it, the state starting afresh with each chunk, as the
original's does.
"""

from typing import Any

import numpy as np
import onnxruntime
from fastrtc.pause_detection.silero import SileroVADModel


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
