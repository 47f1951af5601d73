"""Sessions and the life of processes: workers, forks, reloads, several loops, the end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.caller import Caller, post, until
from e2e.programs import REPOSITORY
from e2e.server import TESTS, Server, free_port, wait_for_port

pytestmark = [pytest.mark.together, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

STATIONS = "e2e.apps.stations:app"
OFFER = (REPOSITORY / "rust/tests/offers/aiortc.sdp").read_text()
PROMPT_S = 4.0
"""A server with calls has ended by then: a second of drain, and some patience."""


def offer(webrtc_id: str) -> dict[str, str]:
    return {"type": "offer", "sdp": OFFER, "webrtc_id": webrtc_id}


async def state(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        held: dict[str, Any] = (await http.get(f"{url}/state")).json()
        return held


def ends(server: Server, number: signal.Signals = signal.SIGINT) -> float:
    """Signals the server; how long it took to end."""
    start_s = time.monotonic()
    os.kill(server.pid, number)
    server.wait(30)
    return time.monotonic() - start_s


async def go_on(*callers: Caller) -> None:
    """Requires that calls bring most of the next second of sound."""
    start_s = asyncio.get_running_loop().time()
    await asyncio.sleep(1)
    for caller in callers:
        assert len(caller.heard_since(start_s)) > 40


@contextmanager
def module(name: str, ports: Sequence[int]) -> Iterator["subprocess.Popen[str]"]:
    """Runs a module of ``apps/`` that takes ports and lines of standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"e2e.apps.{name}", *map(str, ports)],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def say(process: "subprocess.Popen[str]") -> None:
    """A line for a module's standard input."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


# Workers.


async def test_each_worker_takes_a_port_of_the_range() -> None:
    first = free_port(socket.SOCK_DGRAM)
    env = {"UVICORN_WORKERS": "2", "FASTRTC_UDP_PORT": f"{first}-{first + 9}"}
    with Server(STATIONS, env) as server:
        ports: dict[int, int] = {}

        async def both_seen() -> bool:
            held = await state(server.url)
            ports[held["pid"]] = held["udp_port"]
            return len(ports) == 2

        await until(both_seen, 20)
        assert len(set(ports.values())) == 2
        assert all(first <= port <= first + 9 for port in ports.values())
        callers = [await Caller(f"{server.url}/echo").connect() for _ in range(8)]
        for caller in callers:
            await caller.hears()
        for caller in callers:
            await caller.hang_up()
        assert ends(server) < PROMPT_S
        assert server.exit_code == 0


async def test_workers_that_share_one_port_are_told_the_remedy() -> None:
    port = free_port(socket.SOCK_DGRAM)
    env = {"UVICORN_WORKERS": "2", "FASTRTC_UDP_PORT": str(port)}
    with Server(STATIONS, env) as server:
        statuses: set[int] = set()

        async def both_seen() -> bool:
            statuses.add((await post(f"{server.url}/echo", offer(os.urandom(4).hex()))).status_code)
            return len(statuses) == 2

        await until(both_seen, 20)
        assert statuses == {200, 500}

        async def is_logged() -> bool:
            return f"UDP port {port} cannot be bound" in server.log

        await until(is_logged)
        assert "give a port range such as FASTRTC_UDP_PORT=8000-8009" in server.log
        assert "or run one worker" in server.log


# Forks and reloads.


async def test_a_forked_child_has_calls_of_its_own_and_the_parents_go_on() -> None:
    ports = [free_port(), free_port()]
    with module("family", ports) as process:
        assert wait_for_port(ports[0], process)
        parents = await Caller(f"http://127.0.0.1:{ports[0]}/one").connect()
        await parents.hears()
        say(process)
        assert wait_for_port(ports[1], process)
        # The parent's call holds no slot in the child.
        childs = await Caller(f"http://127.0.0.1:{ports[1]}/one").connect()
        await childs.hears()
        await go_on(parents, childs)
        held = [await state(f"http://127.0.0.1:{port}") for port in ports]
        assert held[0]["pid"] != held[1]["pid"]
        assert held[0]["udp_port"] != held[1]["udp_port"]
        assert [len(one["stats"]) for one in held] == [1, 1]
        say(process)
        assert (await parents.told("end_stream"))["data"] == "The server is shutting down"
        assert (await childs.told("end_stream"))["data"] == "The server is shutting down"
        assert await asyncio.to_thread(process.wait, 10) == 0
        for caller in (parents, childs):
            await caller.hang_up()


async def test_a_reload_ends_calls_and_takes_the_port_again(tmp_path: Path) -> None:
    watched = tmp_path / "watched.py"
    watched.write_text("from e2e.apps.stations import app\n")
    env = {
        "PYTHONPATH": f"{tmp_path}:{TESTS}",
        "UVICORN_RELOAD": "1",
        "UVICORN_RELOAD_DIRS": str(tmp_path),
        "FASTRTC_UDP_PORT": str(free_port(socket.SOCK_DGRAM)),
    }
    with Server("watched:app", env) as server:
        for _ in range(2):
            before = await state(server.url)
            caller = await Caller(f"{server.url}/echo").connect()
            await caller.hears()
            watched.write_text(watched.read_text() + "\n")
            assert (await caller.told("end_stream"))["data"] == "The server is shutting down"
            await caller.hang_up()

            async def is_new(old: int = before["pid"]) -> bool:
                try:
                    return bool((await state(server.url))["pid"] != old)
                except httpx.HTTPError:
                    return False

            await until(is_new, 20)
            assert (await state(server.url))["udp_port"] == before["udp_port"]
        assert "cannot be bound" not in server.log


async def test_a_restart_finds_its_port_free() -> None:
    env = {
        "FASTRTC_UDP_PORT": str(free_port(socket.SOCK_DGRAM)),
        "FASTRTC_TCP_PORT": str(free_port()),
    }
    for _ in range(2):
        with Server(STATIONS, env) as server:
            caller = await Caller(f"{server.url}/echo").connect()
            await caller.hears()
            assert ends(server, signal.SIGTERM) < PROMPT_S
            await caller.hang_up()


async def test_two_loops_of_one_process_have_their_own_calls() -> None:
    """Pitfall 43."""
    ports = [free_port(), free_port()]
    with module("neighbours", ports) as process:
        for port in ports:
            assert wait_for_port(port, process)
        first, second = [
            await Caller(f"http://127.0.0.1:{port}", "same name").connect() for port in ports
        ]
        await first.hears()
        await second.hears()
        say(process)
        assert (await first.told("end_stream"))["data"] == "The server is shutting down"
        await first.hang_up()
        assert process.stdout is not None
        while "the first has ended" not in await asyncio.to_thread(process.stdout.readline):
            pass
        await go_on(second)
        say(process)
        assert (await second.told("end_stream"))["data"] == "The server is shutting down"
        assert await asyncio.to_thread(process.wait, 10) == 0
        await second.hang_up()


# The end.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_end_of_the_application_ends_its_calls(number: signal.Signals) -> None:
    """Pitfall 42: also with a handler that blocks for ever."""
    with Server(STATIONS) as server:
        callers = [await Caller(f"{server.url}/{name}").connect() for name in ("echo", "blocks")]
        await callers[0].hears()
        took_s = await asyncio.to_thread(ends, server, number)
        for caller in callers:
            assert (await caller.told("end_stream"))["data"] == "The server is shutting down"
            async with asyncio.timeout(2):
                await caller.closed.wait()
            await caller.hang_up()
        assert took_s < PROMPT_S
        assert server.exit_code in (0, -number)
        assert server.log.count("Echo was shut down") == 1
        assert server.log.count("Blocks was shut down") == 1
        assert "Traceback" not in server.log


async def test_a_second_interrupt_ends_at_once() -> None:
    with Server(STATIONS) as server:
        caller = await Caller(f"{server.url}/lingers").connect()
        await caller.hears()
        os.kill(server.pid, signal.SIGINT)
        await asyncio.sleep(2)
        assert server.is_running, "nothing was left to interrupt"
        assert await asyncio.to_thread(ends, server) < 1.5
        await caller.hang_up()


async def test_a_stream_that_shuts_down_takes_no_offers_and_waits_for_its_clients() -> None:
    with Server(STATIONS) as server:
        staying, going, elsewhere = [
            await Caller(f"{server.url}/{name}").connect() for name in ("three", "three", "echo")
        ]
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            start_s = time.monotonic()
            ending = asyncio.create_task(http.post(f"{server.url}/shutdown/three?drain_s=3"))
            for caller in (staying, going):
                assert (await caller.told("end_stream"))["data"] == "The server is shutting down"
            refused = await post(f"{server.url}/three", offer("late"))
            assert refused.json()["meta"]["error"] == "connection_closed"
            await going.hang_up()
            await asyncio.sleep(0.3)
            assert not ending.done()
            assert (await state(server.url))["sessions"]["three"] == 1
            assert (await ending).is_success
            assert 2.5 < time.monotonic() - start_s < 5
        held = await state(server.url)
        assert held["sessions"]["three"] == 0
        assert held["sessions"]["echo"] == 1
        assert held["shutdowns"] == {"Echo": 2}
        async with asyncio.timeout(2):
            await staying.closed.wait()
        for caller in (staying, elsewhere):
            await caller.hang_up()


def test_an_import_starts_no_thread_and_opens_no_socket() -> None:
    script = """
