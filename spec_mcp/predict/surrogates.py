"""What surrogates guess: the arguments of their calls, the guesses in their answers, and how often those are right.

A surrogate's answer is a list of guesses of the slow call's `result`, each with a confidence from 0 to 1, as it stands
or as the member `guesses` of an object:

    {"guesses": [{"result": {"move": "e7e5"}, "confidence": 0.4}, {"result": {"move": "c7c5"}, "confidence": 0.2}]}

What a confidence is worth is learned from the answers that came: by tool and rank, and within that by confidence, each
level the prior of the finer one. A guess is right where it equals the answer under the manifest's `equal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.commands import BindSurrogate
from spec_mcp.engine.effects import UNLISTED, ServerPolicy
from spec_mcp.engine.events import Candidate, Guess, GuessesJudged, SpeculationId, SurrogateBound
from spec_mcp.engine.results import same_result
from spec_mcp.predict.options import text_of, token_of
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed

OPEN_MAX = 64
"""Calls whose guessed answers are kept until the real ones come: more than run at once as a rule."""

RUNNING_MAX = 1024
"""Calls whose answers are waited for."""

CELLS_MAX = 4096
"""Rates that are kept: a handful for each tool that has a surrogate."""

PRIOR_WEIGHT = 4.0
"""Answers that a stated confidence counts for, and a coarse rate in a finer one."""

CONFIDENCE_STEPS = 5
"""Confidences are told apart by fifths."""


@dataclass(slots=True)
class Rate:
    """How often guesses of one kind were right."""

    judged: float = 0.0
    right: float = 0.0

    def over(self, prior: float) -> float:
        """The rate, where the prior counts for some answers."""
        return (self.right + PRIOR_WEIGHT * prior) / (self.judged + PRIOR_WEIGHT)


@dataclass(frozen=True, slots=True)
class Said:
    """One of a surrogate's guesses."""

    result: Json
    confidence: float


@dataclass(slots=True)
class _Open:
    """The guesses of one answer."""

    session: str
    guess: Guess
    text: str
    """Of the call."""
    said: list[Said]
    supposed: list[Supposed] = field(default_factory=list[Supposed])


