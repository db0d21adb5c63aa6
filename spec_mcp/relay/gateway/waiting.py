"""What a client is told as soon as enough is known, and in any case after a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from spec_mcp.relay import wire


class Later(Protocol):
    """Has something done after so many seconds; what it returns calls that off."""

    def __call__(self, delay_s: float, task: Callable[[], None], /) -> Callable[[], None]: ...


@dataclass(slots=True, eq=False)
class _Answer:
    """One that is owed."""

    name: object
    """The request's id, as a value."""
    is_known: Callable[[], bool]
    say: Callable[[], None]
    call_off: Callable[[], None]


class Waiting:
    """Of one client."""

    def __init__(self, later: Later) -> None:
        self._later = later
        self._answers: list[_Answer] = []

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, id_raw: bytes, is_known: Callable[[], bool], say: Callable[[], None], bound_s: float) -> None:
        """Answer the request of this id when that is known, or after so many seconds."""
        if is_known():
            say()
            return
        answer = _Answer(wire.id_value(id_raw), is_known, say, lambda: None)
        self._answers.append(answer)

        def at_last() -> None:
            self._answers.remove(answer)
            say()

        answer.call_off = self._later(bound_s, at_last)

    def look(self) -> None:
        """More is known than before."""
        for answer in list(self._answers):
            if answer in self._answers and answer.is_known():
                self._answers.remove(answer)
                answer.call_off()
                answer.say()

    def cancel(self, name: object) -> bool:
        """The client does not want it any more; False where nothing of this id waits."""
        found = next((answer for answer in self._answers if answer.name == name), None)
        if found is not None:
            self._answers.remove(found)
            found.call_off()
        return found is not None

    def close(self) -> None:
        """Nobody is to be told anything any more."""
        answers, self._answers = self._answers, []
        for answer in answers:
            answer.call_off()
