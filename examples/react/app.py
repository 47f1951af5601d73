"""The browser client in a React component: ``python examples/react/app.py [--port PORT]``.

The component and its hook are in ``index.html``, which needs no build: React comes by import map.
In a project with a bundler the hook is the same; there ``import`` the client by its URL
(``/* @vite-ignore */`` keeps bundlers from looking for it), or copy ``fastrtc/ui/client``.
"""

import argparse
from pathlib import Path

import uvicorn
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serves a React component with an echo in it.")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on")
    port = parser.parse_args().port
    print(f"Open http://localhost:{port} and press Start. Ctrl-C ends.")
    uvicorn.run(app, port=port, log_level="warning")
