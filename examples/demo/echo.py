"""Hear yourself, louder or quieter."""

import gradio as gr
import numpy as np

from fastrtc import Stream


def amplify(frame, loudness=1.0):
    """Called with each 20 ms of sound, and with what the slider says now."""
    rate, samples = frame
    return rate, np.clip(samples * loudness, -32768, 32767).astype(np.int16)


stream = Stream(
    amplify,
    modality="audio",
    mode="send-receive",
    concurrency_limit=20,
    additional_inputs=[gr.Slider(0, 4, value=1, label="Loudness")],
    ui_args={"title": "Hear yourself", "subtitle": "Wear headphones, or it howls."},
)
