"""Offers and candidates: every refusal of API.md, and no slot lost. In virtual time."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from fastrtc import AsyncStreamHandler
from fastrtc.errors import (
    ConcurrencyLimitReached,
    ConnectionAlreadyExists,
    ConnectionClosed,
    InvalidCandidate,
    InvalidSdp,
    OfferRefused,
    UnknownConnection,
    UnsupportedMedia,
)
from fastrtc.server.offers import Offers, candidate_text
from fastrtc.server.schemas import Body
from fastrtc.session.factory import SessionFactory
from fastrtc.testing import run
from fastrtc.transports.base import Allowed
from memory_door import MemoryDoor, offer
from recorders import AsyncEcho

ALLOWED = Allowed(audio=True, video=False, mode="send-receive")


class House:
    """A stream's signalling with its clients in memory."""

    def __init__(
        self, limit: int | None = 1, handler: Any = None, door: MemoryDoor | None = None, **kw: Any
    ) -> None:
        self.door = door or MemoryDoor()
        self.factory = SessionFactory(handler or AsyncEcho(), mode="send-receive", limit=limit)
        self.offers = Offers(self.factory, ALLOWED, door=self.door, **kw)

    async def offer(self, webrtc_id: str = "me", sdp: str = offer(), who: Any = None) -> Any:
        return await self.offers.handle(Body(type="offer", sdp=sdp, webrtc_id=webrtc_id), who)

    async def candidate(self, text: Any = "candidate:1", webrtc_id: str = "me") -> Any:
        body = Body(type="ice-candidate", candidate={"candidate": text}, webrtc_id=webrtc_id)
        return await self.offers.handle(body)


def test_a_session_that_has_ended_is_forgotten() -> None:
    """Pitfall 7: whoever keeps a transport keeps its session, handler and all."""

    async def visit(house: House) -> weakref.ref[Any]:
        await house.offer()
        session = house.factory.registry.all()[0]
        session.close("done")
        await session.wait_ended()
        house.door.transports.clear()
        return weakref.ref(session)

    async def check() -> None:
        house = House()
        remains = await visit(house)
        while gc.collect():  # what one collection frees may have kept something for the next
            pass
        assert remains() is None

    run(check())


def test_an_offer_is_answered_and_takes_a_slot() -> None:
    async def check() -> None:
        house = House()
        assert await house.offer(who="Ada") == {"sdp": "answer", "type": "answer"}
        session = house.factory.registry.get("me")
        assert session is not None
        assert session.state == "live"
        assert session.principal == "Ada"
        session.close("done")
        assert len(house.factory.registry) == 0

    run(check())


@pytest.mark.parametrize(
    ("sdp", "error"), [("rubbish", InvalidSdp), (offer(media="video"), UnsupportedMedia)]
)
def test_a_bad_offer_holds_no_slot(sdp: str, error: type[OfferRefused]) -> None:
    """Pitfall 17: one bad POST does not block a limit-1 server."""

    async def check() -> None:
        house = House()
        for _ in range(3):
            with pytest.raises(error) as refused:
                await house.offer(sdp=sdp)
            assert refused.value.http_status == 400
            assert "reason" in refused.value.body()["meta"]
        assert len(house.factory.registry) == 0
        await house.offer()

    run(check())


def test_a_handler_that_cannot_be_copied_holds_no_slot_and_frees_the_connection() -> None:
    """Pitfall 17, another way to fail after validation."""

    class Fails(AsyncEcho):
        def copy(self) -> AsyncStreamHandler:
            raise RuntimeError("no more licences")

    class Wrong(AsyncEcho):
        def copy(self) -> Any:
            return None

    async def check() -> None:
        for handler, error in ((Fails(), RuntimeError), (Wrong(), TypeError)):
            house = House(handler=handler)
            with pytest.raises(error):
                await house.offer()
            assert len(house.factory.registry) == 0
            assert house.door.discarded == 1

    run(check())


