"""What a prompt may tell of a session: its last calls, their results and the words that were seen, ready to be shown.

Everything is redacted and cut as it comes, so what must not be told is never kept. Each principal has one of these.
"""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.predict.leaves import MAX_VALUE_CHARS, Scalar, leaves
from spec_mcp.predict.predictor import CallBegan, CallEnded
from spec_mcp.predict.shortening import cut

Clean = Callable[[Json], Json]
"""Leaves out of a value what must not be told."""

EVENTS_MAX = 24
"""Calls and words of one session: models look at the last few."""

SESSIONS_MAX = 64

SHOWN_MAX_CHARS = 8_000
"""Of one value; the prompt's budget may shorten it further."""

VALUES_MAX = 8_192
"""Whole values known of one session; then the oldest are forgotten."""


@dataclass(slots=True)
class Step:
    """A call."""

    call: int
    server: str
    tool: str
    arguments: str
    """JSON text, as all values here."""
    result: str | None = None
    """None: it still runs."""
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """What the user or the assistant said."""

    role: str
    text: str


@dataclass(slots=True)
class _Session:
    events: deque[Step | Words] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))
    values: OrderedDict[tuple[type, Scalar], None] = field(default_factory=OrderedDict[tuple[type, Scalar], None])

    def note(self, value: Json) -> None:
        for path, _, scalar in leaves(value):
            if "~" not in path:  # else it is a part of a text
                self.values[_exact(scalar)] = None
        while len(self.values) > VALUES_MAX:
            self.values.popitem(last=False)


class Recent:
    """Of all sessions of one principal."""

    def __init__(self, clean: Clean) -> None:
        self._clean = clean
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def began(self, call: CallBegan) -> None:
        """A client made a call."""
        session = self._of(call.session)
        session.note(call.arguments)
        session.events.append(Step(call.call, call.server, call.tool, self._shown(call.arguments)))

    def ended(self, call: CallEnded) -> None:
        """It was answered."""
        session = self._of(call.session)
        session.note(call.result)
        for event in session.events:
            if isinstance(event, Step) and event.call == call.call:
                event.result = self._shown(call.result)
                event.is_error = call.is_error

    def said(self, session: str, role: str, text: str) -> None:
        """Words of the user or the assistant were seen."""
        self._of(session).events.append(Words(role, cut(self._text(text), SHOWN_MAX_CHARS)))

    def closed(self, session: str) -> None:
        """The session is over."""
        self._sessions.pop(session, None)

    def events(self, session: str) -> tuple[Step | Words, ...]:
        """The last events, oldest first; not to be changed."""
        known = self._sessions.get(session)
        return () if known is None else tuple(known.events)

    def is_copied_whole(self, session: str, arguments: Arguments) -> bool:
        """Is every value of these arguments one that occurred as a whole in the session? In doubt, no."""
        known = self._sessions.get(session)
        if known is None:
            return False
        waiting: list[Json] = list(arguments.values())
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                waiting.extend(value.values())
            elif isinstance(value, list):
                waiting.extend(value)
            elif value is None or isinstance(value, bool) or _exact(value) not in known.values:
                return False
        return True

    def _of(self, name: str) -> _Session:
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = _Session()
            if len(self._sessions) > SESSIONS_MAX:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(name)
        return session

    def _shown(self, value: Json) -> str:
        return cut(json.dumps(self._clean(value), ensure_ascii=False, separators=(",", ":")), SHOWN_MAX_CHARS)

    def _text(self, text: str) -> str:
        cleaned = self._clean(text)
        return cleaned if isinstance(cleaned, str) else ""


def _exact(value: Scalar) -> tuple[type, Scalar]:
    """1 and 1.0 are two values (rule 5)."""
    return (type(value), value if not isinstance(value, str) else value[: MAX_VALUE_CHARS + 1])