import os, threading
before = set(os.listdir("/proc/self/fd"))
import fastrtc, fastrtc._core
stream = fastrtc.Stream(lambda frame: frame, modality="audio")
assert threading.active_count() == 1, threading.enumerate()
assert len(os.listdir("/proc/self/task")) == 1
opened = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
          if fd not in before and os.path.exists(f"/proc/self/fd/{fd}")]
assert not [name for name in opened if "socket" in name or "event" in name], opened
"""
    # NumPy's OpenBLAS has threads of its own otherwise.
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, env=env)


# Limits.


async def test_a_rush_takes_exactly_the_slots_there_are() -> None:
    """Pitfall 17."""
    with Server(STATIONS) as server:
        answers = await asyncio.gather(
            *(post(f"{server.url}/three", offer(str(number))) for number in range(20))
        )
        bodies = [answer.json() for answer in answers]
        assert sum("sdp" in body for body in bodies) == 3
        refusals = [body["meta"] for body in bodies if "sdp" not in body]
        assert refusals == [{"error": "concurrency_limit_reached", "limit": 3}] * 17

        async def the_others_are_discarded() -> bool:
            return bool((await state(server.url))["plane"]["peers"] == 3)

        await until(the_others_are_discarded)
        same = await asyncio.gather(
            *(post(f"{server.url}/echo", offer("one name")) for _ in range(10))
        )
        assert sum("sdp" in answer.json() for answer in same) >= 1
        assert (await state(server.url))["sessions"]["echo"] == 1


async def test_the_time_limit_ends_a_call() -> None:
    with Server(STATIONS) as server:
        start_s = time.monotonic()
        caller = await Caller(f"{server.url}/brief").connect()
        await caller.hears()
        message = await caller.told("end_stream")
        assert message["data"] == "Time limit of 1 s reached"
        async with asyncio.timeout(2):
            await caller.closed.wait()
        assert 0.9 < time.monotonic() - start_s < 4
        assert (await state(server.url))["sessions"]["brief"] == 0
        await caller.hang_up()
