"""The perfect guesser from the same information: what could be answered at all, and how much wait could be hidden.

It may launch any number of reads, each as soon as all of its values are visible: in an earlier result (of a call, or
of a speculation of its own), in an earlier argument, or as a constant that was used for this argument before. The same
writes spoil what it holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from spec_mcp.engine.calls import Json
from spec_mcp.predict.leaves import leaves_again
from spec_mcp.replay.script import Call, Script, Turn

MIN_SEARCHED_CHARS = 4
"""Shorter texts are found anywhere, and say nothing."""


@dataclass(slots=True)
class Constants:
    """Argument values used so far, by tool and argument."""

    seen: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])

    def learn(self, script: Script) -> None:
        """Take note of a session that is over."""
        for call in script.calls:
            for name, value in call.arguments.items():
                self.seen.add((call.tool, name, repr(value)))


@dataclass(slots=True)
class _Visible:
    """When each value could be seen first, and the long texts to be searched."""

    at_s: dict[object, float] = field(default_factory=dict[object, float])
    texts: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def show(self, value: Json, at_s: float) -> None:
        known = self.at_s
        for _, _, scalar in leaves_again(value):
            identity = _identity(scalar)
            if identity not in known or at_s < known[identity]:
                known[identity] = at_s
        self._show_texts(value, at_s)

    def _show_texts(self, value: Json, at_s: float) -> None:
        if isinstance(value, str):
            if len(value) > MIN_SEARCHED_CHARS:
                self.texts.append((at_s, value))
        elif isinstance(value, list):
            for item in value:
                self._show_texts(item, at_s)
        elif isinstance(value, dict):
            for item in value.values():
                self._show_texts(item, at_s)

    def when(self, value: Json) -> float | None:
        """When a scalar could be seen; None: never yet."""
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return None
        found = self.at_s.get(_identity(value))
        if found is None and isinstance(value, str) and len(value) >= MIN_SEARCHED_CHARS:
            found = min((at_s for at_s, text in self.texts if value in text), default=None)
        return found


@dataclass(slots=True)
class Guesser:
    """The perfect guesser, at work on one session."""

    constants: Constants
    reachable: set[int] = field(default_factory=set[int])
    """The reads whose values were visible, by their number."""
    hidden_s: float = 0.0
    _now_s: float = 0.0
    _visible: _Visible = field(default_factory=_Visible)
    _writes: list[tuple[float, Call]] = field(default_factory=list[tuple[float, Call]])

    def play(self, turn: Turn) -> None:
        """The next turn."""
        now_s = self._now_s + turn.think_s
        ends: list[tuple[Call, float]] = []
        for call in turn.calls:
            ready = None if call.writes or call.key is None else _launch_s(call, self._visible, self.constants)
            if ready is None:
                ends.append((call, now_s + call.latency_s))
                continue
            self.reachable.add(call.number)
            conflicts = (at_s for at_s, write in self._writes if write.touches.overlaps(call.touches))
            if any(other.writes and other.touches.overlaps(call.touches) for other, _ in ends):
                conflicts = iter((now_s,))  # a write of the same turn
            ends.append((call, min(now_s, max(ready, *conflicts, 0.0)) + call.latency_s))
        for call, end_s in ends:
            self._visible.show(call.arguments, now_s)
            if not call.is_error:
                self._visible.show(call.result, end_s)  # which may be before the call itself is made: a chain
            if call.writes:
                self._writes.append((end_s, call))
        waited_s = max(max(now_s, end_s) for _, end_s in ends) - now_s
        self.hidden_s += max(call.latency_s for call in turn.calls) - waited_s
        self._now_s = now_s + waited_s


def bound(script: Script, constants: Constants) -> Guesser:
    """Play a whole session with the perfect guesser."""
    guesser = Guesser(constants)
    for turn in script.turns:
        guesser.play(turn)
    return guesser


def _launch_s(call: Call, visible: _Visible, constants: Constants) -> float | None:
    """When all of a read's values are visible; None: never before it is made."""
    launch_s = 0.0
    for name, value in call.arguments.items():
        if (call.tool, name, repr(value)) in constants.seen:
            continue
        for part in value if isinstance(value, list) else [value]:
            at_s = visible.when(part)
            if at_s is None:
                return None
            launch_s = max(launch_s, at_s)
    return launch_s


def _identity(value: object) -> object:
    return value if isinstance(value, str) else (repr(value),)
