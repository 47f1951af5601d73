"""A bad network between a browser and the server: drives the proxy of ``tests/netem``."""

import json
import subprocess
from typing import Any, Literal

from e2e.closing import Closing
from e2e.programs import program


class BadNetwork(Closing):
    """A UDP proxy in front of ``127.0.0.1:target_port``; a perfect wire until :meth:`set`.

    Give the server ``FASTRTC_UDP_PORT=target_port`` and
    ``FASTRTC_PUBLIC_ADDRESS=127.0.0.1:{proxy.port}``: clients then know only the proxy.
    """

    def __init__(self, target_port: int, seed: int = 1) -> None:
        self._process = subprocess.Popen(
            [
                str(program("fastrtc-netem")),
                "--target",
                f"127.0.0.1:{target_port}",
                "--seed",
                str(seed),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port: int = self._read()["port"]

    def set(self, direction: Literal["up", "down", "both"] = "both", **conditions: float) -> None:
        """Changes the network, for example ``set(loss=0.1, burst_packets=4)``,
        ``set(outage=True)``, ``set(delay_ms=50, jitter_ms=200)``, ``set(reorder=0.05)``. What is
        not named stays. "up" is from the client to the server."""
        self._ask({"set": conditions, "direction": None if direction == "both" else direction})

    def rebind(self) -> None:
        """Gives every client a new source port, as a NAT that forgot does."""
        self._ask({"rebind": True})

    def stats(self) -> dict[str, Any]:
        """Packets ``received`` and ``sent`` by the proxy in the directions ``up`` and ``down``."""
        return self._ask({"stats": True})

    def close(self) -> None:
        """Ends the proxy."""
        if self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.wait(5)
            self._process.stdout.close()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise ValueError(f"fastrtc-netem refused {command}: {answer['error']}")
        return answer

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("fastrtc-netem ended; its reason is on standard error")
        answer: dict[str, Any] = json.loads(line)
        return answer
