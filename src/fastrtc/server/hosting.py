"""Hosts that no media packet reaches: Colab and Hugging Face Spaces forward HTTP alone.

A call over WebRTC is possible there only by a TURN server, which a browser has to be told of.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Container, Mapping
from typing import Any

__all__ = ["HostWarning", "missing_turn"]

logger = logging.getLogger("fastrtc")


class HostWarning:
    """Tells the log, once, that this host needs TURN and the stream has none.

    Args:
        rtc_configuration: the stream's, for browsers.
    """

    def __init__(self, rtc_configuration: Any) -> None:
        self._rtc_configuration = rtc_configuration
        self._was_given = False

    def __call__(self) -> None:
        """Called when a server starts, and when a page is made."""
        warning = missing_turn(self._rtc_configuration, os.environ, sys.modules)
        if warning is not None and not self._was_given:
            self._was_given = True
            logger.warning("%s", warning)


def missing_turn(
    rtc_configuration: Any, environment: Mapping[str, str], modules: Container[str]
) -> str | None:
    """What to tell the operator of a stream that browsers could not call; None if all is well.

    Args:
        rtc_configuration: the stream's, for browsers.
        environment: of the process.
        modules: those that are loaded.
    """
    if rtc_configuration:
        return None
    if environment.get("SYSTEM") == "spaces" or environment.get("SPACE_ID"):
        host = "a Hugging Face Space"
    elif environment.get("COLAB_RELEASE_TAG") or "google.colab" in modules:
        host = "Google Colab"
    else:
        return None
    return (
        f"this runs in {host}, which lets no WebRTC through: browsers need a TURN server. Pass "
        "rtc_configuration, such as get_cloudflare_turn_credentials_async (docs/deployment.md); "
        "without it only WebSockets and telephones connect"
    )
