"""Runs an app under uvicorn in a process of its own, as a user does. Knows nothing of browsers."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

TESTS = Path(__file__).resolve().parents[1]
START_S = 60.0
STOP_S = 10.0
PORTS = range(12_000, 32_000)
"""Below those that systems give to clients, so that none takes a port before its server does."""
_FIRST = 97 * os.getpid() % len(PORTS)
_ports = itertools.cycle([*PORTS[_FIRST:], *PORTS[:_FIRST]])


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody on this machine uses, and that this process has not given out lately."""
    for _ in PORTS:
        port = next(_ports)
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            probe.bind(("", port))
            return port
    raise RuntimeError(f"all ports from {PORTS.start} to {PORTS.stop - 1} are in use")


def wait_for_port(port: int, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> bool:
    """Waits until the process listens on a port; False when that never comes."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


class Server:
    """``with Server("e2e.apps.echo:app") as server`` serves the app at ``server.url``.

    Args:
        app: what uvicorn is told to serve, importable from ``tests/``.
        env: environment variables for the app.
        python: the interpreter to run it with, so that other libraries can be measured too.
    """

    def __init__(
        self, app: str, env: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.exit_code: int | None = None
        # Appending, because reading moves the place at which the server would write else.
        self._log = tempfile.TemporaryFile(mode="a+")  # noqa: SIM115 - lives as long as we do
        command = [python, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(
            [*command, "--no-access-log"],
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    @property
    def pid(self) -> int:
        """The process to measure."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything the server has printed."""
        self._log.seek(0)
        return self._log.read()

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> None:
        """Waits for a process that was told to end; TimeoutExpired when it does not."""
        self.exit_code = self._process.wait(timeout_s)

    def __enter__(self) -> "Server":
        if wait_for_port(self.port, self._process):
            return self
        self.stop()
        raise RuntimeError(f"the server did not start; it printed:\n{self.log}")

    def stop(self) -> None:
        """Ends the server as Ctrl-C does, and by force when that takes over ten seconds."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.exit_code = self._process.returncode

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"the server printed:\n{self.log}")
        self._log.close()
