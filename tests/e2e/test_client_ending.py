"""A call that is closed before it is live: whoever waits for it is told, at once."""

import socket
from collections.abc import Callable, Iterator

import pytest

from e2e.browser import Tab
from e2e.server import Server

Serve = Callable[..., Server]
OpenTab = Callable[[str], Tab]

pytestmark = pytest.mark.together

PROMPTLY_MS = 1000
CLOSE = """async ([kind, options]) => {
  const { Client } = await import("/client/fastrtc.js");
  const unhandled = [];
  addEventListener("unhandledrejection", ({ reason }) => unhandled.push(String(reason)));
  const never = new Promise(() => {});
  const { getUserMedia } = navigator.mediaDevices;
  const { fetch } = window;
  const { createOffer } = RTCPeerConnection.prototype;
  const opened = [];
  let allow = () => {};
  let client;
  const ripe = {
    // The person has not answered yet, and does so when it is too late.
    asking: (close) => {
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        close();
        await new Promise((resolve) => (allow = resolve));
        const stream = await getUserMedia.call(navigator.mediaDevices, wanted);
        opened.push(...stream.getTracks());
        return stream;
      };
    },
    configuration: (close) => {
      options.configuration = never;
      options.mode = "receive";
      setTimeout(close);
    },
    offering: (close) => {
      RTCPeerConnection.prototype.createOffer = function (...given) {
        const offer = createOffer.apply(this, given);
        close();
        return offer;
      };
    },
    posting: (close) => {
      window.fetch = (url, request) => {
        if (!request?.body?.includes('"offer"')) return fetch(url, request);
        close();
        return never;
      };
    },
    // Until no path is found.
    checking: (close) => {
      options.configuration = { iceTransportPolicy: "relay" };
      options.fallbackAfterMs = 60000;
      const look = () => (client?.link?.answered ? close() : setTimeout(look, 10));
      look();
    },
    // A server that takes the connection and says nothing.
    falling: (close) => {
      options.configuration = { iceTransportPolicy: "relay" };
      options.fallbackAfterMs = 100;
      const look = () => (client?.link?.socket ? close() : setTimeout(look, 10));
      look();
    },
    locating: (close) => {
      options.transport = "websocket";
      options.socketUrl = () => (close(), never);
    },
  }[kind];
  let closedAt = NaN;
  ripe(() => setTimeout(() => ((closedAt = performance.now()), client.close())));
  if (options.silent) options.socketUrl = () => options.silent;
  client = new Client(options);
  const errors = [];
  client.addEventListener("error", ({ detail }) => errors.push(detail.message));
  const why = ({ code, message }) => [code, message];
  const told = await client.connect().then(() => "connected", why);
  const tookMs = performance.now() - closedAt;
  allow();
  await new Promise((resolve) => setTimeout(resolve, 200));
  Object.assign(navigator.mediaDevices, { getUserMedia });
  Object.assign(RTCPeerConnection.prototype, { createOffer });
  Object.assign(window, { fetch });
  const running = opened.filter(({ readyState }) => readyState !== "ended").length;
  return { told, tookMs, state: client.state, errors, unhandled, running, opened: opened.length };
}"""
KINDS = ("asking", "configuration", "offering", "posting", "checking", "falling", "locating")
RECONNECTING = """async (client) => {
  const { fetch, setTimeout } = window;
  window.fetch = (url, request) =>
    request?.body?.includes('"offer"') ? new Promise(() => {}) : fetch(url, request);
  // What the client allows a try, in less time than this test has.
  window.setTimeout = (work, ms, ...rest) => setTimeout(work, ms > 5000 ? 300 : ms, ...rest);
  navigator.connection.dispatchEvent(new Event("change"));
  const { state } = client;
  await new Promise((resolve) => setTimeout(resolve, 500));
  const lost = client.state;
  Object.assign(window, { fetch });
  const deadline = performance.now() + 10000;
  while (client.state !== "live" && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
  Object.assign(window, { setTimeout });
  return [state, lost, client.state];
}"""
HANGING = """async (client) => {
  const { getUserMedia } = navigator.mediaDevices;
  navigator.mediaDevices.getUserMedia = () => new Promise(() => {});
  const changed = client.setMicrophone().then(() => "changed", ({ code }) => code);
  const counted = client.stats();
  client.close();
  const both = Promise.all([changed, counted.then(({ transport }) => transport)]);
  const late = new Promise((resolve) => setTimeout(() => resolve("late"), 1000));
  const told = await Promise.race([both, late]);
  Object.assign(navigator.mediaDevices, { getUserMedia });
  return told;
}"""


@pytest.fixture
def silent_socket() -> Iterator[str]:
    """The URL of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ws://127.0.0.1:{server.getsockname()[1]}/"


def test_a_call_that_is_closed_while_it_connects(
    serve: Serve, open_tab: OpenTab, silent_socket: str
) -> None:
    tab = open_tab(serve("echo", ECHO_LIMIT="1").url)
    for kind in KINDS:
        options = {"silent": silent_socket} if kind == "falling" else {}
        found = tab.chromium.run(tab.page.evaluate(CLOSE, [kind, options]))
        assert found["told"] == ["ended", "The call was ended."], (kind, found)
        assert found["tookMs"] < PROMPTLY_MS, (kind, found)
        assert found["state"] == "closed", (kind, found)
        assert found["errors"] == found["unhandled"] == [], (kind, found)
        assert (found["opened"], found["running"]) == (int(kind == "asking"), 0), (kind, found)
    # None of them keeps the only place.
    tab.wait_for(lambda: tab.dial().report()["state"] == "live")


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_who_waits_for_a_call_that_is_closed(
    serve: Serve, open_tab: OpenTab, transport: str
) -> None:
    call = open_tab(serve("echo").url).dial(transport=transport)
    assert call.run(HANGING) == ["ended", transport]


def test_a_restart_whose_answer_is_lost_is_tried_again(serve: Serve, open_tab: OpenTab) -> None:
    call = open_tab(serve("echo").url).dial()
    assert call.run(RECONNECTING) == ["reconnecting", "reconnecting", "live"]
