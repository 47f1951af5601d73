"""``python -m e2e.apps.neighbours PORT PORT``: two servers with an event loop each, one process.

Ends after a line on standard input.
"""

import sys
import threading

import uvicorn
from fastapi import FastAPI

from e2e.apps.stations import Echo
from fastrtc import Stream


def serve(port: int) -> uvicorn.Server:
    """A server with an app and a stream of its own."""
    app = FastAPI()
    Stream(Echo(), modality="audio").mount(app)
    return uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, access_log=False))


if __name__ == "__main__":
    servers = [serve(int(port)) for port in sys.argv[1:3]]
    threads = [threading.Thread(target=server.run) for server in servers]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    servers[0].should_exit = True
    threads[0].join()
    print("the first has ended", flush=True)
    sys.stdin.readline()
    servers[1].should_exit = True
    threads[1].join()
