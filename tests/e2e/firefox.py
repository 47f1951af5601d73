"""A real Firefox, driven by its own WebDriver BiDi without geckodriver. Knows nothing of servers.

Its microphone is Firefox's fake one, which hums a tone. Protocol: https://w3c.github.io/webdriver-bidi/.
"""

import json
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from e2e.closing import Closing

START_S = 60.0
CALL_TIMEOUT_S = 60.0
LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    # Pages of this machine talk to servers of this machine, and both should know it.
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class Firefox(Closing):
    """One headless browser process with one page.

    Raises:
        RuntimeError: Firefox is not installed, or did not start.
    """

    def __init__(self) -> None:
        executable = shutil.which("firefox-esr") or shutil.which("firefox")
        if executable is None:
            raise RuntimeError("Firefox is missing; install Debian's package firefox-esr")
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
        Path(self._profile.name, "user.js").write_text("\n".join(lines))
        self._log = Path(self._profile.name, "firefox.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    executable,
                    "--headless",
                    "--no-remote",
                    "--remote-debugging-port=0",
                    f"--profile={self._profile.name}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._number = 0
        self._socket: ClientConnection
        self._stack = ExitStack()
        try:
            session = connect(f"{self._address()}/session", max_size=None)
            self._socket = self._stack.enter_context(session)
            self._ask("session.new", capabilities={})
            contexts = self._ask("browsingContext.getTree")["contexts"]
            self._context: str = contexts[0]["context"]
        except BaseException:
            self.close()
            raise

    def _address(self) -> str:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if found := LISTENS.search(self._log.read_text(errors="replace")):
                return found[1]
            time.sleep(0.1)
        raise RuntimeError(f"Firefox did not start; it printed:\n{self._log.read_text()}")

    def open(self, url: str) -> None:
        """Goes to an address and waits until the page is loaded."""
        self._ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def run(self, function: str, *arguments: str | float | bool) -> Any:
        """Calls a JavaScript function in the page and waits for what it resolves to.

        Args:
            function: its source; what it returns has to survive JSON.
            arguments: its arguments.

        Raises:
            RuntimeError: it threw.
        """
        wrapped = f"async (...args) => JSON.stringify((await ({function})(...args)) ?? null)"
        answer = self._ask(
            "script.callFunction",
            functionDeclaration=wrapped,
            arguments=[_local_value(argument) for argument in arguments],
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        if answer["type"] == "exception":
            raise RuntimeError(f"the page threw {answer['exceptionDetails']['text']}")
        return json.loads(answer["result"]["value"])

    def close(self) -> None:
        """Ends the browser."""
        self._stack.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._profile.cleanup()

    def _ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while True:
            message = json.loads(self._socket.recv(timeout=deadline - time.monotonic()))
            if message.get("id") != self._number:
                continue  # An event, which nobody asked for.
            if message["type"] == "error":
                raise RuntimeError(f"Firefox refused {method}: {message['message']}")
            return message["result"]


def _local_value(value: str | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"type": "boolean", "value": value}
    return {"type": "string" if isinstance(value, str) else "number", "value": value}
