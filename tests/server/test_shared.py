"""One run of a handler for many viewers, over the real media plane, with aiortc as viewers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiortc
import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from fastrtc import AdditionalOutputs, CloseStream, Stream, WebRTCError, get_current_context
from fastrtc.server.schemas import Body
from fastrtc.session.registry import SessionInfo
from fastrtc.session.session import Session
from fastrtc.session.shared import NOT_WATCHED, SharedFactory
from microphone import RATE_HZ, tone
from pictures import number_of, numbered
from sockets import Talker, served
from tracks import frames_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SDP = {"Content-Type": "application/sdp"}
SIZE = {"height": 240, "width": 320}


async def until(condition: Any, timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Watcher:
    """A viewer that keeps what it sees, hears and is told."""

    def __init__(self, *kinds: str) -> None:
        self.seen: list[int] = []
        self.loud_frames = 0
        self.texts: list[str] = []
        self.location = ""
        self.connection = aiortc.RTCPeerConnection()
        self.connection.on("track", self._watch)
        self._channel = self.connection.createDataChannel("text")
        self._channel.on("message", self.texts.append)
        for kind in kinds:
            self.connection.addTransceiver(kind, direction="recvonly")

    def _watch(self, track: Any) -> None:
        async def watch() -> None:
            async for frame in frames_of(track):
                if track.kind == "video":
                    self.seen.append(number_of(frame.to_ndarray(format="bgr24")))
                else:
                    self.loud_frames += int(np.abs(frame.to_ndarray()).max()) > 6000

        self._watching = asyncio.create_task(watch())

    async def _offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp: str = self.connection.localDescription.sdp
        return sdp

    async def by_whep(self, http: httpx.AsyncClient, token: str = "") -> Watcher:
        headers = {**SDP, "Authorization": f"Bearer {token}"}
        answer = await http.post("/whep", headers=headers, content=await self._offer())
        assert answer.status_code == 201, answer.text
        self.location = f"/{answer.headers['location']}"
        await self.connection.setRemoteDescription(
            aiortc.RTCSessionDescription(answer.text, "answer")
        )
        return self

    async def by_offer(self, stream: Stream, id_: str) -> Watcher:
        answer = await stream.offer(Body(type="offer", sdp=await self._offer(), webrtc_id=id_))
        await self.connection.setRemoteDescription(
            aiortc.RTCSessionDescription(answer["sdp"], "answer")
        )
        return self

    async def leave(self) -> None:
        await self.connection.close()


@asynccontextmanager
async def house(stream: Stream) -> AsyncIterator[httpx.AsyncClient]:
    """Its routes on the running loop."""
    app = FastAPI()
    stream.mount(app)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://house") as http:
        yield http
    await stream.shutdown(0)


def source_of(stream: Stream) -> Session | None:
    assert isinstance(stream.factory, SharedFactory)
    return stream.factory.audience().source


def has_seen(viewer: SessionInfo) -> bool:
    return bool(viewer.stats.get("video_frames_sent"))


class Film:
    """Counts its runs, and what it made."""

    def __init__(self, period_s: float = 0.0) -> None:
        self.began = self.ended = self.made = 0
        self._period_s = period_s

    def __call__(self) -> Iterator[Any]:
        self.began += 1
        try:
            for number in range(10_000):
                self.made += 1
                yield numbered(number % 200, **SIZE)
                if self._period_s:
                    time.sleep(self._period_s)
        finally:
            self.ended += 1


async def test_three_viewers_share_one_run_and_one_encoder() -> None:
    film = Film()
    stream = Stream(film, modality="video", mode="receive", shared=True, concurrency_limit=3)
    async with house(stream) as http:
        viewers = [await Watcher("video").by_whep(http) for _ in range(2)]
        viewers.append(await Watcher("video").by_offer(stream, "page"))
        await until(lambda: all(len(viewer.seen) >= 20 for viewer in viewers))
        for viewer in viewers:
            assert np.all(np.diff(viewer.seen) >= 0), "in order, the last perhaps repeated"

        def count(name: str) -> Any:
            return sum(session.stats[name] for session in stream.sessions)  # type: ignore[misc]

        # Each has the one count of what was encoded.
        await until(lambda: count("video_frames_sent") > 2 * count("shared_frames_encoded") / 3)
        encoded = count("shared_frames_encoded") / 3
        assert film.began == 1
        assert count("shared_viewers") == 3 * 3
        assert encoded < 1.5 * film.made, "once, but for a few that were repeated"
        assert count("shared_keyframes_encoded") / 3 < encoded / 3
        fourth = Watcher("video")
        full = await http.post("/whep", headers=SDP, content=await fourth._offer())
        assert full.status_code == 503
        await fourth.leave()
        # Those who stay see on when others go, whichever way.
        assert (await http.delete(viewers[0].location)).status_code == 200
        await viewers[1].leave()
        await until(lambda: len(stream.sessions) == 1)
        seen = len(viewers[2].seen)
        await until(lambda: len(viewers[2].seen) > seen + 10)
        assert (film.began, film.ended) == (1, 0)
        await viewers[2].leave()
        await until(lambda: film.ended)
        await until(lambda: source_of(stream) is None)
        again = await Watcher("video").by_whep(http)
        await until(lambda: again.seen)
        assert (film.began, film.ended) == (2, 1)
        for viewer in (viewers[0], again):
            await viewer.leave()
    await until(lambda: film.ended == 2)


async def test_listeners_share_one_encoder() -> None:
    runs = 0

    async def radio() -> Any:
        nonlocal runs
        runs += 1
        for _ in range(100):
            yield RATE_HZ, tone(0.2)

    stream = Stream(radio, modality="audio", mode="receive", shared=True, concurrency_limit=None)
    async with house(stream) as http:
        viewers = [await Watcher("audio").by_whep(http) for _ in range(3)]
        await until(lambda: all(viewer.loud_frames >= 25 for viewer in viewers))
        source = source_of(stream)
        assert source is not None

        def packets() -> int:
            return int(source.stats["audio_packets_encoded"])

        await until(lambda: sum(viewer.loud_frames for viewer in viewers) > 1.5 * packets())
        assert source.played_s == pytest.approx(packets() / 50, abs=0.1)
        assert runs == source.stats["viewers"] - 2 == 1  # type: ignore[operator]
        for viewer in viewers:
            await viewer.leave()


async def test_one_listener_in_four_that_loses_packets_has_copies_made_for_all() -> None:
    async def radio() -> Any:
        for _ in range(200):
            yield RATE_HZ, tone(0.2)

    stream = Stream(radio, modality="audio", mode="receive", shared=True, concurrency_limit=None)
    async with house(stream) as http:
        viewers = [await Watcher("audio").by_whep(http) for _ in range(4)]
        configurations = [opus_configurations_of(viewers[0], lost_in=5)]
        configurations.append(opus_configurations_of(viewers[1]))
        await until(lambda: all(configurations))
        source = source_of(stream)
        assert source is not None
        assert source.stats["audio_fec_percent"] == 0
        await until(lambda: int(source.stats["audio_fec_percent"]) >= 10)  # type: ignore[call-overload]
        for heard in configurations:
            assert heard[0] >= 16, "CELT"
            await until(lambda h=heard: h[-1] < 16)  # SILK, which alone can carry copies
        for viewer in viewers:
            await viewer.leave()


def opus_configurations_of(viewer: Watcher, lost_in: int = 0) -> list[int]:
    """The configuration numbers of the packets that come from now on (RFC 6716, section 3.1); one
    in ``lost_in`` of them does not arrive."""
    (receiver,) = viewer.connection.getReceivers()
    handle = receiver._handle_rtp_packet
    found: list[int] = []

    async def arrive(packet: Any, *args: Any, **options: Any) -> None:
        found.append(packet.payload[0] >> 3)
        if not lost_in or packet.sequence_number % lost_in:
            await handle(packet, *args, **options)

    receiver._handle_rtp_packet = arrive
    return found


async def test_who_joins_a_film_of_stills_sees_the_last_one_at_once() -> None:
    """aiortc shows a picture once the next one comes: the last viewer's is for those before it."""
    film = Film(period_s=60)
    stream = Stream(film, modality="video", mode="receive", shared=True, concurrency_limit=None)
    async with house(stream) as http:
        viewers = []
        for number in range(3):
            viewers.append(await Watcher("video").by_whep(http))
            await until(lambda n=number: len(stream.sessions) == n + 1)
            await until(lambda: all(has_seen(s) for s in stream.sessions))
        await until(lambda: viewers[0].seen and viewers[1].seen)
        assert film.made == 1
        for viewer in viewers:
            assert set(viewer.seen) <= {0}
            await viewer.leave()


