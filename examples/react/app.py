"""The browser client in a React component: ``uvicorn --app-dir examples/react app:app``.

The component and its hook are in ``index.html``, which needs no build: React comes by import map.
In a project with a bundler the hook is the same; there ``import`` the client by its URL
(``/* @vite-ignore */`` keeps bundlers from looking for it), or copy ``fastrtc/ui/client``.
"""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from fastrtc import Stream

HERE = Path(__file__).parent


def echo(audio):
    """Says back what it hears."""
    return audio


stream = Stream(echo, modality="audio", mode="send-receive", concurrency_limit=20)
app = FastAPI(title="A React component")
stream.mount(app)


@app.get("/")
def page() -> HTMLResponse:
    """The page."""
    return HTMLResponse((HERE / "index.html").read_text())
