"""Offers over HTTP to the real media plane, with aiortc as the client."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import aiortc
import httpx
import pytest
from fastapi import FastAPI

from fastrtc import AdditionalOutputs, CloseStream, Stream
from fastrtc.audio.rates import Resampler
from microphone import Microphone, tone
from recorders import AsyncEcho, SyncEcho

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Caller:
    """An aiortc client that connects by POST."""

    def __init__(self, app: FastAPI, webrtc_id: str) -> None:
        self.webrtc_id = webrtc_id
        self.messages: list[dict[str, Any]] = []
        self.opened = asyncio.Event()
        self.heard = 0
        self.microphone = Microphone()
        self.microphone.said = tone(60)
        self.connection = aiortc.RTCPeerConnection()
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://test"
        )
        self._listening: asyncio.Task[None] | None = None

    async def post(self, body: dict[str, Any]) -> httpx.Response:
        return await self._http.post("/webrtc/offer", json={"webrtc_id": self.webrtc_id, **body})

    async def offer(self, *kinds: str, channel: bool = True) -> httpx.Response:
        if channel:
            text = self.connection.createDataChannel("any label")
            text.on("open", self.opened.set)
            text.on("message", lambda message: self.messages.append(json.loads(message)))
        self.connection.on("track", self._listen)
        for kind in kinds:
            self.connection.addTrack(
                self.microphone if kind == "audio" else aiortc.mediastreams.VideoStreamTrack()
            )
        await self.connection.setLocalDescription(await self.connection.createOffer())
        response = await self.post({"type": "offer", "sdp": self.connection.localDescription.sdp})
        if response.status_code == 200 and "sdp" in response.json():
            answer = aiortc.RTCSessionDescription(response.json()["sdp"], "answer")
            await self.connection.setRemoteDescription(answer)
        return response

    def _listen(self, track: Any) -> None:
        async def listen() -> None:
            while True:
                frame = await track.recv()
                self.heard += frame.samples

        self._listening = asyncio.create_task(listen())

    async def leave(self) -> None:
        await self.connection.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            if not self._listening.cancelled():
                assert isinstance(self._listening.exception(), aiortc.mediastreams.MediaStreamError)
        await self._http.aclose()


class HearsRates(AsyncEcho):
    """Notes the rates that come."""

    def __init__(self, input_sample_rate: int) -> None:
        super().__init__(input_sample_rate)
        self.rates_hz: set[int] = set()

    async def receive(self, frame: Any) -> None:
        self.rates_hz.add(frame[0])
        await super().receive(frame)


class House:
    """A served stream and the clients that a test makes."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.app = FastAPI()
        stream.mount(self.app)
        self.callers: list[Caller] = []

    def caller(self, webrtc_id: str = "me") -> Caller:
        caller = Caller(self.app, webrtc_id)
        self.callers.append(caller)
        return caller


async def serve(house: House) -> AsyncIterator[House]:
    async with house.app.router.lifespan_context(house.app):
        yield house
        for caller in house.callers:
            await caller.leave()
        await asyncio.sleep(0.1)


@pytest.fixture(params=[AsyncEcho, SyncEcho])
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    async for house in serve(House(Stream(request.param(), modality="audio"))):
        yield house


