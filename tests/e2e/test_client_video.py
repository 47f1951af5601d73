"""The client's picture, in Chromium with its fake camera: sent, seen, changed, measured.

The other end is a peer in the same page, reached by the client's option ``signal``, and then a
server: both send back what they get.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.browser import Tab
from e2e.server import TESTS, Server

pytestmark = pytest.mark.together

PEER = """async () => {
  const { Client, listDevices } = await import("/client/fastrtc.js");
  const far = new RTCPeerConnection();
  far.ontrack = ({ track, transceiver }) => {
    transceiver.direction = "sendrecv";
    transceiver.sender.replaceTrack(track);
  };
  const early = [];
  far.onicecandidate = ({ candidate }) => candidate && near(candidate);
  const near = (candidate) => {
    if (client.pc?.remoteDescription) client.pc.addIceCandidate(candidate);
    else early.push(candidate);
  };
  const client = new Client({
    audio: false,
    video: { width: { ideal: 320 }, height: { ideal: 240 } },
    rtpParams: { degradationPreference: "maintain-framerate" },
    async signal(body) {
      if (body.type === "ice-candidate") await far.addIceCandidate(body.candidate);
      if (body.type !== "offer") return { status: "success" };
      await far.setRemoteDescription(body);
      await far.setLocalDescription();
      setTimeout(() => early.splice(0).forEach(near), 100);
      return { type: "answer", sdp: far.localDescription.sdp };
    },
  });
  window.client = client;
  window.shown = document.createElement("video");
  window.mine = document.createElement("video");
  document.body.append(window.shown, window.mine);
  client.play(window.shown);
  client.preview(window.mine);
  await client.connect();
}"""

BOTH = """
from fastapi import FastAPI
from fastrtc import AsyncAudioVideoStreamHandler, Stream, wait_for_item
import asyncio

class Both(AsyncAudioVideoStreamHandler):
    def __init__(self):
        super().__init__(input_sample_rate=24000)
        self.sounds, self.pictures = asyncio.Queue(), asyncio.Queue()
    async def receive(self, sound):
        self.sounds.put_nowait(sound)
    async def video_receive(self, picture):
        self.pictures.put_nowait(picture[:, ::-1])
    async def emit(self):
        return await wait_for_item(self.sounds)
    async def video_emit(self):
        return await wait_for_item(self.pictures)

stream = Stream(Both(), modality="audio-video")
app = FastAPI()
stream.mount(app)
"""
VISIT = """async () => {
  const { Client } = await import("/client/fastrtc.js");
  window.client = new Client({ video: { width: { ideal: 320 }, height: { ideal: 240 } } });
  window.shown = document.createElement("video");
  document.body.append(window.shown);
  client.play(window.shown);
  await client.connect();
}"""


@pytest.fixture
def tab(serve: Callable[..., Server], open_tab: Callable[[str], Tab]) -> Tab:
    return open_tab(serve("echo").url)


def test_a_picture_goes_out_and_comes_back(tab: Tab) -> None:
    run = tab.chromium.run
    page = tab.page
    run(page.evaluate(PEER))
    assert run(page.evaluate("client.state")) == "live"
    tab.wait_for(lambda: run(page.evaluate("shown.videoWidth * mine.videoWidth")) > 0, 15)
    assert run(page.evaluate("[shown.playsInline, mine.playsInline, mine.muted]")) == [True] * 3
    run(page.evaluate("client.stats()"))
    tab.wait_for(lambda: (run(page.evaluate("client.stats()"))["videoFps"] or 0) > 5, 15)
    seen = run(page.evaluate("client.stats()"))
    assert 0 < seen["videoFrameAgeMs"] < 2000, seen
    assert seen["videoWidth"] / seen["videoHeight"] == pytest.approx(4 / 3, abs=0.1)

    run(page.evaluate("client.mute(true, 'video')"))
    assert run(page.evaluate("client.local.getVideoTracks()[0].enabled")) is False
    run(page.evaluate("client.mute(false, 'video')"))
    camera = "client.local.getVideoTracks()[0].getSettings().deviceId"
    first = run(page.evaluate(camera))
    other = run(
        page.evaluate(
            """async (first) => {
              const { listDevices } = await import("/client/fastrtc.js");
              const { cameras } = await listDevices();
              return cameras.find(({ id }) => id !== first)?.id ?? first;
            }""",
            first,
        )
    )
    run(page.evaluate("(id) => client.setCamera(id)", other))
    assert run(page.evaluate(camera)) == other
    tab.wait_for(lambda: (run(page.evaluate("client.stats()"))["videoFps"] or 0) > 5, 15)
    run(page.evaluate("client.close()"))
    assert run(page.evaluate("[client.state, client.reason]")) == ["closed", ""]
    assert run(page.evaluate("client.local.getTracks().every((t) => t.readyState === 'ended')"))


def test_sound_and_picture_go_to_a_handler_and_come_back(
    open_tab: Callable[[str], Tab], tmp_path: Path
) -> None:
    (tmp_path / "both.py").write_text(BOTH)
    with Server("both:app", {"PYTHONPATH": f"{tmp_path}:{TESTS}"}) as server:
        tab = open_tab(server.url)
        run, page = tab.chromium.run, tab.page
        run(page.evaluate(VISIT))
        tab.wait_for(lambda: run(page.evaluate("shown.videoWidth")) > 0, 20)
        tab.wait_for(lambda: (run(page.evaluate("client.stats()"))["videoFps"] or 0) > 3, 20)
        seen = run(page.evaluate("client.stats()"))
        assert seen["transport"] == "webrtc"
        assert seen["jitterBufferMs"] is not None
        assert run(page.evaluate("client.remote.getTracks().length")) == 2

        # The screen takes the camera's place in the same call, and gives it back when it ends.
        offer = run(page.evaluate("client.pc.localDescription.sdp"))
        run(page.evaluate("client.shareScreen()"))
        surface = "client.local.getVideoTracks()[0].getSettings().displaySurface ?? null"
        assert run(page.evaluate(surface)) is not None
        sent = "client.pc.getSenders().find(({ track }) => track?.kind === 'video').track"
        assert run(page.evaluate(f"{sent} === client.local.getVideoTracks()[0]"))
        run(page.evaluate("client.stats()"))
        tab.wait_for(lambda: (run(page.evaluate("client.stats()"))["videoFps"] or 0) > 3, 20)
        run(page.evaluate("client.local.getVideoTracks()[0].dispatchEvent(new Event('ended'))"))
        tab.wait_for(lambda: run(page.evaluate(surface)) is None, 10)
        assert run(page.evaluate("client.pc.localDescription.sdp")) == offer
        assert run(page.evaluate("client.state")) == "live"
        run(page.evaluate("client.close()"))
