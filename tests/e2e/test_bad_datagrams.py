"""STUN, DTLS, RTP and noise on the media port, from strangers and from a caller's own address."""

import asyncio
import hashlib
import hmac
import random
import re
import struct
import zlib

import pytest

from e2e.caller import Caller
from e2e.server import Server
from e2e.stations import call, received_by, udp_socket

pytestmark = [pytest.mark.together, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

BINDING_SUCCESS = b"\x01\x01"


def stun_request(username: str, password: str, ice_controlling: bool = True) -> bytes:
    """A binding request as RFC 8445 has it, signed with ``password``."""

    def attribute(kind: int, value: bytes) -> bytes:
        return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)

    def head(length: int) -> bytes:
        return struct.pack("!HHI", 1, length, 0x2112A442) + b"transaction!"

    body = attribute(0x0006, username.encode()) + attribute(0x0024, struct.pack("!I", 1 << 24))
    if ice_controlling:
        body += attribute(0x802A, b"\0" * 8) + attribute(0x0025, b"")
    signature = hmac.new(password.encode(), head(len(body) + 24) + body, hashlib.sha1).digest()
    body += attribute(0x0008, signature)
    check = zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E
    body += attribute(0x8028, struct.pack("!I", check))
    return head(len(body)) + body


def ufrags(caller: Caller) -> list[str]:
    """The server's and the client's user fragment."""
    sdps = (caller.answer_sdp, caller.connection.localDescription.sdp)
    return [re.findall("a=ice-ufrag:(\\S*)", sdp)[0] for sdp in sdps]


def hostile_datagrams(server_ufrag: str, client_ufrag: str) -> list[bytes]:
    """One of everything that is not what the server expects."""
    dice = random.Random(1)
    signed_wrongly = stun_request(f"{server_ufrag}:{client_ufrag}", "0123456789abcdef01234567")
    stun = [
        signed_wrongly,
        stun_request(f"{server_ufrag}:{client_ufrag}", "", ice_controlling=False),
        stun_request(f"{server_ufrag}:zzzz", "guess"),
        stun_request(f"zzzz:{client_ufrag}", "guess"),
        stun_request("", ""),
        stun_request(server_ufrag, "guess"),
        stun_request(f"{server_ufrag}:" + "u" * 500, "guess"),
        b"\x01\x01" + signed_wrongly[2:],
        b"\x01\x11" + signed_wrongly[2:],
    ]
    client_hello = bytes.fromhex("16fefd0000000000000000") + b"\0\x60\x01\0\0\x54" + b"\0" * 90
    rtp = struct.pack("!BBHII", 0x80, 96, 1, 2, 3) + b"opus" * 20
    rtcp = struct.pack("!BBHI", 0x80, 203, 1, 3) + b"\0" * 20
    whole = [*stun, client_hello, rtp, rtcp]
    cut = [packet[: dice.randrange(len(packet))] for packet in whole for _ in range(20)]
    bent = []
    for packet in whole:
        for _ in range(20):
            bits = bytearray(packet)
            bits[dice.randrange(len(bits))] ^= 1 << dice.randrange(8)
            bent.append(bytes(bits))
    noise = [bytes([first]) + dice.randbytes(dice.randrange(1400)) for first in range(256)]
    return [*whole, *cut, *bent, *noise, b"\0" * 60_000]


async def test_datagrams_from_anybody_cost_a_running_call_nothing(stations: Server) -> None:
    async with call(stations) as (caller, address):
        stranger = udp_socket()
        for datagram in hostile_datagrams(*ufrags(caller)):
            stranger.sendto(datagram, address)
            await asyncio.sleep(0.0005)
        await asyncio.sleep(0.5)
        answers = list(received_by(stranger))
        stranger.close()
        assert not any(answer.startswith(BINDING_SUCCESS) for answer in answers)
    assert "panicked" not in stations.log


async def test_rubbish_from_the_callers_own_address_costs_the_call_nothing(
    stations: Server,
) -> None:
    async with call(stations) as (caller, _):
        for datagram in hostile_datagrams(*ufrags(caller)):
            if len(datagram) < 1500:
                await caller.ice().send(datagram)
            await asyncio.sleep(0.0005)
        await asyncio.sleep(0.5)
    assert "panicked" not in stations.log
