"""MediaSettings of the whole process: ports, addresses and threads of the media plane, and how
video is encoded.

Reads and checks; opens nothing. ``fastrtc.configure`` wins over the environment, the environment
over the defaults. The first offer freezes them.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast, get_args

from fastrtc.errors import ConfigurationError
from fastrtc.types import VideoCodec

__all__ = ["MediaSettings", "configure", "current_settings", "freeze_settings", "read_settings"]


@dataclass(frozen=True)
class MediaSettings:
    """What the media plane is started with.

    Attributes:
        udp_ports: first and last UDP port to try; ``(0, 0)`` lets the system choose.
        tcp_port: port for ICE over TCP; None for none, 0 lets the system choose.
        public_addresses: "ip" or "ip:port", announced instead of the bound addresses.
        interfaces: names or addresses of the interfaces used; empty for all.
        threads: media threads; None for one per core.
        ice_lite: only answer connectivity checks.
        video_codecs: what may be sent, the preferred ones first; what a client itself sends
            comes before all.
        video_hardware: encode on a graphics card where there is one.
        video_min_bitrate_bps, video_start_bitrate_bps, video_max_bitrate_bps: of each track.
    """

    udp_ports: tuple[int, int] = (0, 0)
    tcp_port: int | None = None
    public_addresses: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    threads: int | None = None
    ice_lite: bool = False
    video_codecs: tuple[VideoCodec, ...] = ("vp8", "vp9", "av1", "h264")
    video_hardware: bool = False
    video_min_bitrate_bps: int = 80_000
    video_start_bitrate_bps: int = 1_000_000
    video_max_bitrate_bps: int = 6_000_000


_UNSET: Final[Any] = object()
_NAMES: Final = {
    "FASTRTC_UDP_PORT": "udp_port",
    "FASTRTC_TCP_PORT": "tcp_port",
    "FASTRTC_PUBLIC_ADDRESS": "public_address",
    "FASTRTC_INTERFACES": "interfaces",
    "FASTRTC_THREADS": "threads",
    "FASTRTC_ICE_LITE": "ice_lite",
    "FASTRTC_VIDEO_CODECS": "video_codecs",
    "FASTRTC_VIDEO_HARDWARE": "video_hardware",
    "FASTRTC_VIDEO_MIN_BITRATE": "video_min_bitrate_bps",
    "FASTRTC_VIDEO_START_BITRATE": "video_start_bitrate_bps",
    "FASTRTC_VIDEO_MAX_BITRATE": "video_max_bitrate_bps",
}

_configured: dict[str, Any] = {}
_frozen: MediaSettings | None = None


def configure(
    *,
    udp_port: int | str | tuple[int, int] = _UNSET,
    tcp_port: int | None = _UNSET,
    public_address: str | Sequence[str] | None = _UNSET,
    interfaces: str | Sequence[str] | None = _UNSET,
    threads: int | None = _UNSET,
    ice_lite: bool = _UNSET,
    video_codecs: str | Sequence[VideoCodec] = _UNSET,
    video_hardware: bool = _UNSET,
    video_min_bitrate_bps: int = _UNSET,
    video_start_bitrate_bps: int = _UNSET,
    video_max_bitrate_bps: int = _UNSET,
) -> None:
    """Sets what the media plane of this process is started with, before the first offer.

    What is not given comes from ``FASTRTC_UDP_PORT``, ``FASTRTC_TCP_PORT``,
    ``FASTRTC_PUBLIC_ADDRESS``, ``FASTRTC_INTERFACES``, ``FASTRTC_THREADS``,
    ``FASTRTC_ICE_LITE``, ``FASTRTC_VIDEO_CODECS``, ``FASTRTC_VIDEO_HARDWARE`` and
    ``FASTRTC_VIDEO_MIN_BITRATE``, ``..._START_BITRATE``, ``..._MAX_BITRATE`` (lists with commas),
    else from the defaults.

    Args:
        udp_port: the one UDP port of all sessions, a range as ``(first, last)`` or
            "first-last" (each worker process takes one), or 0: the system chooses.
        tcp_port: port for networks that block UDP; None for none.
        public_address: "ip" or "ip:port" that clients reach this host by, when it is not the
            bound one; or several.
        interfaces: names or addresses of the interfaces to use; None for all.
        threads: media threads; None for one per core.
        ice_lite: for hosts with a public address: answer connectivity checks only.
        video_codecs: "vp8", "vp9", "av1" and "h264" that may be sent, the preferred ones first.
            A client that sends one of them gets the same; one that takes none of them is sent
            what it names first. (The encoder of H264 that PyAV brings is GPL.)
        video_hardware: encode on a graphics card where there is one.
        video_min_bitrate_bps, video_start_bitrate_bps, video_max_bitrate_bps: of each track;
            between the first and the last it follows the network.

    Raises:
        ConfigurationError: a value cannot be used, or media already runs.

    Example::

        fastrtc.configure(udp_port=8000, public_address="203.0.113.7")
    """
    given = {
        name: value
        for name, value in {
            "udp_port": udp_port,
            "tcp_port": tcp_port,
            "public_address": public_address,
            "interfaces": interfaces,
            "threads": threads,
            "ice_lite": ice_lite,
            "video_codecs": video_codecs,
            "video_hardware": video_hardware,
            "video_min_bitrate_bps": video_min_bitrate_bps,
            "video_start_bitrate_bps": video_start_bitrate_bps,
            "video_max_bitrate_bps": video_max_bitrate_bps,
        }.items()
        if value is not _UNSET
    }
    if _frozen is not None:
        raise ConfigurationError(
            "configure() came too late: media already runs with "
            f"{_frozen}; call it before the first connection"
        )
    read_settings({**_configured, **given}, os.environ)
    _configured.update(given)


def current_settings() -> MediaSettings:
    """The settings as they would be used now.

    Raises:
        ConfigurationError: a value cannot be used.
    """
    return _frozen if _frozen is not None else read_settings(_configured, os.environ)


def freeze_settings() -> MediaSettings:
    """The settings that media starts with; from now on :func:`configure` refuses.

    Raises:
        ConfigurationError: a value cannot be used.
    """
    global _frozen
    _frozen = current_settings()
    return _frozen


def read_settings(configured: Mapping[str, Any], environment: Mapping[str, str]) -> MediaSettings:
    """Pure: the settings that these values come to.

    Raises:
        ConfigurationError: a value cannot be used; the message names where it came from.
    """
    settings = MediaSettings()
    for variable, name in _NAMES.items():
        if name in configured:
            settings = _set(settings, name, configured[name], f"configure({name}=...)")
        elif environment.get(variable, "").strip():
            settings = _set(settings, name, environment[variable].strip(), variable)
    return _checked_rates(settings)


def _checked_rates(settings: MediaSettings) -> MediaSettings:
    """Bit rates in their order; the one to start with gives way where nobody chose it."""
    least, most = settings.video_min_bitrate_bps, settings.video_max_bitrate_bps
    start = settings.video_start_bitrate_bps
    if start == MediaSettings.video_start_bitrate_bps:
        start = min(max(start, least), most)
    if not 0 < least <= start <= most:
        raise ConfigurationError(
            f"the bit rates of video are {least}, {start} and {most} bit/s; the least has to be "
            "above 0, the first not below it, and the greatest not below that"
        )
    return replace(settings, video_start_bitrate_bps=start)


def _set(settings: MediaSettings, name: str, value: Any, source: str) -> MediaSettings:
    if name == "udp_port":
        return replace(settings, udp_ports=_ports(value, source))
    if name == "tcp_port":
        return replace(settings, tcp_port=None if value is None else _port(value, source))
    if name == "public_address":
        addresses = tuple(_public_address(part, source) for part in _list(value))
        return replace(settings, public_addresses=addresses)
    if name == "interfaces":
        return replace(settings, interfaces=_list(value))
    if name == "threads":
        threads = None if value is None else _integer(value, source)
        if threads is not None and not 1 <= threads <= 256:
            raise ConfigurationError(f"{source} is {threads}; allowed: 1 to 256")
        return replace(settings, threads=threads)
    if name == "video_codecs":
        return replace(settings, video_codecs=_codecs(value, source))
    changed: dict[str, Any] = {name: value}
    if name in ("ice_lite", "video_hardware"):
        changed[name] = _flag(value, source)
    else:
        changed[name] = _integer(value, source)
    return replace(settings, **changed)


def _codecs(value: Any, source: str) -> tuple[VideoCodec, ...]:
    names = tuple(dict.fromkeys(name.lower() for name in _list(value)))
    known = get_args(VideoCodec)
    if not names or not set(names) <= set(known):
        raise ConfigurationError(f"{source} is {value!r}; allowed: some of {', '.join(known)}")
    return cast(tuple[VideoCodec, ...], names)


def _integer(value: Any, source: str) -> int:
    try:
        if isinstance(value, (bool, float)):
            raise ValueError
        return int(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{source} is {value!r}; it has to be a whole number") from None


def _port(value: Any, source: str) -> int:
    port = _integer(value, source)
    if not 0 <= port <= 65535:
        raise ConfigurationError(f"{source} is {port}; ports go from 0 to 65535")
    return port


def _ports(value: Any, source: str) -> tuple[int, int]:
    if isinstance(value, str) and "-" in value.strip("-"):
        value = tuple(value.split("-", 1))
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ConfigurationError(f"{source} is {value!r}; a range is (first, last)")
        first, last = _port(value[0], source), _port(value[1], source)
        if not 0 < first <= last:
            raise ConfigurationError(f"{source} is {first}-{last}; the first has to come first")
        return first, last
    port = _port(value, source)
    return port, port


def _list(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _public_address(text: str, source: str) -> str:
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, port = text.split(":")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ConfigurationError(
            f"{source} has {text!r}; allowed: an IP address, or ip:port ([ip]:port for IPv6)"
        ) from None
    if port:
        _port(port, source)
    return text


def _flag(value: Any, source: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("1", "true", "yes", "on"):
        return True
    if isinstance(value, str) and value.lower() in ("0", "false", "no", "off"):
        return False
    raise ConfigurationError(f"{source} is {value!r}; allowed: true or false")
