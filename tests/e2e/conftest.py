"""Fixtures of the end-to-end tests: one Chromium for all, a server and a page for each test."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from e2e.browser import Chromium, Tab
from e2e.caller import Caller
from e2e.server import Server
from e2e.stations import CONNECT_TIMEOUT_S


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is marked, so that ``-m "not e2e"`` leaves it out."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser; a test sets its microphone before it opens a page."""
    browser = Chromium()
    yield browser
    browser.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """``serve("echo", ECHO_RATE_HZ="8000")`` runs ``apps/echo.py`` with that environment."""
    with ExitStack() as stack:

        def start(name: str, **env: str) -> Server:
            environment: Mapping[str, str] = env
            return stack.enter_context(Server(f"e2e.apps.{name}:app", environment))

        yield start


@pytest.fixture
def open_tab(chromium: Chromium) -> Iterator[Callable[[str], Tab]]:
    """``open_tab(server.url)`` opens a page at the server's origin."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(chromium.open(url))


@pytest.fixture(scope="module")
def stations() -> Iterator[Server]:
    """``apps/stations.py``, one server for a file's tests."""
    env = {"CONNECT_TIMEOUT_S": str(CONNECT_TIMEOUT_S)}
    with Server("e2e.apps.stations:app", env) as running:
        yield running


@pytest.fixture
async def offer_sdp() -> AsyncIterator[str]:
    """An offer nobody waits for the answer of."""
    caller = Caller("")
    yield await caller.offer()
    await caller.hang_up()
