"""Whole calls over real sockets, with phones that speak as five providers do."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from fastrtc import AsyncStreamHandler, Stream, get_current_context, wait_for_item
from fastrtc.audio.rates import Resampler
from phones import Exotel, Phone, Plivo, Telnyx, Twilio, Vonage
from sockets import Talker, served
from wavs import read_wav

DATA = Path(__file__).parent.parent / "data"
PHONES = [Twilio, Telnyx, Plivo, Vonage, Exotel]
DOOR = "/telephone/handler"


class Agent(AsyncStreamHandler):
    """Echoes; speaks for ten seconds after the key 1, is interrupted by 2, hangs up after 3."""

    def __init__(self, echoes: bool = True) -> None:
        super().__init__(input_sample_rate=16_000, output_sample_rate=24_000)
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.echoes = echoes
        self.digits = ""
        self.events: list[str] = []
        self.interrupted_at_s = 0.0
        self.played: list[float] = []
        self.frames: list[Any] = []
        self.context: Any = None

    async def start_up(self) -> None:
        await self.wait_for_args()
        await self.send_message('{"type": "log", "data": "never on a telephone"}')
        self.events.append("start_up")
        self.context = get_current_context()

    async def receive(self, frame: Any) -> None:
        self.frames.append(frame)
        if self.echoes:
            self.queue.put_nowait(frame)

    async def emit(self) -> Any:
        return await wait_for_item(self.queue)

    async def on_dtmf(self, digit: str) -> None:
        self.digits += digit
        if digit == "1":
            self.echoes = False
            self.queue.put_nowait((24_000, np.full(240_000, 8000, np.int16)))
        elif digit == "2":
            self.interrupted_at_s = time.monotonic()
            self.played += [self.played_s, self.clear_queue()]
        elif digit == "4":
            self.queue.put_nowait((24_000, np.full(800, 8000, np.int16)))
        elif digit == "3":
            self.session.close("hung up", "bye")  # type: ignore[attr-defined]

    async def shutdown(self) -> None:
        self.events.append("shutdown")


class Office(Stream):
    def __init__(self, echoes: bool = True, **options: Any) -> None:
        prototype = Agent(echoes)
        self.made: list[Agent] = []

        def hire() -> Agent:
            self.made.append(Agent(echoes))
            return self.made[-1]

        prototype.copy = hire  # type: ignore[method-assign]
        super().__init__(prototype, modality="audio", **options)


async def until(condition: Any, timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_calls_from_first_to_last() -> None:
    """All five at once, each a session of its own."""

    async def call(host: str, phone: type[Phone]) -> tuple[np.ndarray, np.ndarray]:
        samples, wav_hz = read_wav(DATA / "austen-0880.wav")
        said = Resampler(wav_hz, phone.rate_hz).push(samples)[: phone.rate_hz]
        async with phone(f"ws://{host}{DOOR}") as caller:
            caller.say(said)
            await until(lambda: caller.id in office.sessions)
            agent = office.handlers[caller.id]
            assert isinstance(agent, Agent)
            await caller.press("*")
            await until(lambda: sum(map(len, caller.received)) > 1.6 * phone.rate_hz, 20)
            assert agent.digits == "*"
            assert agent.phone_mode
            assert agent.context.webrtc_id == caller.id
            assert agent.context.websocket is not None
            assert agent.frames[0][0] == 16_000
            assert office.sessions[caller.id].transport == "phone"
            received = np.concatenate(caller.received)
            await caller.hang_up()
            await until(lambda: agent.events == ["start_up", "shutdown"])
            assert not [sent for sent in caller.sent if "log" in str(sent)]
        assert caller.id not in office.sessions
        return said, received

    async def calls(host: str) -> list[tuple[np.ndarray, np.ndarray]]:
        return await asyncio.gather(*(call(host, phone) for phone in PHONES))

    office = Office(concurrency_limit=5)
    with served(office) as host:
        sounds = asyncio.run(calls(host))
    for phone, (said, received) in zip(PHONES, sounds, strict=True):
        at = int(np.argmax(np.correlate(received.astype(float), said.astype(float), "valid")))
        likeness = np.corrcoef(received[at : at + len(said)], said)[0, 1]
        assert likeness > 0.98, f"{phone.__name__}: the echo is not what was said"


def test_an_interruption_is_silence_at_the_ear() -> None:
    """Pitfall 9: what was already sent is flushed, and the handler knows how much was heard."""

    async def call(host: str, phone: type[Phone]) -> None:
        async with phone(f"ws://{host}{DOOR}", delay_s=0.1) as caller:
            await caller.press("1")
            await until(lambda: (caller.ear() > 7000).sum() > phone.rate_hz * 0.6)
            agent = office.handlers[caller.id]
            assert isinstance(agent, Agent)
            assert caller.buffered_s < 0.5, "more than the lead lies at the provider"
            await caller.press("2")
            pressed_s = time.monotonic()
            await until(lambda: caller.clears == 1)
            ticks = len(caller.heard)
            await asyncio.sleep(0.3)
            assert agent.interrupted_at_s - pressed_s < 0.3
            assert not np.concatenate(caller.heard[ticks + 2 :]).any(), "the ear hears on"
            heard_s = (caller.ear() > 7000).sum() / phone.rate_hz
            played_s, cleared_s = agent.played
            assert abs(played_s - cleared_s) < 0.05
            # The ear hears on until the clear has come, however busy the machine is.
            late_s = caller.cleared_at_s - agent.interrupted_at_s
            assert -0.1 < heard_s - cleared_s < 0.35 + late_s, "told another length"

    async def calls(host: str) -> None:
        await asyncio.gather(*(call(host, phone) for phone in PHONES))

    office = Office(echoes=False, concurrency_limit=None)
    with served(office) as host:
        asyncio.run(calls(host))


@pytest.mark.parametrize("phone", PHONES)
def test_a_short_word_comes_in_messages_that_the_provider_takes(phone: type[Phone]) -> None:
    """The phones refuse shorter ones than their documentation allows."""

    async def call(host: str) -> None:
        async with phone(f"ws://{host}{DOOR}") as caller:
            await caller.press("4")
            await until(lambda: sum(map(len, caller.received)) > phone.rate_hz // 40)

    with served(Office(echoes=False)) as host:
        asyncio.run(call(host))


def test_marks_correct_what_was_played() -> None:
    """An ear that is half a second away has heard half a second less."""

    async def call(host: str) -> None:
        async with Twilio(f"ws://{host}{DOOR}", delay_s=0.25) as caller:
            await caller.press("1")
            await asyncio.sleep(2.0)
            agent = office.made[0]
            assert 1.2 < agent.played_s < 1.7
            assert any(isinstance(sent, dict) and sent["event"] == "mark" for sent in caller.sent)

    office = Office(echoes=False)
    with served(office) as host:
        asyncio.run(call(host))


def test_we_hang_up() -> None:
    async def call(host: str) -> None:
        async with Twilio(f"ws://{host}{DOOR}") as caller:
            await caller.press("3")
            await until(lambda: caller.close_code == 1000)
            assert not [sent for sent in caller.sent if "end_stream" in str(sent)]
        await until(lambda: office.made[0].events == ["start_up", "shutdown"])

    office = Office(echoes=False)
    with served(office) as host:
        asyncio.run(call(host))


def test_limits_count_calls_and_pages_together() -> None:
    """Pitfalls 18 and 27."""

    async def call(host: str) -> None:
        async with Twilio(f"ws://{host}{DOOR}") as caller:
            await until(lambda: caller.id in office.sessions)
            async with Talker(host) as page:
                assert (await page.wait_for("failed"))["meta"]["limit"] == 1
            async with Telnyx(f"ws://{host}{DOOR}") as second:
                await until(lambda: second.close_code == 1013)
                assert second.sent == []
            await until(lambda: caller.close_code == 1000)
        await until(lambda: len(office.sessions) == 0)

    office = Office(time_limit=1.0)
    with served(office) as host:
        asyncio.run(call(host))


def test_nonsense_is_ignored_and_never_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def call(host: str) -> None:
        async with Twilio(f"ws://{host}{DOOR}") as caller:
            for nonsense in ["{", "[]", b"\x00", '{"event": "media"}', '{"event": "start"}']:
                await caller.send(nonsense)
            await caller.press("5")
            await until(lambda: office.made and office.made[0].digits == "5")
            assert caller.sent == []
        async with connect(f"ws://{host}{DOOR}") as stranger:
            for _ in range(100):
                await stranger.send('{"event": "hello"}')
            await stranger.wait_closed()
            assert stranger.close_code == 1008

    office = Office(echoes=False)
    with served(office) as host:
        asyncio.run(call(host))
    assert caplog.text.count("bad message on a telephone's WebSocket") == 2
    assert office.made[0].events == ["start_up", "shutdown"]


@pytest.mark.parametrize(
    ("provider", "start", "told"),
    [
        ("", {"event": "start", "stream_id": "1", "start": {"media_format": {}}}, "encoding"),
        (
            "",
            {
                "event": "start",
                "stream_id": "1",
                "start": {"media_format": {"encoding": "G722", "sample_rate": 8000}},
            },
            "PCMU",
        ),
        (
            "",
            {
                "event": "start",
                "stream_id": "1",
                "start": {"media_format": {"encoding": "\ud800", "sample_rate": 8000}},
            },
            "'\\ud800'",
        ),
        ("", {"event": "start", "streamSid": "M" * 300, "start": {}}, "300 characters"),
        ("", {"event": "start", "streamSid": "M\nfastrtc", "start": {}}, "printed"),
        ("", {"event": "websocket:connected", "content-type": "audio/opus"}, "content-type"),
        ("", {"event": "start", "callId": "1"}, "begins no stream"),
        ("?provider=telnyx", {"event": "start", "streamSid": "1"}, "missing"),
    ],
)
def test_a_call_that_cannot_be_served_ends_at_once(
    provider: str, start: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens to half a minute of silence."""

    async def call(host: str) -> None:
        async with connect(f"ws://{host}{DOOR}{provider}") as socket:
            await socket.send('{"event": "connected"}')
            await socket.send(json.dumps(start))
            async with asyncio.timeout(15):
                await socket.wait_closed()
            assert socket.close_code == 1008
            assert "cannot be served" in (socket.close_reason or "")

    with served(Office()) as host:
        asyncio.run(call(host))
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert told in errors[0].getMessage()


def test_a_named_provider_and_an_unknown_one() -> None:
    async def call(host: str) -> None:
        async with Exotel(f"ws://{host}{DOOR}?provider=Exotel") as caller:
            await caller.press("7")
            await until(lambda: office.made and office.made[0].digits == "7")
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{host}{DOOR}?provider=acme")
        assert refused.value.response.status_code == 400

    office = Office(echoes=False)
    with served(office) as host:
        asyncio.run(call(host))


def test_authorize_refuses_a_call() -> None:
    async def call(host: str) -> None:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{host}{DOOR}")
        assert refused.value.response.status_code == 403

    with served(Office(authorize=lambda _: None)) as host:
        asyncio.run(call(host))
