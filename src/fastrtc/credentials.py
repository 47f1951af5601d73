"""TURN servers to rent: asks Cloudflare, Hugging Face or Twilio for short-lived credentials.

Only asks and hands on. What comes back is an ``RTCConfiguration``, for ``rtc_configuration`` and
``server_rtc_configuration`` of :class:`fastrtc.Stream`; give the stream the function, not its
result, so that each connection gets credentials of its own.

https://developers.cloudflare.com/realtime/turn/generate-credentials/
https://www.twilio.com/docs/stun-turn/api
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import httpx

from fastrtc.errors import ConfigurationError, CredentialsError

__all__ = [
    "get_cloudflare_turn_credentials",
    "get_cloudflare_turn_credentials_async",
    "get_hf_turn_credentials",
    "get_hf_turn_credentials_async",
    "get_turn_credentials",
    "get_turn_credentials_async",
    "get_twilio_turn_credentials",
    "get_twilio_turn_credentials_async",
]

HF_URL: Final = "https://turn.fastrtc.org/credentials"
CLOUDFLARE_URL: Final = "https://rtc.live.cloudflare.com/v1/turn/keys"
TWILIO_URL: Final = "https://api.twilio.com/2010-04-01/Accounts"
TIMEOUT_S: Final = 10.0
LONGEST_QUOTE: Final = 500

Credentials: TypeAlias = dict[str, Any]
Method: TypeAlias = Literal["hf", "twilio", "cloudflare"]


class _Question(NamedTuple):
    """A request, and how its answer becomes a configuration."""

    service: str
    method: str
    url: str
    options: dict[str, Any]
    read: Callable[[Any], Credentials]


def get_cloudflare_turn_credentials(
    turn_key_id: str | None = None,
    turn_key_api_token: str | None = None,
    hf_token: str | None = None,
    ttl: int = 600,
    client: httpx.Client | None = None,
) -> Credentials:
    """Credentials for Cloudflare's TURN servers, by a key of one's own or a Hugging Face token.

    Args:
        turn_key_id: the key's id; else ``TURN_KEY_ID`` (or ``CLOUDFLARE_TURN_KEY_ID``).
        turn_key_api_token: its API token; else ``TURN_KEY_API_TOKEN``
            (or ``CLOUDFLARE_TURN_KEY_API_TOKEN``).
        hf_token: takes precedence over an environment's key; else ``HF_TOKEN``.
        ttl: seconds that the credentials are valid.
        client: makes the request; it is not closed.

    Returns:
        ``{"iceServers": [{"urls": ..., "username": ..., "credential": ...}]}``.

    Raises:
        ConfigurationError: neither key nor token is known.
        CredentialsError: the service cannot be reached or refuses; with its answer.

    Example::

        Stream(handler, rtc_configuration=get_cloudflare_turn_credentials_async)
    """
    return _ask(_cloudflare(turn_key_id, turn_key_api_token, hf_token, ttl), client)


async def get_cloudflare_turn_credentials_async(
    turn_key_id: str | None = None,
    turn_key_api_token: str | None = None,
    hf_token: str | None = None,
    ttl: int = 600,
    client: httpx.AsyncClient | None = None,
) -> Credentials:
    """:func:`get_cloudflare_turn_credentials` without blocking.

    Example::

        Stream(handler, rtc_configuration=get_cloudflare_turn_credentials_async)
    """
    return await _ask_async(_cloudflare(turn_key_id, turn_key_api_token, hf_token, ttl), client)


def get_hf_turn_credentials(
    token: str | None = None, ttl: int = 600, client: httpx.Client | None = None
) -> Credentials:
    """Credentials by a Hugging Face token; deprecated, use the Cloudflare function.

    Args:
        token: else ``HF_TOKEN``.
        ttl: seconds that the credentials are valid.
        client: makes the request; it is not closed.

    Raises:
        ConfigurationError: no token is known.
        CredentialsError: the service cannot be reached or refuses; with its answer.

    Example::

        get_hf_turn_credentials(token="hf_...", ttl=3600)["iceServers"]
    """
    _deprecated("get_hf_turn_credentials", "get_cloudflare_turn_credentials")
    return _ask(_hugging_face(token, ttl), client)


async def get_hf_turn_credentials_async(
    token: str | None = None, ttl: int = 600, client: httpx.AsyncClient | None = None
) -> Credentials:
    """:func:`get_hf_turn_credentials` without blocking; deprecated too."""
    _deprecated("get_hf_turn_credentials_async", "get_cloudflare_turn_credentials_async")
    return await _ask_async(_hugging_face(token, ttl), client)


def get_twilio_turn_credentials(
    twilio_sid: str | None = None,
    twilio_token: str | None = None,
    client: httpx.Client | None = None,
) -> Credentials:
    """Credentials for Twilio's TURN servers.

    Args:
        twilio_sid: the account's; else ``TWILIO_ACCOUNT_SID``.
        twilio_token: its auth token; else ``TWILIO_AUTH_TOKEN``.
        client: makes the request; it is not closed.

    Returns:
        ``{"iceServers": [...], "iceTransportPolicy": "relay"}``.

    Raises:
        ConfigurationError: sid or token is not known.
        CredentialsError: Twilio cannot be reached or refuses; with its answer.

    Example::

        Stream(handler, rtc_configuration=get_twilio_turn_credentials)
    """
    return _ask(_twilio(twilio_sid, twilio_token), client)


async def get_twilio_turn_credentials_async(
    twilio_sid: str | None = None,
    twilio_token: str | None = None,
    client: httpx.AsyncClient | None = None,
) -> Credentials:
    """:func:`get_twilio_turn_credentials` without blocking."""
    return await _ask_async(_twilio(twilio_sid, twilio_token), client)


def get_turn_credentials(method: Method = "cloudflare", **kwargs: Any) -> Credentials:
    """Credentials of one of the services, by name.

    Args:
        method: "cloudflare", "twilio", or "hf" (deprecated).
        kwargs: for that service's function; those of the other services are ignored.

    Raises:
        ValueError: the method is none of these.
        ConfigurationError, CredentialsError: as that service's function.

    Example::

        configuration = get_turn_credentials("twilio", twilio_sid="AC...", twilio_token="...")
    """
    function: Callable[..., Credentials] = _choose(method, _SYNC)
    return function(**_fitting(function, kwargs))


async def get_turn_credentials_async(method: Method = "cloudflare", **kwargs: Any) -> Credentials:
    """:func:`get_turn_credentials` without blocking.

    Example::

        configuration = await get_turn_credentials_async("cloudflare", ttl=3600)
    """
    function: Callable[..., Coroutine[Any, Any, Credentials]] = _choose(method, _ASYNC)
    return await function(**_fitting(function, kwargs))


_SYNC: Final[dict[str, Callable[..., Any]]] = {
    "cloudflare": get_cloudflare_turn_credentials,
    "hf": get_hf_turn_credentials,
    "twilio": get_twilio_turn_credentials,
}
_ASYNC: Final[dict[str, Callable[..., Any]]] = {
    "cloudflare": get_cloudflare_turn_credentials_async,
    "hf": get_hf_turn_credentials_async,
    "twilio": get_twilio_turn_credentials_async,
}
_OPTIONS: Final = {
    "turn_key_id",
    "turn_key_api_token",
    "hf_token",
    "token",
    "ttl",
    "twilio_sid",
    "twilio_token",
    "client",
}


def _choose(method: str, functions: dict[str, Callable[..., Any]]) -> Any:
    if method not in functions:
        raise ValueError(f"method is {method!r}; allowed: {', '.join(map(repr, functions))}")
    return functions[method]


def _fitting(function: Callable[..., Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    unknown = set(kwargs) - _OPTIONS
    if unknown:
        raise TypeError(f"unknown arguments {sorted(unknown)}; allowed: {sorted(_OPTIONS)}")
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return {name: value for name, value in kwargs.items() if name in names}


def _variable(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)


def _cloudflare(
    key_id: str | None, key_token: str | None, hf_token: str | None, ttl: int
) -> _Question:
    own_key = key_id is not None and key_token is not None
    hf_token = hf_token or (None if own_key else _variable("HF_TOKEN"))
    if hf_token:
        return _hugging_face(hf_token, ttl)
    key_id = key_id or _variable("TURN_KEY_ID", "CLOUDFLARE_TURN_KEY_ID")
    key_token = key_token or _variable("TURN_KEY_API_TOKEN", "CLOUDFLARE_TURN_KEY_API_TOKEN")
    if not key_id or not key_token:
        raise ConfigurationError(
            "Cloudflare's TURN credentials need a key (turn_key_id and turn_key_api_token, or the "
            "environment's TURN_KEY_ID and TURN_KEY_API_TOKEN) or a Hugging Face token (hf_token, "
            "or HF_TOKEN); received neither"
        )
    return _Question(
        "Cloudflare",
        "POST",
        f"{CLOUDFLARE_URL}/{key_id}/credentials/generate-ice-servers",
        {"headers": {"Authorization": f"Bearer {key_token}"}, "json": {"ttl": ttl}},
        _as_it_is,
    )


def _hugging_face(token: str | None, ttl: int) -> _Question:
    token = token or _variable("HF_TOKEN")
    if not token:
        raise ConfigurationError(
            "TURN credentials by Hugging Face need a token: pass it, or set HF_TOKEN"
        )
    return _Question(
        "turn.fastrtc.org",
        "GET",
        HF_URL,
        {"headers": {"Authorization": f"Bearer {token}"}, "params": {"ttl": ttl}},
        _as_it_is,
    )


def _twilio(sid: str | None, token: str | None) -> _Question:
    sid = sid or _variable("TWILIO_ACCOUNT_SID")
    token = token or _variable("TWILIO_AUTH_TOKEN")
    if not sid or not token:
        raise ConfigurationError(
            "Twilio's TURN credentials need twilio_sid and twilio_token, or the environment's "
            "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
        )
    return _Question(
        "Twilio", "POST", f"{TWILIO_URL}/{sid}/Tokens.json", {"auth": (sid, token)}, _of_twilio
    )


def _as_it_is(answer: Any) -> Credentials:
    if not isinstance(answer, dict) or "iceServers" not in answer:
        raise ValueError("there are no iceServers in it")
    return answer


def _of_twilio(answer: Any) -> Credentials:
    if not isinstance(answer, dict) or "ice_servers" not in answer:
        raise ValueError("there are no ice_servers in it")
    return {"iceServers": answer["ice_servers"], "iceTransportPolicy": "relay"}


def _ask(question: _Question, client: httpx.Client | None) -> Credentials:
    if client is None:
        with httpx.Client(timeout=TIMEOUT_S) as own:
            return _ask(question, own)
    try:
        response = client.request(question.method, question.url, **question.options)
    except httpx.HTTPError as error:
        raise _unreachable(question, error) from error
    return _read(question, response)


async def _ask_async(question: _Question, client: httpx.AsyncClient | None) -> Credentials:
    if client is None:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as own:
            return await _ask_async(question, own)
    try:
        response = await client.request(question.method, question.url, **question.options)
    except httpx.HTTPError as error:
        raise _unreachable(question, error) from error
    return _read(question, response)


def _unreachable(question: _Question, error: httpx.HTTPError) -> CredentialsError:
    reason = str(error) or type(error).__name__
    return CredentialsError(f"{question.service} could not be asked for TURN credentials: {reason}")


def _read(question: _Question, response: httpx.Response) -> Credentials:
    answered = f"{question.service} answered {response.status_code}: {response.text}"
    if not response.is_success:
        raise CredentialsError(f"no TURN credentials: {answered[:LONGEST_QUOTE]}")
    try:
        return question.read(response.json())
    except ValueError as error:
        raise CredentialsError(
            f"TURN credentials that cannot be read ({error}): {answered[:LONGEST_QUOTE]}"
        ) from None


def _deprecated(old: str, new: str) -> None:
    warnings.warn(f"{old} is deprecated; use {new}", UserWarning, stacklevel=3)
