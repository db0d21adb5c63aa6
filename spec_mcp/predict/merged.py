"""The predictor that merges history's guesses with those of speculators that are models.

All guesses of one canonical call are one candidate. What each source says of it is weighed by what such statements
came to (`opinions`); whom to ask is decided by what asking earned (`bandit`); what becomes of it all is found out in
each session (`foretold`). Nothing is changed of what history says in steps in which no speculator has spoken, nor of
chains: those are history's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.timing import Timing
from spec_mcp.predict.bandit import Account, Arm, Bandit, Costs, table_of
from spec_mcp.predict.counts import add_tables
from spec_mcp.predict.default import MAX_SESSIONS
from spec_mcp.predict.foretold import Foretold, Judges
from spec_mcp.predict.guessing import About, Answered, Ending, Question, Standing, Terms
from spec_mcp.predict.opinions import Opinions
from spec_mcp.predict.predictor import CallBegan, CallEnded, Predictor, Supposed
from spec_mcp.predict.session import MIN_TOLD

KIND = "speculators/1"
"""What rows of what was learned of speculators are called in a store."""

VERSION = 1
"""Of that data; another version is not loaded."""

TOLD = 16
"""As many of history's candidates are weighed as the relay asks for."""


@dataclass(frozen=True, slots=True)
class _Out:
    """A question that is out."""

    arm: Arm
    turn: int
    promised_s: float
    at_s: float


