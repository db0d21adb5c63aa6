"""What the client asked and has no answer to, by our number and by its id.

An id may name several requests at once, though it should not. Then the server's first answer is taken for the first
of them that the server has seen, and a cancellation for the last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spec_mcp.engine.events import CallId
from spec_mcp.relay import wire
from spec_mcp.relay.recording import CallRecord

if TYPE_CHECKING:
    from spec_mcp.relay.learning import Held
    from spec_mcp.relay.seat import Seat

ASKED_MAX = 8192
"""Requests without an answer; of a server that never answers, the oldest are forgotten. Their answers pass all the
same."""

CANCELLED_MAX = 1024
"""Cancelled requests remembered, since most servers never answer them."""

ANSWERED_BY_US_MAX = 1024
"""Ids of adopted answers that are remembered: a late cancellation must not reach a server that never saw them."""


@dataclass(slots=True)
class Asked:
    """A client's request without an answer, or a batch of them."""

    call: CallId
    ids: list[tuple[object, bytes]]
    """As values and as they came; of a batch those without an answer."""
    method: str
    line: bytes | None
    """Until it has been sent."""
    seat: Seat
    """Whose request it is."""
    params: bytes = b""
    """Where something in them is needed once the answer is there."""
    record: CallRecord | None = None
    progress_token: bytes = b""
    may_attach: bool = False
    """Attach mode: its answer may hold extra items."""
    extras: tuple[Held, ...] = ()
    """The reads whose results go along with its answer."""
    cancelled: bool = False

    @property
    def is_sent(self) -> bool:
        """Has its server seen it, or will it before all that comes later?"""
        return self.line is None

    @property
    def id_raw(self) -> bytes:
        """The id as it came; not for batches."""
        return self.ids[0][1]


class AskedTable:
    """The client's requests without an answer, in their order."""

    def __init__(self) -> None:
        self._asked: dict[CallId, Asked] = {}
        self._by_id: dict[object, list[CallId]] = {}
        self._cancelled: OrderedDict[CallId, None] = OrderedDict()
        self._answered_by_us: OrderedDict[object, None] = OrderedDict()

    def add(self, call: CallId, ids: Sequence[bytes], method: str, line: bytes, seat: Seat) -> Asked:
        """A request arrived, or a batch with several; `call` is a number that no other has."""
        asked = Asked(call, [(wire.id_value(raw), raw) for raw in ids], method, line, seat)
        self._asked[asked.call] = asked
        for name, _ in asked.ids:
            self._by_id.setdefault(name, []).append(asked.call)
            self._answered_by_us.pop(name, None)
        if len(self._asked) > ASKED_MAX:
            self._forget_oldest()
        return asked

    def get(self, call: CallId) -> Asked | None:
        """The request of this number, while it has no answer."""
        return self._asked.get(call)

    def answered(self, id_raw: bytes) -> Asked | None:
        """The server answered under this id; what was asked, if that was the last answer to it."""
        name = wire.id_value(id_raw)
        for call in self._by_id.get(name, ()):
            asked = self._asked[call]
            if asked.is_sent:
                self._remove_id(asked, name)
                if asked.ids:
                    return None
                asked.ids.append((name, id_raw))
                self._remove(asked)
                return asked
        return None

    def sent_as(self, id_raw: bytes) -> Asked | None:
        """The request, or the batch, of this id that the server has seen first and not answered."""
        calls = self._by_id.get(wire.id_value(id_raw), ())
        return next((asked for call in calls if (asked := self._asked[call]).is_sent), None)

    def knows(self, id_raw: bytes) -> bool:
        """Does the client wait for an answer under this id?"""
        return wire.id_value(id_raw) in self._by_id

    def named(self, name: object) -> Asked | None:
        """The last request of this id."""
        calls = self._by_id.get(name)
        return self._asked[calls[-1]] if calls else None

    def cancel(self, asked: Asked) -> None:
        """The client waits for it no longer, but an answer may come."""
        asked.cancelled = True
        self._cancelled[asked.call] = None
        if len(self._cancelled) > CANCELLED_MAX:
            oldest, _ = self._cancelled.popitem(last=False)
            self.forget(self._asked[oldest])

    def forget(self, asked: Asked) -> None:
        """No answer is expected any more."""
        for name, _ in list(asked.ids):
            self._remove_id(asked, name, forget=False)
        self._remove(asked)

    def answered_by_us(self, asked: Asked) -> None:
        """An adopted result was its answer; its server never sees its id."""
        self.forget(asked)
        for name, _ in asked.ids:
            self._answered_by_us[name] = None
        while len(self._answered_by_us) > ANSWERED_BY_US_MAX:
            self._answered_by_us.popitem(last=False)

    def was_answered_by_us(self, name: object) -> bool:
        """Has the server never seen this id?"""
        return name in self._answered_by_us

    @property
    def awaited(self) -> int:
        """How many answers the client waits for; a stream is no answer."""
        return sum(not asked.cancelled and asked.method != "subscriptions/listen" for asked in self._asked.values())

    def sent(self) -> list[Asked]:
        """Those that the server has seen."""
        return [asked for asked in self._asked.values() if asked.is_sent]

    def unsent(self) -> list[Asked]:
        """Those that wait for a speculation."""
        return [asked for asked in self._asked.values() if not asked.is_sent]

    def __iter__(self) -> Iterator[Asked]:
        return iter(list(self._asked.values()))

    def __len__(self) -> int:
        return len(self._asked)

    def _remove_id(self, asked: Asked, name: object, forget: bool = True) -> None:
        calls = self._by_id[name]
        calls.remove(asked.call)
        if not calls:
            del self._by_id[name]
        if forget:
            asked.ids.remove(next(pair for pair in asked.ids if pair[0] == name))

    def _remove(self, asked: Asked) -> None:
        self._asked.pop(asked.call, None)
        self._cancelled.pop(asked.call, None)

    def _forget_oldest(self) -> None:
        oldest = next((asked for asked in self._asked.values() if asked.is_sent), None)
        if oldest is not None:
            self.forget(oldest)
