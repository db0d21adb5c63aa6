"""What a speculation would tell one server of another (rule 3), whoever predicted it.

A value that was learned from one server goes to another by speculation only where this principal's own calls have
taken that way before, or the user allows it. The guard trusts no predictor: it keeps for itself where each value of a
conversation has been, learns the ways from calls alone, and marks each candidate that would tell a server something
new. The engine skips those. With one server there is nothing to tell another, and nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from spec_mcp.engine.calls import Json
from spec_mcp.engine.events import Candidate
from spec_mcp.predict.places import ASKED_MAX_CHARS, Been, Place, Places, scalars
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.predict.recipes import SECRET
from spec_mcp.predict.ways import Goal, Ways

ANYONE = "*"
"""Among those whose values a server may get: all."""

SESSIONS_MAX = 64
"""Conversations of one principal whose values are kept; of the one silent longest they are forgotten."""

NAMED_MAX = 4_096
"""Conversations of which it is known that something was forgotten."""

IN_FLIGHT_MAX = 1_024
"""Calls of one conversation whose answers are waited for."""

SUPPOSED_MAX = 32
"""Supposed results that need not be looked at again."""

ENDINGS_MAX = 16
"""Of a path, by each of which it may be known."""


@dataclass(slots=True)
class _Conversation:
    places: Places = field(default_factory=Places)
    in_flight: dict[int, Place] = field(default_factory=dict[int, Place])
    supposed: dict[int, Json] = field(default_factory=dict[int, Json])
    """By identity, what was looked at; kept so that no other gets the same."""


class Guard:
    """One principal's."""

    def __init__(self) -> None:
        self._ways = Ways()
        self._values_from: Mapping[str, Collection[str]] = {}
        self._conversations: dict[str, _Conversation] = {}
        self._kept: dict[str, None] = {}
        """Those whose values are kept, the one silent longest first."""

    @property
    def is_needed(self) -> bool:
        """Are there several servers?"""
        return len(self._values_from) > 1

    def serve(self, values_from: Mapping[str, Collection[str]], going_on: Iterable[str]) -> None:
        """These are the servers, each with those whose values the user lets it have.

        Sessions that go on have not been listened to, if there was one server before.
        """
        was_needed = self.is_needed
        self._values_from = values_from
        if self.is_needed and not was_needed:
            for session in going_on:
                self._of(session).places.forget()

    def leave(self, server: str) -> None:
        """What is behind this name from now on is another server. Due after `dump`."""
        self._ways.leave(server)
        for conversation in self._conversations.values():
            conversation.places.leave(server)
            conversation.in_flight.clear()

    # --- what happens -------------------------------------------------------------------------------------------------

    def began(self, call: CallBegan) -> None:
        """A client made a call: its values have come some way, and are known there from now on."""
        conversation = self._of(call.session)
        for name, value in call.arguments.items():
            goal = Goal(call.server, call.tool, name)
            for text in scalars(value):
                self._learn_way(conversation.places, text, goal)
                if SECRET.search(name) is None:
                    self._ways.tell(call.server, text)
        conversation.places.note(call.arguments, Place(call.server, call.tool, said=True))
        in_flight = conversation.in_flight
        if len(in_flight) >= IN_FLIGHT_MAX:
            del in_flight[next(iter(in_flight))]
        in_flight[call.call] = Place(call.server, call.tool, said=False)

    def ended(self, call: CallEnded) -> None:
        """A call was answered: from now on the client knows what its server does."""
        conversation = self._of(call.session)
        place = conversation.in_flight.pop(call.call, None)
        if place is None:  # nobody knows whose answer it is
            conversation.places.forgot = True
        else:
            conversation.places.note(call.result, place)

    def attached(self, session: str, read: Supposed) -> None:
        """The client was given an answer without having called: it is as much that server's as any other."""
        self._of(session).places.note(read.result, Place(read.server, read.tool, said=False))

    def closed(self, session: str) -> None:
        """The conversation is over."""
        self._conversations.pop(session, None)
        self._kept.pop(session, None)

    def _of(self, session: str) -> _Conversation:
        conversation = self._conversations.pop(session, None) or _Conversation()
        self._conversations[session] = conversation
        self._kept.pop(session, None)
        self._kept[session] = None
        if len(self._kept) > SESSIONS_MAX:
            silent = next(iter(self._kept))
            del self._kept[silent]
            self._conversations[silent].places.forget()
        if len(self._conversations) > NAMED_MAX:
            del self._conversations[next(iter(self._conversations))]
        return conversation

    def _learn_way(self, places: Places, text: str, goal: Goal) -> None:
        """A way is taken by a value that is known whole, from the server that gave it first; and by one that stands
        at the end of a path. What the goal's server may have given itself has come no way."""
        for ending in (*_endings(text), "#" + text):
            been = [place for place in places.of_value(ending) if not place.foreseen]
            if not been:
                continue
            if not any(place.server == goal.server for place in places.of_whole(ending) if not place.foreseen):
                first = been[0]
                for place in been:
                    if (place.server, place.said) == (first.server, first.said):
                        self._ways.take(place, goal)
            return

    # --- what may be told ---------------------------------------------------------------------------------------------

    def judge(self, session: str, supposed: Sequence[Supposed], candidates: list[Candidate]) -> list[Candidate]:
        """The same candidates; those that would tell a server what only others may know are marked.

        Nor is one taken to be copied whole that is not.
        """
        conversation = self._of(session)
        for step in supposed:
            self._look_into(conversation, step)
        return [self._judged(conversation.places, candidate) for candidate in candidates]

    def _judged(self, places: Places, candidate: Candidate) -> Candidate:
        discloses, is_whole = False, True
        for name, value in candidate.arguments.items():
            texts = scalars(value)
            if texts and not discloses:
                goal = Goal(candidate.server, candidate.tool, name)
                discloses = any(self._is_disclosure(places, text, goal) for text in _readings(texts))
            is_whole = is_whole and all(map(places.of_value, texts))
        copied_whole = candidate.copied_whole and is_whole
        if discloses or copied_whole is not candidate.copied_whole:
            return replace(candidate, discloses=discloses, copied_whole=copied_whole)
        return candidate

    def _is_disclosure(self, places: Places, text: str, goal: Goal) -> bool:
        allowed = self._values_from.get(goal.server, ())
        if ANYONE in allowed:
            return False
        origins = self._ways.origins(goal)
        been = places.of_whole(text)
        if been and _may_come(been, goal.server, allowed, origins):
            return False
        if self._ways.was_told(goal.server, text):
            return False
        if been or places.forgot or len(text) > ASKED_MAX_CHARS:
            return True
        told: list[tuple[int, int]] = []
        doubtful: list[tuple[int, int]] = []
        for start, end, been in places.of_parts(text):
            (told if _may_come(been, goal.server, allowed, origins) else doubtful).append((start, end))
        if not doubtful:
            return False
        told += [
            (len(text) - len(ending), len(text))
            for ending in _endings(text)
            if _may_come(places.of_value(ending), goal.server, allowed, origins)
        ]
        return not all(any(begin <= start and end <= last for begin, last in told) for start, end in doubtful)

    def _look_into(self, conversation: _Conversation, step: Supposed) -> None:
        """Take note of an answer that no client has seen, but predictors have."""
        known = conversation.supposed
        if known.get(id(step.result), known) is step.result:
            return
        conversation.places.note(step.result, Place(step.server, step.tool, said=False, foreseen=True))
        if len(known) >= SUPPOSED_MAX:
            del known[next(iter(known))]
        known[id(step.result)] = step.result

    # --- what is kept -------------------------------------------------------------------------------------------------

    def dump(self) -> Json:
        """What was learned since the last dump; None where there is nothing."""
        return self._ways.dump()

    def load(self, learned: Json) -> None:
        """Add what was dumped.

        Raises:
            ValueError: the data has another shape.
        """
        self._ways.load(learned)


def _readings(texts: list[str]) -> list[str]:
    """These texts, and what those say that are encoded for a link."""
    return [*texts, *(unquote(text) for text in texts if "%" in text)]


def _may_come(been: Been, server: str, allowed: Collection[str], origins: Collection[Place]) -> bool:
    """Of what has been in all these places: may the server be told, for the sake of one of them?"""
    for place in been:
        if place.server == server or place.server in allowed or place in origins:
            return True
        if place.foreseen and place.real in origins:
            return True
    return False


def _endings(text: str) -> Iterator[str]:
    """By what a value may be known: whole, without a number sign, or by the end of a path."""
    yield text
    if text.startswith("#"):
        yield text[1:]
    at = -1
    for _ in range(ENDINGS_MAX):
        at = text.find("/", at + 1)
        if at < 0:
            return
        yield text[at:]
        yield text[at + 1 :]
