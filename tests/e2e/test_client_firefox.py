"""The shipped browser client in a real Firefox, over WebRTC.

Not its levels nor its WebSocket: both need an AudioContext, which Firefox runs only where there is
a sound card.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

from e2e.firefox import Firefox
from e2e.server import Server

pytestmark = pytest.mark.together

START = """async () => {
  const { Client, listDevices } = await import("/client/fastrtc.js");
  const client = new Client({ transport: "webrtc" });
  window.client = client;
  window.messages = [];
  client.addEventListener("message", ({ detail }) => window.messages.push(detail));
  await client.connect().catch((error) => (window.problem = String(error)));
  return [client.state, client.transport, client.reason, (await listDevices()).microphones.length];
}"""


def test_a_call_from_firefox(serve: Callable[..., Server]) -> None:
    with Firefox() as firefox:
        firefox.open(serve("conversant").url)
        state, transport, reason, microphones = firefox.run(START)
        assert (state, transport, reason) == ("live", "webrtc", "")
        assert microphones > 0
        wait_for(firefox, "() => client.send('talk')", bool)
        firefox.run("() => client.stats()")
        wait_for(
            firefox,
            "() => client.stats()",
            lambda seen: (
                seen["roundTripMs"] is not None
                and (seen["receivedKbps"] or 0) > 10
                and (seen["sentKbps"] or 0) > 1
            ),
        )
        firefox.run("() => client.send('stop')")
        (told,) = wait_for(firefox, "() => messages", bool)
        assert told["played_s"] > 0
        first = firefox.run("() => client.local.getAudioTracks()[0].id")
        firefox.run("() => client.setMicrophone()")
        assert firefox.run("() => client.local.getAudioTracks()[0].id") != first
        firefox.run("() => client.close()")
        assert firefox.run("() => [client.state, client.reason]") == ["closed", ""]


def wait_for(
    firefox: Firefox, script: str, condition: Callable[[Any], bool], timeout_s: float = 20
) -> Any:
    """Runs a script until its result is as it should be."""
    deadline = time.monotonic() + timeout_s
    while not condition(seen := firefox.run(script)):
        assert time.monotonic() < deadline, seen
        time.sleep(0.5)
    return seen
