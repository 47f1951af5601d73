"""Ways through the network other than UDP between two hosts, each with a real Chromium.

The page sees only those of the server's candidates that a test leaves in the answer.
"""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.async_api import Page

from e2e import browser, sound
from e2e.browser import Call, Chromium, Tab
from e2e.coturn import RELAY_ADDRESS, Coturn
from e2e.server import Server, free_port
from e2e.testimony import account, wait_for_life

Serve = Callable[..., Server]
OpenTab = Callable[[str], Tab]
ORIGINAL = sound.speech("austen-0880.wav")
ANSWER_WITHIN_S = 0.5
"""The longest that an answer waits for STUN and TURN servers."""
LEAVE_CANDIDATES = """(pattern) => {
    const real = window.fetch;
    const wanted = (line) => !line.startsWith("a=candidate:") || new RegExp(pattern).test(line);
    window.fetch = async (input, init) => {
        const body = await (await real(input, init)).json();
        if (body.sdp) body.sdp = body.sdp.split("\\r\\n").filter(wanted).join("\\r\\n");
        return new Response(JSON.stringify(body));
    };
}"""


@pytest.fixture(autouse=True)
def microphone(chromium: Chromium) -> None:
    chromium.set_microphone(sound.to_int16(ORIGINAL))


@pytest.fixture(scope="module")
def coturn() -> Iterator[Coturn]:
    with Coturn() as server:
        yield server


def leave_candidates(tab: Tab, pattern: str) -> None:
    """Of the server's candidates the page sees only lines that match."""
    tab.chromium.run(tab.page.evaluate(LEAVE_CANDIDATES, pattern))


def ice_servers(*servers: dict[str, Any]) -> str:
    """For ``WITNESS_RTC_CONFIGURATION``."""
    return json.dumps({"iceServers": list(servers)})


def candidates(call: Call, kind: str) -> list[str]:
    """The answer's candidates of a type, "host", "srflx" or "relay"."""
    found: list[str] = re.findall(rf"a=candidate:.* typ {kind}.*", call.answer["sdp"])
    return found


def assert_speech_comes_back(call: Call) -> None:
    heard = sound.to_sound(call.record(2 * len(ORIGINAL) / sound.RATE_HZ + 1))
    fidelity = sound.compare(ORIGINAL, heard)
    assert fidelity.dropouts == 0, f"{fidelity}; {call.report()['inbound']}"
    assert fidelity.median > 0.9, fidelity


def test_ice_tcp_alone(serve: Serve, open_tab: OpenTab) -> None:
    tcp_port = free_port()
    tab = open_tab(serve("witness", FASTRTC_TCP_PORT=str(tcp_port)).url)
    tab.hide_addresses()
    leave_candidates(tab, " tcp ")
    call = tab.connect()
    pair = call.wait()
    assert (pair["remote"]["protocol"], pair["remote"]["port"]) == ("tcp", tcp_port), pair
    assert_speech_comes_back(call)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_turn_alone(serve: Serve, open_tab: OpenTab, coturn: Coturn, transport: str) -> None:
    turn = coturn.turn(transport)
    server = serve("witness", WITNESS_RTC_CONFIGURATION=ice_servers(turn))
    tab = open_tab(server.url)
    leave_candidates(tab, " typ relay ")
    configuration = {"iceServers": [turn], "iceTransportPolicy": "relay"}
    call = tab.connect(configuration=configuration)
    assert candidates(call, "relay"), call.answer
    pair = call.wait()
    assert pair["local"]["candidateType"] == "relay", pair
    assert pair["remote"]["candidateType"] == "relay", pair
    assert pair["remote"]["address"] == RELAY_ADDRESS, pair
    assert_speech_comes_back(call)


@pytest.mark.together
def test_a_server_reflexive_candidate(serve: Serve, open_tab: OpenTab, coturn: Coturn) -> None:
    udp_port = free_port(socket.SOCK_DGRAM)
    server = serve(
        "witness",
        FASTRTC_UDP_PORT=str(udp_port),
        WITNESS_RTC_CONFIGURATION=ice_servers(coturn.stun()),
    )
    tab = open_tab(server.url)
    tab.hide_addresses()
    leave_candidates(tab, " typ srflx ")
    call = tab.connect()
    assert f" {udp_port} typ srflx" in candidates(call, "srflx")[0]
    # Nothing else told the page where the server is.
    call.wait()
    wait_for_life(server.url, call.id, lambda life: life["samples"] > sound.RATE_HZ)


@pytest.mark.together
def test_a_callable_is_asked_for_each_connection(
    serve: Serve, open_tab: OpenTab, coturn: Coturn
) -> None:
    server = serve(
        "witness",
        WITNESS_ASKS="1",
        WITNESS_RTC_CONFIGURATION=ice_servers(coturn.turn("udp")),
    )
    tab = open_tab(server.url)
    for number in (1, 2):
        call = tab.connect(audio=False)
        assert candidates(call, "relay"), call.answer
        assert account(server.url, call.id)["asked"] == number


def test_dead_servers_delay_the_answer_by_no_more_than_half_a_second(
    serve: Serve, open_tab: OpenTab
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute,
    ):
        mute.bind(("127.0.0.1", 0))
        login = {"username": "user", "credential": "password"}
        dead = [
            f"turn:127.0.0.1:{mute.getsockname()[1]}",
            f"turn:127.0.0.1:{silent.getsockname()[1]}?transport=tcp",
            f"stun:127.0.0.1:{mute.getsockname()[1]}",
        ]
        servers = ice_servers(*({"urls": url, **login} for url in dead))
        server = serve("witness", WITNESS_RTC_CONFIGURATION=servers)
        tab = open_tab(server.url)
        began_s = time.monotonic()
        call = tab.connect(audio=False)
        took_s = time.monotonic() - began_s
        call.wait()
    assert took_s == pytest.approx(ANSWER_WITHIN_S, abs=0.4)
    for url in dead:
        assert re.search(f"gave no address: {re.escape(url)}: no answer", server.log), server.log


def test_ice_lite(serve: Serve, open_tab: OpenTab) -> None:
    server = serve("witness", FASTRTC_ICE_LITE="1")
    call = open_tab(server.url).connect()
    assert "a=ice-lite" in call.answer["sdp"]
    call.wait()
    assert_speech_comes_back(call)


@pytest.fixture
def shy_chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chromium]:
    """A browser that would ask its user before it opened a microphone, and hides addresses."""
    grants = "--use-fake-ui-for-media-stream"
    monkeypatch.setattr(browser, "FLAGS", [flag for flag in browser.FLAGS if flag != grants])
    chromium = Chromium()
    yield chromium
    chromium.close()


@pytest.mark.together
def test_mdns_candidates_of_a_page_without_permissions(
    shy_chromium: Chromium, serve: Serve
) -> None:
    server = serve("witness")
    tab = shy_chromium.open(server.url)
    shy_chromium.run(tab.page.context.clear_permissions())
    call = tab.connect(audio=False, trickle=False)
    offered = shy_chromium.run(local_sdp(tab.page, call.id))
    addresses = re.findall(r"a=candidate:\S+ \d udp \d+ (\S+)", offered)
    assert addresses, offered
    assert all(address.endswith(".local") for address in addresses), addresses
    call.wait()
    call.wait_until(lambda report: report["channel"] == "open")
    call.send("good day")
    wait_for_life(server.url, call.id, lambda life: life["texts"] == ["good day"])


async def local_sdp(page: Page, webrtc_id: str) -> str:
    """What the page has offered."""
    sdp: str = await page.evaluate("(id) => calls.get(id).pc.localDescription.sdp", webrtc_id)
    return sdp