class Surrogates:
    """What is known of surrogates; `policies` may gain servers later."""

    def __init__(self, policies: Mapping[str, ServerPolicy]) -> None:
        self._policies = policies
        self._open: dict[SpeculationId, _Open] = {}
        self._running: dict[tuple[str, int], CallBegan] = {}
        self._rates: dict[tuple[str, ...], Rate] = {}
        self._unreadable: set[str] = set()
        self.on_unreadable: Callable[[Guess], None] = lambda _: None
        """Told once of a tool whose surrogate's answer holds no guess that can be read."""

    # --- before and after a surrogate's call ----------------------------------------------------------------------

    def bind(self, command: BindSurrogate) -> SurrogateBound | None:
        """The arguments of the surrogate's call; None where an expression has no value."""
        from spec_mcp.predict.rules import search

        arguments: Arguments = {}
        for name, text in command.surrogate.arguments.items():
            value = search(text, {"arguments": command.arguments, "result": None, "before": None})
            if value is None:
                return None
            arguments[name] = value
        return SurrogateBound(command.session, command.key, arguments)

    def predict(
        self,
        session: str,
        guess: Guess,
        result: Json,
        before: Sequence[Supposed],
        limit: int,
        ask: Callable[[Sequence[Supposed]], Sequence[Candidate]],
    ) -> list[Candidate]:
        """What follows from each guess of a surrogate's result, likeliest first: `ask` says what does from one.

        `before` is what is supposed before the guessed call. A candidate's probability is scaled by that of its guess,
        and added up over the guesses that lead to it. Its values may be made up, so none counts as copied.
        """
        if (kept := self._open.get(guess.surrogate)) is None:
            kept = self._keep(session, guess, result)
        merged: dict[str, Candidate] = {}
        for rank, (supposed, q) in enumerate(zip(kept.supposed, self._probabilities(guess, kept.said), strict=True)):
            for candidate in ask([*before, supposed]):
                text = text_of(token_of(candidate.server, candidate.tool), candidate.arguments)
                told = replace(candidate, q=candidate.q * q, copied_whole=False, guesses=(rank,))
                merged[text] = told if (other := merged.get(text)) is None else _both(other, told)
        return sorted(merged.values(), key=lambda candidate: -candidate.q)[:limit]

    def supposed(self, guess: Guess) -> Supposed | None:
        """The call with the answer that is supposed; None where it is forgotten."""
        kept = self._open.get(guess.surrogate)
        rank = guess.ranks[0] if guess.ranks else -1
        return kept.supposed[rank] if kept is not None and 0 <= rank < len(kept.supposed) else None

    # --- what really happens --------------------------------------------------------------------------------------

    def began(self, call: CallBegan) -> None:
        """A client made a call."""
        policy = self._policies.get(call.server)
        if policy is None or policy.tool(call.tool).surrogate is None:
            return
        self._running[call.session, call.call] = call
        if len(self._running) > RUNNING_MAX:
            del self._running[next(iter(self._running))]

    def ended(self, call: CallEnded) -> list[GuessesJudged]:
        """A call has its answer."""
        began = self._running.pop((call.session, call.call), None)
        if began is None:
            return []
        return self.answered(
            call.session, Supposed(began.server, began.tool, began.arguments, call.result, call.is_error)
        )

    def answered(self, session: str, answer: Supposed) -> list[GuessesJudged]:
        """A call or a speculation has its answer: which guesses of it were right?"""
        if not self._open:
            return []
        text = text_of(token_of(answer.server, answer.tool), answer.arguments)
        done = [number for number, kept in self._open.items() if (kept.session, kept.text) == (session, text)]
        found = [(number, self._open.pop(number)) for number in done]
        if answer.result is None and not answer.is_error:  # it was too large to be looked into: nobody knows
            return []
        return [self._judge(number, kept, answer) for number, kept in found]

    def closed(self, session: str) -> None:
        """The client left."""
        for number in [number for number, kept in self._open.items() if kept.session == session]:
            del self._open[number]
        for name in [name for name in self._running if name[0] == session]:
            del self._running[name]

    def _keep(self, session: str, guess: Guess, result: Json) -> _Open:
        text = text_of(token_of(guess.server, guess.tool), guess.arguments)
        said = read(result, guess.k)
        if not said and (name := token_of(guess.server, guess.tool)) not in self._unreadable:
            self._unreadable.add(name)
            self.on_unreadable(guess)
        supposed = [Supposed(guess.server, guess.tool, guess.arguments, one.result, False) for one in said]
        kept = self._open[guess.surrogate] = _Open(session, guess, text, said, supposed)
        if len(self._open) > OPEN_MAX:
            del self._open[next(iter(self._open))]
        return kept

    # --- calibration ----------------------------------------------------------------------------------------------

    def _judge(self, number: SpeculationId, kept: _Open, answer: Supposed) -> GuessesJudged:
        policy = self._policies.get(answer.server)
        equal = UNLISTED.equal_results if policy is None else policy.tool(answer.tool).equal_results
        right: list[int] = []
        for rank, said in enumerate(kept.said):
            is_right = not answer.is_error and same_result(said.result, answer.result, equal)
            for rate in self._rates_of(kept.guess, rank, said.confidence):
                rate.judged += 1.0
                rate.right += is_right
            right += [rank] if is_right else []
        return GuessesJudged(kept.session, number, answer.server, answer.tool, tuple(right))

    def _probabilities(self, guess: Guess, said: Sequence[Said]) -> list[float]:
        """How likely each guess is right; together no more than certain."""
        probabilities: list[float] = []
        for rank, one in enumerate(said):
            probability = one.confidence
            for rate in self._rates_of(guess, rank, one.confidence):
                probability = rate.over(probability)
            probabilities.append(probability)
        total = max(1.0, sum(probabilities))
        return [probability / total for probability in probabilities]

    def _rates_of(self, guess: Guess, rank: int, confidence: float) -> list[Rate]:
        """From coarse to fine."""
        coarse = (guess.server, guess.tool, str(rank))
        fine = (*coarse, str(min(CONFIDENCE_STEPS - 1, int(confidence * CONFIDENCE_STEPS))))
        rates = [self._rates.setdefault(name, Rate()) for name in (coarse, fine)]
        while len(self._rates) > CELLS_MAX:
            del self._rates[next(iter(self._rates))]
        return rates


def read(result: Json, k: int) -> list[Said]:
    """The guesses of a surrogate's result, at most `k`, likeliest first; what has another form is left out.

    Confidences that add up to more than 1 are scaled down to 1.
    """
    told = result.get("guesses") if isinstance(result, dict) else result
    found: list[Said] = []
    for guess in told if isinstance(told, list) else []:
        if not isinstance(guess, dict) or "result" not in guess:
            continue
        confidence = guess.get("confidence")
        if isinstance(confidence, int | float) and not isinstance(confidence, bool) and 0.0 < confidence <= 1.0:
            found.append(Said(guess["result"], float(confidence)))
    found.sort(key=lambda said: -said.confidence)
    total = max(1.0, sum(said.confidence for said in found[:k]))
    return [Said(said.result, said.confidence / total) for said in found[:k]]


def _both(one: Candidate, other: Candidate) -> Candidate:
    """Two guesses lead to one call: only one of them can be right."""
    first, second = (one, other) if one.q >= other.q else (other, one)
    discloses = one.discloses or other.discloses
    return replace(first, q=min(1.0, one.q + other.q), guesses=(*first.guesses, *second.guesses), discloses=discloses)
