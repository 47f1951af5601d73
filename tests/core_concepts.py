"""The snippets of the user's own description (data/core-concepts.txt), from the text itself."""

from __future__ import annotations

from pathlib import Path

LINES = (Path(__file__).parent / "data" / "core-concepts.txt").read_text().splitlines()


def snippet(first_line: str, last_line: str, number: int = 0) -> str:
    """The text from the n-th line that equals the one to the next that equals the other."""
    start = [n for n, line in enumerate(LINES) if line == first_line][number]
    end = next(n for n in range(start, len(LINES)) if LINES[n] == last_line)
    return "\n".join(LINES[start : end + 1])


def video_snippet(number: int) -> str:
    """The first or second stream of the text: from its imports to the end of Stream(...)."""
    starts = [line for line in LINES if line.startswith("from fastrtc import Stream")]
    return snippet(starts[number], ")")


INPUT_HOOK = snippet(
    "from pydantic import BaseModel, Field",
    "    stream.set_input(data.webrtc_id, data.conf_threshold)",
)
OUTPUT_HOOK = snippet("from fastapi.responses import StreamingResponse", "    )")
FRONTEND = snippet(
    "from fastapi.responses import HTMLResponse",
    '    return HTMLResponse(content=open("index.html").read())',
)
LIMITS = snippet("stream = Stream(", ")", -1)
LAUNCH = snippet("stream.ui.launch()", "stream.ui.launch()")
