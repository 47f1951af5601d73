"""What people see: the page of a stream, and what makes it reachable."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from fastrtc.errors import MissingExtension

if TYPE_CHECKING:
    from fastrtc.ui.webrtc import WebRTC

__all__ = ["WebRTC", "require_gradio"]

OLDEST: Final = (6, 10)
"""The first Gradio that finds a component of a page that is mounted under a path."""


def require_gradio() -> None:
    """Says what to install where there is no Gradio, or one that is too old.

    Raises:
        MissingExtension: see there.
    """
    remedy = "install it with: pip install 'fastrtc[ui]'"
    try:
        installed = version("gradio")
    except PackageNotFoundError as error:
        raise MissingExtension(f"a stream's page needs Gradio; {remedy}") from error
    if tuple(int(part) for part in installed.split(".")[:2]) < OLDEST:
        raise MissingExtension(
            f"a stream's page needs Gradio {'.'.join(map(str, OLDEST))} or newer, "
            f"{installed} is installed; {remedy}"
        )


def __getattr__(name: str) -> Any:
    if name != "WebRTC":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_gradio()
    from fastrtc.ui.webrtc import WebRTC

    return WebRTC
