"""What a reply function is given besides the words: inputs, text, a telephone's defaults."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from conversation import SOUND, Talk, clip, contains, errors, logs, silence, stream
from fastrtc import (
    AdditionalOutputs,
    Stream,
    WebRTCData,
)
from fastrtc.testing import MemoryClient, run


def test_inputs_fit_the_function() -> None:
    async def reply(audio: Any, a: int, b: int = 2) -> Any:
        got.append((a, b))
        yield 24000, SOUND

    got: list[Any] = []

    async def check() -> None:
        served = stream(reply)
        async with MemoryClient(served, "me") as client:
            served.set_input("me", 1, 7, 8)
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert {"type": "send_input", "data": []} in client.messages
            served.set_input("me", 3)
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert got == [(1, 7), (3, 2)]

    run(check())


@pytest.mark.parametrize(("delay_s", "seconds"), [(0.0, 5.0), (0.05, 0.1), (0.7, 2.0)])
def test_a_page_that_triggers_with_all_its_inputs_gets_one_reply(
    delay_s: float, seconds: float
) -> None:
    """As a page for text and speech does whose only way in is one hook."""
    got: list[str] = []

    async def reply(audio: Any, text: str) -> Any:
        got.append(text)
        for _ in range(round(seconds / 0.1)):
            yield 24000, SOUND

    async def check() -> None:
        served = stream(reply)
        async with MemoryClient(served, "me") as client:

            def hook(text: str) -> None:
                served.set_input("me", text)
                client.handler.trigger_response()  # type: ignore[attr-defined]

            async def answer() -> None:
                answered = 0
                while True:
                    asked = sum(message["type"] == "send_input" for message in client.messages)
                    if asked > answered:
                        answered = asked
                        await asyncio.sleep(delay_s)
                        hook("asked")
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(answer())
            hook("typed")
            await client.listen(1.5)
            assert got == ["typed"]
            hook("typed again")
            await client.listen(1.5)
            assert got == ["typed", "typed again"]
            task.cancel()

    run(check())


@pytest.mark.parametrize("needs_args", [False, True])
def test_after_an_interruption_the_inputs_are_new(needs_args: bool) -> None:
    got: list[int] = []

    async def reply(audio: Any, number: int = 0) -> Any:
        got.append(number)
        while True:
            yield 24000, SOUND

    async def answer(served: Stream, client: MemoryClient) -> None:
        answered = 0
        while True:
            asked = sum(message["type"] == "send_input" for message in client.messages)
            if asked > answered:
                answered = asked
                await asyncio.sleep(0.05)
                served.set_input("me", answered)
            await asyncio.sleep(0.01)

    async def check() -> None:
        served = stream(reply, needs_args=needs_args)
        async with MemoryClient(served, "me") as client:
            page = asyncio.create_task(answer(served, client))
            for _ in range(3):
                await client.send_audio(np.concatenate((clip("go-forward"), silence(1.5))))
            page.cancel()
            assert got == [1, 2, 3]

    run(check())


def test_optional_inputs_are_not_waited_for_long() -> None:
    async def check() -> None:
        voices = []

        async def reply(audio: Any, voice: str = "amy") -> Any:
            voices.append(voice)
            yield 24000, SOUND

        async with MemoryClient(stream(reply)) as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert voices == ["amy"]

    run(check())


def test_a_client_that_does_not_answer_is_waited_for_once() -> None:
    """Replies do not come half a second late for ever, and inputs count when they come."""

    async def check() -> None:
        called_s: list[float] = []
        voices: list[str] = []

        async def reply(audio: Any, voice: str = "amy") -> Any:
            called_s.append(asyncio.get_running_loop().time())
            voices.append(voice)
            yield 24000, SOUND

        served = stream(reply)
        async with MemoryClient(served, "me") as client:
            turn = np.concatenate((clip("go-forward"), silence(3)))
            began_s = []
            for _ in range(3):
                began_s.append(asyncio.get_running_loop().time())
                await client.send_audio(turn)
            first_s, second_s, third_s = (
                at - since for at, since in zip(called_s, began_s, strict=True)
            )
            assert first_s - second_s == pytest.approx(0.5, abs=0.1)
            assert second_s == pytest.approx(third_s, abs=0.1)
            asked = [message for message in client.messages if message["type"] == "send_input"]
            assert len(asked) == 3, "it may begin to answer at any time"
            served.set_input("me", "ben")
            await client.send_audio(turn)
            assert voices == ["amy", "amy", "amy", "ben"]

    run(check())


def test_required_inputs_that_never_come_are_an_error_and_the_session_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def reply(audio: Any, voice: str) -> Any:
        yield 24000, SOUND

    async def check() -> None:
        served = stream(reply)
        async with MemoryClient(served, "me") as client:
            await client.send_audio(np.concatenate((clip("go-forward"), silence(70))))
            assert any("failed (" in text for text in errors(client))
            served.set_input("me", "amy")
            await client.send_audio(np.concatenate((clip("go-forward"), silence(2))))
            assert client.played

    run(check())
    assert "sent no inputs" in caplog.text


def test_needs_args_survives_the_copy() -> None:
    """Pitfall 23."""

    async def check() -> None:
        served = stream(Talk().asynchronous, needs_args=True)
        async with MemoryClient(served) as client:
            assert client.handler.needs_args  # type: ignore[attr-defined]
            await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert {"type": "send_input", "data": []} in client.messages
            assert not client.played

    run(check())


def test_textbox_and_trigger() -> None:
    got: list[Any] = []

    async def reply(data: WebRTCData) -> Any:
        got.append(data)
        yield 24000, SOUND

    async def check() -> None:
        served = stream(reply)
        async with MemoryClient(served, "me") as client:
            served.set_input("me", WebRTCData("me", "hello"))
            client.handler.trigger_response()  # type: ignore[attr-defined]
            await client.listen(1)
            await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert [data.textbox for data in got] == ["hello", ""]
            assert got[0].audio[1].shape == (1, 0)
            assert contains(got[1].audio[1][0], clip("go-forward"))
            assert isinstance(client.handler.latest_args[0], WebRTCData)

    run(check())


def test_the_telephone_gives_defaults_then_what_was_yielded() -> None:
    got: list[Any] = []

    def reply(audio: Any, count: int = 0, name: str = "?") -> Any:
        got.append((count, name))
        yield (24000, SOUND), AdditionalOutputs(count + 1, "amy", "surplus")

    async def check() -> None:
        async with MemoryClient(stream(reply)) as client:
            client.handler.phone_mode = True
            for _ in range(3):
                await client.send_audio(np.concatenate((clip("go-forward"), silence(1))))
            assert got == [(0, "?"), (1, "amy"), (2, "amy")]
            assert not any(message["type"] == "send_input" for message in client.messages)

    run(check())


@pytest.mark.parametrize("is_async", [False, True])
def test_a_greeting_is_played(is_async: bool) -> None:
    async def hello() -> Any:
        yield 24000, SOUND

    def hello_sync() -> Any:
        yield 24000, SOUND

    async def check() -> None:
        served = stream(Talk().sync, startup_fn=hello if is_async else hello_sync)
        async with MemoryClient(served) as client:
            await client.listen(0.5)
            assert np.array_equal(client.heard(), SOUND)
            assert logs(client) == ["response_starting"]

    run(check())


def test_a_greeting_waits_for_the_inputs_of_the_function() -> None:
    async def hello(name: str) -> Any:
        names.append(name)
        yield 24000, SOUND

    names: list[str] = []

    async def check() -> None:
        def reply(audio: Any, name: str) -> Any:
            yield 24000, SOUND

        served = stream(reply, startup_fn=hello)
        async with MemoryClient(served, "me") as client:
            await client.listen(1)
            assert not names
            served.set_input("me", "amy")
            await client.listen(1)
            assert names == ["amy"]

    run(check())
