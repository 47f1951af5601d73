"""A warning where browsers could not call: Colab and Spaces without TURN."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from fastrtc import Stream
from fastrtc.server.hosting import missing_turn
from recorders import AsyncEcho
from sockets import served

TURN = {"iceServers": [{"urls": "turn:a.com"}]}


@pytest.mark.parametrize(
    ("environment", "modules", "host"),
    [
        ({"SYSTEM": "spaces"}, {}, "Space"),
        ({"SPACE_ID": "me/app"}, {}, "Space"),
        ({"COLAB_RELEASE_TAG": "release-colab"}, {}, "Colab"),
        ({}, {"google.colab"}, "Colab"),
    ],
)
def test_a_host_without_udp_is_told_of(
    environment: dict[str, str], modules: set[str], host: str
) -> None:
    warning = missing_turn(None, environment, modules)
    assert warning is not None
    assert host in warning
    assert missing_turn(TURN, environment, modules) is None
    assert missing_turn(lambda: TURN, environment, modules) is None


def test_elsewhere_nothing_is_said() -> None:
    assert missing_turn(None, {"SYSTEM": "Linux"}, {"numpy"}) is None


def test_the_warning_comes_when_the_server_starts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SPACE_ID", "me/app")
    app = FastAPI()
    Stream(AsyncEcho(), modality="audio").mount(app)
    assert "TURN" not in caplog.text
    for _ in range(2):
        with served(app=app):
            pass
    assert caplog.text.count("browsers need a TURN server") == 1


def test_a_page_of_its_own_warns_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """stream.ui.launch() starts a server of Gradio's, which the stream is not mounted on."""
    monkeypatch.setenv("SPACE_ID", "me/app")
    # A page takes seconds to make, and says nothing of hosts.
    page = SimpleNamespace(Page=dict, build_page=lambda page: ("page", None))
    monkeypatch.setitem(sys.modules, "fastrtc.ui.layouts", page)
    stream = Stream(AsyncEcho(), modality="audio")
    assert stream.ui == "page"
    assert caplog.text.count("browsers need a TURN server") == 1
