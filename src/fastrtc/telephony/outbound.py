"""Calls that we make: asks a provider to dial and to connect the call to a mounted stream.

Twilio: https://www.twilio.com/docs/voice/api/call-resource
Telnyx: https://developers.telnyx.com/api-reference/call-commands/dial
Plivo: https://www.plivo.com/docs/voice/api/call/make-a-call
Vonage: https://developer.vonage.com/en/api/voice
Exotel: https://developer.exotel.com/docs/agentstream/developer-guide
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx

from fastrtc.errors import CallFailed, FeatureUnavailable
from fastrtc.telephony.answers import answer_call, with_ticket
from fastrtc.telephony.guard import TelephoneGuard

__all__ = ["Account", "hang_up", "place_call"]

TIMEOUT_S: Final = 15.0
LONGEST_QUOTE: Final = 500
NOT_FOUND: Final = 404
RINGING_S: Final = 900.0
"""How long a call may wait and ring before its stream begins."""
BASES: Final = {
    "twilio": "https://api.twilio.com/2010-04-01",
    "telnyx": "https://api.telnyx.com/v2",
    "plivo": "https://api.plivo.com/v1",
    "vonage": "https://api.nexmo.com/v1",
    "exotel": "https://api.exotel.com/v1",
}


@dataclass(frozen=True)
class Account:
    """What a provider knows its customer by.

    Attributes:
        provider: "twilio", "telnyx", "plivo", "vonage" or "exotel".
        id: Twilio's account SID, Plivo's auth id, Exotel's account SID; Telnyx: the id of the Call
            Control application that dials; Vonage: not needed.
        secret: Twilio's and Plivo's auth token, Telnyx' API key, Vonage's JWT, Exotel's API token.
        key: Exotel's API key.
        base_url: of the REST API, where it is not the provider's usual one (regions, tests).

    Raises:
        ValueError: the provider is none of these.
    """

    provider: str
    id: str = ""
    secret: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    base_url: str = ""

    def __post_init__(self) -> None:
        if self.provider not in BASES:
            raise ValueError(f"provider is {self.provider!r}; allowed: {', '.join(BASES)}")

    @property
    def base(self) -> str:
        """Base of the REST API."""
        return (self.base_url or BASES[self.provider]).rstrip("/")


class _Goal(NamedTuple):
    """Where a call is to be connected to."""

    where: str
    """Host and path of the mounted stream."""
    ticket: str

    @property
    def socket(self) -> str:
        return f"wss://{self.where}/telephone/handler"

    @property
    def ticketed_socket(self) -> str:
        return with_ticket(self.socket, self.ticket)


class _Request(NamedTuple):
    method: str
    path: str
    options: dict[str, Any]
    found_at: tuple[str, ...] = ()
    """Where the answer has the call's id."""
    instead: _Request | None = None
    """What to ask where this one's answer is 404."""


async def place_call(
    account: Account,
    *,
    to: str,
    from_: str,
    stream_url: str,
    client: httpx.AsyncClient | None = None,
) -> str:
    """Has a provider dial a number and connect whoever answers to a stream.

    Where the server has a provider's secret or ``FASTRTC_PHONE_KEY`` in its environment, the
    program that dials needs the same there.

    Args:
        account: who pays.
        to: the number, "+15551234567".
        from_: one of the account's numbers.
        stream_url: where the stream is mounted, as the outside knows it: "https://your.host/path".
        client: makes the request; it is not closed.

    Returns:
        The provider's id of the call, for :func:`hang_up`. The session has an id of its own.

    Raises:
        CallFailed: the provider cannot be reached or refuses; with its answer.
        ValueError: ``stream_url`` is no HTTPS URL.

    Example::

        call = await place_call(account, to="+15551234567", from_=ours, stream_url="https://a.com")
    """
    scheme, _, rest = stream_url.rstrip("/").partition("://")
    if scheme != "https" or not rest:
        raise ValueError(f"stream_url is {stream_url!r}; it has to begin with 'https://'")
    goal = _Goal(rest, TelephoneGuard().ticket(RINGING_S))
    request = _DIAL[account.provider](account, to, from_, goal)
    answer: Any = await _send(account, request, "dial", client)
    for key in request.found_at:
        answer = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(answer, str) or not answer.strip():
        raise CallFailed(
            f"{account.provider} dialled, but its answer has no {'.'.join(request.found_at)}"
        )
    return answer


async def hang_up(
    account: Account, call_id: str, *, client: httpx.AsyncClient | None = None
) -> None:
    """Ends a call, whoever began it.

    Args:
        account: as for :func:`place_call`.
        call_id: the provider's.
        client: makes the request; it is not closed.

    Raises:
        CallFailed: the provider cannot be reached or refuses; with its answer.
        FeatureUnavailable: the provider has no such request.
        ValueError: ``call_id`` is empty, which with Plivo would mean every call of the account.
    """
    if not call_id.strip(" ./"):
        raise ValueError(f"call_id is {call_id!r}; it has to be what place_call() returned")
    await _send(
        account, _END[account.provider](account, quote(call_id, safe="")), "hang up", client
    )


