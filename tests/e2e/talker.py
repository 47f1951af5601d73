"""A client without a browser: it talks recorded speech, writes down what it hears, and sends texts.

Made of aiortc, or of any library with aiortc's interface (``wrtc`` has one over libwebrtc). Run as
a program, ``python -m e2e.talker URL LIBRARY``, it connects, prints its id and talks until it is
killed, which is a client that vanishes.
"""

import asyncio
import fractions
import importlib
import json
import os
import sys
import uuid
from typing import Any

import av
import httpx
import numpy as np

from e2e import sound

FRAME = sound.RATE_HZ // 50
PATIENCE_S = 15.0
AIORTC = "aiortc"
LIBWEBRTC = "webrtc.aiortc"


def load(library: str) -> Any:
    """Imports a library, ready for two ends on one machine."""
    if library == LIBWEBRTC:
        os.environ["WRTC_ALLOW_LOOPBACK"] = "1"
    return importlib.import_module(library)


class Talker:
    """One call.

    Args:
        url: where the stream is mounted.
        library: a module with aiortc's interface.
        talks: whether the first offer has audio; else only a data channel.
    """

    def __init__(self, url: str, library: str = AIORTC, talks: bool = True) -> None:
        self.url = url
        self.id = uuid.uuid4().hex
        self.texts: list[str] = []
        self._rtc = load(library)
        self._heard: list[Any] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.connection = self._rtc.RTCPeerConnection(self._rtc.RTCConfiguration(iceServers=[]))
        self.channel = self.connection.createDataChannel("text")
        self.channel.on("message", self.texts.append)
        self.connection.on("track", self._on_track)
        if talks:
            self.add_speech()

    def add_speech(self) -> None:
        """The next offer has audio."""
        self.connection.addTrack(_speech_track(self._rtc.MediaStreamTrack))

    async def negotiate(self) -> str:
        """Offers, for the first time or again, and takes the answer, which is returned."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        local = self.connection.localDescription
        body = {"type": local.type, "sdp": local.sdp, "webrtc_id": self.id}
        async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as http:
            answer = (await http.post(f"{self.url}/webrtc/offer", json=body)).json()
        assert answer.get("type") == "answer", answer
        await self.connection.setRemoteDescription(self._rtc.RTCSessionDescription(**answer))
        sdp: str = answer["sdp"]
        return sdp

    async def connect(self) -> None:
        """Returns when messages can be sent."""
        await self.negotiate()
        await self.until(lambda: self.channel.readyState == "open")

    async def until(self, condition: Any, timeout_s: float = PATIENCE_S) -> None:
        """Waits until ``condition()``."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while not condition():
            assert loop.time() < deadline_s, (self.connection.connectionState, self.texts)
            await asyncio.sleep(0.02)

    async def hear(self, seconds: float) -> sound.Sound:
        """What comes back from now on, mono at 48 kHz."""
        self._heard.clear()
        await self.until(
            lambda: sum(map(len, self._heard)) >= seconds * sound.RATE_HZ, seconds + PATIENCE_S
        )
        return sound.to_sound(np.concatenate(self._heard))

    async def hang_up(self) -> None:
        """Ends the call as a browser does."""
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_track(self, track: Any) -> None:
        self._tasks.append(asyncio.ensure_future(self._listen(track)))

    async def _listen(self, track: Any) -> None:
        resampler = av.AudioResampler("s16", "mono", sound.RATE_HZ)
        while True:
            try:
                frame = await track.recv()
            except self._rtc.mediastreams.MediaStreamError:
                return
            self._heard += [mono.to_ndarray()[0] for mono in resampler.resample(frame)]


SPEECH = "austen-0880.wav"


def _speech_track(base: Any) -> Any:
    samples = sound.to_int16(sound.speech(SPEECH))

    class Speech(base):  # type: ignore[misc]
        """The recording, over and over, in frames of 20 ms and in real time."""

        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self._sent = 0
            self._start_s: float | None = None

        async def recv(self) -> Any:
            loop = asyncio.get_running_loop()
            if self._start_s is None:
                self._start_s = loop.time()
            await asyncio.sleep(self._start_s + self._sent / sound.RATE_HZ - loop.time())
            part = np.take(samples, self._sent + np.arange(FRAME), mode="wrap")
            frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = sound.RATE_HZ
            frame.pts = self._sent
            frame.time_base = fractions.Fraction(1, sound.RATE_HZ)
            self._sent += FRAME
            return frame

    return Speech()


async def _talk_for_ever(url: str, library: str) -> None:
    talker = Talker(url, library)
    await talker.connect()
    await talker.hear(0.5)
    print(json.dumps({"id": talker.id}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_talk_for_ever(*sys.argv[1:]))
