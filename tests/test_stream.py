"""What ``Stream`` accepts and refuses, and what it shows."""

from __future__ import annotations

from typing import Any

import pytest

from fastrtc import Stream, VideoStreamHandler
from fastrtc.testing import MemoryClient, run
from recorders import AsyncEcho


def echo(frame: Any) -> Any:
    return frame


class Forgetful(AsyncEcho):
    def __init__(self) -> None:
        self.mine = 1


@pytest.mark.parametrize(
    ("handler", "options", "complaint"),
    [
        (echo, {"mode": "both"}, "mode is 'both'; allowed: 'send-receive', 'receive', 'send'"),
        (echo, {"modality": "smell"}, "'audio-video'"),
        (AsyncEcho(), {"modality": "video"}, "takes a function of pictures"),
        (echo, {"modality": "audio-video"}, "takes an AudioVideoStreamHandler"),
        (AsyncEcho(), {"modality": "audio-video"}, "received a AsyncEcho"),
        (VideoStreamHandler(echo), {}, "received a VideoStreamHandler"),
        (echo, {"concurrency_limit": 0}, "concurrency_limit is 0"),
        (echo, {"concurrency_limit": "two"}, "None \\(no limit\\)"),
        (echo, {"concurrency_limit": True}, "concurrency_limit is True"),
        (echo, {"time_limit": 0}, "positive seconds"),
        (echo, {"additional_outputs": ["box"]}, "additional_outputs_handler"),
        (AsyncEcho, {}, "pass an instance: AsyncEcho\\(\\)"),
        (AsyncEcho(), {"mode": "receive"}, "generator function"),
        (Forgetful(), {}, "call super"),
        (5, {}, "handler is a int"),
        (lambda: None, {}, "takes no positional argument"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(
    handler: Any, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Stream(handler, **{"modality": "audio", **options})


def test_the_attributes_that_users_read() -> None:
    handler = AsyncEcho()
    stream = Stream(handler, modality="audio", time_limit=5)
    assert stream.mode == "send-receive"
    assert stream.modality == "audio"
    assert stream.event_handler is handler
    assert stream.concurrency_limit == 1
    assert stream.time_limit == 5
    assert Stream(handler, modality="audio", concurrency_limit=None).concurrency_limit is None
    assert len(stream.connections) == len(stream.handlers) == len(stream.sessions) == 0
    with pytest.raises(KeyError):
        stream.handlers["nobody"]


def test_a_page_can_be_set() -> None:
    stream = Stream(echo, modality="audio")
    stream.ui = "my blocks"
    assert stream.ui == "my blocks"


async def test_the_browsers_configuration_may_be_a_value_or_a_callable() -> None:
    servers = {"iceServers": [{"urls": "stun:stun.example.org"}]}

    async def coroutine() -> dict[str, Any]:
        return servers

    for configuration in (servers, lambda: servers, coroutine):
        stream = Stream(echo, modality="audio", rtc_configuration=configuration)
        assert await stream.get_rtc_configuration() == servers
    assert await Stream(echo, modality="audio").get_rtc_configuration() is None


async def test_a_stream_without_handler_refuses_offers_by_name() -> None:
    stream = Stream(...)
    refused = await stream.offer(
        {"type": "offer", "sdp": "v=0", "webrtc_id": "a"}  # type: ignore[arg-type]
    )
    assert refused.status_code == 400
    assert b"instead of a handler" in refused.body


def test_closing_and_asking_to_close() -> None:
    async def check() -> None:
        stream = Stream(AsyncEcho(), modality="audio")
        async with MemoryClient(stream, "me") as client:
            await stream.update_connection("me", "closed")
            assert client.messages == [{"type": "update_connection", "data": "closed"}]
            await stream.update_connection("nobody", "closed")
            stream.close("me", "Time for lunch")
            await client.wait_closed()
            assert client.messages[-1] == {"type": "end_stream", "data": "Time for lunch"}
        with pytest.raises(KeyError):
            stream.close("me")

    run(check())


def test_sessions_show_what_they_are() -> None:
    async def check() -> None:
        stream = Stream(AsyncEcho(), modality="audio")
        async with MemoryClient(stream, "me") as client:
            (info,) = stream.sessions
            assert (info.id, info.transport, info.state) == ("me", "memory", "live")
            assert info.started_at > 1.7e9
            assert stream.connections["me"] is client.session
            assert "me" in stream.sessions
            assert "you" not in stream.sessions
            assert list(stream.handlers) == ["me"]

    run(check())
