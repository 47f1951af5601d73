"""A real STUN and TURN server for one test: coturn's ``turnserver`` on loopback."""

import shutil
import subprocess
from types import TracebackType
from typing import Any

from e2e.server import free_port, wait_for_port

RELAY_ADDRESS = "127.0.0.5"
"""Where relayed packets come from and go to. Nobody else is there, so nothing gets through a
client's permission for it that was not relayed."""
USER, PASSWORD = "user", "password"


class Coturn:
    """``with Coturn() as coturn`` serves STUN and TURN over UDP and TCP at ``coturn.port``."""

    def __init__(self) -> None:
        executable = shutil.which("turnserver")
        if executable is None:
            raise RuntimeError("coturn is missing; install Debian's package coturn")
        self.port = free_port()
        self._process = subprocess.Popen(
            [
                executable,
                "-n",
                "--listening-ip=127.0.0.1",
                f"--listening-port={self.port}",
                f"--relay-ip={RELAY_ADDRESS}",
                "--allow-loopback-peers",
                "--no-tls",
                "--no-dtls",
                "--no-cli",
                "--lt-cred-mech",
                "--realm=test",
                f"--user={USER}:{PASSWORD}",
                "--log-file=stdout",
                "--pidfile=/dev/null",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stun(self) -> dict[str, Any]:
        """An entry of ``iceServers``: STUN alone."""
        return {"urls": f"stun:127.0.0.1:{self.port}"}

    def turn(self, transport: str) -> dict[str, Any]:
        """An entry of ``iceServers``: TURN over "udp" or "tcp"."""
        url = f"turn:127.0.0.1:{self.port}?transport={transport}"
        return {"urls": url, "username": USER, "credential": PASSWORD}

    def __enter__(self) -> "Coturn":
        if wait_for_port(self.port, self._process):
            return self
        self._end()
        raise RuntimeError("coturn did not start")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
