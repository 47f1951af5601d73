"""Gradio's tunnel: a public address for a server on this machine."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable

from fastrtc.errors import FastphoneError, MissingExtension

__all__ = ["open_tunnel"]


def open_tunnel(host: str, port: int) -> tuple[str, Callable[[], None]]:
    """Makes a local server reachable from everywhere.

    Args:
        host: where it listens.
        port: likewise.

    Returns:
        The public URL, and what closes the tunnel.

    Raises:
        MissingExtension: Gradio is not installed.
        FastphoneError: no tunnel could be opened; offline, say.
    """
    try:
        from gradio.networking import setup_tunnel
        from gradio.tunneling import CURRENT_TUNNELS
    except ImportError as error:
        raise MissingExtension(
            "this needs Gradio's tunnel; install it with: pip install 'fastrtc[ui]'"
        ) from error
    options = {
        "local_host": host,
        "local_port": port,
        "share_token": secrets.token_urlsafe(32),
        "share_server_address": None,
        "share_server_tls_certificate": None,
    }
    known = inspect.signature(setup_tunnel).parameters
    before = list(CURRENT_TUNNELS)
    try:
        url: str = setup_tunnel(**{name: options[name] for name in known if name in options})
    except Exception as error:
        reason = error.__cause__ or error
        raise FastphoneError(
            f"Gradio's tunnel could not be opened ({reason}); is this machine online?"
        ) from error

    def close() -> None:
        for tunnel in CURRENT_TUNNELS:
            if tunnel not in before:
                tunnel.kill()

    return url, close
