"""WHIP and WHEP over real HTTP to the real media plane, with aiortc as encoder and player."""

from __future__ import annotations

import asyncio
from typing import Any

import aiortc
import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from fastrtc import Stream, get_current_context
from fastrtc.server.whip import ice_links, trickled
from microphone import RATE_HZ, Microphone, tone
from recorders import AsyncEcho
from sockets import Talker, served

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SDP = {"Content-Type": "application/sdp"}
TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}


class Studio(Stream):
    """A stream whose handlers stay to be looked at."""

    def __init__(self, prototype: Any, **options: Any) -> None:
        super().__init__(prototype, modality="audio", **options)
        self.made: list[Any] = []
        if isinstance(prototype, AsyncEcho):
            copy = prototype.copy

            def kept() -> Any:
                self.made.append(copy())
                return self.made[-1]

            prototype.copy = kept  # type: ignore[method-assign]


async def until(condition: Any, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def offer_of(connection: aiortc.RTCPeerConnection) -> str:
    await connection.setLocalDescription(await connection.createOffer())
    sdp: str = connection.localDescription.sdp
    return sdp


async def take_answer(connection: aiortc.RTCPeerConnection, answer: httpx.Response) -> str:
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == "application/sdp"
    await connection.setRemoteDescription(aiortc.RTCSessionDescription(answer.text, "answer"))
    location: str = answer.headers["location"]
    assert not location.startswith(("/", "http")), "a proxy's prefix would be missing"
    return str(answer.url.join(location))


def test_an_offer_without_a_codec_that_we_have_is_refused_and_holds_no_place() -> None:
    """GStreamer's webrtcbin without encoding-params offers OPUS/48000, which is none (RFC 7587)."""

    async def send(host: str) -> None:
        connection = aiortc.RTCPeerConnection()
        connection.addTransceiver("audio", "recvonly")
        sdp = (await offer_of(connection)).replace("opus/48000/2", "opus/48000")
        sdp = sdp.replace("PCMU/8000", "G729/8000").replace("PCMA/8000", "G728/8000")
        async with httpx.AsyncClient(base_url=f"http://{host}") as http:
            for _ in range(2):
                refused = await http.post("/whep", headers=SDP, content=sdp)
                assert refused.status_code == 400, refused.text
                assert "opus/48000/2" in refused.json()["detail"]
                await until(lambda: not studio.sessions)
        await connection.close()

    studio = Studio(AsyncEcho(), concurrency_limit=1)
    with served(studio) as host:
        asyncio.run(send(host))


def test_an_encoder_is_heard_trickles_and_leaves() -> None:
    class Listener(AsyncEcho):
        loudest = 0

        async def start_up(self) -> None:
            await super().start_up()
            self.context = get_current_context()

        async def receive(self, frame: Any) -> None:
            await super().receive(frame)
            self.loudest = max(self.loudest, int(np.abs(frame[1]).max()))

    async def send(host: str) -> None:
        connection = aiortc.RTCPeerConnection()
        microphone = Microphone()
        microphone.said = tone(20)
        connection.addTransceiver(microphone, "sendonly")
        async with httpx.AsyncClient(base_url=f"http://{host}") as http:
            sdp = await offer_of(connection)
            headers = {**SDP, "Authorization": "Bearer ann"}
            answer = await http.post("/live/whip", content=sdp, headers=headers)
            location = await take_answer(connection, answer)
            assert location.startswith(f"http://{host}/live/whip/")
            assert len(location) > 40
            assert answer.headers["link"] == '<stun:stun.example:3478>; rel="ice-server"'
            await until(lambda: studio.made and studio.made[0].loudest > 6000)
            handler = studio.made[0]
            assert handler.context.principal == "ann"
            assert studio.connections[handler.context.webrtc_id].stats["chunks_played"] == 0
            full = await http.post("/live/whip", content=sdp, headers=headers)
            assert (full.status_code, full.headers["retry-after"]) == (503, "5")
            line = "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"
            fragment = f"a=ice-ufrag:x\r\na=mid:0\r\na={line}\r\na=end-of-candidates\r\n"
            patched = await http.patch(location, content=fragment, headers=TRICKLE)
            assert patched.status_code == 204
            restart = await http.patch(location, content="a=ice-ufrag:y", headers=TRICKLE)
            assert restart.status_code == 422
            assert (await http.patch(location, content="a=candidate:?", headers=TRICKLE)).is_error
            assert (await http.delete(location)).status_code == 200
            await until(lambda: handler.events[-1] == "shutdown")
            assert (await http.delete(location)).status_code == 404
        await connection.close()
        assert len(studio.sessions) == 0

    def authorize(request: Any) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else None

    studio = Studio(
        Listener(24_000),
        authorize=authorize,
        rtc_configuration={"iceServers": [{"urls": "stun:stun.example:3478"}]},
    )
    app = FastAPI()
    studio.mount(app, "/live")
    with served(app=app) as host:
        refused = httpx.post(f"http://{host}/live/whip", content="v=0", headers=SDP)
        assert refused.status_code == 403
        asyncio.run(send(host))


def test_video_is_declined_by_an_audio_stream() -> None:
    """OBS offers both. aiortc cannot take such an answer, so it is looked at only."""

    async def send(host: str) -> None:
        connection = aiortc.RTCPeerConnection()
        for kind in ("audio", "video"):
            connection.addTransceiver(kind, "sendonly")
        async with httpx.AsyncClient(base_url=f"http://{host}") as http:
            answer = await http.post("/whip", content=await offer_of(connection), headers=SDP)
        assert answer.status_code == 201
        lines = [line.split()[:2] for line in answer.text.splitlines() if line.startswith("m=")]
        assert lines[0][0] == "m=audio"
        assert lines[0][1] != "0"
        assert lines[1] == ["m=video", "0"]
        await connection.close()

    with served(Studio(AsyncEcho())) as host:
        asyncio.run(send(host))


def test_a_player_hears_a_source() -> None:
    async def radio() -> Any:
        for _ in range(100):
            yield RATE_HZ, tone(0.2)

    async def watch(host: str) -> None:
        connection = aiortc.RTCPeerConnection()
        loudest = 0

        async def listen(track: Any) -> None:
            nonlocal loudest
            while True:
                frame = await track.recv()
                loudest = max(loudest, int(np.abs(frame.to_ndarray()).max()))

        listening: list[Any] = []
        connection.on("track", lambda track: listening.append(asyncio.ensure_future(listen(track))))
        connection.addTransceiver("audio", "recvonly")
        async with httpx.AsyncClient(base_url=f"http://{host}") as http:
            answer = await http.post("/whep", content=await offer_of(connection), headers=SDP)
            location = await take_answer(connection, answer)
            assert location.startswith(f"http://{host}/whep/")
            await until(lambda: loudest > 6000)
            assert (await http.delete(location)).status_code == 200
        await until(lambda: len(studio.sessions) == 0)
        for task in listening:
            task.cancel()
        await connection.close()

    studio = Studio(radio, mode="receive")
    with served(studio) as host:
        asyncio.run(watch(host))
        # A stream that only speaks takes no encoders.
        answer = httpx.post(f"http://{host}/whip", content="v=0", headers=SDP)
        assert answer.status_code in (404, 405)


def test_mistakes_are_told() -> None:
    with served(Studio(AsyncEcho())) as host:
        url = f"http://{host}/whip"
        wrong = httpx.post(url, json={"sdp": "v=0"})
        assert (wrong.status_code, wrong.headers["accept-post"]) == (415, "application/sdp")
        assert httpx.post(url, content="hello", headers=SDP).status_code == 400
        assert httpx.post(url, content=b"\xff\xfe", headers=SDP).status_code == 400
        assert httpx.post(url, content="v" * 70_000, headers=SDP).status_code == 413
        for path in ["/nobody", "/" + "x" * 32, "/" + "%20" * 32]:
            assert httpx.delete(url + path).status_code == 404
        patched = httpx.patch(url + "/" + "x" * 32, content="a=mid:0", headers=TRICKLE)
        assert patched.status_code == 404
        assert httpx.get(url).status_code == 405


def test_links_and_fragments() -> None:
    servers = [
        {"urls": ["stun:a:1", "stun:b:2"]},
        {"urls": "turn:c:3?transport=udp", "username": "u", "credential": "p"},
    ]
    assert ice_links({"iceServers": servers}) == [
        '<stun:a:1>; rel="ice-server"',
        '<stun:b:2>; rel="ice-server"',
        '<turn:c:3?transport=udp>; rel="ice-server"; username="u"; credential="p"; '
        'credential-type="password"',
    ]
    assert ice_links(None) == []
    assert trickled("a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=audio 9 X 0\r\na=candidate:1 x\r\n") == [
        {"candidate": "candidate:1 x", "usernameFragment": "u"}
    ]
    assert trickled("a=end-of-candidates") == [{"candidate": ""}]


def test_only_what_came_by_whip_is_ended_by_it() -> None:
    """A WebSocket may bear any name."""

    async def talk(host: str) -> None:
        token = "A" * 32
        async with Talker(host, id_=f"whip-{token}"):
            await until(lambda: f"whip-{token}" in stream.sessions)
            async with httpx.AsyncClient(base_url=f"http://{host}") as http:
                assert (await http.delete(f"/whip/{token}")).status_code == 404
            assert f"whip-{token}" in stream.sessions

    stream = Studio(AsyncEcho())
    with served(stream) as host:
        asyncio.run(talk(host))
