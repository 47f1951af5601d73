"""The end of a server that ``launch()`` runs: calls leave first, and whatever happens it closes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastrtc import Stream
from fastrtc.testing import MemoryClient
from fastrtc.ui.closing import leave_at_close
from recorders import AsyncEcho


class Server:
    """Gradio's, as far as we know it."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def app_of(server: Any) -> Any:
    return SimpleNamespace(get_blocks=lambda: SimpleNamespace(server=server))


async def test_clients_are_told_before_the_server_closes() -> None:
    server = Server()
    streams = [Stream(AsyncEcho(), modality="audio") for _ in range(2)]
    clients = [MemoryClient(stream) for stream in streams]
    for client, stream in zip(clients, streams, strict=True):
        await client.connect()
        await client.send_audio(np.zeros(960, np.int16))
        leave_at_close(app_of(server), stream.factory)
        leave_at_close(app_of(server), stream.factory)
    await asyncio.to_thread(server.close)
    assert server.closed == 1
    for client in clients:
        assert client.state == "closed"
        assert client.messages[-1]["data"] == "The server is shutting down"


async def test_it_closes_even_if_calls_cannot_be_ended(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    factory = Stream(AsyncEcho(), modality="audio").factory

    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("no end")

    monkeypatch.setattr(factory, "drain", fail)
    leave_at_close(app_of(server), factory)
    await asyncio.to_thread(server.close)
    assert server.closed == 1
    assert "calls could not be ended" in caplog.text


async def test_other_applications_are_left_alone() -> None:
    factory = Stream(AsyncEcho(), modality="audio").factory
    for app in (None, object(), app_of(None)):
        leave_at_close(app, factory)
