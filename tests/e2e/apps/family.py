"""``python -m e2e.apps.family PORT CHILD_PORT``: a server process that forks when it is told to.

After a line on standard input a child is forked, which serves the same app at its own port.
"""

import os
import sys
import threading

import uvicorn

from e2e.apps.stations import app


def serve(port: int) -> uvicorn.Server:
    """A server that has not begun."""
    return uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, access_log=False))


if __name__ == "__main__":
    own_port, child_port = map(int, sys.argv[1:3])
    server = serve(own_port)
    thread = threading.Thread(target=server.run)
    thread.start()
    sys.stdin.readline()
    child = os.fork()
    if child == 0:
        serve(child_port).run()
        os._exit(0)
    sys.stdin.readline()
    os.kill(child, 2)
    os.waitpid(child, 0)
    server.should_exit = True
    thread.join()
