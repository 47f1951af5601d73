"""The one counter of sessions: admits to the limit, gives back once, remembers what ended."""

from __future__ import annotations

import threading

import pytest

from fastrtc.errors import ConcurrencyLimitReached, ConnectionAlreadyExists
from fastrtc.session.registry import CLOSED_KEPT, Registry
from fastrtc.session.session import Session
from fastrtc.testing import run
from recorders import AsyncEcho


def test_the_limit_holds_and_a_slot_is_given_back_once() -> None:
    """Pitfall 17: the counter itself."""

    async def check() -> None:
        registry = Registry(2)
        one, two, three = (Session(name, AsyncEcho()) for name in ("one", "two", "three"))
        registry.admit(one)
        registry.admit(two)
        with pytest.raises(ConcurrencyLimitReached):
            registry.admit(three)
        assert registry.release(one) is True
        assert registry.release(one) is False
        assert registry.release(three) is False
        registry.admit(three)
        assert len(registry) == 2
        assert registry.was_closed("one")
        assert not registry.was_closed("two")

    run(check())


def test_an_id_is_there_once_and_its_holder_alone_releases_it() -> None:
    async def check() -> None:
        registry = Registry(None)
        first, second = Session("me", AsyncEcho()), Session("me", AsyncEcho())
        registry.admit(first)
        with pytest.raises(ConnectionAlreadyExists):
            registry.admit(second)
        assert registry.release(second) is False
        assert registry.get("me") is first

    run(check())


def test_threads_that_race_for_slots_get_exactly_as_many_as_there_are() -> None:
    """Pitfall 43: several loops share one counter."""

    async def check() -> None:
        registry = Registry(10)
        sessions = [Session(str(number), AsyncEcho()) for number in range(64)]
        start = threading.Barrier(8)
        refused: list[str] = []

        def race(mine: list[Session]) -> None:
            start.wait()
            for session in mine:
                try:
                    registry.admit(session)
                except ConcurrencyLimitReached:
                    refused.append(session.id)

        threads = [
            threading.Thread(target=race, args=(sessions[number::8],)) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(registry) == 10
        assert len(refused) == 54

    run(check())


def test_what_ended_is_remembered_to_a_bound() -> None:
    async def check() -> None:
        registry = Registry(None)
        for number in range(CLOSED_KEPT + 5):
            session = Session(str(number), AsyncEcho())
            registry.admit(session)
            registry.release(session)
        assert not registry.was_closed("0")
        assert len(registry.drain_closed()) == CLOSED_KEPT

    run(check())
