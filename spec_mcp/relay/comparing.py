"""Shadow mode: real answers kept until they can be held against what speculation would have answered."""

from __future__ import annotations

import hashlib

from spec_mcp.engine.calls import Unmatchable, canonical, decode_strict
from spec_mcp.engine.events import CallId, SpeculationId

COMPARED_MAX_BYTES = 1 << 20
"""Larger results are the same only if their bytes are, and of theirs a digest is kept."""


class Kept:
    """Answers of calls that have a speculation to be compared with."""

    def __init__(self) -> None:
        self._of_call: dict[CallId, bytes] = {}
        self._calls: dict[SpeculationId, CallId] = {}

    def expect(self, call: CallId, speculation: SpeculationId) -> None:
        """This call's answer will be compared with this speculation's."""
        self._of_call[call] = b""
        self._calls[speculation] = call

    def answered(self, call: CallId, result: bytes) -> None:
        """The call has its answer; it is kept only if that was expected."""
        if call in self._of_call:
            self._of_call[call] = comparable(result)

    def take(self, call: CallId) -> bytes:
        """The answer, to be compared with what `comparable` makes of another."""
        return self._of_call.pop(call, b"")

    def drop(self, speculation: SpeculationId) -> None:
        """Nothing will be compared with it any more."""
        if (call := self._calls.pop(speculation, None)) is not None:
            self._of_call.pop(call, None)

    def clear(self) -> None:
        """Nothing will be compared any more."""
        self._of_call.clear()
        self._calls.clear()

    def __len__(self) -> int:
        return len(self._of_call) + len(self._calls)


def comparable(result: bytes) -> bytes:
    """What is enough of a result to tell whether it equals another."""
    return result if len(result) <= COMPARED_MAX_BYTES else hashlib.sha256(result).digest()


def same_result(one: bytes, other: bytes) -> bool:
    """Are two comparable results the same JSON? Where that cannot be told, the bytes decide."""
    if one == other:
        return True
    try:
        return canonical(decode_strict(one)) == canonical(decode_strict(other))
    except Unmatchable:
        return False
