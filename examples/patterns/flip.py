"""A picture for a picture: the camera, upside down. ``uvicorn flip:app``."""

import numpy as np
from fastapi import FastAPI

from fastrtc import Stream


def flip(image):
    """Called with each picture: uint8 of shape (height, width, 3), BGR."""
    return np.flip(image, axis=0)


stream = Stream(flip, modality="video", mode="send-receive")
app = FastAPI()
stream.mount(app)
