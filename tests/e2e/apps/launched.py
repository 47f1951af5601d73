"""A Gradio page that ``launch()`` serves, as ``python -m e2e.apps.launched``.

Two echoes and a mirror. ``#near`` is reached by WebRTC. ``#far`` and ``#mirror`` tell browsers to
use relays only, of which there are none: what a network does that lets no WebRTC through.
"""

from typing import Any

import gradio as gr
import numpy as np

from fastrtc import AdditionalOutputs, WebRTC


def echo(frame: tuple[int, Any]) -> Any:
    """Says back what it hears, and how loud that was."""
    return frame, AdditionalOutputs(int(np.abs(frame[1]).max()))


RELAYS_ONLY: Any = {"iceTransportPolicy": "relay"}

with gr.Blocks() as page:
    for name, configuration in (("near", None), ("far", RELAYS_ONLY)):
        level = gr.Number(label=f"Level of {name}")
        component = WebRTC(
            label=name, modality="audio", elem_id=name, rtc_configuration=configuration
        )
        component.stream(echo, inputs=[component], outputs=[component])
        component.on_additional_outputs(lambda peak: peak, outputs=[level])
    mirror = WebRTC(elem_id="mirror", full_screen=False, rtc_configuration=RELAYS_ONLY)
    mirror.stream(np.flipud, inputs=[mirror], outputs=[mirror])

if __name__ == "__main__":
    page.launch()
