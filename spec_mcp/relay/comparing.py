"""Results kept until they can be held against another of the same call."""

from __future__ import annotations

import hashlib
from typing import NamedTuple, cast

import msgspec

from spec_mcp.engine.calls import Json, canonical, decode_strict
from spec_mcp.engine.events import CallId, SpeculationId

COMPARED_MAX_BYTES = 512 * 1024
"""Larger results are the same only if their bytes are, and of theirs a digest is kept: finding out where they differ
would hold up the loop for more than some 20 ms."""


class Fast:
    """Tells JSON apart as the engine does, ten times as fast; what it refuses is read as the engine reads it."""

    def decode(self, text: bytes | str) -> Json:
        try:
            return cast("Json", msgspec.json.decode(text))
        except (ValueError, RecursionError):
            return decode_strict(text)

    def encode(self, value: Json) -> object:
        try:
            return msgspec.json.encode(value, order="deterministic")
        except (ValueError, OverflowError, RecursionError):
            return canonical(value)


FAST = Fast()


class Side(NamedTuple):
    """One of two results that are compared."""

    text: bytes
    """The raw result, or its digest where it is large."""
    size_bytes: int


class Kept:
    """By the speculation whose result each is to be compared with."""

    def __init__(self) -> None:
        self._results: dict[SpeculationId, Side] = {}
        self._awaited: dict[CallId, SpeculationId] = {}
        self._calls: dict[SpeculationId, CallId] = {}

    def expect(self, call: CallId, speculation: SpeculationId) -> None:
        """This call's answer will be compared with this speculation's."""
        self._awaited[call] = speculation
        self._calls[speculation] = call

    def answered(self, call: CallId, result: bytes) -> None:
        """The call has its answer; it is kept only if that was expected."""
        if (speculation := self._awaited.pop(call, None)) is not None:
            self.keep(speculation, result)

    def keep(self, speculation: SpeculationId, result: bytes) -> None:
        """This result will be compared with this speculation's."""
        self._results[speculation] = side(result)

    def take(self, speculation: SpeculationId) -> Side | None:
        """What was kept; None where nothing was."""
        return self._results.pop(speculation, None)

    def drop(self, speculation: SpeculationId) -> None:
        """Nothing will be compared with it any more."""
        self._results.pop(speculation, None)
        if (call := self._calls.pop(speculation, None)) is not None:
            self._awaited.pop(call, None)

    def clear(self) -> None:
        """Nothing will be compared any more."""
        self._results.clear()
        self._awaited.clear()
        self._calls.clear()

    def __len__(self) -> int:
        return len(self._results) + len(self._awaited) + len(self._calls)


def side(result: bytes) -> Side:
    """What is enough of a result to tell whether it equals another."""
    return Side(result if len(result) <= COMPARED_MAX_BYTES else hashlib.sha256(result).digest(), len(result))