async def test_limits_and_principals_are_the_viewers() -> None:
    def authorize(request: Any) -> str | None:
        token: str = request.headers.get("authorization", "").removeprefix("Bearer").strip()
        return token or None

    contexts: list[Any] = []

    def film() -> Any:
        contexts.append(get_current_context())
        yield from Film()()

    stream = Stream(
        film,
        modality="video",
        mode="receive",
        shared=True,
        concurrency_limit=2,
        time_limit=2,
        authorize=authorize,
    )
    async with house(stream) as http:
        refused = await http.post("/whep", headers=SDP, content="v=0")
        assert refused.status_code == 403
        ann = await Watcher("video").by_whep(http, "ann")
        await until(lambda: ann.seen)
        await asyncio.sleep(0.8)
        ben = await Watcher("video").by_whep(http, "ben")
        await until(lambda: ben.seen)
        assert {session.principal for session in stream.connections.values()} == {"ann", "ben"}
        await until(lambda: len(stream.sessions) == 1)
        assert [session.principal for session in stream.connections.values()] == ["ben"]
        await until(lambda: any("Time limit" in text for text in ann.texts))
        seen = len(ben.seen)
        await until(lambda: len(ben.seen) > seen + 2)
        await until(lambda: not stream.sessions)
        assert [context.principal for context in contexts] == [None], "one run, and nobody's"
        for viewer in (ann, ben):
            await viewer.leave()


