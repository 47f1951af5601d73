"""Loads each model once; imports optional packages, or says what to install."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Set
from importlib import import_module
from typing import Any, Generic, TypeVar

from fastrtc.errors import MissingExtension

__all__ = ["ModelCache", "optional_package"]

T = TypeVar("T")


def optional_package(module: str, extra: str, purpose: str) -> Any:
    """Imports a package that an extra of fastrtc brings.

    Raises:
        MissingExtension: it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtension(
            f"{purpose} needs the package {module!r}, which could not be imported ({error}); "
            f"install it with: pip install 'fastrtc[{extra}]'"
        ) from error


class ModelCache(Generic[T]):
    """Models by what they were asked for. Safe to use from several threads: one loads, those that
    want the same model wait for it, others do not. A failure is not kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loading: dict[Hashable, threading.Lock] = {}
        self._models: dict[Hashable, T] = {}

    def get(self, name: str, options: Mapping[str, Any], load: Callable[[], T]) -> T:
        """The model of this name and these options; ``load`` is called for the first."""
        key = (name, _frozen(options))
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            if key not in self._models:
                self._models[key] = load()
            return self._models[key]


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), _frozen(item)) for name, item in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, Set):
        return frozenset(_frozen(item) for item in value)
    hash(value)
    frozen: Hashable = value
    return frozen
