"""The suite that every transport has to pass, whatever carries its bytes.

Subclass :class:`TransportContract` in a test module and say how a client connects; pytest runs
the checks. They use a real session and a real handler, so that what holds here holds for users::

    class TestMyTransport(TransportContract):
        async def connect(self, session): ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastrtc.audio.convert import AudioChunk
from fastrtc.errors import WebRTCError
from fastrtc.handlers.base import AsyncStreamHandler
from fastrtc.session.context import get_current_context
from fastrtc.session.session import Session
from fastrtc.session.transport import Transport
from fastrtc.types import AudioInput

__all__ = ["Link", "RecordingHandler", "TransportContract"]

RATE_HZ = 24_000


class Link(Protocol):
    """One connected client, as the suite drives it."""

    transport: Transport

    async def say(self, samples: npt.NDArray[np.int16]) -> None:
        """The client speaks: int16 mono at 24 kHz, in real time."""

    async def send(self, text: str) -> None:
        """The client sends text."""

    async def texts(self) -> list[str]:
        """What text has come to the client."""

    async def leave(self) -> None:
        """The client says goodbye."""


class RecordingHandler(AsyncStreamHandler):
    """Notes what reaches it and says nothing."""

    def __init__(self) -> None:
        super().__init__(input_sample_rate=RATE_HZ, output_sample_rate=RATE_HZ)
        self.frames: list[AudioInput] = []
        self.texts: list[str] = []
        self.events: list[str] = []

    async def start_up(self) -> None:
        self.events.append("start_up")

    async def receive(self, frame: AudioInput) -> None:
        self.events.append("receive")
        self.frames.append((frame[0], frame[1].copy()))

    async def emit(self) -> None:
        return None

    async def on_message(self, text: str) -> None:
        self.texts.append(text)

    async def shutdown(self) -> None:
        self.events.append("shutdown")


class Witness(RecordingHandler):
    """Notes whose session each of its methods runs for, and cannot stand the first frame."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: dict[str, str] = {}

    def _note(self, method: str) -> None:
        self.ids[method] = get_current_context().webrtc_id

    async def start_up(self) -> None:
        self._note("start_up")

    async def receive(self, frame: AudioInput) -> None:
        self._note("receive")
        await super().receive(frame)
        if len(self.frames) == 1:
            raise WebRTCError("not this one")

    async def emit(self) -> None:
        self._note("emit")

    async def shutdown(self) -> None:
        self._note("shutdown")


