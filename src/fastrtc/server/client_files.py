"""The browser client's files, as pages import them: ``GET {path}/client/fastrtc.js`` and siblings.

Serves what is in ``ui/client/`` and nothing else; what the files do is their own business.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response

__all__ = ["CLIENT", "add_client_routes"]

CLIENT: Final = Path(__file__).resolve().parents[1] / "ui" / "client"
HEADERS: Final = {
    # A page of another host may import modules only where it is told so.
    "Access-Control-Allow-Origin": "*",
    # Asked about each time, answered with 304: an upgrade of the package reaches pages at once.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


def add_client_routes(router: APIRouter) -> None:
    """Adds the files to a stream's routes; they are public, whatever ``authorize`` says."""

    @router.api_route("/client/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    def client_file(name: str, request: Request) -> Response:
        """One module of the browser client."""
        path = CLIENT / name
        if path.suffix != ".js" or path.parent != CLIENT or not path.is_file():
            raise HTTPException(404)
        tag, plain, packed = _load(path, path.stat().st_mtime_ns)
        headers = {**HEADERS, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        content = plain
        if "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["Content-Encoding"] = packed, "gzip"
        return Response(content, headers=headers, media_type="text/javascript")


@lru_cache(maxsize=64)
def _load(path: Path, changed_ns: int) -> tuple[str, bytes, bytes]:
    """A file's entity tag, its bytes, and the same packed, until it changes."""
    plain = path.read_bytes()
    tag = hashlib.sha256(plain).hexdigest()[:16]
    return f'W/"{tag}"', plain, gzip.compress(plain, mtime=0)
