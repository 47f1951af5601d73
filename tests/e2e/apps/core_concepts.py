"""The snippets of the user's own description in one application, with what they leave out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from core_concepts import FRONTEND, INPUT_HOOK, OUTPUT_HOOK, video_snippet

ROUTE = FRONTEND.index("# Serve a custom frontend")


def process_frame(image: Any, conf_threshold: float) -> tuple[Any, int]:
    """Finds more objects when less sure is enough."""
    return np.flip(image, axis=0), round(10 * (1 - conf_threshold))


# Where the snippet finds its index.html.
os.chdir(Path(__file__).parent / "frontend")
detection: dict[str, Any] = {"process_frame": process_frame}
for snippet in (video_snippet(1), INPUT_HOOK, OUTPUT_HOOK):
    exec(snippet, detection)
# Of the last one only what it adds, for its own stream has no handler.
exec(FRONTEND.splitlines()[0] + "\n" + FRONTEND[ROUTE:], detection)
app = detection["app"]


@app.get("/sessions")
def sessions() -> dict[str, int]:
    """How many live sessions the stream has."""
    return {"ui": len(detection["stream"].sessions)}
