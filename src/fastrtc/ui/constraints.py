"""What a page asks browsers to capture, where the application names nothing. Pure."""

from __future__ import annotations

from typing import Any

from fastrtc.types import Modality

__all__ = ["default_track_constraints"]


def default_track_constraints(modality: Modality, full_screen: bool) -> dict[str, Any]:
    """``MediaTrackConstraints`` for a microphone or a camera; both, by kind, for "audio-video".

    All are wishes ("ideal"), never demands ("exact"): a telephone that has no noise suppression
    takes part all the same.

    Args:
        modality: what is captured.
        full_screen: whether the video fills the page (1280x720), or a box (500x500).
    """
    width, height = (1280, 720) if full_screen else (500, 500)
    audio: dict[str, Any] = {
        "echoCancellation": {"ideal": True},
        "noiseSuppression": {"ideal": True},
        "autoGainControl": {"ideal": True},
        "channelCount": {"ideal": 1},
    }
    video: dict[str, Any] = {
        "facingMode": "user",
        "width": {"ideal": width},
        "height": {"ideal": height},
        "frameRate": {"ideal": 30},
    }
    if modality == "audio":
        return audio
    return video if modality == "video" else {"audio": audio, "video": video}
