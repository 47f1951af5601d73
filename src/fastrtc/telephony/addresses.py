"""The address that the outside knows us by, from a request that came through proxies. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

__all__ = ["Address", "outside_path", "public_address", "spellings"]


class Address(NamedTuple):
    """Where the outside sent a request.

    Attributes:
        is_secure: whether it came over TLS.
        host: with the port where it is not the scheme's own.
        path: percent-encoded, with every prefix that a proxy took off.
    """

    is_secure: bool
    host: str
    path: str

    def http(self, query: str = "") -> str:
        """The URL as an HTTP client wrote it."""
        scheme = "https" if self.is_secure else "http"
        return f"{scheme}://{self.host}{self.path}" + (f"?{query}" if query else "")

    def websocket(self, path: str) -> str:
        """The URL of a WebSocket here."""
        return f"{'wss' if self.is_secure else 'ws'}://{self.host}{path}"


def public_address(
    *, scheme: str, path: str, root_path: str, headers: Mapping[str, str]
) -> Address:
    """The address of a request, ``X-Forwarded-*`` headers considered.

    A request over plain HTTP that no proxy vouches for counts as secure all the same, unless it
    was sent to this machine's own name: providers connect only to TLS, so there is a proxy that
    did not say so.

    Args:
        scheme: of the request as it reached us.
        path: likewise, percent-encoded.
        root_path: the ASGI server's or application's prefix.
        headers: case-insensitive, or with lower-case names.
    """
    host = _first(headers.get("x-forwarded-host")) or headers.get("host", "localhost")
    proto = _first(headers.get("x-forwarded-proto")).lower()
    port = _first(headers.get("x-forwarded-port"))
    is_secure = (proto or scheme) in ("https", "wss") or (not proto and not _is_local(host))
    # A proxy that ends TLS may name the port behind it: 80 is no port of HTTPS, nor 443 of HTTP.
    if port.isdecimal() and not _has_port(host) and port not in ("443", "80"):
        host = f"{host}:{port}"
    return Address(is_secure, host, outside_path(path, root_path, headers))


def outside_path(path: str, root_path: str, headers: Mapping[str, str]) -> str:
    """A path here, percent-encoded, as the outside has to spell it.

    Args:
        path: with or without ``root_path``.
        root_path: the ASGI server's or application's prefix.
        headers: case-insensitive, or with lower-case names.
    """
    for prefix in (root_path, _first(headers.get("x-forwarded-prefix"))):
        prefix = "/" + quote(prefix.strip("/"), safe="/%")
        if prefix != "/" and path != prefix and not path.startswith(prefix + "/"):
            path = prefix + path
    return path


def spellings(scope: Mapping[str, Any], headers: Mapping[str, str]) -> list[Address]:
    """The addresses under which the outside may know a request, the likeliest first.

    ``X-Forwarded-Port`` is the outside's port with some proxies and the inside's with others.

    Args:
        scope: the request's, of ASGI.
        headers: the request's, with lower-case names.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    portless = {name: value for name, value in headers.items() if name != "x-forwarded-port"}
    return [
        public_address(
            scheme=scope["scheme"],
            path=raw.partition(b"?")[0].decode("latin-1"),
            root_path=scope.get("root_path", ""),
            headers=known,
        )
        for known in (headers, portless)
    ]


def _first(header: str | None) -> str:
    return (header or "").split(",")[0].strip()


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


def _is_local(host: str) -> bool:
    name = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in ("localhost", "testserver")
