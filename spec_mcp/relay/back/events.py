"""Server-sent events, read as bytes: what an event carries is passed on as it came.

As the HTML standard has it: a line ends with LF, CR or both, an empty line ends an event, and an event without its end
is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LINE_COSTS_BYTES = 64
"""What a line of data weighs at the least: one may be empty, and an event may hold any number of them."""

ID_MAX_BYTES = 4096
"""Longer ids could not be sent back in a header; an event that bears one cannot be come back to."""

MESSAGE = b"message"

_BOM = b"\xef\xbb\xbf"


class TooLong(Exception):  # noqa: N818  what happened
    """An event has more bytes than are collected."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.max_bytes = max_bytes


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event as it was sent."""

    kind: bytes
    data: bytes


class EventReader:
    """Cuts a stream into events, whatever the parts that it comes in."""

    def __init__(self, max_bytes: int) -> None:
        self.last_id = b""
        """Of the last event that was complete, and had one."""
        self.retry_ms: int | None = None
        """How long to wait before coming back, where the server has said so."""
        self._max_bytes = max_bytes
        self._is_first = True
        self._ended_with_cr = False
        self._rest = bytearray()
        """The beginning of a line."""
        self._kind = b""
        self._id = b""
        self._data: list[bytes] = []
        self._weight = 0
        self._fields: dict[bytes, Callable[[bytes], None]] = {
            b"data": self._take_data,
            b"event": self._take_kind,
            b"id": self._take_id,
            b"retry": self._take_retry,
        }

    @property
    def held_bytes(self) -> int:
        """What has been collected of an event that is not complete."""
        return self._weight + len(self._rest)

    def feed(self, part: bytes) -> list[ServerEvent]:
        """The events that this part of the stream completes.

        Raises:
            TooLong: what belongs to one event is too much. Nothing can be read after that.
        """
        if self._ended_with_cr and part:
            self._ended_with_cr = False
            if part.startswith(b"\n"):
                part = part[1:]
        if not part:
            return []
        self._ended_with_cr = part.endswith(b"\r")
        lines = part.splitlines()
        rest = b"" if part.endswith((b"\n", b"\r")) else lines.pop()
        events: list[ServerEvent] = []
        for line in lines:
            if self._rest:
                self._rest += line
                line = bytes(self._rest)
                self._rest.clear()
            if (event := self._line(line)) is not None:
                events.append(event)
        if rest:
            self._keep(rest)
        return events

    def begin_anew(self) -> None:
        """Another stream goes on where this one broke."""
        self._is_first, self._ended_with_cr = True, False
        self._rest.clear()
        self._kind, self._id, self._data, self._weight = b"", self.last_id, [], 0

    def _keep(self, rest: bytes) -> None:
        """The beginning of a line; that of a comment is kept only to know it for one."""
        if not self._rest.startswith(b":"):
            self._rest += rest
            self._check(len(self._rest))

    def _check(self, more: int) -> None:
        if self._weight + more > self._max_bytes:
            raise TooLong(self._max_bytes)

    def _line(self, line: bytes) -> ServerEvent | None:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._ended()
        name, _, value = line.partition(b":")
        take = self._fields.get(name)
        if take is not None:
            take(value[1:] if value.startswith(b" ") else value)
        return None

    def _ended(self) -> ServerEvent | None:
        self.last_id = self._id
        kind, data = self._kind or MESSAGE, self._data
        self._kind, self._data, self._weight = b"", [], 0
        if not data:
            return None
        return ServerEvent(kind, data[0] if len(data) == 1 else b"\n".join(data))

    def _take_data(self, value: bytes) -> None:
        self._check(len(value))
        self._data.append(value)
        self._weight += len(value) + LINE_COSTS_BYTES

    def _take_kind(self, value: bytes) -> None:
        self._kind = value[:ID_MAX_BYTES]

    def _take_id(self, value: bytes) -> None:
        if b"\0" not in value:
            self._id = value if len(value) <= ID_MAX_BYTES else b""

    def _take_retry(self, value: bytes) -> None:
        if value.isdigit() and len(value) <= 9:
            self.retry_ms = int(value)
