"""Fetches the files of a model once, into a folder of the user's cache."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Final

import httpx

from fastrtc.errors import MissingModel

__all__ = ["cache_folder", "cached_file"]

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 30.0
"""For connecting, and for each read; a whole download may take longer."""


def cache_folder() -> Path:
    """``$FASTRTC_CACHE``, else ``fastrtc`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    own = os.environ.get("FASTRTC_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastrtc"


def cached_file(url: str, remedy: str) -> Path:
    """The file of a URL, from the cache, or downloaded into it.

    Args:
        url: http or https; its last part is the file's name.
        remedy: a sentence for whoever has no network.

    Raises:
        MissingModel: it is not in the cache and could not be downloaded.
    """
    target = cache_folder() / url.rpartition("/")[2]
    if target.is_file():
        return target
    logger.info("downloading %s to %s", url, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(url, target)
    except (httpx.HTTPError, OSError) as error:
        raise MissingModel(
            f"{target.name} is not on this machine, and could not be downloaded from {url} to "
            f"{target.parent} ({type(error).__name__}: {error}). {remedy}"
        ) from error
    return target


def _download(url: str, target: Path) -> None:
    """Under another name until it is whole, so that what has the name is whole."""
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".partial", delete=False) as file:
        try:
            with httpx.stream("GET", url, follow_redirects=True, timeout=TIMEOUT_S) as response:
                response.raise_for_status()
                for piece in response.iter_bytes():
                    file.write(piece)
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(target)