async def test_all_are_told_what_the_handler_says() -> None:
    go_on = asyncio.Event()

    async def film() -> Any:
        for number in range(100):
            if number == 10:
                await go_on.wait()
                yield AdditionalOutputs("news")
            yield numbered(number, **SIZE)
            if number == 20:
                yield CloseStream("The End")

    stream = Stream(film, modality="video", mode="receive", shared=True, concurrency_limit=None)
    async with house(stream):
        viewers = [await Watcher("video").by_offer(stream, str(number)) for number in range(2)]
        await until(lambda: sum(has_seen(s) for s in stream.sessions) == 2)
        go_on.set()
        for number in range(2):
            assert (await stream.fetch_latest_output(str(number))).args == ("news",)
        await until(lambda: not stream.sessions)
        for viewer in viewers:
            for told in ("fetch_output", "The End"):
                await until(lambda v=viewer, t=told: any(t in text for text in v.texts))
            await viewer.leave()


async def test_a_handler_that_fails_ends_it_for_all() -> None:
    def film() -> Any:
        yield numbered(1, **SIZE)
        raise WebRTCError("no film today")

    stream = Stream(film, modality="video", mode="receive", shared=True, concurrency_limit=None)
    async with house(stream):
        viewer = await Watcher("video").by_offer(stream, "me")
        await until(lambda: not stream.sessions)
        await until(lambda: any("no film today" in text for text in viewer.texts))
        await viewer.leave()


async def test_inputs_of_any_viewer_are_everybodys() -> None:
    told: list[Any] = []

    def film(subject: str = "") -> Any:
        told.append(subject)
        yield from Film()()

    stream = Stream(film, modality="video", mode="receive", shared=True, concurrency_limit=None)
    stream.set_input("me", "sea")
    async with house(stream):
        viewer = await Watcher("video").by_offer(stream, "me")
        await until(lambda: viewer.seen)
        assert told == ["sea"]
        await viewer.leave()


async def test_the_snippet_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "whip.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope: dict[str, Any] = {"__name__": "docs"}
    exec(snippet, scope)
    viewer = await Watcher("video").by_offer(scope["stream"], "me")
    await until(lambda: len(viewer.seen) > 3)
    await viewer.leave()
    await scope["stream"].shutdown(0)


def test_only_what_is_watched_can_be_shared() -> None:
    with pytest.raises(ValueError, match="shared=True is for mode 'receive'"):
        Stream(lambda frame: frame, modality="video", shared=True)


def test_who_comes_another_way_is_told() -> None:
    async def come(host: str) -> None:
        async with Talker(host, id_=None) as client:
            failed = await client.wait_for("failed")
            assert failed["meta"]["error"] == "unsupported_media"
            assert failed["meta"]["reason"] == NOT_WATCHED
            assert (await client.wait_closed())[0] == 1008

    with served(Stream(Film(), modality="video", mode="receive", shared=True)) as host:
        asyncio.run(come(host))