class TransportContract:
    """The checks.

    Attributes:
        tolerance_s: how exactly the transport's clock has to be met.
        shows_texts: whether the client has anybody to read what it is told.
    """

    tolerance_s = 0.03
    shows_texts = True

    async def connect(self, session: Session) -> Link:
        """Joins a client to ``session`` and returns once the session is live."""
        raise NotImplementedError("a contract test says how its client connects")

    def run(self, check: Coroutine[Any, Any, None]) -> None:
        """Runs one check; override it for virtual time."""
        asyncio.run(check)

    async def _open(self) -> tuple[Session, RecordingHandler, Link]:
        handler = RecordingHandler()
        session = Session("contract", handler)
        link = await self.connect(session)
        assert session.state == "live"
        return session, handler, link

    def test_audio_reaches_the_handler_in_order_and_form(self) -> None:
        async def check() -> None:
            session, handler, link = await self._open()
            tone = np.sin(np.arange(RATE_HZ // 2) * 2 * np.pi * 440 / RATE_HZ) * 8000
            await link.say(tone.astype(np.int16))
            await asyncio.sleep(0.2)
            assert handler.events[0] == "start_up"
            assert handler.frames, "nothing reached receive()"
            for rate_hz, samples in handler.frames:
                assert rate_hz == RATE_HZ
                assert samples.dtype == np.int16
                assert samples.ndim == 2
                assert samples.shape[0] == 1
                assert samples.flags.writeable
            heard = np.concatenate([samples[0] for _, samples in handler.frames])
            assert len(heard) >= 0.9 * len(tone)
            assert np.abs(heard).max() > 4000
            session.close("checked")
            await session.wait_ended()

        self.run(check())

    def test_played_audio_is_queued_then_sent_in_real_time(self) -> None:
        async def check() -> None:
            session, _, link = await self._open()
            assert link.transport.queued_s == 0
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            link.transport.play(_silence(0.5))
            link.transport.play(_silence(0.5))
            assert abs(link.transport.queued_s - 1.0) < self.tolerance_s
            await asyncio.sleep(0.4)
            # A busy machine sleeps longer.
            passed_s = loop.time() - began_s
            assert abs(link.transport.queued_s - (1.0 - passed_s)) < self.tolerance_s
            assert abs(link.transport.sent_s - passed_s) < self.tolerance_s
            await asyncio.sleep(0.7)
            assert link.transport.queued_s == 0
            assert abs(link.transport.sent_s - 1.0) < self.tolerance_s
            session.close("checked")
            await session.wait_ended()

        self.run(check())

    def test_clear_drops_the_queue_and_says_what_was_sent(self) -> None:
        async def check() -> None:
            session, _, link = await self._open()
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            link.transport.play(_silence(1.0))
            await asyncio.sleep(0.3)
            passed_s = loop.time() - began_s
            assert abs(link.transport.clear() - passed_s) < self.tolerance_s
            assert link.transport.queued_s == 0
            assert link.transport.clear() == 0
            link.transport.play(_silence(0.2))
            await asyncio.sleep(0.4)
            assert abs(link.transport.clear() - 0.2) < self.tolerance_s
            session.close("checked")
            await session.wait_ended()

        self.run(check())

    def test_what_was_sent_is_known_after_the_end_whoever_ended_it(self) -> None:
        async def check(by_client: bool) -> None:
            session, _, link = await self._open()
            passage = session.begin_passage(recallable=False)
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            session.runner.playout.put((RATE_HZ, np.zeros(RATE_HZ * 2, np.int16)))
            await asyncio.sleep(0.4)
            before_s, passed_s = passage.played_s, loop.time() - began_s
            assert abs(before_s - passed_s) < self.tolerance_s
            if by_client:
                await link.leave()
            else:
                session.close("checked")
            async with asyncio.timeout(5):
                while session.state != "closed":  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await session.wait_ended()
            played_s = passage.played_s
            assert before_s <= played_s < 1.0
            await asyncio.sleep(0.3)
            assert passage.played_s == played_s, "nothing is sent after the end"

        for by_client in (False, True):
            self.run(check(by_client))

    def test_text_goes_both_ways_in_order(self) -> None:
        async def check() -> None:
            session, handler, link = await self._open()
            for number in range(5):
                session.send_message(f'{{"type": "log", "data": "{number}"}}')
                await link.send(f"client {number}")
            await asyncio.sleep(0.3)
            assert handler.texts == [f"client {number}" for number in range(5)]
            sent = [text for text in await link.texts() if '"log"' in text]
            assert sent == [f'{{"type": "log", "data": "{number}"}}' for number in range(5)]
            session.close("checked")
            await session.wait_ended()

        self.run(check())

    def test_closing_is_final_and_idempotent(self) -> None:
        async def check() -> None:
            session, handler, link = await self._open()
            link.transport.close("enough")
            link.transport.close("enough again")
            await asyncio.sleep(0.1)
            assert session.state == "closed"
            await session.wait_ended()
            assert handler.events.count("shutdown") == 1
            link.transport.play(_silence(0.1))
            assert link.transport.queued_s == 0
            assert link.transport.send_message("{}") is False
            assert all(
                isinstance(value, (int, float, str)) for value in link.transport.stats().values()
            )

        self.run(check())

    def test_every_method_knows_its_client_and_an_error_is_told_and_survived(self) -> None:
        async def check() -> None:
            handler = Witness()
            session = Session("witness", handler)
            link = await self.connect(session)
            await link.say(np.full(RATE_HZ // 5, 8000, np.int16))
            told: list[str] = []
            for _ in range(100):
                await asyncio.sleep(0.05)
                told = [text for text in await link.texts() if "not this one" in text]
                if len(handler.frames) > 2 and (told or not self.shows_texts):
                    break
            assert session.state == "live"
            assert len(handler.frames) > 2, "those after the one that failed"
            expected = '{"type": "error", "message": "not this one"}'
            assert told == ([expected] if self.shows_texts else [])
            session.close("checked")
            await session.wait_ended()
            methods = ("start_up", "receive", "emit", "shutdown")
            assert handler.ids == dict.fromkeys(methods, "witness")

        self.run(check())

    def test_the_time_limit_ends_the_session(self) -> None:
        async def check() -> None:
            handler = RecordingHandler()
            session = Session("short", handler, time_limit_s=0.4)
            link = await self.connect(session)
            async with asyncio.timeout(5):
                while session.state != "closed":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await session.wait_ended()
            assert session.close_reason.startswith("Time limit")
            assert handler.events[0] == "start_up"
            assert handler.events.index("shutdown") == len(handler.events) - 1
            assert link.transport.send_message("{}") is False

        self.run(check())

    def test_a_client_that_leaves_ends_its_session(self) -> None:
        async def check() -> None:
            session, handler, link = await self._open()
            await link.leave()
            for _ in range(100):
                if session.state == "closed":
                    break
                await asyncio.sleep(0.05)
            assert session.state == "closed"
            await session.wait_ended()
            assert handler.events.count("shutdown") == 1

        self.run(check())


def _silence(duration_s: float) -> AudioChunk:
    return AudioChunk(np.zeros(round(duration_s * RATE_HZ), np.int16), RATE_HZ, 1)
