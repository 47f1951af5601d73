"""``configure`` and ``FASTRTC_*``: what wins, what is refused, and by what name."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrtc.errors import ConfigurationError
from fastrtc.settings import MediaSettings, read_settings

ENVIRONMENT = {
    "FASTRTC_UDP_PORT": "8000-8009",
    "FASTRTC_TCP_PORT": " 8443 ",
    "FASTRTC_PUBLIC_ADDRESS": "203.0.113.7, [2001:db8::1]:9000",
    "FASTRTC_INTERFACES": "eth0,10.0.0.1",
    "FASTRTC_THREADS": "3",
    "FASTRTC_ICE_LITE": "true",
    "FASTRTC_VIDEO_CODECS": "VP9, h264",
    "FASTRTC_VIDEO_HARDWARE": "1",
    "FASTRTC_VIDEO_MIN_BITRATE": "50000",
    "FASTRTC_VIDEO_START_BITRATE": "400000",
    "FASTRTC_VIDEO_MAX_BITRATE": "2000000",
}


def test_nothing_given_is_the_defaults() -> None:
    assert read_settings({}, {}) == MediaSettings()
    assert read_settings({}, {"FASTRTC_UDP_PORT": ""}) == MediaSettings()


def test_the_environment_is_read() -> None:
    assert read_settings({}, ENVIRONMENT) == MediaSettings(
        udp_ports=(8000, 8009),
        tcp_port=8443,
        public_addresses=("203.0.113.7", "[2001:db8::1]:9000"),
        interfaces=("eth0", "10.0.0.1"),
        threads=3,
        ice_lite=True,
        video_codecs=("vp9", "h264"),
        video_hardware=True,
        video_min_bitrate_bps=50_000,
        video_start_bitrate_bps=400_000,
        video_max_bitrate_bps=2_000_000,
    )


def test_configure_wins_over_the_environment_name_by_name() -> None:
    settings = read_settings(
        {"udp_port": 9000, "tcp_port": None, "public_address": ["192.0.2.1:5000"]}, ENVIRONMENT
    )
    assert settings.udp_ports == (9000, 9000)
    assert settings.tcp_port is None
    assert settings.public_addresses == ("192.0.2.1:5000",)
    assert settings.threads == 3


def test_the_first_bit_rate_gives_way_to_the_bounds() -> None:
    assert read_settings({"video_max_bitrate_bps": 500_000}, {}).video_start_bitrate_bps == 500_000
    settings = read_settings({}, {"FASTRTC_VIDEO_MIN_BITRATE": "2000000"})
    assert settings.video_start_bitrate_bps == 2_000_000


@pytest.mark.parametrize(
    ("configured", "environment", "complaint"),
    [
        ({"udp_port": 70000}, {}, r"configure\(udp_port=\.\.\.\) is 70000"),
        ({"udp_port": (9, 3)}, {}, "first has to come first"),
        ({"udp_port": (1, 2, 3)}, {}, r"\(first, last\)"),
        ({"udp_port": 1.5}, {}, "whole number"),
        ({"public_address": "example.org"}, {}, "an IP address"),
        ({"video_codecs": ("vp8", "h265")}, {}, "some of vp8, vp9, h264, av1"),
        ({"video_codecs": ()}, {}, "some of vp8"),
        ({"video_hardware": "maybe"}, {}, "true or false"),
        ({"video_max_bitrate_bps": 50_000}, {}, "80000, 50000 and 50000"),
        (
            {"video_start_bitrate_bps": 600_000, "video_max_bitrate_bps": 500_000},
            {},
            "80000, 600000 and 500000",
        ),
        ({"video_min_bitrate_bps": 0}, {}, "above 0"),
        ({}, {"FASTRTC_VIDEO_START_BITRATE": "much"}, "whole number"),
        ({"public_address": "1.2.3.4:99999"}, {}, "0 to 65535"),
        ({"threads": 0}, {}, "1 to 256"),
        ({"ice_lite": "maybe"}, {}, "true or false"),
        ({}, {"FASTRTC_UDP_PORT": "http"}, "FASTRTC_UDP_PORT is 'http'"),
        ({}, {"FASTRTC_TCP_PORT": "-1"}, "FASTRTC_TCP_PORT is -1"),
        ({}, {"FASTRTC_ICE_LITE": "2"}, "FASTRTC_ICE_LITE"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(
    configured: dict[str, Any], environment: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        read_settings(configured, environment)


@given(st.sampled_from(sorted(ENVIRONMENT)), st.text(max_size=20))
def test_any_text_is_settings_or_a_configuration_error(variable: str, text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert isinstance(read_settings({}, {variable: text}), MediaSettings)


def test_configure_is_refused_once_media_runs_and_a_bad_value_leaves_no_trace() -> None:
    program = """
import fastrtc
from fastrtc import settings
fastrtc.configure(threads=2)
try:
    fastrtc.configure(threads=1, udp_port=-5)
except ValueError as error:
    print(error)
fastrtc.configure(udp_port=8000)
print(settings.current_settings().threads, settings.freeze_settings().udp_ports)
try:
    fastrtc.configure(threads=3)
except ValueError as error:
    print(str(error)[:28])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.splitlines() == [
        "configure(udp_port=...) is -5; ports go from 0 to 65535",
        "2 (8000, 8000)",
        "configure() came too late: m",
    ]
