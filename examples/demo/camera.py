"""The camera's picture with its edges drawn, as strong as a slider says."""

import time

import gradio as gr
import numpy as np

from fastrtc import AdditionalOutputs, Stream

try:
    import cv2
except ImportError:
    cv2 = None  # NumPy finds edges too, not as fine ones


def find_edges(image):
    """Where brightness changes: uint8 of shape (height, width), 255 on an edge."""
    if cv2 is not None:
        return cv2.Canny(image, 80, 160)
    green = image[:, :, 1].astype(np.int16)
    steep = np.zeros(green.shape, np.int16)
    steep[:, 1:] = np.abs(np.diff(green, axis=1))
    steep[1:] += np.abs(np.diff(green, axis=0))
    return np.where(steep > 24, 255, 0).astype(np.uint8)


def draw(image, strength=0.8):
    """Called with each picture: uint8 of shape (height, width, 3), BGR."""
    edges = find_edges(image)
    dimmed = (image * np.float32(1 - strength)).astype(np.uint8)
    picture = np.where(edges[:, :, None] > 0, np.uint8(255), dimmed)
    if time.monotonic() % 1 > 0.05:
        return picture
    # A number that people read does not have to change thirty times a second.
    return picture, AdditionalOutputs(round(float(edges.mean()) / 2.55, 1))


stream = Stream(
    draw,
    modality="video",
    mode="send-receive",
    concurrency_limit=4,
    track_constraints={
        "width": {"ideal": 640},
        "height": {"ideal": 480},
        "frameRate": {"ideal": 30},
    },
    additional_inputs=[gr.Slider(0, 1, value=0.8, step=0.05, label="Strength")],
    additional_outputs=[gr.Number(label="Edges, percent of the picture")],
    additional_outputs_handler=lambda shown, percent: percent,
    ui_args={"title": "See what a function sees"},
)
