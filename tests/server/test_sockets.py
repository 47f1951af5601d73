"""The WebSocket door over real sockets: sound there and back, limits, mistakes, and every end."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from fastapi import FastAPI, HTTPException, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from fastrtc import (
    AdditionalOutputs,
    AsyncStreamHandler,
    CloseStream,
    Stream,
    get_current_context,
    wait_for_item,
)
from fastrtc.audio.rates import Resampler
from fastrtc.transports.reader import MAX_BAD_MESSAGES, MAX_MESSAGE_BYTES
from recorders import AsyncEcho, SyncEcho
from sockets import Talker, served
from wavs import read_wav

DATA = Path(__file__).parent.parent / "data"
RATE_HZ = 24_000


class Echo(AsyncStreamHandler):
    """Says what it heard, at one rate; keeps what happened where the test can see it."""

    events: list[str]

    def __init__(self) -> None:
        super().__init__(input_sample_rate=RATE_HZ, output_sample_rate=RATE_HZ)
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.events = []
        self.contexts: list[Any] = []
        self.texts: list[str] = []

    async def start_up(self) -> None:
        self.events.append("start_up")

    async def receive(self, frame: Any) -> None:
        if not self.contexts:
            self.contexts.append(get_current_context())
        self.queue.put_nowait(frame)

    async def emit(self) -> Any:
        frame = await wait_for_item(self.queue)
        if len(self.contexts) == 1:
            self.contexts.append(get_current_context())
        return frame

    async def on_message(self, text: str) -> None:
        self.texts.append(text)

    async def shutdown(self) -> None:
        self.events.append("shutdown")


class Kept(Stream):
    """A stream whose handlers stay to be looked at."""

    def __init__(self, prototype: Any, **options: Any) -> None:
        super().__init__(prototype, modality="audio", **options)
        self.made: list[Any] = []
        copy = prototype.copy

        def kept() -> Any:
            self.made.append(copy())
            return self.made[-1]

        prototype.copy = kept


def speech(rate_hz: int = RATE_HZ) -> npt.NDArray[np.int16]:
    samples, wav_hz = read_wav(DATA / "austen-0880.wav")
    return Resampler(wav_hz, rate_hz).push(samples)


def snr_db(heard: npt.NDArray[np.int16], said: npt.NDArray[np.int16]) -> float:
    noise = heard.astype(float) - said[: len(heard)]
    return float(10 * np.log10(np.square(said.astype(float)).sum() / (np.square(noise).sum() + 1)))


async def until(condition: Any, timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("start", "least_db"), [({}, 35), ({"format": "mulaw"}, 35), ({"format": "pcm16"}, 90)]
)
def test_speech_comes_back_whole(start: dict[str, Any], least_db: float) -> None:
    """Pitfall 34: PCM too. Every sample, in order.

    Mu-law costs what G.711 costs once: coding it again adds nothing.
    """

    async def talk(host: str) -> None:
        said = speech()[: RATE_HZ * 3 // 2]
        async with Talker(host, start=start) as client:
            await client.say(said, pace=1.5)
            await until(lambda: len(client.heard()) >= len(said))
            heard = client.heard()
            assert len(heard) == len(said)
            assert snr_db(heard, said) > least_db
            stats = stream.sessions["me"].stats
            assert stats["frames_in"] == stats["messages_received"] == len(said) // 480
            assert stats["frames_sent"] == len(client.payloads)
            assert stream.sessions["me"].transport == "websocket"
        await until(lambda: stream.made[0].events == ["start_up", "shutdown"])
        assert [context.webrtc_id for context in stream.made[0].contexts] == ["me", "me"]
        assert isinstance(stream.made[0].contexts[1].websocket, WebSocket)

    stream = Kept(Echo())
    with served(stream) as host:
        asyncio.run(talk(host))


def test_opus_both_ways() -> None:
    from fastrtc._core import OpusDecoder, OpusEncoder

    async def talk(host: str) -> None:
        said = speech()[:RATE_HZ]
        encoder, decoder = OpusEncoder(RATE_HZ), OpusDecoder(RATE_HZ)
        async with Talker(host, start={"format": "opus"}) as client:
            for first in range(0, len(said), 480):
                await client.send(encoder.encode(said[first : first + 480]))
                await asyncio.sleep(0.01)
            await until(lambda: len(client.payloads) >= len(said) // 480)
            await client.send(b"\xff\xff\xff")
            assert "opus" in (await client.wait_for("error"))["message"]
        heard = np.concatenate(
            [np.frombuffer(decoder.decode(packet), np.int16) for packet in client.payloads]
        )
        assert len(heard) == len(said)
        loudness = np.abs(heard.astype(float)).mean() / np.abs(said.astype(float)).mean()
        assert 0.8 < loudness < 1.2

    with served(Stream(Echo(), modality="audio")) as host:
        asyncio.run(talk(host))


def test_rates_of_client_and_handler_may_differ() -> None:
    """A tone from a client at 16 kHz, to a sync handler at 48 and 24 kHz, and back."""

    async def talk(host: str) -> None:
        tone = 8000 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)
        start = {"format": "pcm16", "sample_rate": 16_000}
        async with Talker(host, start=start, rate_hz=16_000) as client:
            await client.say(tone.astype(np.int16), pace=2)
            await until(lambda: len(client.heard()) >= 15_000)
            heard = client.heard()[2000:14_000].astype(float)
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert abs(np.argmax(spectrum) * 16_000 / len(heard) - 500) < 2
        assert 7500 < np.abs(heard).max() < 8500

    with served(Stream(SyncEcho(), modality="audio")) as host:
        asyncio.run(talk(host))


class Monologue(AsyncStreamHandler):
    """Says ten seconds at once when it hears something; is interrupted by the text "clear"."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=RATE_HZ, output_sample_rate=RATE_HZ)
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[float] = []

    async def start_up(self) -> None:
        self.queue.put_nowait((RATE_HZ, np.full(RATE_HZ * 10, 1000, np.int16)))

    async def receive(self, frame: Any) -> None: ...

    async def emit(self) -> Any:
        return await wait_for_item(self.queue)

    async def on_message(self, text: str) -> None:
        self.sent += [self.played_s, self.clear_queue()]