def test_two_offers_that_race_for_the_last_slot() -> None:
    async def check() -> None:
        house = House(limit=1, door=MemoryDoor(delay_s=0.1))
        answers = await asyncio.gather(
            *(house.offer(f"id {n}") for n in range(5)), return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, ConcurrencyLimitReached)]
        assert len(refused) == 4
        assert refused[0].body() == {
            "status": "failed",
            "meta": {"error": "concurrency_limit_reached", "limit": 1},
        }
        assert house.door.discarded == 4
        assert len(house.factory.registry) == 1

    run(check())


def test_a_slot_comes_back_however_the_session_ends() -> None:
    async def check() -> None:
        house = House(limit=1, door=MemoryDoor(goes_live=False))
        await house.offer()
        with pytest.raises(ConcurrencyLimitReached):
            await house.offer("other")
        await asyncio.sleep(31)  # never connected
        await house.offer()
        house.door.transports["me"].close("bye")
        await house.offer()
        house.factory.registry.all()[0].fail("broken")
        await house.offer()

    run(check())


def test_no_limit_is_no_limit() -> None:
    async def check() -> None:
        house = House(limit=None)
        for number in range(100):
            await house.offer(str(number))
        assert len(house.factory.registry) == 100

    run(check())


def test_a_stranger_cannot_take_a_session_over() -> None:
    """Pitfall 22: the id alone proves nothing."""

    async def check() -> None:
        house = House(limit=2)
        await house.offer()
        session = house.factory.registry.get("me")
        for sdp in (offer("sha-256 BB:02"), "v=0\r\nno fingerprint", "rubbish"):
            with pytest.raises(ConnectionAlreadyExists):
                await house.offer(sdp=sdp)
        assert house.factory.registry.get("me") is session
        assert session is not None
        assert session.state == "live"

    run(check())


def test_the_same_fingerprint_renegotiates() -> None:
    """Pitfall 32: an ICE restart keeps session and handler."""

    async def check() -> None:
        house = House(limit=1)
        await house.offer()
        session = house.factory.registry.get("me")
        again = offer("SHA-256 aa:01") + "a=ice-ufrag:new\r\n"
        assert await house.offer(sdp=again) == {"sdp": "renegotiated answer", "type": "answer"}
        assert house.factory.registry.get("me") is session

    run(check())


@pytest.mark.parametrize("live", [False, True])
def test_a_client_that_gives_up_leaves_its_place_at_once_and_comes_again(live: bool) -> None:
    """Its packets reach nobody, so that no media can say goodbye: never did, or no longer do."""

    async def check() -> None:
        house = House(limit=1, door=MemoryDoor(goes_live=live))
        await house.offer()
        session = house.factory.registry.get("me")
        assert session is not None
        assert session.state == ("live" if live else "connecting")
        goodbye = Body(type="bye", sdp=offer("sha-256 BB:02"), webrtc_id="me")
        with pytest.raises(UnknownConnection):  # a stranger's
            await house.offers.handle(goodbye)
        assert house.factory.registry.get("me") is session
        mine = Body(type="bye", sdp=offer(), webrtc_id="me")
        assert await house.offers.handle(mine) == {"status": "success"}
        assert session.state == "closed"
        assert session.close_reason == "the client said goodbye"
        await house.offer()

    run(check())


def test_a_goodbye_to_what_has_ended_is_fine_and_to_what_never_was_is_named() -> None:
    async def check() -> None:
        house = House(limit=1)
        goodbye = Body(type="bye", sdp=offer(), webrtc_id="me")
        with pytest.raises(UnknownConnection):
            await house.offers.handle(goodbye)
        await house.offer()
        house.door.transports["me"].close("the client closed the connection")
        for _ in range(2):
            assert await house.offers.handle(goodbye) == {"status": "success"}
        assert len(house.factory.registry) == 0

    run(check())


def test_a_goodbye_that_overtakes_the_answer_holds() -> None:
    """A page that is closed while it connects."""

    async def check() -> None:
        house = House(limit=2, door=MemoryDoor(delay_s=0.2))
        offered = asyncio.gather(house.offer(), house.offer("stays"))
        await asyncio.sleep(0.1)
        for id_, fingerprint in (("me", "sha-256 AA:01"), ("stays", "sha-256 BB:02")):
            goodbye = Body(type="bye", sdp=offer(fingerprint), webrtc_id=id_)
            assert await house.offers.handle(goodbye) == {"status": "success"}
        await offered
        assert [session.id for session in house.factory.registry.all()] == ["stays"]
        await house.offer()
        assert len(house.factory.registry) == 2

    run(check())