async def _send(
    account: Account, request: _Request, what: str, client: httpx.AsyncClient | None
) -> Any:
    if client is None:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as own:
            return await _send(account, request, what, own)
    url = account.base + request.path
    try:
        response = await client.request(request.method, url, **request.options)
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise CallFailed(f"{account.provider} could not be asked to {what}: {reason}") from error
    if response.status_code == NOT_FOUND and request.instead is not None:
        return await _send(account, request.instead, what, client)
    answered = f"{response.status_code}: {response.text}"[:LONGEST_QUOTE]
    if not response.is_success:
        raise CallFailed(f"{account.provider} refused to {what}; it answered {answered}")
    if not request.found_at:
        return None
    try:
        return response.json()
    except ValueError:
        raise CallFailed(f"{account.provider} answered no JSON: {answered}") from None


def _bearer(account: Account) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.secret}"}


def _dial_twilio(account: Account, to: str, from_: str, goal: _Goal) -> _Request:
    twiml = answer_call("twilio", goal.socket, goal.ticket)[0]
    form = {"To": to, "From": from_, "Twiml": twiml}
    options = {"data": form, "auth": (account.id, account.secret)}
    return _Request("POST", f"/Accounts/{account.id}/Calls.json", options, ("sid",))


def _dial_telnyx(account: Account, to: str, from_: str, goal: _Goal) -> _Request:
    body = {
        "connection_id": account.id,
        "to": to,
        "from": from_,
        "stream_url": goal.ticketed_socket,
        "stream_track": "inbound_track",
        "stream_codec": "PCMU",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
    }
    options = {"json": body, "headers": _bearer(account)}
    return _Request("POST", "/calls", options, ("data", "call_control_id"))


def _dial_plivo(account: Account, to: str, from_: str, goal: _Goal) -> _Request:
    answer_url = f"https://{goal.where}/telephone/incoming?provider=plivo"
    answer_url = with_ticket(answer_url, goal.ticket)
    body = {"to": to, "from": from_, "answer_url": answer_url, "answer_method": "POST"}
    options = {"json": body, "auth": (account.id, account.secret)}
    return _Request("POST", f"/Account/{account.id}/Call/", options, ("request_uuid",))


def _dial_vonage(account: Account, to: str, from_: str, goal: _Goal) -> _Request:
    ncco = json.loads(answer_call("vonage", goal.socket, goal.ticket)[0])
    body = {
        "to": [{"type": "phone", "number": to.lstrip("+")}],
        "from": {"type": "phone", "number": from_.lstrip("+")},
        "ncco": ncco,
    }
    return _Request("POST", "/calls", {"json": body, "headers": _bearer(account)}, ("uuid",))


def _dial_exotel(account: Account, to: str, from_: str, goal: _Goal) -> _Request:
    form = {
        "From": to,
        "CallerId": from_,
        "StreamUrl": goal.ticketed_socket,
        "StreamType": "bidirectional",
    }
    options = {"data": form, "auth": (account.key, account.secret)}
    return _Request("POST", f"/accounts/{account.id}/calls/connect", options, ("call", "sid"))


def _end_twilio(account: Account, call: str) -> _Request:
    options = {"data": {"Status": "completed"}, "auth": (account.id, account.secret)}
    return _Request("POST", f"/Accounts/{account.id}/Calls/{call}.json", options)


def _end_telnyx(account: Account, call: str) -> _Request:
    options = {"json": {}, "headers": _bearer(account)}
    return _Request("POST", f"/calls/{call}/actions/hangup", options)


def _end_plivo(account: Account, call: str) -> _Request:
    options = {"auth": (account.id, account.secret)}
    # Dialling is answered with a request's id, which is the call's only once there is a call.
    queued = _Request("DELETE", f"/Account/{account.id}/Request/{call}/", options)
    return _Request("DELETE", f"/Account/{account.id}/Call/{call}/", options, instead=queued)


def _end_vonage(account: Account, call: str) -> _Request:
    options = {"json": {"action": "hangup"}, "headers": _bearer(account)}
    return _Request("PUT", f"/calls/{call}", options)


def _end_exotel(account: Account, call: str) -> _Request:
    raise FeatureUnavailable(
        "Exotel documents no request that ends a call; its call ends with the stream: "
        "stream.close(id)"
    )


_DIAL: Final[dict[str, Callable[[Account, str, str, _Goal], _Request]]] = {
    "twilio": _dial_twilio,
    "telnyx": _dial_telnyx,
    "plivo": _dial_plivo,
    "vonage": _dial_vonage,
    "exotel": _dial_exotel,
}
_END: Final[dict[str, Callable[[Account, str], _Request]]] = {
    "twilio": _end_twilio,
    "telnyx": _end_telnyx,
    "plivo": _end_plivo,
    "vonage": _end_vonage,
    "exotel": _end_exotel,
}
