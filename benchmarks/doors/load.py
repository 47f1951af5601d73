"""Many callers over WebSockets from one cheap process: raw sockets, messages made beforehand.

``load.py --url ws://127.0.0.1:8000/telephone/handler --form twilio --sessions 200 --seconds 15``
prints "talking" when audio begins, and JSON when it has ended. Each session says the same ten
seconds of speech again and again, 20 ms every 20 ms, phases spread evenly. Masks are all zero
(RFC 6455 allows any), so a message is made once and sent by all.

An echo at the same rate gives mu-law back bit for bit, so each frame that comes is known by its
payload. **Delay** is from its sending to its return. **On time** is at most 30 ms more than the
least delay of its session; a frame that never came is not on time.
"""

import argparse
import base64
import json
import random
import re
import resource
import select
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from fastrtc.audio.g711 import mulaw_decode, mulaw_encode
from fastrtc.audio.rates import Resampler
from wavs import read_wav

SPEECH = Path(__file__).resolve().parents[2] / "tests" / "data" / "austen-0870.wav"

FRAME_S = 0.02
ON_TIME_S = 0.03
WARM_UP_S = 2.0
DRAIN_S = 0.5
SPEECH_S = 10.0
NOISE = 20
"""Makes each frame of a pause another, at -64 dBFS."""
TEXT, BINARY, PING, PONG = 1, 2, 9, 10
PAYLOAD = re.compile(rb'"payload":\s*"([^"]*)"')


