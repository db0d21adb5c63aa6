"""Asks speculators for one principal: what they are shown, when they are asked, and when a question is taken back.

All of it happens when nothing else is to be done, as all learning does. What is shown is this principal's alone
(rule 15), and redacted before it is kept. Speculators only guess: their guesses go the way of all candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, cast

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import Effect, ServerPolicy
from spec_mcp.predict.guessing import About, Answered, Merging, Question
from spec_mcp.predict.predictor import CallBegan, CallEnded
from spec_mcp.predict.prompts import Scene, ToolShown
from spec_mcp.predict.recent import Recent

LONG_S = 60.0
"""As long as any speculator may take: its own time-out is shorter."""

LEAST_S = 0.25
"""Of an expected lead: no model answers sooner, and a lead that was measured short may be long the next time."""

LEAD_QUANTILE = 0.75
"""Of the thinking times measured: a later answer would be of use in one step of four."""


class Asks(Protocol):
    """Whoever puts questions to speculators."""

    @property
    def is_ready(self) -> bool:
        """Can anybody be asked yet?"""
        ...

    def ask(self, question: Question, scene: Scene, within_s: float, told: Callable[[Answered], None]) -> None:
        """Ask; `told` is called once, on whichever thread."""
        ...

    def cancel(self, question: Question) -> None:
        """It need not be answered any more."""
        ...


class Shown:
    """The tools that speculators are shown, as servers list them."""

    def __init__(self, policies: Mapping[str, ServerPolicy], reversible: Callable[[], bool]) -> None:
        self.on_listed: Callable[[], None] = lambda: None
        """Told that there may be other tools now."""
        self._policies = policies
        self._reversible = reversible
        self._listed: dict[str, tuple[ToolShown, ...]] = {}
        self._judged: dict[str, tuple[tuple[ToolShown, ...], ServerPolicy | None, bool, tuple[ToolShown, ...]]] = {}
        """By server: of which list, by which policy, and what is shown."""

    def listed(self, server: str, tools: Iterable[Mapping[str, object]]) -> None:
        """The server has said what tools it has."""
        self._listed[server] = tuple(shown for tool in tools if (shown := _shown(server, tool)) is not None)
        self.on_listed()

    def only(self, servers: Collection[str]) -> None:
        """There are no others any more."""
        for gone in self._listed.keys() - set(servers):
            del self._listed[gone]
            self._judged.pop(gone, None)

    def tools(self) -> tuple[ToolShown, ...]:
        """All, with those marked that may be guessed; the same objects as long as nothing changes."""
        return tuple(tool for server in self._listed for tool in self._of(server))

    @property
    def may_be_guessed(self) -> bool:
        """Is there one that may?"""
        return any(tool.may_be_guessed for tool in self.tools())

    def _of(self, server: str) -> tuple[ToolShown, ...]:
        listed, policy, reversible = self._listed[server], self._policies.get(server), self._reversible()
        known = self._judged.get(server)
        if known is None or known[0] is not listed or known[1] is not policy or known[2] is not reversible:
            effects = {Effect.READ, Effect.REVERSIBLE} if reversible else {Effect.READ}
            shown = tuple(
                replace(tool, may_be_guessed=policy is not None and policy.tool(tool.name).effect in effects)
                for tool in listed
            )
            known = self._judged[server] = (listed, policy, reversible, shown)
        return known[3]


@dataclass(slots=True)
class _Open:
    question: Question
    waits_for: set[int]
    """Calls that were running when it was asked: the client has not chosen its next one before they are answered."""
    again: Callable[[], None]


class Consulting:
    """Speculators, as far as one principal's sessions ask them."""

    def __init__(
        self,
        asks: Asks,
        predictor: Merging,
        recent: Recent,
        shown: Shown,
        later: Callable[[Callable[[], None]], None],
        is_off: Callable[[], bool],
        gap_s: Callable[[float], float],
        clock: Callable[[], float],
    ) -> None:
        """`later` has a task done on the learner's thread, when there is time; it may be called from any thread."""
        self.on_answered: Callable[[Answered], None] = lambda _: None
        """Told of each question, for the record."""
        self.shown = shown
        shown.on_listed = self.ready
        predictor.may_ask = self._may_ask
        self._asks = asks
        self._predictor = predictor
        self._recent = recent
        self._later = later
        self._is_off = is_off
        self._gap_s = gap_s
        self._clock = clock
        self._running: dict[str, set[int]] = {}
        self._open: dict[str, list[_Open]] = {}
        """Questions under way, by session."""
        self._early: dict[str, Callable[[], None]] = {}
        """By session: what was predicted when nothing could be asked yet."""

    def began(self, call: CallBegan) -> None:
        """A call was made: what was asked about the next one is answered by it."""
        self._recent.began(call)
        for asked in self._open.get(call.session, ()):
            if not asked.waits_for:
                self._asks.cancel(asked.question)
        self._running.setdefault(call.session, set()).add(call.call)

    def ended(self, call: CallEnded) -> None:
        """A call was answered: what was asked about its answer is known."""
        self._recent.ended(call)
        self._running.get(call.session, set()).discard(call.call)
        for asked in self._open.get(call.session, ()):
            asked.waits_for.discard(call.call)
            if asked.question.call == call.call:
                self._asks.cancel(asked.question)

    def said(self, session: str, role: str, text: str) -> None:
        """Words of the conversation were seen."""
        self._recent.said(session, role, text)

    def closed(self, session: str) -> None:
        """The session is over."""
        self._recent.closed(session)
        self._running.pop(session, None)
        self._early.pop(session, None)
        for asked in self._open.get(session, ()):
            self._asks.cancel(asked.question)

    def ask(self, session: str, again: Callable[[], None]) -> None:
        """It has just been predicted for a step: ask what is worth asking. `again` has it predicted once more, with
        what was answered, or as soon as something can be asked."""
        if self._is_off():
            return
        if not self._may_ask():
            self._early[session] = again
            return
        questions = self._predictor.questions(session, self._clock())
        if not questions:
            return
        scene = Scene(self.shown.tools(), self._recent.events(session))
        for question in questions:
            asked = _Open(question, set(self._running.get(session, ())), again)
            self._open.setdefault(session, []).append(asked)
            self._asks.ask(question, scene, self._within_s(question), self._tell)

    def ready(self) -> None:
        """Perhaps something can be asked from now on; may be called from any thread."""
        self._later(self._ask_early)

    def _may_ask(self) -> bool:
        """Is there somebody who guesses, and something that may be guessed?"""
        return self._asks.is_ready and self.shown.may_be_guessed

    def _ask_early(self) -> None:
        if not self._early or not self._may_ask():
            return
        early, self._early = self._early, {}
        for again in early.values():
            again()

    def dump(self) -> Json:
        """What was learned of speculators since the last time."""
        return self._predictor.dump_speculators()

    def load(self, learned: Json) -> None:
        """Add what was dumped."""
        self._predictor.load_speculators(learned)

    def _within_s(self, question: Question) -> float:
        """Short of the lead that is expected: after it, the call is there."""
        return LONG_S if question.about is not About.NEXT_CALL else max(LEAST_S, self._gap_s(LEAD_QUANTILE))

    def _tell(self, answered: Answered) -> None:
        self._later(lambda: self._take(answered))

    def _take(self, answered: Answered) -> None:
        session = answered.question.session
        open_here = self._open.get(session, [])
        found = next((asked for asked in open_here if asked.question is answered.question), None)
        if found is not None:
            open_here.remove(found)
            if not open_here:
                del self._open[session]
        guesses = tuple(
            replace(guess, copied_whole=self._recent.is_copied_whole(session, guess.arguments))
            for guess in answered.guesses
        )
        self._predictor.answered(replace(answered, guesses=guesses), self._clock())
        self.on_answered(answered)
        if found is not None and not self._is_off():
            found.again()  # without guesses too: what is likely may have waited for them


def _shown(server: str, tool: Mapping[str, object]) -> ToolShown | None:
    name, description, schema = (tool.get(key) for key in ("name", "description", "inputSchema"))
    if not isinstance(name, str) or not isinstance(schema, dict):
        return None
    said = description if isinstance(description, str) else ""
    return ToolShown(server, name, said, cast("Mapping[str, Json]", schema), may_be_guessed=False)