def test_an_interruption_is_heard_at_once_and_counted_truly() -> None:
    async def talk(host: str) -> None:
        async with Talker(host) as client:
            await until(lambda: len(client.heard()) > RATE_HZ // 2)
            await client.send("clear")
            await client.wait_for("clear")
            count = len(client.heard())
            await asyncio.sleep(0.3)
            assert len(client.heard()) == count
            played_s, cleared_s = stream.made[0].sent
            assert abs(played_s - cleared_s) < 0.02
            assert 0 <= count / RATE_HZ - cleared_s <= 0.15, "more than the lead was on its way"

    stream = Kept(Monologue())
    with served(stream) as host:
        asyncio.run(talk(host))


def test_pings_texts_and_messages_to_the_client() -> None:
    async def talk(host: str) -> None:
        async with Talker(host) as client:
            await client.send({"event": "ping"})
            await client.wait_for("pong")
            await client.send("hello")
            await client.send({"event": "button", "pressed": 1})
            handler = stream.made[0]
            await until(lambda: len(handler.texts) == 2)
            assert handler.texts == ["hello", '{"event": "button", "pressed": 1}']
            handler.send_message_sync('{"type": "log", "data": "x"}')
            assert (await client.wait_for("log"))["data"] == "x"

    stream = Kept(Echo())
    with served(stream) as host:
        asyncio.run(talk(host))


def test_inputs_and_outputs_without_a_page() -> None:
    class Repeats(Echo):
        async def emit(self) -> Any:
            await asyncio.sleep(0.02)
            return AdditionalOutputs(*self.latest_args[1:])

    async def talk(host: str) -> None:
        stream.set_input("me", "early")
        async with Talker(host) as client:
            await client.wait_for("fetch_output")
            assert (await stream.fetch_latest_output("me")).args == ("early",)
            stream.set_input("me", "late")
            async with asyncio.timeout(15):
                while (await stream.fetch_latest_output("me")).args != ("late",):
                    pass

    stream = Kept(Repeats())
    with served(stream) as host:
        asyncio.run(talk(host))


def test_one_limit_holds_and_slots_come_back() -> None:
    """Pitfalls 17 and 18."""

    async def talk(host: str) -> None:
        async with Talker(host):
            await until(lambda: "me" in stream.sessions)
            async with Talker(host, id_="you") as second:
                refusal = await second.wait_for("failed")
                assert refusal["meta"] == {"error": "concurrency_limit_reached", "limit": 1}
                assert await second.wait_closed() == (1013, "concurrency_limit_reached")
            offer = {"sdp": "v=0", "type": "offer", "webrtc_id": "third"}
            async with httpx.AsyncClient() as http:
                answer = await http.post(f"http://{host}/webrtc/offer", json=offer)
            assert answer.json()["meta"]["error"] == "concurrency_limit_reached"
        await until(lambda: len(stream.sessions) == 0)
        async with Talker(host, id_="you") as third:
            await third.send({"event": "ping"})
            await third.wait_for("pong")

    stream = Kept(Echo())
    with served(stream) as host:
        asyncio.run(talk(host))


def test_an_id_cannot_be_taken_over() -> None:
    """Pitfall 22."""

    async def talk(host: str) -> None:
        async with Talker(host) as first:
            await until(lambda: "me" in stream.sessions)
            async with Talker(host) as thief:
                refusal = await thief.wait_for("failed")
                assert refusal["meta"]["error"] == "connection_already_exists"
                assert (await thief.wait_closed())[0] == 1008
            await first.send({"event": "ping"})
            await first.wait_for("pong")

    stream = Kept(Echo(), concurrency_limit=None)
    with served(stream) as host:
        asyncio.run(talk(host))


BAD = [
    {"event": "media"},
    {"event": "media", "media": {"payload": "???"}},
    {"event": "media", "media": {"payload": 1.5}},
    {"event": "start", "websocket_id": "again"},
]


def test_mistakes_are_answered_and_the_session_goes_on() -> None:
    """Pitfalls 20 and 21."""

    async def talk(host: str) -> None:
        async with Talker(host, id_=None) as client:
            for message in ["not JSON", "[]", b"\x00\x01", {"event": "media", "media": {}}]:
                await client.send(message)
                assert (await client.wait_for("error"))["message"]
            await client.send({"event": "start"})
            assert "websocket_id" in (await client.wait_for("error"))["message"]
            await client.send({"event": "start", "websocket_id": "me"})
            for bad in BAD:
                await client.send(bad)
                assert (await client.wait_for("error"))["message"]
            await client.say(speech()[:4800])
            await until(lambda: len(client.heard()) == 4800)
        async with Talker(host, id_="you", start={"format": "pcm16"}) as client:
            await client.send(b"\x00\x01\x02")
            assert "even number" in (await client.wait_for("error"))["message"]

    with served(Stream(Echo(), modality="audio")) as host:
        asyncio.run(talk(host))


def test_who_talks_nonsense_without_end_or_too_much_is_sent_away() -> None:
    async def talk(host: str) -> None:
        async with Talker(host) as client:
            for _ in range(MAX_BAD_MESSAGES):
                await client.send({"event": "media"})
            code, reason = await client.wait_closed()
            assert code == 1008
            assert "bad messages" in reason
        async with Talker(host, id_="big") as client:
            await client.send("x" * (MAX_MESSAGE_BYTES + 1))
            assert (await client.wait_closed())[0] == 1009
        async with Talker(host, id_=None) as client:
            for _ in range(MAX_BAD_MESSAGES):
                await client.send("hello")
            assert (await client.wait_closed())[0] == 1008
        await until(lambda: len(stream.sessions) == 0)

    stream = Kept(Echo(), concurrency_limit=1)
    with served(stream) as host:
        asyncio.run(talk(host))
    for handler in stream.made:
        assert handler.events == ["start_up", "shutdown"]


def test_leaving_before_start_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(host: str) -> None:
        async with Talker(host, id_=None):
            pass
        async with Talker(host, id_=None) as client:
            await client.send({"event": "stop"})
            assert (await client.wait_closed())[0] == 1000
        socket = await connect(f"ws://{host}/websocket/offer")
        socket.transport.abort()
        async with Talker(host):
            await until(lambda: "me" in stream.sessions)

    stream = Kept(Echo())
    with served(stream) as host:
        asyncio.run(talk(host))
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]
    assert len(stream.made) == 1