def frame(opcode: int, payload: bytes) -> bytes:
    """A client's WebSocket frame, masked with zeros."""
    length = len(payload)
    head = bytes([0x80 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    else:
        head += bytes([0x80 | 126]) + length.to_bytes(2, "big")
    return head + bytes(4) + payload


class Form:
    """What a client says: of pages ("websocket") or of Twilio ("twilio")."""

    def __init__(self, name: str, rate_hz: int) -> None:
        self.name = name
        self.rate_hz = rate_hz
        self.payloads = payloads(rate_hz)
        self.numbers = {payload.encode(): at for at, payload in enumerate(self.payloads)}
        assert len(self.numbers) == len(self.payloads), "two frames are alike"
        self.messages = [frame(TEXT, self._media(payload)) for payload in self.payloads]

    def starts(self, number: int) -> list[bytes]:
        """What a session begins with."""
        if self.name == "websocket":
            return [
                frame(TEXT, json.dumps({"event": "start", "websocket_id": f"{number}"}).encode())
            ]
        sid = f"MZ{number}"
        media = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {"streamSid": sid, "callSid": f"CA{number}", "tracks": ["inbound"]}
        return [
            frame(TEXT, b'{"event": "connected", "protocol": "Call", "version": "1.0.0"}'),
            frame(
                TEXT,
                json.dumps(
                    {"event": "start", "streamSid": sid, "start": {**start, "mediaFormat": media}}
                ).encode(),
            ),
        ]

    def _media(self, payload: str) -> bytes:
        media: dict[str, Any] = {"payload": payload}
        if self.name == "twilio":
            media = {"track": "inbound", "chunk": "1", "timestamp": "5", **media}
        return json.dumps({"event": "media", "media": media}).encode()


@dataclass
class Session:
    """One caller."""

    socket: socket.socket
    rest: bytes = b""
    unsent: bytes = b""
    sent_at_s: dict[int, float] = field(default_factory=dict)
    """When each frame was sent that has not come back."""
    delays_s: list[float] = field(default_factory=list)
    is_open: bool = True

    def send(self, message: bytes) -> None:
        """Sends what the kernel takes; the rest goes with the next."""
        message = self.unsent + message
        try:
            self.unsent = message[self.socket.send(message) :]
        except BlockingIOError:
            self.unsent = message
        except OSError:
            self.is_open = False


class Load:
    """All callers, and one clock for them."""

    def __init__(self, url: str, form: Form, sessions: int) -> None:
        self._form = form
        self._poll = select.epoll()
        self._sessions: dict[int, Session] = {}
        for number in range(sessions):
            connection = connect(url)
            session = Session(connection)
            for start in form.starts(number):
                connection.sendall(start)
            connection.setblocking(False)
            self._poll.register(connection, select.EPOLLIN)
            self._sessions[connection.fileno()] = session
        self._counts_from_s = float("inf")

    def run(self, seconds: float) -> dict[str, Any]:
        """Talks for a warm-up and ``seconds``, and tells what came back meanwhile."""
        sessions = list(self._sessions.values())
        messages = self._form.messages
        step_s = FRAME_S / len(sessions)
        begun_s = time.monotonic()
        self._counts_from_s = begun_s + WARM_UP_S
        ends_s = self._counts_from_s + seconds
        number = 0
        worst_s = 0.0
        while (due_s := begun_s + number * step_s) < ends_s:
            now_s = time.monotonic()
            if now_s < due_s:
                self._listen(due_s - now_s)
                continue
            worst_s = max(worst_s, now_s - due_s)
            turn, who = divmod(number, len(sessions))
            # Pauses of different sessions do not come together.
            message = (turn + 7 * who) % len(messages)
            sessions[who].sent_at_s[message] = now_s
            sessions[who].send(messages[message])
            number += 1
            if number % 16 == 0:
                self._listen(0)
        self._listen_for(DRAIN_S)
        expected = seconds / FRAME_S
        shares = [on_time(session.delays_s) / expected for session in sessions]
        delays_s = [delay for session in sessions for delay in session.delays_s]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "sessions": len(sessions),
            "open": sum(session.is_open for session in sessions),
            "frames_sent": round(expected) * len(sessions),
            "frames_back": len(delays_s),
            "on_time": min(1.0, float(np.mean(shares))),
            "held": sum(share >= 0.995 for share in shares),
            "delay_ms": spread(delays_s),
            "client_cpu_s": usage.ru_utime + usage.ru_stime,
            "client_late_ms": 1000 * worst_s,
        }

    def _listen_for(self, seconds: float) -> None:
        """What is on its way may still come."""
        ends_s = time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0:
            self._listen(left_s)

    def _listen(self, longest_s: float) -> None:
        for number, _ in self._poll.poll(longest_s):
            session = self._sessions[number]
            try:
                data = session.socket.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                session.is_open = False
                self._poll.unregister(number)
                continue
            self._take(session, session.rest + data, time.monotonic())

    def _take(self, session: Session, data: bytes, now_s: float) -> None:
        at = 0
        while len(data) - at >= 2:
            length, head = data[at + 1] & 127, 2
            if length == 126:
                if len(data) - at < 4:
                    break
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            if len(data) - at < head + length:
                break
            payload = data[at + head : at + head + length]
            opcode = data[at] & 15
            at += head + length
            if opcode == PING:
                session.send(frame(PONG, payload))
            elif opcode == TEXT:
                self._read(session, payload, now_s)
        session.rest = data[at:]

    def _read(self, session: Session, text: bytes, now_s: float) -> None:
        found = PAYLOAD.search(text)
        if found is not None:
            number = self._form.numbers.get(found[1], -1)
            sent_at_s = session.sent_at_s.pop(number, None)
            if sent_at_s is not None and sent_at_s >= self._counts_from_s:
                session.delays_s.append(now_s - sent_at_s)
        elif b'"mark"' in text:
            session.send(frame(TEXT, text))


def connect(url: str) -> socket.socket:
    """A socket on which a WebSocket is open."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    made = socket.create_connection((parts.hostname, parts.port or 80), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(random.randbytes(16)).decode()
    request = [
        f"GET {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    made.sendall("\r\n".join([*request, "\r\n"]).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += made.recv(1)
    if b" 101 " not in answer.partition(b"\r\n")[0]:
        raise SystemExit(f"the server refused: {answer!r}")
    return made


def payloads(rate_hz: int) -> list[str]:
    """Base64 of ten seconds of speech, in frames that an echo gives back as they are."""
    samples, wav_hz = read_wav(SPEECH)
    samples = np.tile(Resampler(wav_hz, rate_hz).push(samples), 3)[: round(SPEECH_S * rate_hz)]
    noisy = samples + np.random.default_rng(1).normal(0, NOISE, len(samples))
    # There are two codes for 0, of which an echo knows one.
    codes = mulaw_encode(mulaw_decode(mulaw_encode(np.clip(noisy, -32768, 32767).astype(np.int16))))
    length = round(rate_hz * FRAME_S)
    frames = [codes[first : first + length] for first in range(0, len(codes), length)]
    return [base64.b64encode(samples).decode() for samples in frames]


def on_time(delays_s: list[float]) -> int:
    """How many frames were."""
    least_s = min(delays_s, default=0.0)
    return sum(delay <= least_s + ON_TIME_S for delay in delays_s)


def spread(seconds: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    known = seconds or [float("nan")]
    return {f"p{share}": float(np.percentile(known, share)) * 1000 for share in (50, 99)}


def main() -> None:
    """Calls and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--form", choices=("websocket", "twilio"), default="websocket")
    parser.add_argument("--rate-hz", type=int, default=8000, help="of the audio, both ways")
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    load = Load(options.url, Form(options.form, options.rate_hz), options.sessions)
    time.sleep(DRAIN_S)
    print("talking", flush=True)
    print(json.dumps(load.run(options.seconds)), flush=True)


if __name__ == "__main__":
    main()
