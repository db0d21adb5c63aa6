"""Sessions drawn from a seed, with a predictor that proposes to tell every server everything it has seen.

An oracle that knows each value by its name, and nothing of how the guard recognises one, says what must not be told.
The same worlds show it when a part of the guard is switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from spec_mcp.engine.calls import Json
from spec_mcp.engine.events import Candidate
from spec_mcp.predict import disclosure
from spec_mcp.predict.disclosure import Guard
from spec_mcp.predict.places import Place, Places
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.predict.ways import Goal, Ways

SEEDS = range(40)
STEPS = 60
SERVERS = ("a", "b", "c")
TOOLS = ("get", "find")
ARGUMENTS = ("id", "path")

Where = tuple[str, str, bool]
"""A server, a tool, and whether the client said it there."""


class Oracle:
    """Where each value has been, and which ways the client's calls have taken."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[Where, None]] = {}
        """By value, its places as the client knows them, the first one first."""
        self.foreseen: dict[str, set[Where]] = {}
        self.told: set[tuple[str, str]] = set()
        self.ways: set[tuple[Where, Goal]] = set()

    def gave(self, value: str, where: Where) -> None:
        self.seen.setdefault(value, {})[where] = None

    def said(self, value: str, goal: Goal) -> None:
        been = self.seen.get(value, {})
        if been and goal.server not in [server for server, _, _ in been]:
            first = next(iter(been))
            self.ways |= {(where, goal) for where in been if (where[0], where[2]) == (first[0], first[2])}
        self.told.add((value, goal.server))
        self.gave(value, (goal.server, goal.tool, True))

    def new_session(self) -> None:
        self.seen.clear()
        self.foreseen.clear()

    def may_be_told(self, value: str, goal: Goal) -> bool:
        been = {*self.seen.get(value, ()), *self.foreseen.get(value, ())}
        return (
            not been
            or goal.server in [server for server, _, _ in been]
            or any((where, goal) in self.ways for where in been)
        )


