"""Where one conversation ends and the next begins, within a session that tells neither.

Many clients keep one connection for all that their users ask of them. A call that brings values which nobody has seen
may begin a conversation, or may just be the next thing in this one: what comes of what was known before tells them
apart, and is learned for each tool. If no later call takes up a value that was last seen before such a call, that call
left the earlier conversation behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from spec_mcp.engine.calls import Arguments
from spec_mcp.predict.cells import START, Cell, Cells, Key, learn_all
from spec_mcp.predict.features import BACK_OFF, CONTEXTS
from spec_mcp.predict.history import History, Trace

# Contexts of a call that may begin a conversation, beyond those of candidates.
VALUES = CONTEXTS  # whether its values were seen before, or the call was made in this conversation already
TOOL = CONTEXTS + 1  # its tool
TOOL_VALUES = CONTEXTS + 2  # both
IDLE = CONTEXTS + 3  # a long pause before it

SURE = 0.65
"""From this probability on a call is taken to begin a conversation: what it leaves behind is offered no more. Chosen on
the training halves of the recorded sessions."""

LEAST_CALLS = 3
"""Before so many calls a conversation has hardly begun: what looks like the next one is another try."""

LIKELY = 0.5
"""From this probability on a call that may begin a conversation itself does not speak for an earlier one."""

WATCHED_CALLS = 4
"""If so many calls take up values, and none from before, none will."""

LEFT_STEPS = 16
"""What was last seen before so many steps was left long ago, whatever this call does."""

MAX_WATCHED = 32
"""Calls watched at once; calls whose values tell nothing would make them any number. The oldest give way."""

LEAST_WATCHED_CALLS = 2
"""A conversation that ends sooner says nothing about what its last calls left behind."""

JUST_SEEN_STEPS = 2
"""A call that takes up what one of the last steps brought goes on with it."""

IDLE_S = 180.0
"""A longer pause is a person who came back, as a rule with something else."""


class Course(Enum):
    """What a call says of the conversation."""

    GOES_ON = auto()
    BEGINS = auto()
    RESUMES = auto()
    """It takes up what was taken to be left behind."""


@dataclass(slots=True)
class _Watch:
    """A call that may have begun a conversation."""

    number: int
    before: int
    """Where the conversation began that it may have ended."""
    since: int
    """From where on its values count."""
    cells: list[Cell]
    began: bool
    """It was taken to have begun one."""
    calls: int = 0


@dataclass(slots=True)
class Conversations:
    """Those of one session."""

    cells: Cells
    began: int = 0
    """The step with which the present one began."""
    _watched: list[_Watch] = field(default_factory=list[_Watch])
    _last_s: float = 0.0

    def took(self, call: int, tool: int, arguments: Arguments, history: History, at_s: float) -> Course:
        """A call is made, which is not in the history yet; `call` and `tool` are its hashes there."""
        number = history.next_number
        idle = at_s - self._last_s > IDLE_S
        self._last_s = at_s
        trace = history.trace(arguments)
        again = history.made(call, self.began)
        if not again and trace.newest is not None and number - trace.newest <= JUST_SEEN_STEPS:
            return Course.RESUMES if self._settle(trace) else Course.GOES_ON
        known = 4 if again else _known(trace)
        keys: list[Key] = [(VALUES, known), (TOOL, tool), (TOOL_VALUES, tool, known)]
        if idle and number:
            keys.append((IDLE, known))
        cells = [self.cells.at(key) for key in keys]
        if number == 0:
            learn_all(cells, 1, 0, 1.0)
            return Course.GOES_ON
        probability = _probability(cells)
        begins = probability >= SURE and number - self.began >= LEAST_CALLS
        resumes = probability < LIKELY and self._settle(trace)
        if begins:
            self.close()
        self._watched = [
            *self._watched[1 - MAX_WATCHED :],
            _Watch(number, self.began, max(self.began, number - LEFT_STEPS), cells, begins),
        ]
        if begins:
            self.began = number
        return Course.BEGINS if begins else Course.RESUMES if resumes else Course.GOES_ON

    def answered(self, at_s: float) -> None:
        """A call has its answer: from now on the client thinks."""
        self._last_s = at_s

    def close(self) -> None:
        """The conversation is over."""
        for watch in self._watched:
            if watch.calls >= LEAST_WATCHED_CALLS:
                learn_all(watch.cells, 1, 0, 1.0)
        self._watched.clear()

    def _settle(self, trace: Trace) -> bool:
        """A call takes up values that occurred before. Is one of them among what was taken to be left behind?"""
        if trace.oldest is None:
            return False
        resumes = False
        left: list[_Watch] = []
        for watch in self._watched:
            watch.calls += 1
            if watch.since <= trace.oldest < watch.number:
                learn_all(watch.cells, 0, 0, 1.0)
                if watch.began:
                    resumes = True
                    self.began = min(self.began, watch.before)
            elif watch.calls >= WATCHED_CALLS:
                learn_all(watch.cells, 1, 0, 1.0)
            else:
                left.append(watch)
        self._watched = left
        return resumes


def _known(trace: Trace) -> int:
    """How much of a call's values was seen before: there are none, none was, some were, all were."""
    return 0 if not trace.values else 1 if not trace.seen else 2 if trace.seen < trace.values else 3


def _probability(cells: list[Cell]) -> float:
    """That what was before is left behind, from general to particular."""
    probability = START
    for cell in cells:
        probability = (cell.used * cell.seen + probability * BACK_OFF) / (cell.seen + BACK_OFF)
    return probability
