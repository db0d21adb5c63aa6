"""What a handshake server asks when it has been greeted, before any request of a stateless client could carry it.

Mostly it is the roots, and the server does not work as its user wants before it knows them. So each request that may
be answered with a question is answered with this one first, until somebody has come back with the answer; then the
server gets a moment to take it in, since it answers nothing to an answer, and only then the requests. A server that
was greeted just now gets such a moment too, to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.asked import Asked, Prompt, allows


class Early:
    """Of one client at one server."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._kept: dict[object, tuple[Prompt, float]] = {}
        """By the server's id: questions that nobody has answered, and until when they are kept; the oldest first."""
        self._paused: list[Asked] = []
        """Requests that wait for the moment to pass."""
        self._pauses_until_s: float | None = None

    def greeted(self) -> None:
        """The server may be about to ask."""
        self._pauses_until_s = self._now_s() + words.EARLY_PAUSE_S

    def keep(self, prompt: Prompt) -> Prompt | None:
        """The server asks; what is given up for it, where there are too many."""
        self._kept[wire.id_value(prompt.id_raw)] = (replace(prompt, is_early=True), self._now_s() + words.EARLY_WAIT_S)
        return self._kept.pop(next(iter(self._kept)))[0] if len(self._kept) > words.EARLY_MAX else None

    def for_client(self, asked: Asked) -> list[Prompt]:
        """What this request has to carry first."""
        if not asked.may_prompt:
            return []
        return [prompt for prompt, _ in self._kept.values() if allows(asked.capabilities, prompt)]

    def waits_for(self, prompt: Prompt) -> bool:
        """Does the server still want this answered?"""
        return wire.id_value(prompt.id_raw) in self._kept

    def take(self, prompt: Prompt) -> bool:
        """Somebody has come back with an answer; is he the first?"""
        if self._kept.pop(wire.id_value(prompt.id_raw), None) is None:
            return False
        self._pauses_until_s = self._now_s() + words.EARLY_PAUSE_S
        return True

    def take_paused(self, prompt: Prompt) -> list[Asked]:
        """Requests that have not gone out yet and can carry this."""
        able = [asked for asked in self._paused if not asked.is_held and allows(asked.capabilities, prompt)]
        self._paused = [asked for asked in self._paused if asked not in able]
        return able

    def pause(self, asked: Asked) -> bool:
        """Does this request have to wait for a moment?"""
        if self._pauses_until_s is None or not asked.may_prompt:
            return False
        self._paused.append(asked)
        return True

    def withdraw(self, name: object) -> None:
        """The server does not wait for this answer any more."""
        self._kept.pop(name, None)

    def clear(self) -> None:
        """The server is gone; what waited goes to the next connection without this."""
        self._kept.clear()
        if self._pauses_until_s is not None:
            self._pauses_until_s = self._now_s()

    @property
    def wakes_at_s(self) -> float | None:
        """When something has been waited for long enough."""
        times = [until_s for _, until_s in self._kept.values()]
        return min([*times, *([] if self._pauses_until_s is None else [self._pauses_until_s])], default=None)

    def expired(self) -> list[Prompt]:
        """Questions that have been kept for long enough."""
        now_s = self._now_s()
        late = [prompt for prompt, until_s in self._kept.values() if until_s <= now_s]
        for prompt in late:
            self.withdraw(wire.id_value(prompt.id_raw))
        return late

    def rested(self) -> list[Asked]:
        """Requests that have waited for their moment."""
        if self._pauses_until_s is None or self._pauses_until_s > self._now_s():
            return []
        paused, self._paused, self._pauses_until_s = self._paused, [], None
        return paused