class MergedPredictor:
    """See `Merging`, whose promises it keeps."""

    def __init__(
        self,
        history: Predictor,
        speculators: Mapping[str, Terms],
        policies: Mapping[str, ServerPolicy],
        timing: Timing,
        costs: Costs,
    ) -> None:
        """`timing` is what the engine measures of tools and clients; `policies` may gain servers later."""
        self.may_ask: Callable[[], bool] = lambda: True
        self._history = history
        self._opinions = Opinions()
        self._bandit = Bandit(speculators, costs)
        self._judges = Judges(self._opinions, self._bandit, self._bandit.in_order(), policies, timing)
        self._sessions: dict[str, Foretold] = {}
        self._out: dict[Question, _Out] = {}
        self._planned: dict[str, list[Question]] = {}
        """By session, what `questions` has not told yet."""

    # --- what happens -------------------------------------------------------------------------------------------------

    def began(self, call: CallBegan) -> None:
        session = self._session(call.session)
        told = [] if session.running else self._told(call.session, call.at_s)
        session.began(call, told)
        self._history.began(call)

    def ended(self, call: CallEnded) -> None:
        self._session(call.session).ended(call)
        self._history.ended(call)

    def said(self, session: str, role: str, text: str) -> None:
        self._session(session).listens = True
        self._history.said(session, role, text)

    def attached(self, session: str, read: Supposed) -> None:
        self._session(session).attached(read)
        self._history.attached(session, read)

    def closed(self, session: str) -> None:
        closing = self._sessions.pop(session, None)
        self._planned.pop(session, None)
        if closing is not None:
            closing.close(self._told(session, 0.0))
        self._history.closed(session)

    # --- guesses ------------------------------------------------------------------------------------------------------

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        told = self._history.predict(session, supposed, limit, now_s)
        if supposed:
            return told
        known = self._session(session)
        merged = known.merge(told, now_s)
        self._plan(session, known, now_s)
        merged = known.without_waiting(merged, self._waited_for(session, known, now_s))
        return [candidate for candidate in merged if candidate.q >= MIN_TOLD][:limit]

    def questions(self, session: str, now_s: float) -> Sequence[Question]:
        return self._planned.pop(session, [])

    def answered(self, answered: Answered, now_s: float) -> None:
        question = answered.question
        out = self._out.pop(question, None)
        if out is None:
            return
        self._bandit.answered(out.arm, answered, out.promised_s)
        session = self._sessions.get(question.session)
        if session is not None and answered.ending is Ending.ANSWERED:
            session.answered(out.arm, out.turn, answered, now_s)

    def standings(self) -> Sequence[Standing]:
        """See `Merging`."""
        return [self._standing(name) for name in sorted(self._bandit.terms)]

    # --- across runs --------------------------------------------------------------------------------------------------

    def dump(self) -> Json:
        return self._history.dump()

    def load(self, learned: Json) -> None:
        self._history.load(learned)

    def dump_speculators(self) -> Json:
        """See `Merging`."""
        tables: dict[str, Json] = {"opinions": self._opinions.counts.dump(), **self._bandit.dump()}
        return {"version": VERSION, **tables} if any(tables.values()) else None

    def load_speculators(self, learned: Json) -> None:
        """See `Merging`."""
        checked = _checked(learned)
        self._opinions.counts.load(table_of(checked, "opinions"))
        self._bandit.load(checked)

    # --- questions ----------------------------------------------------------------------------------------------------

    def _plan(self, name: str, session: Foretold, now_s: float) -> None:
        """Ask whom it is worth asking: before anything is told that an answer may spare."""
        if not self.may_ask():
            return
        for speculator in self._judges.order:
            for about in self._abouts(session, speculator):
                arm = Arm(speculator, about, session.after[about])
                k = self._bandit.guesses_worth_asking(arm)
                question = Question(name, speculator, about, k, self._longest(session))
                if k and question not in self._out:
                    session.asked.add((speculator, about))
                    self._out[question] = _Out(arm, session.turn, self._bandit.asked(arm, k), now_s)
                    self._planned.setdefault(name, []).append(question)

    def _waited_for(self, name: str, session: Foretold, now_s: float) -> dict[str, tuple[float, int]]:
        """Of each speculator whose answer is out: how long it may still take, and how many guesses it may have."""
        found: dict[str, tuple[float, int]] = {}
        for question, out in self._out.items():
            if question.session == name and out.turn == session.turn:
                left_s = out.at_s + self._bandit.takes_s(question.speculator) - now_s
                if left_s >= 0.0:  # what is later than usual may never come
                    found[question.speculator] = (left_s, question.k)
        return found

    # --- by the way ---------------------------------------------------------------------------------------------------

    def _session(self, name: str) -> Foretold:
        session = self._sessions.pop(name, None)
        if session is None:
            if len(self._sessions) >= MAX_SESSIONS:
                self.closed(next(iter(self._sessions)))
            session = Foretold(self._judges)
        self._sessions[name] = session
        return session

    def _told(self, session: str, now_s: float) -> list[Candidate]:
        return self._history.predict(session, (), TOLD, now_s)

    def _abouts(self, session: Foretold, speculator: str) -> list[About]:
        """What it may be asked about now, and was not yet in this turn."""
        if session.running:
            possible = [About.RUNNING_CALL]
        else:
            possible = [About.NEXT_CALL, *([About.NEXT_MESSAGE] if session.listens else [])]
        allowed = self._bandit.terms[speculator].about
        return [about for about in possible if about in allowed and (speculator, about) not in session.asked]

    def _longest(self, session: Foretold) -> int | None:
        """The running call that is expected to take longest."""
        timing = self._judges.timing
        return max(session.running, key=lambda call: timing.latency_s(*session.running[call], 0.5), default=None)

    def _standing(self, name: str) -> Standing:
        account = self._bandit.accounts.get(name, Account())
        return Standing(
            speculator=name,
            asked=round(account.asked),
            answered=round(account.answered),
            guesses=round(account.guesses),
            right=round(account.right),
            input_tokens=round(account.input_tokens),
            cached_tokens=round(account.cached_tokens),
            output_tokens=round(account.output_tokens),
            price=account.price,
            took_s=account.took_s,
            saved_s=account.saved_s,
            weight=self._opinions.weight(name),
            is_worth_asking=self._bandit.is_worth_asking(name),
        )


def add_up(dumps: Sequence[Json]) -> Json:
    """One dump that teaches what these teach.

    Raises:
        ValueError: one of them has another shape or version.
    """
    checked = [_checked(dump) for dump in dumps]
    names = dict.fromkeys(name for dump in checked for name in dump if name != "version")
    return {"version": VERSION, **{name: add_tables(table_of(dump, name) for dump in checked) for name in names}}


def _checked(dump: Json) -> dict[str, Json]:
    if not isinstance(dump, dict) or dump.get("version") != VERSION:
        raise ValueError(f"what was learned of speculators has another version than {VERSION}")
    return dump
