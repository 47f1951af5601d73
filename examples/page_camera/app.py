"""The camera's picture, darkened by a slider, with its brightness as a number beside it."""

import gradio as gr
import numpy as np

from fastrtc import AdditionalOutputs, Stream


def darken(image, share=0.3):
    """Called with each picture: uint8 of shape (height, width, 3), BGR."""
    darker = (image * (1 - share)).astype(np.uint8)
    return darker, AdditionalOutputs(int(darker.mean()))


stream = Stream(
    darken,
    modality="video",
    mode="send-receive",
    concurrency_limit=2,
    additional_inputs=[gr.Slider(0, 1, value=0.3, step=0.01, label="Darken by")],
    additional_outputs=[gr.Number(label="Brightness")],
    additional_outputs_handler=lambda old, new: new,
    ui_args={"title": "Darker"},
)

if __name__ == "__main__":
    stream.ui.launch()
