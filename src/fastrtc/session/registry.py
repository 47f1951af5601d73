"""All sessions of one stream, and the only place that counts them.

Everything that wants a session by its id goes through here, so that sessions owned by other
processes can be added behind the same interface. Safe from any thread; starts and ends nothing.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastrtc.errors import ConcurrencyLimitReached, ConnectionAlreadyExists
from fastrtc.handlers.base import StreamHandlerBase
from fastrtc.session.transport import Stats

if TYPE_CHECKING:
    from fastrtc.session.session import Session, SessionState

__all__ = ["Connections", "Handlers", "Registry", "SessionInfo", "Sessions"]

CLOSED_KEPT: Final = 1000

_registries: weakref.WeakSet[Registry] = weakref.WeakSet()


def _start_afresh() -> None:
    for registry in _registries:
        registry.start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


@dataclass(frozen=True)
class SessionInfo:
    """One session as it is at the moment of reading.

    Attributes:
        id: the client's ``webrtc_id``.
        transport: "webrtc", "websocket", "phone" or "memory"; "" before there is one.
        state: "connecting", "live", "disconnected" or "closed".
        started_at: seconds since the epoch at which it was accepted.
        stats: counters by name.
        close_reason: why it ended; "" before that.
    """

    id: str
    transport: str
    state: SessionState
    started_at: float
    stats: Stats
    close_reason: str


class Registry:
    """The sessions of one stream.

    Args:
        limit: how many there may be at once; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._closed: deque[SessionInfo] = deque(maxlen=CLOSED_KEPT)
        _registries.add(self)

    def start_afresh(self) -> None:
        """In a forked child: the parent's sessions are not here and hold no slot."""
        self._lock = threading.Lock()
        self._sessions = {}
        self._closed.clear()

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, webrtc_id: str) -> Session | None:
        """The session with this id, if it lives here."""
        return self._sessions.get(webrtc_id)

    def all(self) -> list[Session]:
        """The sessions of this moment."""
        with self._lock:
            return list(self._sessions.values())

    def check_room(self) -> None:
        """Raises what :meth:`admit` would raise now, before work is done in vain.

        Raises:
            ConcurrencyLimitReached: see there.
        """
        if self.limit is not None and len(self._sessions) >= self.limit:
            raise ConcurrencyLimitReached(self.limit)

    def admit(self, session: Session) -> None:
        """Takes a slot for an accepted session; :meth:`release` gives it back.

        Raises:
            ConnectionAlreadyExists: a session has that id.
            ConcurrencyLimitReached: all slots are taken.
        """
        with self._lock:
            if session.id in self._sessions:
                raise ConnectionAlreadyExists(session.id)
            self.check_room()
            self._sessions[session.id] = session

    def release(self, session: Session) -> bool:
        """Gives the slot of a closed session back; False when it holds none."""
        with self._lock:
            if self._sessions.get(session.id) is not session:
                return False
            del self._sessions[session.id]
            self._closed.append(describe(session))
            return True

    def was_closed(self, webrtc_id: str) -> bool:
        """Whether a session with this id has ended not long ago."""
        with self._lock:
            return any(info.id == webrtc_id for info in self._closed)

    def drain_closed(self) -> list[SessionInfo]:
        """The sessions that ended since the last call, with their totals; then forgets them."""
        with self._lock:
            closed = list(self._closed)
            self._closed.clear()
            return closed


def describe(session: Session) -> SessionInfo:
    """A session as a value."""
    return SessionInfo(
        id=session.id,
        transport=session.transport_name,
        state=session.state,
        started_at=session.started_at,
        stats=session.stats,
        close_reason=session.close_reason,
    )


class Sessions(Collection[SessionInfo]):
    """Read-only view of the live sessions; iterates :class:`SessionInfo`.

    Example::

        for session in stream.sessions:
            print(session.id, session.state, session.stats)
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __len__(self) -> int:
        return len(self._registry)

    def __iter__(self) -> Iterator[SessionInfo]:
        return iter([describe(session) for session in self._registry.all()])

    def __contains__(self, webrtc_id: object) -> bool:
        return isinstance(webrtc_id, str) and self._registry.get(webrtc_id) is not None

    def __getitem__(self, webrtc_id: str) -> SessionInfo:
        session = self._registry.get(webrtc_id)
        if session is None:
            raise KeyError(webrtc_id)
        return describe(session)

    def drain_closed(self) -> list[SessionInfo]:
        """The sessions that ended since the last call, with their totals; then forgets them."""
        return self._registry.drain_closed()


class Connections(Mapping[str, "Session"]):
    """``stream.connections``: the live sessions by id."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __len__(self) -> int:
        return len(self._registry)

    def __iter__(self) -> Iterator[str]:
        return iter([session.id for session in self._registry.all()])

    def __getitem__(self, webrtc_id: str) -> Session:
        session = self._registry.get(webrtc_id)
        if session is None:
            raise KeyError(webrtc_id)
        return session


class Handlers(Mapping[str, StreamHandlerBase]):
    """``stream.handlers``: the handlers of the live sessions by id."""

    def __init__(self, registry: Registry) -> None:
        self._sessions = Connections(registry)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sessions)

    def __getitem__(self, webrtc_id: str) -> StreamHandlerBase:
        return self._sessions[webrtc_id].handler