class World:
    """One principal in front of three servers."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.guard = Guard()
        self.guard.serve(dict.fromkeys(SERVERS, ()), ())
        self.oracle = Oracle()
        self.session = "s0"
        self.refused = self.allowed = 0
        self._calls = 0

    def run(self) -> None:
        for _ in range(STEPS):
            step = self.random.random()
            if step < 0.5:
                self._call()
            elif step < 0.6:
                self._suppose()
            elif step < 0.95:
                self._guess()
            else:
                self._begin_anew()

    def _call(self) -> None:
        server, tool = self._tool()
        given = {argument: self._value() for argument in ARGUMENTS if self.random.random() < 0.6}
        self._calls += 1
        arguments: dict[str, Json] = dict(given)
        self.guard.began(CallBegan(self.session, self._calls, server, tool, arguments, 0.0, False))
        before = {value: dict(places) for value, places in self.oracle.seen.items()}
        for argument, value in given.items():  # what one argument says the others have not learned from it
            self.oracle.seen[value] = dict(before.get(value, {}))
            self.oracle.said(value, Goal(server, tool, argument))
        for value, places in before.items():
            self.oracle.seen[value] = {**places, **self.oracle.seen[value]}
        values = [self._value() if self.random.random() < 0.3 else self._fresh() for _ in range(3)]
        self.guard.ended(CallEnded(self.session, self._calls, self._result(values), False, 0.0))
        for value in values:
            self.oracle.gave(value, (server, tool, False))

    def _suppose(self) -> None:
        server, tool = self._tool()
        values = [self._fresh() for _ in range(2)]
        for value in values:
            self.oracle.foreseen.setdefault(value, set()).add((server, tool, False))
        self._guess(Supposed(server, tool, {}, self._result(values), False))

    def _guess(self, *supposed: Supposed) -> None:
        """Propose to tell a server this, and hold the guard against the oracle."""
        server, tool = self._tool()
        goal, value = Goal(server, tool, self.random.choice(ARGUMENTS)), self._value()
        text, is_whole, is_clear = self._bent(value)
        guess = Candidate(server, tool, {goal.argument: text}, 0.9, "liar", copied_whole=True)
        (judged,) = self.guard.judge(self.session, supposed, [guess])
        may = self.oracle.may_be_told(value, goal)
        was_told = is_whole and (value, server) in self.oracle.told
        if not may and not was_told:
            assert judged.discloses, f"{text} is told to {goal}, {self.oracle.seen.get(value)}"
            self.refused += 1
        elif may and is_clear:
            assert not judged.discloses, f"{text} may be told to {goal}"
            self.allowed += 1

    def _begin_anew(self) -> None:
        self.guard.closed(self.session)
        self.session = f"s{int(self.session[1:]) + 1}"
        self.oracle.new_session()

    def _tool(self) -> tuple[str, str]:
        return self.random.choice(SERVERS), self.random.choice(TOOLS)

    def _fresh(self) -> str:
        return f"{self.random.getrandbits(100):025x}"

    def _value(self) -> str:
        """One that the predictor knows of, as a rule."""
        known = [*self.oracle.seen, *self.oracle.foreseen]
        return self.random.choice(known) if known and self.random.random() < 0.9 else self._fresh()

    def _bent(self, value: str) -> tuple[str, bool, bool]:
        """The value as it is proposed; is that the whole of it, and does it stand there by itself?"""
        clear, hidden = [value, value, value.upper(), f"https://e.com/?d={value}"], [f"x{value}y", value[4:20]]
        bent = self.random.choice([*clear, *hidden])
        return bent, bent.lower() == value, bent in clear

    def _result(self, values: list[str]) -> Json:
        shapes: list[Callable[[str], Json]] = [
            lambda value: value,
            lambda value: {"id": value},
            lambda value: {"text": f"see {value}, and the rest"},
            lambda value: {"text": f"{'and so on ' * 40} {value}."},
        ]
        return [self.random.choice(shapes)(value) for value in values]


def test_nothing_is_told_that_no_call_has_shown_to_go_that_way_and_all_that_has_may_be():
    refused, allowed = _run_all()
    assert refused > 200
    assert allowed > 200


def _run_all() -> tuple[int, int]:
    """How many guesses were refused, and how many were not."""
    worlds = [World(seed) for seed in SEEDS]
    for world in worlds:
        world.run()
    return sum(world.refused for world in worlds), sum(world.allowed for world in worlds)


# --- parts of the guard, switched off ---------------------------------------------------------------------------------


def _nothing(*_: Any) -> None:
    return


def _trusting(self: Guard, session: str, supposed: object, candidates: list[Candidate]) -> list[Candidate]:
    return candidates


def _by_tool(self: Ways, goal: Goal) -> set[Place]:
    return {origin for known, origins in self._ways.items() for origin in origins if known[:2] == goal[:2]}


def _by_server(self: Ways, goal: Goal) -> set[Place]:
    origins = self._ways.get(goal, {})
    return {
        Place(place.server, tool, said, foreseen)
        for place in origins
        for tool in TOOLS
        for said in (True, False)
        for foreseen in (True, False)
    }


def _from_anywhere(self: Guard, known: Places, text: str, goal: Goal) -> None:
    for place in known.of_value(text):
        self._ways.take(place.real, goal)


def _told_to_anybody(self: Ways, server: str, text: str) -> bool:
    return any(ways_told(self, other, text) for other in SERVERS)


ways_told = Ways.was_told

SWITCHED_OFF: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "the guard": lambda: patch.object(Guard, "judge", _trusting),
    "parts of values": lambda: patch.object(Places, "of_parts", lambda self, text: []),
    "supposed results": lambda: patch.object(Guard, "_look_into", _nothing),
    "the goal's argument": lambda: patch.object(Ways, "origins", _by_tool),
    "the origin's tool": lambda: patch.object(Ways, "origins", _by_server),
    "the first giver": lambda: patch.object(Guard, "_learn_way", _from_anywhere),
    "who was told": lambda: patch.object(Ways, "was_told", _told_to_anybody),
    "case": lambda: patch.object(disclosure, "scalars", lambda value: [value]),
}


@pytest.mark.parametrize("name", SWITCHED_OFF)
def test_the_worlds_show_it_when_a_part_of_the_guard_is_off(name: str):
    with SWITCHED_OFF[name](), pytest.raises(AssertionError, match="is told to"):
        _run_all()
