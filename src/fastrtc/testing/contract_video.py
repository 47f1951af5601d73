"""The suite that every transport with pictures has to pass, beside the one for audio.

Subclass :class:`VideoContract` in a test module and say how a client connects; pytest runs the
checks, with real sessions, handlers and codecs::

    class TestMyVideo(VideoContract):
        async def connect(self, session): ...
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.handlers.video import VideoSource, VideoStreamHandler
from fastrtc.session.session import Session
from fastrtc.types import StreamMode

__all__ = ["VideoContract", "VideoLink", "number_of", "numbered"]

FPS: Final = 20
WIDTH, HEIGHT = 320, 240
STEP: Final = 11
"""Of brightness, so that what codecs and colour conversion lose does not change a number."""
SLOW_S: Final = 0.15
NUMBERS: Final = 400

Array = npt.NDArray[np.uint8]


class VideoLink(Protocol):
    """One connected client, as the suite drives it."""

    async def show(self, picture: Array) -> None:
        """The client sends a picture: uint8 BGR."""

    def seen(self) -> list[Array]:
        """The pictures that have come to the client, as uint8 BGR."""

    async def leave(self) -> None:
        """The client says goodbye."""


def numbered(number: int) -> Array:
    """A picture that shows a number from 0 to 399, in its upper and its lower half."""
    picture = np.full((HEIGHT, WIDTH, 3), 10 + STEP * (number // 20), np.uint8)
    picture[HEIGHT // 2 :] = 10 + STEP * (number % 20)
    return picture


def number_of(picture: Array) -> int:
    """What :func:`numbered` was given."""
    half = len(picture) // 2
    high, low = (round((float(np.mean(p)) - 10) / STEP) for p in (picture[:half], picture[half:]))
    return high * 20 + low


class VideoContract:
    """The checks."""

    async def connect(self, session: Session, mode: StreamMode) -> VideoLink:
        """Joins a client to ``session`` and returns once the session is live."""
        raise NotImplementedError("a contract test says how its client connects")

    def run(self, check: Coroutine[Any, Any, None]) -> None:
        """Runs one check."""
        asyncio.run(check)

    async def _open(
        self, handler: StreamHandlerBase, mode: StreamMode = "send-receive"
    ) -> tuple[Session, VideoLink]:
        session = Session("contract", handler, mode=mode)
        link = await self.connect(session, mode)
        await _until(lambda: session.state == "live")
        return session, link

    def test_pictures_go_through_the_handler_in_order_and_form(self) -> None:
        async def check() -> None:
            forms: set[Any] = set()
            handled: list[int] = []

            def paint(frame: Array) -> Array:
                forms.add((frame.shape, frame.dtype.name, frame.flags.writeable))
                handled.append(number_of(frame))
                frame[:] = (255, 0, 0)
                return frame

            session, link = await self._open(VideoStreamHandler(paint, fps=FPS))
            for number in range(FPS // 2):
                await link.show(numbered(number))
                await asyncio.sleep(1 / FPS)
            await _until(lambda: len(link.seen()) >= FPS // 4)
            assert forms == {((HEIGHT, WIDTH, 3), "uint8", True)}
            assert np.all(np.diff(handled) > 0), "each once, in order"
            for picture in link.seen():
                assert picture.shape == (HEIGHT, WIDTH, 3)
                assert picture[..., 0].mean() > picture[..., 2].mean() + 150, "blue comes first"
            session.close("checked")
            await session.wait_ended()

        self.run(check())

    def test_a_slow_handler_gets_the_newest_pictures(self) -> None:
        async def check() -> None:
            sent_s: dict[int, float] = {}
            handled: list[tuple[int, float]] = []

            def slow(frame: Array) -> None:
                number = number_of(frame)
                handled.append((number, time.monotonic() - sent_s[number]))
                time.sleep(SLOW_S)

            session, link = await self._open(VideoStreamHandler(slow, fps=FPS, skip_frames=True))
            count = 3 * FPS // 4
            for number in range(count):
                sent_s[number] = time.monotonic()
                await link.show(numbered(number))
                await asyncio.sleep(1 / FPS)
            await _until(lambda: handled[-1:] and handled[-1][0] >= count - 3)
            assert len(handled) < count, "it could not see all"
            ages_s = sorted(age_s for _, age_s in handled)
            assert ages_s[len(ages_s) // 2] < 3 * SLOW_S, "and what it saw was new"
            session.close("checked")
            await session.wait_ended()

        self.run(check())

    def test_a_source_is_seen_in_order(self) -> None:
        async def check() -> None:
            def source() -> Iterator[Array]:
                for number in range(NUMBERS):
                    yield numbered(number)

            session, link = await self._open(VideoSource(source, fps=FPS), "receive")
            await _until(lambda: len(link.seen()) >= FPS // 4)
            numbers = [number_of(picture) for picture in link.seen()]
            assert np.all(np.diff(numbers) > 0)
            session.close("checked")
            await session.wait_ended()

        self.run(check())

    def test_a_client_that_leaves_ends_its_session(self) -> None:
        async def check() -> None:
            ends: list[str] = []

            class Counted(VideoStreamHandler):
                async def shutdown(self) -> None:
                    ends.append("shutdown")

            session, link = await self._open(Counted(lambda frame: frame))
            await link.show(numbered(1))
            await link.leave()
            await _until(lambda: session.state == "closed")
            await session.wait_ended()
            assert ends == ["shutdown"]

        self.run(check())


async def _until(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
