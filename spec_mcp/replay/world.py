"""A recorded session in virtual time: the real engine decides, a predictor guesses, the record answers.

The record is looked at beyond the present for two things alone: to answer a speculation by the very call that the
session makes later with no conflicting write in between, and to score. A speculation that no such call follows has a
result that nobody knows: it takes its tool's usual time, and nothing is chained to it.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from time import perf_counter
from typing import Protocol, runtime_checkable

from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.commands import (
    BindSurrogate,
    CallSettled,
    Command,
    How,
    Invoke,
    Launch,
    Predict,
    Reply,
    Skipped,
    SpeculationEnded,
)
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import (
    Answer,
    CallArrived,
    CallReturned,
    Candidate,
    Connected,
    Event,
    Guess,
    Lineage,
    Outcome,
    Predicted,
    SessionClosed,
    SpeculationReturned,
    Ticked,
    ToolsListed,
)
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.states import State
from spec_mcp.engine.timing import Timing
from spec_mcp.predict.guessing import Answered, Ending, Merging, Question
from spec_mcp.predict.keeper import ShareKeeper
from spec_mcp.predict.predictor import CallBegan, CallEnded, Predictor, Supposed
from spec_mcp.predict.surrogates import Surrogates
from spec_mcp.replay.oracle import Guesser
from spec_mcp.replay.script import LATENCY_S, SERVER, Call, Script, Stage, Turn, key_of, touched_by
from spec_mcp.replay.tally import Tally

ASKED = 16
"""Candidates asked for at once, as the relay does."""

RANKED = 3
"""How far the strict ranking is looked at, beyond the calls made already in the same turn, which are passed over."""

KEYS_KEPT = 4096
"""Keys of candidates kept, with the arguments that they are known by."""

KNOWN_SIZE_BYTES = 1
"""Held results are not bounded by size here: a record does not say what the bytes were."""


@runtime_checkable
class Ranks(Protocol):
    """A predictor that ranks by what comes next, writes among it, apart from what will be used."""

    def next_calls(self, session: str, limit: int) -> list[Candidate]:
        """The likeliest very next calls."""
        ...


class Speculators(Protocol):
    """Stands for the models that a `Merging` predictor asks."""

    def ask(self, question: Question, script: Script, made: int) -> Answered:
        """What would come of a question, after `spent.took_s`, of a session of which so many calls were made."""
        ...


@dataclass(slots=True)
class _Playing:
    """A turn that is being answered."""

    turn: Turn
    began_s: float
    waiting: set[int]


@dataclass(slots=True)
class Play:
    """Plays one session into a tally."""

    script: Script
    stage: Stage
    predictor: Predictor
    settings: Settings
    timing: Timing
    tally: Tally
    start_s: float = 0.0
    keeper: ShareKeeper | None = None
    context: bool = False
    guesser: Guesser | None = None
    """Plays along turn by turn, to tell why a call was not answered."""
    speculators: Speculators | None = None
    now_s: float = field(init=False)
    _engine: Engine = field(init=False)
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(init=False)
    _planned: int = field(default=0, init=False)
    _made: int = field(default=0, init=False)
    """Calls that the client has made: the future begins at the call of this number."""
    _playing: _Playing | None = field(default=None, init=False)
    _next: int = field(default=0, init=False)
    _answers: dict[int, Call | None] = field(init=False)
    """Of each speculation, the later call that tells its result; None where nobody knows it."""
    _predictions: list[Predict | BindSurrogate] = field(init=False)
    _surrogates: Surrogates = field(init=False)
    _ranks: Ranks | None = field(init=False)
    """The predictor, if it ranks: asked once, as to ask takes as long as to score."""
    _foretold: set[CallKey] = field(default_factory=set[CallKey], init=False)
    """What was told at the start of a turn since the last write."""
    _launched: set[CallKey] = field(default_factory=set[CallKey], init=False)
    _asked: dict[Question, Answered] = field(default_factory=dict[Question, Answered], init=False)
    """The questions that are out, with what will come of each if nothing comes before it."""
    _keys: dict[tuple[str, int], tuple[Arguments, CallKey | None]] = field(
        default_factory=dict[tuple[str, int], "tuple[Arguments, CallKey | None]"], init=False
    )

    def run(self) -> float:
        """Play to the end; the time at which the session ends."""
        self.now_s = self.start_s
        self._agenda, self._answers, self._predictions = [], {}, []
        self._surrogates = Surrogates({SERVER: self.stage.policy})
        self._ranks = self.predictor if isinstance(self.predictor, Ranks) else None
        tools = dict.fromkeys(self.stage.policy.tools, "")
        self._engine = Engine(self.settings, {SERVER: self.stage.policy}, timing=self.timing)
        self._tell(Connected(SERVER, 1))
        self._tell(ToolsListed(SERVER, tools))
        self.tally.sessions += 1
        self._plan_turn(0)
        while self._agenda:
            at_s, _, action = heapq.heappop(self._agenda)
            while (deadline_s := self._engine.deadline_s) is not None and deadline_s < at_s:
                self.now_s = max(self.now_s, deadline_s)
                self._tell(Ticked())
            self.now_s = at_s
            action()
            self._predict()
        self._cancel_questions()
        self._tell(SessionClosed(self.script.session))
        self.predictor.closed(self.script.session)
        return self.now_s

    # --- the client -----------------------------------------------------------------------------------------------

    def _plan_turn(self, number: int) -> None:
        if number < len(self.script.turns):
            turn = self.script.turns[number]
            self._at(self.now_s + turn.think_s, lambda: self._begin(number, turn))
            self._show(turn)

    def _show(self, turn: Turn) -> None:
        if self.context:
            for role, text in turn.said:
                self.predictor.said(self.script.session, role, text)

    def _begin(self, number: int, turn: Turn) -> None:
        """All calls of a turn are made before anything is guessed from one of them."""
        if self.guesser is not None:
            self.guesser.play(turn)
        self._score(turn)
        self._cancel_questions()
        self._playing = _Playing(turn, self.now_s, {call.number for call in turn.calls})
        self._next = number + 1
        session = self.script.session
        for call in turn.calls:
            self._made = call.number + 1
            self.tally.calls += 1
            self.tally.reads += not call.writes
            began = CallBegan(session, call.number, SERVER, call.tool, call.arguments, self.now_s, call.writes)
            self._surrogates.began(began)
            self.predictor.began(began)
            self._tell(CallArrived(call.number, session, SERVER, call.tool, call.arguments, call.key))

    def _answered(self, call: Call) -> None:
        playing = self._playing
        assert playing is not None, "a call that is answered was made"
        session = self.script.session
        ended = CallEnded(session, call.number, call.result, call.is_error, self.now_s)
        self.predictor.ended(ended)
        for judged in self._surrogates.ended(ended):
            self._at(self.now_s, lambda judged=judged: self._tell(judged))
        playing.waiting.discard(call.number)
        if not playing.waiting:
            self.tally.wait_s += max(call.latency_s for call in playing.turn.calls)
            self.tally.waited_s += self.now_s - playing.began_s
            self._playing = None
            self._plan_turn(self._next)

    # --- the server -----------------------------------------------------------------------------------------------

    def _returned(self, call: Call) -> None:
        self._answered(call)
        answer = Answer.TOOL_ERROR if call.is_error else Answer.RESULT
        self._tell(CallReturned(call.number, Outcome(answer)))

    def _speculated(self, command: Launch) -> None:
        call = self._find(command)
        self._answers[command.speculation] = call
        self.tally.speculations += 1
        self._launched.add(command.key)
        latency_s = self.stage.latencies_s.get(command.tool, self._usual_s) if call is None else call.latency_s
        failed = call is not None and call.is_error
        outcome = Outcome(Answer.TOOL_ERROR if failed else Answer.RESULT, KNOWN_SIZE_BYTES)
        event = SpeculationReturned(command.speculation, outcome)
        self._at(self.now_s + latency_s, lambda: self._tell(event))

    @property
    def _usual_s(self) -> float:
        return self.script.calls[0].latency_s if self.script.calls else LATENCY_S

    def _find(self, command: Launch) -> Call | None:
        """The very call, made later with no conflicting write before it."""
        return self._later_call(command.key, command)

    def _later_call(self, key: CallKey | None, wanted: Launch | Candidate) -> Call | None:
        numbers = self.script.numbers.get(key, ()) if key is not None else ()
        index = bisect_left(numbers, self._made)
        if index == len(numbers):
            return None
        number = numbers[index]
        writes = self.script.writes
        first = bisect_left(writes, self._made)
        if first < len(writes) and writes[first] < number:
            touches = self._touches(wanted)
            if any(self.script.calls[write].touches.overlaps(touches) for write in _below(writes, first, number)):
                return None
        return self.script.calls[number]

    def _touches(self, command: Launch | Candidate) -> Footprint:
        return touched_by(self.stage.policy, command.tool, command.arguments)

    # --- between engine and predictor -----------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        for command in self._engine.handle(event, self.now_s):
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, Skipped):  # by far the most
            return
        if isinstance(command, Predict | BindSurrogate):
            self._predictions.append(command)
        elif isinstance(command, Launch):
            self._speculated(command)
        elif isinstance(command, Invoke):
            call = self.script.calls[command.call]
            self._at(self.now_s + call.latency_s, lambda: self._returned(call))
        elif isinstance(command, Reply):
            self._answered(self.script.calls[command.call])
        elif isinstance(command, CallSettled):
            self._settled(command)
        elif isinstance(command, SpeculationEnded) and command.launched_at is not None:
            self._ended(command)

    def _settled(self, command: CallSettled) -> None:
        call = self.script.calls[command.call]
        if command.how is not How.MISS:
            self.tally.answered += 1
        else:
            self.tally.missed[self._cause(call)] += 1
        if call.writes:
            self._foretold.clear()
            self._launched.clear()

    def _cause(self, call: Call) -> str:
        """Why a call was not answered ahead of time."""
        if call.writes:
            return "it writes"
        if call.key is None:
            return "no safe identity"
        if call.key in self._launched:
            return "the result was an error" if call.is_error else "spoiled or too late"
        if call.key in self._foretold:
            return "foretold, not worth it"
        was_visible = self.guesser is not None and call.number in self.guesser.reachable
        return "never foretold" if was_visible else "its values could not be seen"

    def _ended(self, command: SpeculationEnded) -> None:
        used = command.state is State.ADOPTED
        self.tally.used += used
        if not used:
            self.tally.wasted[command.tool] += 1
        if self.keeper is not None:
            self.keeper.ended(used)
            self._engine.world.settings = self.keeper.apply(self.settings)

    def _predict(self) -> None:
        """Answer what the engine asked, when all that happens at this moment has happened."""
        while self._predictions:
            command = self._predictions.pop(0)
            if isinstance(command, BindSurrogate):
                if (bound := self._surrogates.bind(command)) is not None:
                    self._tell(bound)
                continue
            if command.step != self._engine.world.session(self.script.session).step:
                continue
            began = perf_counter()
            if (found := self._guess(command.lineage)) is None:
                continue
            predicted = Predicted(command.session, command.step, command.lineage, tuple(found))
            commands = self._engine.handle(predicted, self.now_s)
            self.tally.decide_s.append(perf_counter() - began)
            for told in commands:
                self._carry_out(told)
            if not command.lineage:
                self._put_questions()

    def _put_questions(self) -> None:
        """Put the questions that are worth it."""
        if self.speculators is None or not isinstance(self.predictor, Merging):
            return
        for question in self.predictor.questions(self.script.session, self.now_s):
            answered = self.speculators.ask(question, self.script, self._made)
            self._asked[question] = answered
            self._at(self.now_s + answered.spent.took_s, lambda answered=answered: self._take_guesses(answered))

    def _take_guesses(self, answered: Answered) -> None:
        if self._asked.get(answered.question) is not answered or not isinstance(self.predictor, Merging):
            return
        del self._asked[answered.question]
        self.predictor.answered(answered, self.now_s)
        session = self.script.session
        self._predictions.append(Predict(session, self._engine.world.session(session).step))

    def _cancel_questions(self) -> None:
        """The next turn begins: what was asked about it is asked no more; it has cost what it would have cost."""
        while self._asked and isinstance(self.predictor, Merging):
            _, answered = self._asked.popitem()
            self.predictor.answered(replace(answered, ending=Ending.CANCELLED, guesses=()), self.now_s)

    def _guess(self, lineage: Lineage) -> list[Candidate] | None:
        """What follows from what is supposed; None where that is not known."""
        last = lineage[-1] if lineage else None
        supposed = self._suppose(lineage[:-1] if isinstance(last, Guess) else lineage)
        if supposed is None:
            return None
        if not isinstance(last, Guess):
            if last is not None and supposed:
                for judged in self._surrogates.answered(self.script.session, supposed[-1]):
                    self._tell(judged)
            return self._ask(supposed)
        if (said := self._answers.get(last.surrogate)) is None:
            return None
        return self._surrogates.predict(self.script.session, last, said.result, supposed, ASKED, self._ask)

    def _ask(self, supposed: Sequence[Supposed]) -> list[Candidate]:
        return self.predictor.predict(self.script.session, supposed, ASKED, self.now_s)

    def _suppose(self, lineage: Lineage) -> list[Supposed] | None:
        """What a chain stands on; None where a result of it is not known."""
        supposed: list[Supposed] = []
        for link in lineage:
            if isinstance(link, Guess):
                if (guessed := self._surrogates.supposed(link)) is None:
                    return None
                supposed.append(guessed)
                continue
            call = self._answers.get(link)
            if call is None:
                return None
            if call.number >= self._made:
                supposed.append(Supposed(SERVER, call.tool, call.arguments, call.result, call.is_error))
        return supposed

    def _at(self, at_s: float, action: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._agenda, (at_s, self._planned, action))

    # --- scores ---------------------------------------------------------------------------------------------------

    def _score(self, turn: Turn) -> None:
        """Score what is told at the start of a turn, before any of its calls is known."""
        session, tally = self.script.session, self.tally
        told = self.predictor.predict(session, (), ASKED, self.now_s)
        most = RANKED + len(turn.calls) - 1
        ranked = told if self._ranks is None else self._ranks.next_calls(session, most)
        keys = [(candidate.tool, self._key(candidate)) for candidate in ranked]
        tools = list(dict.fromkeys(tool for tool, _ in keys))
        for call in turn.calls:
            tally.next_tool_top1 += tools[:1] == [call.tool]
            tally.next_call_top1 += (call.tool, call.key) in keys[:1]
            tally.next_call_top3 += (call.tool, call.key) in keys[:3]
            if (call.tool, call.key) in keys:
                keys.remove((call.tool, call.key))
        for candidate in told:
            key = self._key(candidate)
            tally.calibration.append((candidate.q, self._later_call(key, candidate) is not None))
            if key is not None:
                self._foretold.add(key)

    def _key(self, candidate: Candidate) -> CallKey | None:
        """The key of a candidate. The same options are told turn after turn: they are known by their identity."""
        name = (candidate.tool, id(candidate.arguments))
        known = self._keys.get(name)
        if known is None or known[0] is not candidate.arguments:
            if len(self._keys) >= KEYS_KEPT:
                self._keys.clear()
            key = key_of(self.stage.policy, candidate.tool, candidate.arguments)
            known = self._keys[name] = (candidate.arguments, key)
        return known[1]


def _below(numbers: Sequence[int], first: int, end: int) -> Iterator[int]:
    """From this index on, those below `end`."""
    return takewhile(lambda number: number < end, islice(numbers, first, None))