async def test_no_server_outside_is_asked_for_an_address(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Pitfall 31: none is configured, so that nobody waits for one."""
    with caplog.at_level(logging.WARNING, "fastrtc"):
        answer = (await house.caller().offer("audio")).json()["sdp"]
    kinds = re.findall(r"a=candidate:.* typ (\w+)", answer)
    assert set(kinds) == {"host"}, answer
    assert "gave no address" not in caplog.text


async def test_an_echo_and_a_slot_that_comes_back(house: House) -> None:
    caller = house.caller()
    assert (await caller.offer("audio")).status_code == 200
    async with asyncio.timeout(10):
        await caller.opened.wait()
    await asyncio.sleep(1)
    assert caller.heard > 0.6 * 48000
    (session,) = house.stream.sessions
    assert session.transport == "webrtc"
    assert session.state == "live"
    assert session.stats["frames_in"] >= 30
    second = house.caller("second")
    refused = await second.offer("audio")
    assert refused.json()["meta"] == {"error": "concurrency_limit_reached", "limit": 1}
    handler: Any = house.stream.handlers["me"]
    await caller.connection.close()
    for _ in range(50):
        await asyncio.sleep(0.1)
        if not house.stream.sessions:
            break
    assert not house.stream.sessions
    await asyncio.sleep(0.1)
    assert handler.events.count("shutdown") == 1
    assert handler.events[0] == "start_up"


async def test_other_rates_are_resampled_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall 8: the handler's frames come and go at 16 kHz, and Python resamples none."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("resampled on the event loop")

    monkeypatch.setattr(Resampler, "push", refuse)
    async for house in serve(House(Stream(HearsRates(16_000), modality="audio"))):
        caller = house.caller()
        assert (await caller.offer("audio")).status_code == 200
        async with asyncio.timeout(10):
            while caller.heard < 48000 // 4:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        handler: Any = house.stream.handlers["me"]
        assert handler.rates_hz == {16_000}
        assert house.stream.sessions["me"].stats["handler_failures"] == 0


@pytest.fixture
async def one_house() -> AsyncIterator[House]:
    async for house in serve(House(Stream(AsyncEcho(), modality="audio"))):
        yield house


async def test_a_bad_offer_is_named_and_holds_no_slot(one_house: House) -> None:
    """Pitfall 17, on the real media plane."""
    caller = one_house.caller()
    for sdp in ("", "rubbish", "v=0\r\n" * 1000, "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"):
        response = await caller.post({"type": "offer", "sdp": sdp})
        assert response.status_code == 400
        assert response.json()["meta"]["error"] in ("invalid_sdp", "unsupported_media")
        assert response.json()["meta"]["reason"]
    video = await one_house.caller("video").offer("video", channel=False)
    assert video.status_code == 400
    assert video.json()["meta"]["error"] == "unsupported_media"
    assert not one_house.stream.sessions
    assert (await caller.offer("audio")).status_code == 200


async def test_a_data_channel_alone_is_a_session(one_house: House) -> None:
    caller = one_house.caller()
    assert (await caller.offer()).status_code == 200
    async with asyncio.timeout(10):
        await caller.opened.wait()
    await one_house.stream.update_connection("me", "closed")
    await asyncio.sleep(0.3)
    assert caller.messages == [{"type": "update_connection", "data": "closed"}]


async def test_candidates_trickle_in_and_wrong_ones_are_named(one_house: House) -> None:
    """Pitfall 29."""
    caller = one_house.caller()
    early = {"candidate": "candidate:1 1 UDP 2122252543 192.0.2.9 54321 typ host", "sdpMid": "0"}
    answer = await caller.post({"type": "ice-candidate", "candidate": early})
    assert answer.json() == {"status": "success"}
    await caller.offer("audio")
    for candidate in (
        early,
        {"candidate": ""},
        {"candidate": "candidate:2 1 udp 1 0e5c2f5e-61d0-4d2b-8f9d-8a4a9c1b0f00.local 5 typ host"},
    ):
        answer = await caller.post({"type": "ice-candidate", "candidate": candidate})
        assert answer.json() == {"status": "success"}
    for text in ("rubbish", "candidate:1 1", "candidate:1 1 udp x y z"):
        answer = await caller.post({"type": "ice-candidate", "candidate": {"candidate": text}})
        assert answer.json()["meta"]["error"] == "invalid_candidate_format"


async def test_a_stranger_with_the_id_changes_nothing(one_house: House) -> None:
    """Pitfall 22, on the real media plane."""
    caller, stranger = one_house.caller(), one_house.caller()
    await caller.offer("audio")
    async with asyncio.timeout(10):
        await caller.opened.wait()
    refused = await stranger.offer("audio")
    assert refused.json()["meta"]["error"] == "connection_already_exists"
    assert one_house.stream.sessions["me"].state == "live"


async def test_a_goodbye_by_post_frees_the_place_of_a_live_call(
    one_house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of the call says so: what would is lost, as on a phone that went into a tunnel."""
    caller = one_house.caller()
    await caller.offer("audio")
    async with asyncio.timeout(10):
        await caller.opened.wait()
    assert one_house.stream.sessions["me"].state == "live"
    handler: Any = one_house.stream.handlers["me"]
    goodbye = {"type": "bye", "sdp": caller.connection.localDescription.sdp}
    assert (await caller.post(goodbye)).json() == {"status": "success"}
    assert not one_house.stream.sessions
    for _ in range(50):
        await asyncio.sleep(0.1)
        if "shutdown" in handler.events:
            break
    assert (await caller.post(goodbye)).json() == {"status": "success"}
    assert handler.events.count("shutdown") == 1
    noise = [record for record in caplog.records if record.name.startswith("fastrtc")]
    assert not [record.getMessage() for record in noise if record.levelno >= logging.WARNING]


class SaysGoodbye(AsyncEcho):
    async def emit(self) -> Any:
        rate_hz, samples = await self.queue.get()
        return ((rate_hz, samples), AdditionalOutputs("last"), CloseStream("Goodbye"))


async def test_close_stream_is_told_to_the_client_before_the_connection_ends() -> None:
    async for house in serve(House(Stream(SaysGoodbye(), modality="audio"))):
        caller = house.caller()
        await caller.offer("audio")
        for _ in range(100):
            await asyncio.sleep(0.05)
            if caller.messages and not house.stream.sessions:
                break
        assert caller.messages[-1] == {"type": "end_stream", "data": "Goodbye"}
        assert not house.stream.sessions
