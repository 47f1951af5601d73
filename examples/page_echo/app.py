"""Hear yourself, louder or quieter: a function, a slider, a number, and the page around them."""

import gradio as gr
import numpy as np

from fastrtc import AdditionalOutputs, Stream


def amplify(frame, gain=1.0):
    """Called with each frame, and with what the slider says now."""
    rate, samples = frame
    louder = np.clip(samples * gain, -32768, 32767).astype(np.int16)
    return (rate, louder), AdditionalOutputs(int(np.abs(louder).max()))


stream = Stream(
    amplify,
    modality="audio",
    mode="send-receive",
    concurrency_limit=10,
    additional_inputs=[gr.Slider(0, 4, value=1, label="Gain")],
    additional_outputs=[gr.Number(label="Peak")],
    additional_outputs_handler=lambda old, new: new,
    ui_args={"title": "Echo", "subtitle": "Wear headphones."},
)

if __name__ == "__main__":
    stream.ui.launch()
