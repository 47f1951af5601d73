"""``stream.fastphone()``: a telephone number for a while, from a free service of Hugging Face.

Serves the application, opens a tunnel to it, registers the tunnel's name with the service, says
which number to call, and takes everything back in the end. The service's messages are those that
FastRTC 0.0.34 exchanges with it: ``POST /register {"url": host}`` with the token as
``Authorization`` is answered with ``code``, ``phone``, ``time_remaining`` (seconds) and
``reset_date``, or with 202 when the month's minutes are used up; ``POST /unregister`` ends it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpx
import uvicorn
from fastapi import FastAPI

from fastrtc.errors import ConfigurationError, FastphoneError

__all__ = ["SERVICE_VARIABLE", "Registration", "Tunnel", "find_token", "register", "run_fastphone"]

logger = logging.getLogger("fastrtc")

SERVICE_URLS: Final = ("https://api.fastrtc.org", "https://fastrtc-fastphone.hf.space")
SERVICE_VARIABLE: Final = "FASTRTC_FASTPHONE_URL"
TOKENS_PAGE: Final = "https://huggingface.co/settings/tokens"
TIMEOUT_S: Final = 30.0
LOOK_AGAIN_S: Final = 0.05
REFUSALS: Final = (401, 403)
EXHAUSTED: Final = 202

Tunnel: TypeAlias = Callable[[str, int], tuple[str, Callable[[], None]]]
"""``tunnel(host, port)`` returns the public URL of that local address, and what closes it."""


@dataclass(frozen=True)
class Registration:
    """A number that leads here.

    Attributes:
        service: base URL of the service that gave it.
        host: the tunnel's name.
        phone: the number to call.
        code: what to type when it answers.
        time_remaining_s: seconds of calls left this month.
        reset_date: when there are new ones.
    """

    service: str
    host: str
    phone: str
    code: str
    time_remaining_s: float
    reset_date: str


def find_token(token: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """A Hugging Face token: the given one, ``HF_TOKEN``, or this machine's.

    Raises:
        ConfigurationError: there is none.
    """
    home = Path(environment.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    file = Path(environment.get("HF_TOKEN_PATH") or home / "token")
    found = (token or environment.get("HF_TOKEN", "")).strip()
    if not found and file.is_file():
        found = file.read_text().strip()
    if not found:
        raise ConfigurationError(
            "fastphone() needs a Hugging Face token: pass token=, set HF_TOKEN, or run "
            f"'hf auth login'; {TOKENS_PAGE} has yours"
        )
    return found


def register(host: str, token: str, services: Sequence[str]) -> Registration:
    """Asks the services, one after the other, for a number that leads to ``host``.

    Raises:
        FastphoneError: the token is refused, the quota used up, or no service answers.
    """
    failures = []
    for service in services:
        try:
            return _register(service, host, token)
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            failures.append(f"{service}: {error or type(error).__name__}")
    raise FastphoneError("no telephone number: " + "; ".join(failures))


def _register(service: str, host: str, token: str) -> Registration:
    response = httpx.post(
        f"{service}/register",
        json={"url": host},
        headers={"Authorization": token},
        timeout=TIMEOUT_S,
    )
    if response.status_code in REFUSALS:
        raise FastphoneError(
            f"{service} refused the Hugging Face token ({response.status_code}): "
            f"{response.text[:200]}; {TOKENS_PAGE} has yours"
        )
    if response.status_code == EXHAUSTED:
        raise FastphoneError("your minutes of fastphone calls are used up for this month")
    if not response.is_success:
        raise ValueError(f"answered {response.status_code}: {response.text[:200]}")
    answer = response.json()
    return Registration(
        service=service,
        host=host,
        phone=str(answer["phone"]),
        code=str(answer["code"]),
        time_remaining_s=float(answer["time_remaining"]),
        reset_date=str(answer["reset_date"]),
    )


def unregister(registration: Registration, token: str) -> None:
    """Gives the number back; a failure is logged."""
    try:
        response = httpx.post(
            f"{registration.service}/unregister",
            json={"url": registration.host, "code": registration.code},
            headers={"Authorization": token},
            timeout=TIMEOUT_S,
        )
        response.raise_for_status()
    except httpx.HTTPError as error:
        logger.warning("the number %s was not given back: %s", registration.phone, error)


def describe(registration: Registration) -> str:
    """What the user is told."""
    minutes, seconds = divmod(int(registration.time_remaining_s), 60)
    return (
        f"Your FastPhone is live! Call {registration.phone} and use code {registration.code} "
        "to connect to your stream.\n"
        f"You have {minutes:02}:{seconds:02} minutes of calls left "
        f"(new ones on {registration.reset_date})."
    )


def run_fastphone(
    app: FastAPI,
    tunnel: Tunnel,
    *,
    token: str | None,
    host: str,
    port: int,
    service_url: str | None = None,
    say: Callable[[str], None] = print,
    **uvicorn_options: Any,
) -> None:
    """Serves ``app`` at a telephone number until it is interrupted.

    Args:
        app: with the stream mounted at "".
        tunnel: opens the tunnel.
        token: see :func:`find_token`.
        host: to bind.
        port: to bind; 0 lets the system choose.
        service_url: another service than Hugging Face's; else ``FASTRTC_FASTPHONE_URL``.
        say: tells the user.
        uvicorn_options: for ``uvicorn.Config``.

    Raises:
        ConfigurationError: there is no token.
        FastphoneError: no tunnel, or no number; the server has ended by then.
    """
    found = find_token(token)
    chosen = service_url or os.environ.get(SERVICE_VARIABLE)
    services = (chosen.rstrip("/"),) if chosen else SERVICE_URLS
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, **uvicorn_options))
    line = _Line(server, tunnel, found, services, say)
    opening = threading.Thread(target=line.open, name="fastrtc-fastphone", daemon=True)
    opening.start()
    try:
        server.run()
    finally:
        line.ended.set()
        opening.join(TIMEOUT_S)
        line.close()
    if line.error is not None:
        raise line.error


class _Line:
    """The way from a telephone number to a server, opened beside it."""

    def __init__(
        self,
        server: uvicorn.Server,
        tunnel: Tunnel,
        token: str,
        services: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        self.ended = threading.Event()
        self.error: Exception | None = None
        self._server = server
        self._tunnel = tunnel
        self._token = token
        self._services = services
        self._say = say
        self._close_tunnel: Callable[[], None] | None = None
        self._registration: Registration | None = None

    def open(self) -> None:
        while not self._server.started:
            if self.ended.is_set():
                return
            time.sleep(LOOK_AGAIN_S)
        try:
            host, port = self._server.servers[0].sockets[0].getsockname()[:2]
            reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
            url, self._close_tunnel = self._tunnel(reachable, port)
            name = urlsplit(url).netloc
            if self.ended.is_set():
                return
            self._registration = register(name, self._token, self._services)
            self._say(describe(self._registration))
        except Exception as error:  # noqa: BLE001
            # Raised in the thread that waits for the server.
            self.error = error
            self._server.should_exit = True

    def close(self) -> None:
        if self._registration is not None:
            unregister(self._registration, self._token)
        if self._close_tunnel is not None:
            self._close_tunnel()