def test_a_connection_that_breaks_ends_its_session_once() -> None:
    async def talk(host: str) -> None:
        async with Talker(host) as client:
            await client.say(speech()[:4800])
            client.socket.transport.abort()
            await until(lambda: stream.made[0].events == ["start_up", "shutdown"])
        assert len(stream.sessions) == 0
        # The reader may notice it first, or the writer.
        reason = stream.sessions.drain_closed()[0].close_reason
        assert reason in ("the client left", "the client is gone")

    stream = Kept(Echo())
    with served(stream) as host:
        asyncio.run(talk(host))


def test_the_time_limit_tells_and_closes() -> None:
    """Pitfall 27."""

    async def talk(host: str) -> None:
        async with Talker(host) as client:
            assert "Time limit" in (await client.wait_for("end_stream"))["data"]
            code, reason = await client.wait_closed()
            assert code == 1000
            assert "Time limit" in reason
        await until(lambda: stream.made[0].events == ["start_up", "shutdown"])

    stream = Kept(Echo(), time_limit=0.3)
    with served(stream) as host:
        asyncio.run(talk(host))


def test_close_stream_plays_out_first() -> None:
    class Farewell(Echo):
        async def emit(self) -> Any:
            return (RATE_HZ, np.ones(RATE_HZ // 2, np.int16)), CloseStream("bye")

    async def talk(host: str) -> None:
        async with Talker(host) as client:
            assert (await client.wait_for("end_stream"))["data"] == "bye"
            assert len(client.heard()) == RATE_HZ // 2
            assert (await client.wait_closed())[0] == 1000

    with served(Stream(Farewell(), modality="audio")) as host:
        asyncio.run(talk(host))


def test_a_server_that_ends_tells_its_clients_and_shuts_handlers_down() -> None:
    """Pitfall 19."""
    begun, seen = threading.Event(), {}

    async def talk(host: str) -> None:
        async with Talker(host) as client:
            begun.set()
            seen["code"], _ = await client.wait_closed(10)
            seen["told"] = [message["type"] for message in client.messages]

    stream = Kept(Echo())
    with served(stream) as host:
        talking = threading.Thread(target=lambda: asyncio.run(talk(host)))
        talking.start()
        assert begun.wait(5)
        asyncio.run(until(lambda: "me" in stream.sessions))
    talking.join(10)
    assert seen["code"] in (1000, 1001, 1012)
    assert stream.made[0].events == ["start_up", "shutdown"]


def test_authorize_is_asked_before_anything_and_names_the_principal() -> None:
    """Pitfall 39."""

    async def authorize(connection: Any) -> Any:
        token = connection.query_params.get("token")
        if token == "teapot":
            raise HTTPException(418, "short and stout")
        return {"ann": "Ann"}.get(token)

    async def talk(host: str) -> None:
        for query, status in [("", 403), ("?token=bob", 403), ("?token=teapot", 418)]:
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{host}/websocket/offer{query}")
            assert refused.value.response.status_code == status
        async with Talker(host, "/websocket/offer?token=ann") as client:
            await client.say(speech()[:960])
            await until(lambda: stream.made and stream.made[0].contexts)
            assert stream.made[0].contexts[0].principal == "Ann"
        assert len(stream.made) == 1

    stream = Kept(Echo(), authorize=authorize)
    with served(stream) as host:
        asyncio.run(talk(host))


def test_pages_of_other_sites_are_refused_when_sites_are_named() -> None:
    async def talk(host: str) -> None:
        url = f"ws://{host}/websocket/offer"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, origin="https://evil.example")  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        async with connect(url, origin="https://a.com") as page:  # type: ignore[arg-type]
            await page.send('{"event": "ping"}')
            assert await page.recv() == '{"event": "pong"}'
        async with connect(url) as app:
            await app.send('{"event": "ping"}')
            assert await app.recv() == '{"event": "pong"}'

    for spelt in ["https://a.com", "https://A.com/", "https://a.com:443"]:
        with served(Stream(Echo(), modality="audio", allowed_origins=[spelt])) as host:
            asyncio.run(talk(host))
    for wrong in ["a.com", "*", "https://a.com/page", ""]:
        with pytest.raises(ValueError, match="an origin is 'https://host'"):
            Stream(Echo(), modality="audio", allowed_origins=[wrong])
    with pytest.raises(ValueError, match="write"):
        Stream(Echo(), modality="audio", allowed_origins="https://a.com")


def test_a_prefix_a_route_of_ones_own_and_two_streams() -> None:
    async def talk(host: str) -> None:
        for path in ["/voice/websocket/offer", "/mine", "/other/websocket/offer"]:
            async with Talker(host, path, id_=path) as client:
                await client.say(speech()[:960])
                await until(lambda client=client: len(client.heard()) == 960)

    first, second = Kept(Echo(), concurrency_limit=2), Kept(Echo())
    app = FastAPI()
    first.mount(app, "/voice")
    second.mount(app, "/other")
    app.websocket("/mine")(first.websocket_offer)
    with served(app=app) as host:
        asyncio.run(talk(host))
    assert (len(first.made), len(second.made)) == (2, 1)


def test_a_handler_that_cannot_be_made_is_told_of() -> None:
    class Broken(AsyncEcho):
        def copy(self) -> Any:
            raise RuntimeError("no model file")

    async def talk(host: str) -> None:
        async with Talker(host) as client:
            assert await client.wait_closed() == (1011, "the session could not begin")
        assert len(stream.sessions) == 0

    stream = Stream(Broken(), modality="audio")
    with served(stream) as host:
        asyncio.run(talk(host))


def test_a_stream_without_audio_says_so() -> None:
    async def talk(host: str) -> None:
        async with Talker(host, id_=None) as client:
            refusal = await client.wait_for("failed")
            assert refusal["meta"]["error"] == "unsupported_media"
            assert json.dumps(refusal["meta"]["reason"])
            assert (await client.wait_closed())[0] == 1008

    with served(Stream(...)) as host:
        asyncio.run(talk(host))
