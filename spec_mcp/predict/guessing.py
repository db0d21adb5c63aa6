"""What passes between the models that guess, each for a while and for a price, and the predictor that merges guesses.

A predictor that knows of speculators says after each step which of them are worth a question, and about what. The
relay builds the prompts, asks, and hands back what came of each question, answered or not; then it predicts again for
the same step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.predict.predictor import Predictor
from spec_mcp.predict.prices import Prices


class About(Enum):
    """What a speculator is asked."""

    NEXT_CALL = "next call"
    """The client's next calls, from the history."""
    RUNNING_CALL = "running call"
    """What a call that still runs will answer, and the calls that follow from that."""
    NEXT_MESSAGE = "next message"
    """The user's next message, where the client shows the conversation, and the calls that it leads to."""


class Ending(Enum):
    """What came of a question."""

    ANSWERED = "answered"
    INVALID = "invalid"
    """An answer that could not be read, or no guess of which fits its tool's schema."""
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"
    """The session went on before there was an answer."""
    HELD_BACK = "held-back"
    """A bound was reached (tokens a minute, questions at once, the circuit breaker): nothing was sent."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a speculator may be asked."""

    prices: Prices
    about: frozenset[About] = frozenset(About)
    """It is asked about the next message only where the client shows the conversation."""
    most: int = 4
    """Guesses in one answer, at the most."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request to one speculator. It stands until the client makes its next call after all that were running when
    it was asked have been answered: then it is cancelled."""

    session: str
    speculator: str
    """As it is named in the configuration."""
    about: About
    k: int
    """How many guesses at the most."""
    call: int | None = None
    """The running call that `About.RUNNING_CALL` is about."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A call that a speculator expects, valid by its tool's schema."""

    server: str
    tool: str
    arguments: Arguments
    confidence: float
    """As the speculator says it, from 0 to 1; what it is worth is learned."""
    copied_whole: bool = False
    """Every argument value is a whole value that occurred earlier in the conversation: looked up there, never taken
    from the speculator's word. Its candidate says the same."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a question cost."""

    input_tokens: int
    """With those that were read from the prompt cache."""
    cached_tokens: int
    output_tokens: int
    price: float
    """In the currency of the prices that are set."""
    took_s: float


NOTHING_SPENT = Spent(0, 0, 0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a question; what was not answered may have cost something too."""

    question: Question
    ending: Ending
    guesses: tuple[Guess, ...]
    """Likeliest first; empty unless `Ending.ANSWERED`."""
    spent: Spent


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of one speculator's guesses, in this process and before it."""

    speculator: str
    asked: int
    answered: int
    """With guesses; what was cancelled, late or invalid was asked alone."""
    guesses: int
    right: int
    """Guesses that a call used before the next conflicting write."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    price: float
    took_s: float
    """Of all answers together."""
    saved_s: float
    """The waiting that its guesses hid, or would have, beyond what history and cheaper speculators foretold; less what
    its wasted calls were worth."""
    weight: float
    """How many times likelier, in odds, a call is at present for its having named it as its first guess."""
    is_worth_asking: bool
    """Would it be asked at present, wherever it pays best?"""


@runtime_checkable
class Merging(Predictor, Protocol):
    """A predictor that merges its own guesses with those of speculators.

    What it learned of calls is dumped and loaded as of any predictor; what it learned of speculators apart from that.
    """

    may_ask: Callable[[], bool]
    """Can a question be asked at present? Set by who asks them; none is planned where it cannot."""

    def questions(self, session: str, now_s: float) -> Sequence[Question]:
        """Which speculators are worth a question at this step, asked after each `predict` that stands on no supposed
        call. What is likely may not be told until they have answered, or will not: then it is predicted again."""
        ...

    def answered(self, answered: Answered, now_s: float) -> None:
        """Take in what came of a question, once for each; `predict` says the merged guesses from now on."""
        ...

    def standings(self) -> Sequence[Standing]:
        """How each speculator does, in the order of their names."""
        ...

    def dump_speculators(self) -> Json:
        """What was learned of speculators since the last dump, counts that add up; None where that is nothing."""
        ...

    def load_speculators(self, learned: Json) -> None:
        """Add what was dumped, by this process or another.

        Raises:
            ValueError: the data has another shape.
        """
        ...