def test_early_candidates_are_held_for_the_offer() -> None:
    """Pitfall 29."""

    async def check() -> None:
        house = House(door=MemoryDoor(delay_s=0.2))
        assert await house.candidate("candidate:1") == {"status": "success"}
        answering = asyncio.create_task(house.offer())
        await asyncio.sleep(0.1)
        assert await house.candidate("candidate:2") == {"status": "success"}
        assert await house.candidate("rubbish, which only the transport can tell") == {
            "status": "success"
        }
        await answering
        assert await house.candidate("candidate:3") == {"status": "success"}
        assert await house.candidate("") == {"status": "success"}
        transport = house.door.transports["me"]
        assert transport.candidates == ["candidate:1", "candidate:2", "candidate:3", ""]

    run(check())


def test_candidates_that_nobody_can_use_are_refused_by_name() -> None:
    async def check() -> None:
        house = House()
        for _ in range(32):
            await house.candidate(webrtc_id="nobody")
        with pytest.raises(UnknownConnection) as unknown:
            await house.candidate(webrtc_id="nobody")
        assert unknown.value.body()["meta"] == {"error": "unknown_connection"}
        await house.offer()
        with pytest.raises(InvalidCandidate) as invalid:
            await house.candidate("rubbish")
        assert invalid.value.body()["meta"] == {"error": "invalid_candidate_format"}
        with pytest.raises(InvalidCandidate):
            await house.candidate(5)
        house.factory.registry.all()[0].close("done")
        with pytest.raises(ConnectionClosed) as closed:
            await house.candidate()
        assert closed.value.body()["meta"] == {"error": "connection_closed"}

    run(check())


def test_an_id_that_ended_may_come_again_with_its_candidates() -> None:
    async def check() -> None:
        house = House(door=MemoryDoor(delay_s=0.1))
        await house.offer()
        house.factory.registry.all()[0].close("done")
        answering = asyncio.create_task(house.offer())
        await asyncio.sleep(0.05)
        await house.candidate("candidate:1")
        await answering
        assert house.door.transports["me"].candidates == ["candidate:1"]

    run(check())


@pytest.mark.parametrize(
    ("init", "text"),
    [
        (None, ""),
        ({}, ""),
        ({"candidate": None}, ""),
        ({"candidate": ""}, ""),
        ({"candidate": "candidate:1", "sdpMid": "0"}, "candidate:1"),
        ({"candidate": "candidate:1", "usernameFragment": "ab"}, "candidate:1 ufrag ab"),
        ({"candidate": "candidate:1 ufrag x", "usernameFragment": "ab"}, "candidate:1 ufrag x"),
        ({"candidate": "", "usernameFragment": "ab"}, ""),
    ],
)
def test_candidates_come_in_many_forms(init: Any, text: str) -> None:
    assert candidate_text(init) == text


def test_the_server_configuration_is_asked_for_each_connection() -> None:
    """Pitfall 30: credentials that expire while the server lives are fetched anew."""
    asked = 0

    def sync() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"iceServers": [{"urls": f"turn:{asked}"}]}

    async def coroutine() -> dict[str, Any]:
        return sync()

    async def check(configuration: Any) -> list[Any]:
        house = House(limit=None, server_rtc_configuration=configuration)
        await house.offer("a")
        await house.offer("b")
        return house.door.configurations

    assert run(check(sync)) == [sync_result(1), sync_result(2)]
    assert run(check(coroutine)) == [sync_result(3), sync_result(4)]
    fixed = {"iceServers": []}
    assert run(check(fixed)) == [fixed, fixed]
    assert run(check(None)) == [None, None]


def sync_result(number: int) -> dict[str, Any]:
    return {"iceServers": [{"urls": f"turn:{number}"}]}
