"""HTTP: statuses, size limit, authorisation, lifespan."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from fastrtc import Stream
from fastrtc.stream import Body
from memory_door import MemoryDoor, offer
from recorders import AsyncEcho

OFFER = {"type": "offer", "sdp": offer(), "webrtc_id": "me"}


def make_stream(**options: Any) -> tuple[Stream, MemoryDoor]:
    stream = Stream(AsyncEcho(), modality="audio", **options)
    door = MemoryDoor()
    stream._offers._door = door
    return stream, door


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


@pytest.fixture
async def served() -> AsyncIterator[tuple[httpx.AsyncClient, Stream, MemoryDoor]]:
    app = FastAPI()
    stream, door = make_stream()
    stream.mount(app)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client, stream, door


async def test_an_offer_is_answered(served: Any) -> None:
    client, stream, _ = served
    response = await client.post("/webrtc/offer", json=OFFER)
    assert response.status_code == 200
    assert response.json() == {"sdp": "answer", "type": "answer"}
    assert "me" in stream.sessions
    assert list(stream.connections) == ["me"]
    assert len(stream.handlers) == 1


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({**OFFER, "sdp": "rubbish"}, 400, "invalid_sdp"),
        ({**OFFER, "sdp": offer(media="video")}, 400, "unsupported_media"),
        ({"type": "ice-candidate", "candidate": {"candidate": 1}, "webrtc_id": "x"}, 200, None),
    ],
)
async def test_refusals_have_a_body(served: Any, body: Any, status: int, error: Any) -> None:
    client, stream, _ = served
    response = await client.post("/webrtc/offer", json=body)
    assert response.status_code == status
    assert response.json()["status"] == "failed"
    assert response.json()["meta"]["error"] == (error or "invalid_candidate_format")
    assert len(stream.sessions) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[1]",
        b"\xff\xfe",
        b'{"type": "offer", "webrtc_id": "a"}',
        b'{"type": "bye", "webrtc_id": "a"}',
        b'{"type": "offer", "sdp": "v=0"}',
        b'{"type": "offer", "sdp": 5, "webrtc_id": "a"}',
        b'{"type": "offer", "sdp": "v=0", "webrtc_id": ""}',
        b'{"type": "offer", "sdp": "v=0", "webrtc_id": "a\\nb"}',
        b'{"type": "offer", "sdp": "v=0", "webrtc_id": "' + b"a" * 257 + b'"}',
        b'{"type": "ice-candidate", "candidate": "text", "webrtc_id": "a"}',
        b"[" * 100_000,
    ],
)
async def test_a_body_of_another_form_is_422(served: Any, body: bytes) -> None:
    client, stream, _ = served
    response = await client.post("/webrtc/offer", content=body)
    assert response.status_code == 422
    assert response.json()["detail"]
    assert len(stream.sessions) == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    st.binary(max_size=64)
    | st.fixed_dictionaries(
        {
            "type": st.sampled_from(["offer", "ice-candidate", "answer"]) | json_values,
            "sdp": st.sampled_from([offer(), "v=0\r\n"]) | json_values,
            "candidate": st.fixed_dictionaries({"candidate": json_values}) | json_values,
            "webrtc_id": st.text(max_size=4) | json_values,
        }
    ).map(lambda body: json.dumps(body).encode())
)
def test_any_bytes_are_answered_with_a_status_of_the_contract(body: bytes) -> None:
    async def check() -> None:
        app = FastAPI()
        stream, _ = make_stream(concurrency_limit=None)
        stream.mount(app)
        async with client_of(app) as client:
            response = await client.post("/webrtc/offer", content=body)
            assert response.status_code in (200, 400, 422)
            assert response.json()
        await stream.shutdown(0)

    asyncio.run(check())


async def test_a_body_that_is_too_large_is_not_read_to_its_end(served: Any) -> None:
    client, _, _ = served
    sent = 0

    async def ten_megabytes() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(160):
            sent += 1
            yield b"x" * 65536

    response = await client.post("/webrtc/offer", content=ten_megabytes())
    assert response.status_code == 413
    assert sent <= 18


class Doorkeeper(Stream):
    """Looks at offers itself before the stream does."""

    seen: str | None = None

    async def offer(self, body: Body) -> Any:  # type: ignore[override]
        if body.webrtc_id == "stranger":
            raise HTTPException(403, "not you")
        self.seen = body.webrtc_id
        return await super().offer(body)


async def test_an_offer_of_a_subclass_is_the_one_that_is_routed() -> None:
    app = FastAPI()
    stream = Doorkeeper(AsyncEcho(), modality="audio")
    stream._offers._door = MemoryDoor()
    stream.mount(app)
    async with app.router.lifespan_context(app), client_of(app) as client:
        answer = await client.post("/webrtc/offer", json=OFFER)
        assert (answer.status_code, answer.json()["type"]) == (200, "answer")
        assert stream.seen == "me"
        refused = await client.post("/webrtc/offer", json={**OFFER, "webrtc_id": "stranger"})
        assert refused.status_code == 403
        assert len(stream.connections) == 1


@pytest.mark.parametrize("prefix", ["/voice", "/voice/"])
async def test_a_prefix_goes_before_the_routes(prefix: str) -> None:
    app = FastAPI()
    stream, _ = make_stream()
    stream.mount(app, path=prefix, tags=["calls"])
    async with client_of(app) as client:
        assert (await client.post("/voice/webrtc/offer", json=OFFER)).status_code == 200
        schema = (await client.get("/openapi.json")).json()
    assert schema["paths"]["/voice/webrtc/offer"]["post"]["tags"] == ["calls"]
    await stream.shutdown(0)


def test_a_prefix_without_slash_is_refused() -> None:
    stream, _ = make_stream()
    with pytest.raises(ValueError, match="begin with '/'"):
        stream.mount(FastAPI(), path="voice")


def refuse(request: Request) -> None: ...


async def refuse_async(request: Request) -> bool:
    return False


def refuse_with_status(request: Request) -> None:
    raise HTTPException(401, "who are you?")


@pytest.mark.parametrize(
    ("hook", "status"), [(refuse, 403), (refuse_async, 403), (refuse_with_status, 401)]
)
async def test_who_is_refused_reaches_nothing(hook: Any, status: int) -> None:
    """Pitfall 39: there is a hook, and nothing is read or allocated before it."""
    app = FastAPI()
    stream, door = make_stream(authorize=hook)
    stream.mount(app)
    async with client_of(app) as client:
        for body in (OFFER, {"type": "ice-candidate", "webrtc_id": "me"}, "not even valid"):
            response = await client.post("/webrtc/offer", json=body)
            assert response.status_code == status
    assert door.configurations == []
    assert len(stream.sessions) == 0


@pytest.mark.parametrize("is_async", [True, False])
async def test_who_is_let_in_is_known_to_the_handler(is_async: bool) -> None:
    """Pitfall 39."""

    def user(request: Request) -> Any:
        return {"name": request.headers["x-user"]}

    async def user_async(request: Request) -> Any:
        return user(request)

    app = FastAPI()
    stream, _ = make_stream(authorize=user_async if is_async else user)
    stream.mount(app)
    async with client_of(app) as client:
        response = await client.post("/webrtc/offer", json=OFFER, headers={"x-user": "Ada"})
        assert response.status_code == 200
    assert stream.connections["me"].principal == {"name": "Ada"}
    await stream.shutdown(0)


async def test_a_hook_is_not_passed_by_who_routes_offers_himself() -> None:
    stream, _ = make_stream(authorize=refuse)
    with pytest.raises(ValueError, match=r"offer\(body, request\)"):
        await stream.offer(OFFER)  # type: ignore[arg-type]


async def test_offer_can_be_routed_by_the_user() -> None:
    app = FastAPI()
    stream, _ = make_stream()
    app.post("/my/offer")(stream.offer)
    async with client_of(app) as client:
        bad = await client.post("/my/offer", json={**OFFER, "sdp": "rubbish"})
        assert bad.status_code == 400
        good = await client.post("/my/offer", json=OFFER)
        assert good.json() == {"sdp": "answer", "type": "answer"}
    await stream.shutdown(0)


async def test_the_lifespan_ends_sessions_and_the_applications_own_goes_on() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, int]]:
        events.append("start")
        yield {"answer": 42}
        events.append(f"end with {len(stream.sessions)} sessions")

    app = FastAPI(lifespan=own)
    stream, door = make_stream()
    stream.mount(app)
    for _ in range(2):
        async with app.router.lifespan_context(app) as state:
            assert state == {"answer": 42}
            async with client_of(app) as client:
                assert (await client.post("/webrtc/offer", json=OFFER)).json()["sdp"]
            session = stream.connections["me"]
        assert session.state == "closed"
        assert session.handler.events == ["start_up", "shutdown"]  # type: ignore[attr-defined]
        assert "end_stream" in door.transports["me"].texts[-1]
    assert events == ["start", "end with 0 sessions"] * 2


async def test_a_route_may_have_a_model_of_its_own(served: Any) -> None:
    class Own(BaseModel):
        type: str
        webrtc_id: str
        sdp: str | None = None
        visitor: str = "anybody"

    _, stream, _ = served
    answer = await stream.offer(Own(**OFFER))  # type: ignore[arg-type]
    assert answer == {"sdp": "answer", "type": "answer"}
    assert "me" in stream.sessions
    with pytest.raises(ValidationError):
        await stream.offer(Own(type="rumour", webrtc_id="me"))  # type: ignore[arg-type]


async def test_a_draining_stream_takes_nobody_and_waits_for_who_is_there() -> None:
    stream, door = make_stream(concurrency_limit=2)
    await stream.offer(OFFER)  # type: ignore[arg-type]
    draining = asyncio.create_task(stream.shutdown(drain_s=5))
    await asyncio.sleep(0.05)
    refused = await stream.offer({**OFFER, "webrtc_id": "late"})  # type: ignore[arg-type]
    assert refused["meta"]["error"] == "connection_closed"
    assert not draining.done()
    door.transports["me"].close("client went")
    await asyncio.wait_for(draining, 1)
    assert len(stream.sessions) == 0


async def test_a_page_gets_fresh_credentials_each_time_if_it_may() -> None:
    asked: list[int] = []

    async def configuration() -> dict[str, Any]:
        asked.append(1)
        return {"iceServers": [{"urls": "turn:a.com", "username": "u", "credential": str(asked)}]}

    app = FastAPI()
    stream, _ = make_stream(
        rtc_configuration=configuration, authorize=lambda request: "key" in request.query_params
    )
    stream.mount(app, "/voice")
    async with client_of(app) as client:
        assert (await client.get("/voice/webrtc/configuration")).status_code == 403
        assert asked == []
        for times in ([1], [1, 1]):
            answer = await client.get("/voice/webrtc/configuration?key=1")
            assert answer.json()["iceServers"][0]["credential"] == str(times)
            assert answer.headers["cache-control"] == "no-store"


async def test_without_a_configuration_a_page_gets_an_empty_one(served: Any) -> None:
    client, _, _ = served
    assert (await client.get("/webrtc/configuration")).json() == {}
