"""What one client asked of several servers, and they of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.renaming import token_of, with_token

if TYPE_CHECKING:
    from spec_mcp.relay.gateway.leg import Leg

ASKED_MAX = 8192
"""Requests without an answer that are remembered; a client that has more is not going to get the oldest answered."""

PROMPTS_MAX = 256
"""Questions of servers that a client may leave unanswered."""


@dataclass(slots=True, eq=False)
class Asked:
    """A client's request without an answer."""

    id_raw: bytes
    """As the client wrote it."""
    method: str
    parts: dict[Leg, bytes]
    """Who was asked, and with which params."""
    is_gathered: bool = False
    """Several were asked, and the client gets one answer."""
    legs: list[Leg] = field(init=False)
    """Who has not answered yet."""
    answers: dict[str, wire.Envelope] = field(default_factory=dict[str, wire.Envelope])
    """By server, where they are gathered."""
    ended: list[Leg] = field(default_factory=list["Leg"])
    """Whose part of a stream has ended: it is asked for again."""
    call_off: Callable[[], None] = lambda: None
    """It is not waited for any more."""

    def __post_init__(self) -> None:
        self.legs = list(self.parts)


class AskedOf:
    """One client's requests. An id may name several at once, though it should not."""

    def __init__(self) -> None:
        self._asked: OrderedDict[Asked, None] = OrderedDict()
        self._by_id: dict[object, list[Asked]] = {}

    def add(self, asked: Asked) -> None:
        """A request goes out."""
        self._asked[asked] = None
        self._by_id.setdefault(wire.id_value(asked.id_raw), []).append(asked)
        if len(self._asked) > ASKED_MAX:
            self.forget(next(iter(self._asked)))

    def of(self, leg: Leg, id_raw: bytes) -> Asked | None:
        """What this leg was asked under this id and has not answered, the first of it."""
        named = self._by_id.get(wire.id_value(id_raw), ())
        return next((asked for asked in named if leg in asked.legs), None)

    def last(self, name: object) -> Asked | None:
        """The last request of this id."""
        named = self._by_id.get(name)
        return named[-1] if named else None

    def forget(self, asked: Asked) -> None:
        """Nothing more is expected of it."""
        if asked not in self._asked:
            return
        asked.call_off()
        del self._asked[asked]
        name = wire.id_value(asked.id_raw)
        self._by_id[name].remove(asked)
        if not self._by_id[name]:
            del self._by_id[name]

    def __iter__(self) -> Iterator[Asked]:
        return iter(list(self._asked))

    def __len__(self) -> int:
        return len(self._asked)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A server's question to the client."""

    leg: Leg
    id_raw: bytes
    """The server's own."""
    our_id: bytes
    token: bytes
    """Under which the server expects progress; empty where it does not."""


class Prompts:
    """What servers ask one client, under ids and progress tokens of ours: two servers may use the same."""

    def __init__(self) -> None:
        self._made = 0
        self._open: OrderedDict[object, Prompt] = OrderedDict()
        """By our id, which is the token too."""

    def add(self, leg: Leg, message: wire.Envelope) -> tuple[bytes, bytes]:
        """A server asks; the id and the params with which the client is asked."""
        self._made += 1
        name = f"spec-mcp-{self._made}"
        prompt = Prompt(leg, message.id, b'"%s"' % name.encode(), token_of(message.params))
        self._open[name] = prompt
        params = with_token(message.params, prompt.our_id) if prompt.token else message.params
        return prompt.our_id, params

    def one_too_many(self) -> Prompt | None:
        """The oldest, which is given up where a client leaves too many unanswered."""
        return self._open.popitem(last=False)[1] if len(self._open) > PROMPTS_MAX else None

    def answered(self, name: object) -> Prompt | None:
        """The client answered under this id."""
        return self._open.pop(name, None)

    def reported(self, token: object) -> Prompt | None:
        """The client reports progress under this token."""
        return self._open.get(token)

    def withdrawn(self, leg: Leg, name: object) -> Prompt | None:
        """The server does not want an answer any more to what it asked under this id."""
        return self._take(lambda one: one.leg is leg and wire.id_value(one.id_raw) == name)

    def left(self, leg: Leg) -> Prompt | None:
        """The way to this server is gone: one of its questions, as long as there are any."""
        return self._take(lambda one: one.leg is leg)

    def _take(self, wanted: Callable[[Prompt], bool]) -> Prompt | None:
        name = next((name for name, prompt in self._open.items() if wanted(prompt)), None)
        return None if name is None else self._open.pop(name)

    def __len__(self) -> int:
        return len(self._open)
